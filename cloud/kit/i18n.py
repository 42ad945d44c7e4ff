"""Words in the reader's language, times in the school's zone.

Responsible for: the catalogues `cloud/locales/<language>/LC_MESSAGES/cloud.po` (read at first use, kept in memory),
the choice of a language (the person's, then Accept-Language, then English), dates and times as people write them.
Not responsible for: translating names of people: they are never translated nor transliterated.
"""

import gettext
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale, dates, lists, numbers
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = ("en", "fr", "kk", "ru", "vi")  # MISSION: five languages; English is the source of the others.
LOCALES = Path(__file__).parent.parent / "locales"
ACCEPT_LANGUAGE_CHARACTERS_MAX = 200  # Browsers send fewer than 100; the rest of a longer header is not read.


@dataclass(frozen=True)
class Reader:
    """Who reads: a language and the time zone of what is read about."""

    language: str = "en"
    timezone: str = "UTC"

    def gettext(self, message: str) -> str:
        return catalogue(self.language).gettext(message)

    def ngettext(self, singular: str, plural: str, n: int) -> str:
        return catalogue(self.language).ngettext(singular, plural, n)

    def time(self, at: datetime) -> str:
        """Return the wall clock of an aware moment: 07:42."""
        return dates.format_time(at.astimezone(ZoneInfo(self.timezone)), "HH:mm", locale=self.language)

    def day(self, day: date | datetime) -> str:
        """Return a date in full, with its weekday, as the reader writes it."""
        return dates.format_date(self._local(day), "full", locale=self.language)

    def short_day(self, day: date | datetime) -> str:
        return dates.format_date(self._local(day), "medium", locale=self.language)

    def moment(self, at: datetime) -> str:
        """Return a date and the wall clock: 1 Sept 2026, 07:42."""
        return f"{self.short_day(at)}, {self.time(at)}"

    def weekday(self, index: int, *, short: bool = False) -> str:
        """Return a day of the week. index: 0 Monday to 6 Sunday."""
        return dates.get_day_names("abbreviated" if short else "wide", "stand-alone", self.language)[index]

    def listed(self, words: Sequence[str]) -> str:
        """Return words as one enumeration: Monday, Tuesday and Friday."""
        return lists.format_list(list(words), locale=self.language)

    def number(self, value: float) -> str:
        return numbers.format_decimal(value, locale=self.language)

    def ago(self, at: datetime, now: datetime) -> str:
        """Return how long ago `at` was: 3 minutes ago."""
        return dates.format_timedelta(at - now, add_direction=True, locale=self.language)

    def language_name(self, language: str) -> str:
        """Return the name of a language in that language itself."""
        return (Locale.parse(language).get_display_name() or language).capitalize()

    def _local(self, day: date | datetime) -> date:
        return day.astimezone(ZoneInfo(self.timezone)).date() if isinstance(day, datetime) else day


current_reader: ContextVar[Reader] = ContextVar("current_reader", default=Reader())  # noqa: B039 (it is frozen)
"""The reader of the page being drawn; set by kit/web.render, so that macros need no argument."""


@lru_cache(maxsize=len(LANGUAGES))
def catalogue(language: str) -> gettext.NullTranslations:
    """Return the words of a language. English, and a language with no catalogue yet, are the source texts."""
    file = LOCALES / language / "LC_MESSAGES" / "cloud.po"
    if language == "en" or language not in LANGUAGES or not file.exists():
        return gettext.NullTranslations()
    with file.open("rb") as text:
        words = read_po(text, locale=language, abort_invalid=True)
    binary = BytesIO()
    write_mo(binary, words)
    binary.seek(0)
    return gettext.GNUTranslations(binary)


def choose_language(person: str | None, accept_language: str | None) -> str:
    """Return the language of a page: the person's own, else the first that the browser wants and we have."""
    if person in LANGUAGES:
        return str(person)
    wanted: list[tuple[float, str]] = []
    for part in (accept_language or "")[:ACCEPT_LANGUAGE_CHARACTERS_MAX].split(","):
        tag, _, quality = part.strip().partition(";q=")
        try:
            wanted.append((-float(quality or 1), tag.split("-")[0].lower()))
        except ValueError:
            continue
    return next((tag for _, tag in sorted(wanted, key=lambda pair: pair[0]) if tag in LANGUAGES), "en")
