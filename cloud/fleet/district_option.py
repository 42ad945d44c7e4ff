"""`--district SLUG`: whose rollout a command means. It is needed only where several districts have one running."""

from collections.abc import Collection
from typing import Annotated

import typer

District = Annotated[str | None, typer.Option(metavar="SLUG", help="whose, where several districts have one running")]


def choose_district(running: Collection[str], named: str | None) -> str | None:
    """Return the district that is meant, None where nothing runs anywhere. running: slugs of those where one runs.

    Raises typer.BadParameter rather than choosing one of several, or another than the one that was named.
    """
    if not running:
        return None
    if named is None and len(running) == 1:
        return next(iter(running))
    if named is None or named not in running:
        told = f"rollouts run in: {', '.join(sorted(running))}; name one of them"
        raise typer.BadParameter(told, param_hint="--district")
    return named
