"""What a roster says, what is wrong with it, and what it would change. Pure.

A roster is a list of `Said`: one thing each, by kind and key, in the words of the source. What it said last time is
kept as digests only (roster_row), so that a file which says the same again changes nothing, and a file which says
something new never writes over what a person, or an accepted correction, has put in its place (`merged`).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

KINDS = ("district", "session", "school", "class", "person", "child", "enrolment", "tie", "role", "teacher")
"""In the order in which they need one another."""

LINKS = ("enrolment", "tie", "role", "teacher")
"""Kinds that have a beginning and an end; the others stay."""

PERSON_AT = {"enrolment": 0, "tie": 1, "role": 0, "teacher": 0}
"""Which part of the key of a link names the user with whom it ends: of a tie the guardian, not the child."""

PROBLEMS_MAX = 1_000  # told one by one; a file of another system's making has one fault a line
DIGEST_CHARACTERS = 16  # 64 bits: two values of one field do not meet by accident

Fields = Mapping[str, str]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. line: 1 is the header, 0 the file itself. found: what stands there, shortened."""

    code: str
    file: str
    line: int
    field: str
    found: str
    to_type: str


@dataclass(frozen=True)
class Notice:
    """Something that is left as it is, and that somebody should know."""

    code: str
    kind: str
    key: str
    words: str


@dataclass(frozen=True)
class Said:
    """One thing as the source says it. is_gone: it ends (tobedeleted). key: sourcedIds, parted by a space in a link."""

    kind: str
    key: str
    fields: Fields
    is_gone: bool = False
    file: str = ""
    line: int = 0

    @property
    def digests(self) -> dict[str, str]:
        return {name: digest(value) for name, value in self.fields.items()}


@dataclass(frozen=True)
class Kept:
    """What the source said of a thing last time, as digests."""

    kind: str
    key: str
    said: Fields
    is_gone: bool

    def says_the_same(self, said: Said) -> bool:
        return self.is_gone == said.is_gone and (said.is_gone or dict(self.said) == said.digests)


@dataclass(frozen=True)
class Change:
    """What becomes of a thing. act: add, change, end, keep. fields: name -> what it was, what it becomes."""

    kind: str
    key: str
    act: str
    fields: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Merged:
    """Values to be written, and the fields that become something else, and those that a person decided otherwise."""

    values: dict[str, str]
    changed: dict[str, tuple[str, str]]
    kept: dict[str, tuple[str, str]]


@dataclass
class Report:
    """What an import did, or would do. same: things of which the source said nothing new."""

    district: str
    dry_run: bool
    same: dict[str, int] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    children_changed: list[tuple[UUID, Change]] = field(default_factory=list)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return kind -> act -> how many."""
        told = {kind: {"same": self.same.get(kind, 0)} for kind in KINDS}
        for change in self.changes:
            told[change.kind][change.act] = told[change.kind].get(change.act, 0) + 1
        return told

    @property
    def changes_something(self) -> bool:
        return any(change.act != "keep" for change in self.changes)


class RosterRefused(Exception):
    """Nothing was written. `problems`: what is wrong, PROBLEMS_MAX at most; more: how many beyond them."""

    def __init__(self, problems: list[Problem], more: int = 0) -> None:
        super().__init__(f"{len(problems) + more} problems")
        self.problems, self.more = problems, more


def digest(value: str) -> str:
    """Return what is kept of a value: enough to see that it is another one, not the value."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_CHARACTERS]


def merged(said: Fields, before: Fields | None, now: Fields | None, mended: frozenset[str] = frozenset()) -> Merged:
    """Bring together what the source says, what it said before (digests, None: never heard) and what stands now.

    What the source says anew is taken where nobody touched what it had said; else what stands there stays. A source
    that is heard for the first time overrides what stands, but for fields that a correction mended.
    """
    if now is None:
        return Merged(dict(said), {name: ("", value) for name, value in said.items() if value}, {})
    values, changed, kept = dict(now), {}, {}
    for name, value in said.items():
        stands = now.get(name, "")
        if value == stands:
            continue
        heard = (before or {}).get(name)
        if heard == digest(value):
            continue  # It says what it always said, and somebody knew better.
        touched = name in mended if heard is None else heard != digest(stands)
        if touched:
            kept[name] = (stands, value)
        else:
            values[name], changed[name] = value, (stands, value)
    return Merged(values, changed, kept)


def shown(text: str, characters: int = 60) -> str:
    """Return a text of the source as a terminal may show it: what cannot be printed is escaped (P18, P20)."""
    safe = "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text[: characters + 1])
    return safe if len(text) <= characters else safe[: characters - 1] + "…"
