"""The one place of the cloud that asks the machine for the time.

Services take `now` as an argument; pages, commands and workers call these and hand the answer down.
"""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


def now() -> datetime:
    """Return the present moment, aware UTC."""
    return datetime.now(UTC)


def school_day(at: datetime, timezone: str) -> date:
    """Return the local date of a school at an aware moment. timezone: an IANA name."""
    return at.astimezone(ZoneInfo(timezone)).date()
