"""`--ring 11 --ring 21,31`: the rings of a rollout as words of a command. What counts as rings: rings.py."""

from collections.abc import Sequence

import typer

from cloud.fleet.rings import Rings


def read_rings(texts: Sequence[str]) -> Rings:
    """Read the values of `--ring`: ["11", "21,31"] is [[11], [21, 31]]. Raises typer.BadParameter on any other word."""
    words = [[word.strip() for word in text.split(",")] for text in texts]
    strange = [word for ring in words for word in ring if not (word.isascii() and word.isdigit())]
    if strange or not words:
        what = f"{strange[0]!r} is no number of a gate" if strange else "name at least one gate"
        raise typer.BadParameter(f"{what}; such as --ring 11 --ring 21,31", param_hint="--ring")
    return [[int(word) for word in ring] for ring in words]
