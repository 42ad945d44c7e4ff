"""What rights, custody and lines of the access log are in words. Pure; the reader's language comes with the Reader.

Responsible for: when a right holds, as a sentence; the five places; the weeks of custody as they are drawn; the words
of states and of what staff did. Words for a family never say that a court has spoken (HOSTILE P45).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from cloud.audit.model import AuditLine
from cloud.kit.errors import N_
from cloud.kit.i18n import Reader
from cloud.people.model import ChildFile, EscortRight
from protocols.limits import ESCORTS_PER_CHILD_MAX

EVERY_DAY, WORKING_DAYS = 0b1111111, 0b0011111
WEEKS_DRAWN = 5
MIDNIGHT = "00:00"
A_MOMENT = timedelta(microseconds=1)

# What a guardian is to a child; another word of the family's stays as it is written.
RELATIONS = {
    "mother": N_("mother"), "father": N_("father"), "grandmother": N_("grandmother"), "grandfather": N_("grandfather"),
    "aunt": N_("aunt"), "uncle": N_("uncle"), "sister": N_("sister"), "brother": N_("brother"),
    "guardian": N_("guardian"), "escort": N_("escort"),
}  # fmt: skip
FIELDS = {"given": N_("First name"), "family": N_("Family name"), "birth": N_("Born on"), "address": N_("Address")}
STATES = {
    "proposed": ("warn", "clock", N_("Waits for the office")),
    "accepted": ("good", "tick", N_("Accepted")),
    "declined": ("plain", "cross", N_("Declined")),
}
ORDER_STATES = {
    "imposed": ("warn", "warning", N_("Blocks now, waits for a second person")),
    "confirmed": ("bad", "lock", N_("Blocks, confirmed by two")),
    "lift_asked": ("warn", "warning", N_("Blocks, lifting waits for a second person")),
    "lifted": ("plain", "tick", N_("Lifted")),
    "over": ("plain", "clock", N_("Over")),
}
ROLES = {
    "teacher": N_("teacher"), "gate_staff": N_("staff at the gate"), "office": N_("office"), "head": N_("head"),
    "day_care": N_("day-care"), "district_officer": N_("district officer"), "auditor": N_("auditor"),
    "operator": N_("operator"),
    "guardian": N_("guardian"), "escort": N_("escort"), "system": N_("the program"),
}  # fmt: skip
# Actions of the access log as a guardian reads them; one that is not here is told as a change.
ACTIONS = {
    "read_file": N_("read the file"), "escort.add": N_("added a person who may collect"),
    "escort.allow_today": N_("allowed a person for one day"), "escort.remove": N_("removed a person who may collect"),
    "escort.veto": N_("objected to a person"), "custody.put": N_("set the weeks of custody"),
    "custody.end": N_("ended the weeks of custody"), "custody.exception": N_("changed a day of custody"),
    "child.address": N_("changed the address"), "correction.propose": N_("proposed a correction"),
    "correction.accept": N_("accepted a correction"),
    "correction.decline": N_("declined a correction"), "child.protect": N_("protected the file"),
    "child.unprotect": N_("ended the protection of the file"), "order.impose": N_("entered an order"),
    "order.confirm": N_("confirmed an order"), "order.ask_lift": N_("asked to lift an order"),
    "order.lift": N_("lifted an order"), "card.issue": N_("issued a card"),
    "card.revoke": N_("blocked a card"), "card.replace": N_("replaced a card"), "card.lost": N_("blocked a lost card"),
}  # fmt: skip
CHANGED = N_("changed the file")


# What the page says after a form was taken; a code that is not here says nothing.
SAID = {
    "added": N_("Done. This person may collect from the moment shown."),
    "removed": N_("Removed. This person may no longer collect."),
    "objected": N_("You objected. This person may not collect."),
    "imposed": N_("It blocks now, at every gate that can be reached. A second person must confirm it."),
    "confirmed": N_("Confirmed. It blocks until two people lift it."),
    "lift_asked": N_("Asked. It blocks until a second person lifts it."),
    "lifted": N_("Lifted. The rights that it cut do not come back by themselves."),
    "custody": N_("The weeks of custody are set."),
    "custody_ended": N_("The weeks of custody have ended. Rights alone decide."),
    "custody_day": N_("That day is set."),
    "proposed": N_("Sent. The office decides, and you see here what it said."),
    "decided": N_("Decided. The family sees it."),
    "protected": N_("Protected. Only office and head find this child now."),
    "unprotected": N_("The protection has ended."),
    "granted": N_("The role is granted."), "ended": N_("The role has ended."),
    "powers": N_("What this person may do at the gate is changed."), "hours": N_("The hours are set."),
    "term": N_("The term is set."), "date": N_("The date is set."), "date_removed": N_("That date is as usual again."),
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """One of the five places: a right with its words, or free."""

    number: int
    right: EscortRight | None = None
    when: str = ""
    relation: str = ""
    runs: bool = False


@dataclass(frozen=True)
class CustodyDay:
    """One day of the drawn calendar. with_: places in the legend of those who have the child; changed: an exception."""

    day: date
    with_: tuple[int, ...]
    today: bool
    past: bool
    changed: bool


def weekdays_in_words(reader: Reader, mask: int) -> str:
    if mask == EVERY_DAY:
        return reader.gettext("Every day")
    if mask == WORKING_DAYS:
        return reader.gettext("Monday to Friday")
    return reader.listed([reader.weekday(index) for index in range(7) if mask >> index & 1])


def when(reader: Reader, right: EscortRight, now: datetime) -> str:
    """Return when a right holds, in one line: Tuesday and Friday · until 30 June 2027."""
    if right.one_time and right.ends:
        time = reader.time(right.ends)
        return reader.gettext("Today only, until %(time)s") % {"time": time} if time != MIDNIGHT else reader.gettext(
            "Today only"
        )
    parts = [weekdays_in_words(reader, right.weekdays)]
    if right.starts > now:
        parts.append(reader.gettext("from %(day)s") % {"day": reader.short_day(right.starts)})
    if right.ends:
        parts.append(reader.gettext("until %(day)s") % {"day": reader.short_day(right.ends - A_MOMENT)})
    return " · ".join(parts)


def places(reader: Reader, file: ChildFile, now: datetime) -> list[Place]:
    """Return the five places in their order; one that two rights share in turn stands twice."""
    relations = {one.person_id: one.relation for one in file.guardians}
    taken = [
        Place(right.slot, right, when(reader, right, now),
              reader.gettext(RELATIONS[relation]) if (relation := relations.get(right.person_id, "")) in RELATIONS
              else relation, right.runs(now))
        for right in file.escorts
    ]  # fmt: skip
    used = {place.number for place in taken}
    free = [Place(number) for number in range(1, ESCORTS_PER_CHILD_MAX + 1) if number not in used]
    return sorted(taken, key=lambda place: (place.number, not place.runs)) + free


def free_places(file: ChildFile) -> int:
    return ESCORTS_PER_CHILD_MAX - len({right.slot for right in file.escorts})


def custody_weeks(file: ChildFile, today: date, weeks: int = WEEKS_DRAWN) -> list[list[CustodyDay]]:
    """Return this week and those after it, Monday first; empty where no calendar is known."""
    if not file.calendars:
        return []
    changed = {one.day for one in file.exceptions}
    monday = today - timedelta(days=today.weekday())
    days = [monday + timedelta(days=index) for index in range(7 * weeks)]
    drawn = [
        CustodyDay(
            day,
            tuple(place for place, one in enumerate(file.calendars, 1) if one.has_child_on(day, file.exceptions)),
            day == today, day < today, day in changed,
        )
        for day in days
    ]  # fmt: skip
    return [drawn[start : start + 7] for start in range(0, len(drawn), 7)]


def did(line: AuditLine) -> str:
    """Return what a line of the access log says was done; to translate."""
    return ACTIONS.get(line.action, CHANGED)


def cycle_in_words(reader: Reader, cycle: Sequence[int]) -> list[str]:
    """Return each week of a cycle in words; a week without the child says so."""
    told = [weekdays_in_words(reader, mask) if mask else reader.gettext("no day") for mask in cycle]
    if len(told) == 1:
        return told
    return [
        reader.gettext("Week %(number)s: %(days)s") % {"number": number, "days": days}
        for number, days in enumerate(told, 1)
    ]


def age(birth: date | None, today: date) -> int | None:
    """Return how many years old a child is on a local date."""
    return today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day)) if birth else None
