"""The one place of the cloud that asks the machine for the time.

Services take `now` as an argument; pages, commands and workers call these and hand the answer down.
"""

from datetime import UTC, date, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

_timezones = cache(available_timezones)  # it reads some six hundred files' names: once a process is enough


def now() -> datetime:
    """Return the present moment, aware UTC."""
    return datetime.now(UTC)


def school_day(at: datetime, timezone: str) -> date:
    """Return the local date of a school at an aware moment. timezone: an IANA name."""
    return at.astimezone(ZoneInfo(timezone)).date()


def is_timezone(name: str) -> bool:
    """Return whether this is the IANA name of a time zone that this machine knows."""
    return name in _timezones()
