"""Which school a page of the school's door is about, and which places its bar leads to.

A place is shown to whom it opens: a teacher sees the day only, the office people and calendar too. The pages ask
identity/may.py again; the bar only spares a refusal. An officer of the district chooses among all schools.
"""

from uuid import UUID

from cloud.identity.may import MAY, Action, Scope, Thing, may, require
from cloud.identity.model import Actor
from cloud.kit.db import Transaction
from cloud.kit.errors import Refused
from cloud.schools import service
from cloud.schools.model import School

# `mode` and `tablet` have no tab: the day sheet leads to them.
PLACES = (("people", Action.READ_PEOPLE), ("staff", Action.READ_PEOPLE), ("calendar", Action.MANAGE_CALENDAR),
          ("mode", Action.SET_MODE), ("tablet", Action.RECORD_STAFF_FACT))  # fmt: skip


def bar_of(actor: Actor, school_id: UUID) -> tuple[str, ...]:
    """Return the places of the bar beside the day and the account, in its order."""
    thing = Thing(actor.district_id, school_id)
    return tuple(place for place, action in PLACES if may(actor, action, thing))


def schools_of(tx: Transaction, actor: Actor, action: Action) -> list[School]:
    """Return the schools where the actor may do this, those of own roles first. Empty: nowhere."""
    reach = [MAY[held.role].get(action) for held in actor.roles]
    if Scope.DISTRICT in reach:
        return service.schools(tx, actor.district_id)
    mine = [school for school in actor.schools() if may(actor, action, Thing(actor.district_id, school))]
    return [service.school(tx, actor.district_id, school) for school in mine]


def chosen_school(tx: Transaction, actor: Actor, action: Action, wanted: UUID | None) -> tuple[School, list[School]]:
    """Return the school of this page and all to choose from. Raises Refused: NOT_YOURS, NOT_FOUND."""
    choices = schools_of(tx, actor, action)
    if not choices:
        raise Refused("NOT_YOURS")
    found = next((school for school in choices if wanted in (None, school.id)), None)
    if found is None:
        raise Refused("NOT_FOUND")
    require(actor, action, Thing(actor.district_id, found.id))
    return found, choices
