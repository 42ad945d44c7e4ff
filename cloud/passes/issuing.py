"""The keys that sign for whoever asks: found through the application's settings, for routes of passes and cards."""

from datetime import datetime

from fastapi import Request

from cloud.kit.errors import Refused
from cloud.passes.keys import KeyRing, ring_in


def ring_of(request: Request, now: datetime) -> KeyRing:
    """Return the keys of this process. Raises Refused("INTERNAL") where it was given none."""
    keys_dir = request.app.state.settings.keys_dir
    if keys_dir is None:
        raise Refused("INTERNAL")
    return ring_in(keys_dir, now.timestamp())
