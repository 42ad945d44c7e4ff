"""Forms of pages: what a person typed, as text, and what is wrong with it, beside its field.

Responsible for: reading a form within bounds; names, days and ids out of text; the hash of an uploaded file, which
is all that outlives the request. A page that refuses draws itself again with the same Form: nothing typed is lost.
Not responsible for: rules of the domain (services). HOSTILE P18 and P19: what cannot be a name is refused here, once.
"""

import hashlib
import unicodedata
from collections.abc import Mapping
from datetime import date, time
from typing import Annotated
from uuid import UUID

import python_multipart as python_multipart  # Starlette reads forms with it: missing, it is said at the start.
from fastapi import Depends, Request
from starlette.datastructures import UploadFile

from cloud.kit.errors import N_

FIELDS_MAX = 80  # The longest form of ours has 21 fields: weeks of custody.
TEXT_CHARACTERS_MAX = 2000
NAME_CHARACTERS_MAX = 100  # person_named, child_named in schema.sql
READ_BYTES = 1 << 20  # Of an upload at a time; what is larger lies in a temporary file that nobody can open.
WEEKDAYS = 7
FIRST_YEAR, LAST_YEAR = 1900, 2200  # A year outside is a slip of the finger, and PostgreSQL need not hear of it.

REQUIRED = N_("Please fill this in.")
TOO_LONG = N_("This is too long.")
NOT_WRITABLE = N_("This holds characters that no name is written with.")
NOT_A_DAY = N_("Please give a date as year-month-day, for example 2026-09-01.")
NOT_A_TIME = N_("Please give a time as hours and minutes, for example 07:30.")
NOT_ONE = N_("Please choose one.")
NO_WEEKDAY = N_("Choose at least one day.")


class Form:
    """One form as it was sent. problems: words to translate, by the field they stand beside; empty when all is well."""

    def __init__(
        self, fields: Mapping[str, list[str]] | None = None, hashes: Mapping[str, bytes] | None = None
    ) -> None:
        self._fields = fields or {}
        self._hashes = hashes or {}
        self.problems: dict[str, str] = {}

    def __bool__(self) -> bool:
        """Return whether anything was sent: a page that is only looked at has an empty form."""
        return bool(self._fields)

    def refuse(self, field: str, words: str) -> None:
        """Say what is wrong with a field; the first thing said stays."""
        self.problems.setdefault(field, words)

    def typed(self, field: str) -> str:
        """Return what was typed, to be shown again."""
        values = self._fields.get(field)
        return values[0] if values else ""

    def chosen(self, field: str) -> tuple[str, ...]:
        """Return all values of boxes that share a name."""
        return tuple(self._fields.get(field, ()))

    def ticked(self, field: str) -> bool:
        return field in self._fields

    def number(self, field: str, least: int, most: int) -> int:
        """Return a whole number within bounds; anything else is refused and gives the least."""
        typed = self.typed(field).strip()
        if not (typed.isascii() and typed.isdigit() and len(typed) < 10 and least <= int(typed) <= most):
            self.refuse(field, NOT_ONE)
            return least
        return int(typed)

    def text(self, field: str, *, required: bool = True, characters_max: int = TEXT_CHARACTERS_MAX) -> str:
        """Return one line of writing, normalised; what cannot be written is refused and gives ''."""
        text = unicodedata.normalize("NFC", " ".join(self.typed(field).split()))
        if required and not text:
            self.refuse(field, REQUIRED)
        if len(text) > characters_max:
            self.refuse(field, TOO_LONG)
        elif not is_writable(text):
            self.refuse(field, NOT_WRITABLE)
        return "" if field in self.problems else text

    def name(self, field: str, *, required: bool = True) -> str:
        """Return a name as people write it, in any script. A formula is a name: it is the export's to quote it."""
        return self.text(field, required=required, characters_max=NAME_CHARACTERS_MAX)

    def day(self, field: str, *, required: bool = False) -> date | None:
        """Return a local date, or None where nothing was typed."""
        typed = self.typed(field).strip()
        if not typed:
            if required:
                self.refuse(field, REQUIRED)
            return None
        try:
            day = date.fromisoformat(typed)
        except ValueError:
            self.refuse(field, NOT_A_DAY)
            return None
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            self.refuse(field, NOT_A_DAY)
            return None
        return day

    def time_of_day(self, field: str) -> time | None:
        """Return hours and minutes, or None where nothing was typed."""
        typed = self.typed(field).strip()
        hours, colon, minutes = typed.partition(":")
        if not typed:
            return None
        if colon and len(typed) == 5 and typed.isascii() and hours.isdigit() and minutes.isdigit():
            if int(hours) < 24 and int(minutes) < 60:
                return time(int(hours), int(minutes))
        self.refuse(field, NOT_A_TIME)
        return None

    def one_id(self, field: str) -> UUID | None:
        """Return the id that was chosen; anything else is refused."""
        try:
            return UUID(self.typed(field))
        except ValueError:
            self.refuse(field, NOT_ONE)
            return None

    def weekdays(self, field: str) -> int:
        """Return the mask of ticked days (bit 0 is Monday); at least one."""
        mask = mask_of(self.chosen(field))
        if not mask:
            self.refuse(field, NO_WEEKDAY)
        return mask

    def hash_of_file(self, field: str) -> bytes:
        """Return the SHA-256 of an uploaded file, b"" where there is none. The file itself is gone with the request."""
        if field not in self._hashes:
            self.refuse(field, REQUIRED)
        return self._hashes.get(field, b"")


def mask_of(days: tuple[str, ...]) -> int:
    """Return the weekday mask of box values "0" (Monday) to "6"; what is none of them counts for nothing."""
    return sum(1 << day for day in range(WEEKDAYS) if str(day) in days)


def is_writable(text: str) -> bool:
    """Return whether a text is free of control characters and of marks that turn its direction around.

    U+200C and U+200D stay: names in Persian and in Indian scripts need them.
    """
    return not any(
        unicodedata.category(letter) in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp")
        or (unicodedata.category(letter) == "Cf" and letter not in "\u200c\u200d")
        for letter in text
    )


async def read_form(request: Request) -> Form:
    """Read the body. Asked for after the door, so that a stranger's upload is not read."""
    fields: dict[str, list[str]] = {}
    hashes: dict[str, bytes] = {}
    async with request.form(max_files=1, max_fields=FIELDS_MAX) as sent:
        for field, value in sent.multi_items():
            if not isinstance(value, UploadFile):
                fields.setdefault(field, []).append(value)
            elif value.size:
                hashes[field] = await _hash(value)
    return Form(fields, hashes)


async def _hash(file: UploadFile) -> bytes:
    whole = hashlib.sha256()
    while part := await file.read(READ_BYTES):
        whole.update(part)
    return whole.digest()


SentForm = Annotated[Form, Depends(read_form)]
"""The form of a POST. Put it after the actor: `def add(actor: SchoolActor, form: SentForm)`."""
