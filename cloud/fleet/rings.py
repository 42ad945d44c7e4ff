"""Rings of gates: a change reaches a few first, then the rest. One reading and one judgement for both kinds of rollout.

Responsible for: what counts as rings. Not responsible for: the words of a command (ring_option.py), nor for moving
from one to the next (rollouts.py for configurations, updates.py for releases). Rules: STORIES 8.
"""

from collections.abc import Collection, Sequence

RINGS_MAX = 16

Rings = Sequence[Sequence[int]]


def are_rings(rings: Rings, known: Collection[int]) -> bool:
    """Return whether each ring names gates that are known, none of them twice. known: numbers of gates to be told."""
    named = [gate for ring in rings for gate in ring]
    return (
        0 < len(rings) <= RINGS_MAX and all(rings) and len(set(named)) == len(named) and set(named) <= set(known)
    )
