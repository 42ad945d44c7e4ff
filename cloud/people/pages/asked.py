"""What the forms of a child's file ask for, out of what was typed; both doors read them the same way.

Responsible for: turning a Form into arguments of a service, and a refusal of a service into words beside a field.
Not responsible for: whether it may be (the services), nor whether this actor may ask (identity/may.py).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from cloud.kit.errors import N_, Refused
from cloud.kit.forms import NOT_ONE, Form, mask_of
from cloud.people.model import ChildFile, EscortRight, NewPerson

CUSTODY_WEEKS_MAX = 4  # Weeks of a cycle that the form draws; an import may bring up to eight.
ADDRESS_CHARACTERS_MAX = 200
REASON_CHARACTERS_MAX = 200

# Beside which field a refusal stands; one that is not here stands above the button.
FIELD_OF = {
    "DATES_BACKWARDS": "until", "NO_WEEKDAY": "day", "NAME_MISSING": "given", "ORDER_NO_EVIDENCE": "document",
    "ESCORT_FORBIDDEN": "person", "ESCORT_ALREADY": "person", "ESCORT_VETOED": "person",
}  # fmt: skip
ONE_OR_THE_OTHER = N_("Choose a person, or write the name of a new one.")


@dataclass(frozen=True)
class EscortAsked:
    """Who is to collect, and when. today: for today only, whatever the days say."""

    person: UUID | NewPerson
    today: bool
    weekdays: int
    first_day: date | None
    last_day: date | None
    why: str


def escort_asked(form: Form, known: Collection[UUID], language: str) -> EscortAsked | None:
    """Return what the form asks for, or None with form.problems filled. known: who may be chosen by id."""
    today = form.typed("how") == "today"
    person = _person(form, known, language)
    weekdays = 127 if today else form.weekdays("day")
    first_day, last_day = (None, None) if today else (form.day("since"), form.day("until"))
    why = form.text("why", required=False, characters_max=REASON_CHARACTERS_MAX)
    return None if form.problems or not person else EscortAsked(person, today, weekdays, first_day, last_day, why)


def _person(form: Form, known: Collection[UUID], language: str) -> UUID | NewPerson | None:
    if form.typed("person"):
        return one_of(form, "person", known)
    if not form.typed("given").strip():
        form.refuse("given", ONE_OR_THE_OTHER)
        return None
    given, family = form.name("given"), form.name("family", required=False)
    return NewPerson(given, family, language)


def one_of(form: Form, field: str, known: Collection[UUID]) -> UUID | None:
    """Return a chosen id of those that were offered; another one is refused, whoever it may belong to."""
    chosen = form.one_id(field)
    if chosen is not None and chosen not in known:
        form.refuse(field, NOT_ONE)
        return None
    return chosen


def cycle_asked(form: Form) -> tuple[tuple[int, ...], date | None]:
    """Return the weekday masks of a custody cycle and the Monday of its first week."""
    weeks = form.number("weeks", 1, CUSTODY_WEEKS_MAX)
    first = form.day("since", required=True)
    cycle = tuple(mask_of(form.chosen(f"week{index}")) for index in range(1, weeks + 1))
    return cycle, first - timedelta(days=first.weekday()) if first else None


def correction_asked(form: Form) -> dict[str, str]:
    """Return every field of a proposal as text; what is equal to the file is left out by the service."""
    wanted = {"given": form.name("given"), "family": form.name("family", required=False)}
    birth = form.day("birth")
    if birth:
        wanted["birth"] = birth.isoformat()
    if form.ticked("address"):
        wanted["address"] = form.text("address", required=False, characters_max=ADDRESS_CHARACTERS_MAX)
    return wanted


def right_of(file: ChildFile, right_id: UUID) -> EscortRight:
    """Return a right of this file. Raises Refused("NOT_FOUND"), also for one of another child."""
    found = next((right for right in file.escorts if right.id == right_id), None)
    if found is None:
        raise Refused("NOT_FOUND")
    return found


def say_no(form: Form, refused: Refused, fields: Mapping[str, str] = FIELD_OF) -> int:
    """Put a refusal beside its field, or above the button, and return the status of the answer."""
    form.refuse(fields.get(refused.code, "form"), refused.answer.message)
    form.refuse("todo", refused.answer.what_to_do)
    return refused.answer.status
