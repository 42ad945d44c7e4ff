"""A model test: an independent slow answer to "may X collect child C at instant t?" against the compiled list.

The model reads rows one by one, knows no intervals and asks the calendar of each instant; the list is judged by the
gate's own rule (protocols/rules.py), with what the holder's credential says. What asks staff and what denies: ADR 0012.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.passes.policy import (
    EscortRow,
    LiveCredential,
    PolicyContent,
    custody_rules,
    denied_for_good,
    overstated,
)
from cloud.people.model import CustodyCalendar, CustodyException
from protocols.documents import PolicyList
from protocols.passes import IN, OUT
from protocols.reasons import Reason
from protocols.rules import Circumstances, Hours, Request, custody_says

CHILD, ADULT = UUID(int=1), UUID(int=2)
NUMBERS = {CHILD: 71, ADULT: 52}
HOUR = 3_600
# The week before each clock change of Paris, one far from any, and zones with other changes or none.
BEGINNINGS = tuple(datetime(2026, month, day, 5, tzinfo=UTC) for month, day in ((3, 24), (10, 20), (9, 1)))
ZONES = ("Europe/Paris", "Asia/Almaty", "America/Montreal", "Asia/Ho_Chi_Minh", "Asia/Beirut")


@dataclass(frozen=True)
class World:
    """Everything that is true of one adult and one child, and from when to ask."""

    now: datetime
    zone: str
    guardian: bool
    rows: tuple[EscortRow, ...]
    calendars: tuple[CustodyCalendar, ...]
    exceptions: tuple[CustodyException, ...]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    now, zone = draw(st.sampled_from(BEGINNINGS)), draw(st.sampled_from(ZONES))
    guardian = draw(st.booleans())
    # Rows of one pair never overlap (I2 and once a person): cut a line of time at sorted hours and keep some pieces.
    edges = sorted({-40, *draw(st.lists(st.integers(-39, 14 * 24), max_size=3))})
    moments = [now + timedelta(hours=edge) for edge in edges]
    pieces = list(zip(moments, [*moments[1:], None], strict=True))
    rows = []
    for begins, ends in pieces:
        kind = draw(st.sampled_from(("may_collect", "may_collect", "may_collect", "must_not_collect", "")))
        if kind == "may_collect":
            weekdays = draw(st.one_of(st.just(127), st.integers(1, 127)))
            rows.append(EscortRow(CHILD, ADULT, kind, weekdays, begins, ends, guardian))
        elif kind:
            rows.append(EscortRow(CHILD, ADULT, kind, 127, begins, ends, guardian, draw(st.booleans())))
    today = now.date()
    calendars: list[CustodyCalendar] = []
    for first, last in draw(st.sampled_from(((), ((-9, None),), ((-9, None),), ((-9, 4), (4, None)), ((3, 6),)))):
        cycle = draw(st.lists(st.integers(0, 127), min_size=1, max_size=4))
        monday = today - timedelta(days=today.weekday()) + timedelta(weeks=draw(st.integers(-5, 5)))
        calendars.append(CustodyCalendar(
            CHILD, ADULT, "", "", cycle, monday, draw(st.booleans()), today + timedelta(days=first),
            None if last is None else today + timedelta(days=last),
        ))  # fmt: skip
    days = draw(st.lists(st.integers(-1, 10), max_size=4, unique=True))
    exceptions = tuple(CustodyException(CHILD, ADULT, today + timedelta(days=day), draw(st.booleans())) for day in days)
    return World(now, zone, guardian, tuple(rows), tuple(calendars), exceptions)


def covers(row: EscortRow, at: datetime) -> bool:
    return (row.starts is None or row.starts <= at) and (row.ends is None or at < row.ends)


def may(world: World, direction: int, at: datetime) -> str:
    """The model: yes, ask or no. Slow, one instant at a time."""
    running = [row for row in world.rows if covers(row, at)]
    order = next((row for row in running if row.kind == "must_not_collect"), None)
    right = next((row for row in running if row.kind == "may_collect"), None)
    if direction == IN:
        if order is not None and order.hides:
            return "no"
        return "yes" if right is not None or world.guardian else "no"
    if order is not None or right is None:
        return "no"
    day: date = at.astimezone(ZoneInfo(world.zone)).date()
    answers = {"yes"}
    if day.isoweekday() not in [number + 1 for number in range(7) if right.weekdays & 2**number]:
        answers.add("ask")
    for calendar in world.calendars:
        begun = day >= calendar.first_day
        over = calendar.last_day is not None and day >= calendar.last_day
        if begun and not over and not with_guardian(calendar, world.exceptions, day):
            answers.add("no" if calendar.denies else "ask")
    return "no" if "no" in answers else "ask" if "ask" in answers else "yes"


def rights_now(world: World) -> int:
    """What the database holds of this pair at the moment of compiling, whatever the day of the week."""
    running = [row for row in world.rows if covers(row, world.now)]
    if any(row.hides for row in running):
        return 0
    right = any(row.kind == "may_collect" for row in running)
    return (IN if right or world.guardian else 0) | (OUT if right else 0)


def with_guardian(calendar: CustodyCalendar, exceptions: tuple[CustodyException, ...], day: date) -> bool:
    """Walk from the first Monday day by day, forwards or backwards, counting weeks."""
    told = [one.has_child for one in exceptions if one.day == day]
    if told:
        return told[0]
    week, at = 0, calendar.first_monday
    while at + timedelta(days=6) < day:
        week, at = (week + 1) % len(calendar.cycle), at + timedelta(days=7)
    while at > day:
        week, at = (week - 1) % len(calendar.cycle), at - timedelta(days=7)
    return f"{calendar.cycle[week]:07b}"[6 - (day - at).days] == "1"


def nobody(child: int) -> None:
    """Nobody was seen today: custody does not ask about presence."""


def gate_says(world: World, perms: int, direction: int, at: datetime, *, revoked: bool, policy: PolicyList) -> str:
    """What a gate with this list answers a holder whose credential has these permissions."""
    if revoked or not perms & direction:
        return "no"
    request = Request(52, direction, ((71, perms),))
    answer = custody_says(71, request, Circumstances(at.timestamp(), Hours(UTC), nobody, policy))
    return {None: "yes", Reason.CUSTODY: "no", Reason.STAFF_CONFIRM: "ask"}[answer]


@given(worlds(), st.lists(st.integers(0, 10 * 24 * HOUR), max_size=4), st.sampled_from((1, 3, 3)))
@settings(max_examples=400, deadline=None)
def test_the_compiled_list_says_what_the_rights_the_calendar_and_the_orders_say(
    world: World, seconds: list[int], perms: int
) -> None:
    rules = custody_rules(world.rows, NUMBERS, world.zone, world.now, world.calendars, world.exceptions)
    held = {(52, 71): rights_now(world)}
    shown = LiveCredential(b"c" * 8, 52, ((71, perms),))
    revoked = bool(overstated([shown], held, denied_for_good(rules, world.now)))
    policy = PolicyList(1, 1, int(world.now.timestamp()), 2**32 - 1, custody=rules)
    edges = [edge for rule in rules for edge in (rule.from_, rule.to)]
    instants = [world.now + timedelta(days=day, hours=8) for day in range(10)]
    instants += [world.now + timedelta(seconds=after) for after in seconds]
    instants += [datetime.fromtimestamp(edge + late, UTC) for edge in edges for late in (-1, 0)]
    for at in instants:
        if not world.now <= at <= world.now + timedelta(days=10):
            continue
        for direction in (IN, OUT):
            said = gate_says(world, perms, direction, at, revoked=revoked, policy=policy)
            allowed = may(world, direction, at) if perms & direction else "no"
            if revoked:  # The phone must fetch a new credential first: never more than is true, for now less.
                assert said == "no"
            else:
                assert said == allowed, (at, direction)
        ordered = any(covers(row, at) for row in world.rows if row.kind == "must_not_collect")
        known = Circumstances(at.timestamp(), Hours(UTC), nobody, policy)
        asked = custody_says(71, Request(53, OUT, ((71, 3),)), known)
        assert asked == (Reason.STAFF_CONFIRM if ordered else None), "I20: somebody else's pass, the same child"
    assert PolicyContent(custody=rules).fits
