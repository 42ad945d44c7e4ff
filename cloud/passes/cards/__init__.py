"""Printed cards: issued, drawn on paper, replaced, reported lost."""
