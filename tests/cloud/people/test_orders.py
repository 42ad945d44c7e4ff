"""A court order: blocks at once on one person's word, confirmed and lifted by two, hides the child, and what it cut
stays cut. The database's refusals by SQLSTATE and constraint (I2, I11)."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from psycopg import sql

from cloud.attendance import service as attendance
from cloud.identity import service as identity
from cloud.identity.model import Role
from cloud.kit.db import Database, Transaction, many, one
from cloud.passes.service import knowledge_of_site
from cloud.people import escorts, orders
from cloud.people import service as people
from cloud.people.model import EscortRight, NewPerson, Order
from cloud.people.refusals import PeopleRefused
from protocols.documents import RULE_ASK, RULE_IN, RULE_OUT
from protocols.limits import UINT32_MAX
from tests.cast import FIRST_DAY, NOW, a_district
from tests.cloud.people.conftest import Home, SeenBy, broken, facts, lines, refusal

DOCUMENT = hashlib.sha256(b"the judge's page").digest()
LATER = NOW + timedelta(hours=2)


def impose(tx: Transaction, home: Home, **more: Any) -> Order:
    asked: dict[str, Any] = {"child_id": home.cast.aigerim, "person_id": home.cast.father, "by": home.office,
                             "evidence": DOCUMENT, "hides": False, "until": None, "now": LATER, **more}  # fmt: skip
    return orders.impose_order(tx, home.cast.district, **asked)


def who_collects(tx: Transaction, home: Home, child: UUID, at: datetime = LATER) -> set[UUID]:
    return {right.person_id for right in escorts.escorts_of_child(tx, home.cast.district, child, at)}


def test_one_person_blocks_at_once_and_everything_is_told_in_the_same_transaction(tx: Transaction, home: Home) -> None:
    cast = home.cast
    made = impose(tx, home)
    assert (made.state(LATER), made.evidence, made.imposed_by, made.ends) == ("imposed", DOCUMENT, home.office, None)
    assert who_collects(tx, home, cast.aigerim) == {cast.mother}
    assert facts(tx) == [("RightsChanged", {"site": 101}), ("OrderImposed", {"order": str(made.id)})]
    assert lines(tx, cast.aigerim) == [("order.impose", home.office)]
    free = escorts.add_escort(tx, cast.district, child_id=cast.aigerim, person=home.aunts[0], by=home.office, now=LATER)
    assert free.slot == 2, "the slot of the cut right is free"


def test_a_right_of_the_very_same_moment_and_one_to_come_are_cut_too(tx: Transaction, home: Home) -> None:
    cast = home.cast
    aunt, add = home.aunts[0], {"child_id": cast.timur, "by": cast.mother, "now": LATER}
    escorts.add_escort(tx, cast.district, person=aunt, last_day=date(2026, 9, 4), **add)
    escorts.add_escort(tx, cast.district, person=aunt, first_day=date(2026, 9, 21), **add)
    impose(tx, home, child_id=cast.timur, person_id=aunt)
    assert who_collects(tx, home, cast.timur) == {cast.mother}
    assert many(tx, bool, "SELECT isempty(period) FROM escort_right WHERE person_id = %s AND kind = 'may_collect'",
                (aunt,)) == [True, True]  # fmt: skip


def test_adding_again_is_refused_by_the_database_until_the_order_is_over(tx: Transaction, home: Home) -> None:
    cast = home.cast
    impose(tx, home, until=date(2026, 9, 10))
    query = ("INSERT INTO escort_right (district_id, id, child_id, person_id, kind, slot, period)"
             " VALUES (%s, gen_random_uuid(), %s, %s, 'may_collect', 5, tstzrange(%s, %s))")  # fmt: skip
    for starts, ends in ((LATER, None), (LATER, LATER + timedelta(seconds=1)),
                         (LATER + timedelta(days=2), LATER + timedelta(days=3))):  # fmt: skip
        assert broken(tx, query, (cast.district, cast.aigerim, cast.father, starts, ends)) == (
            "23P01", "escort_right_never_against_order")
    add: dict[str, Any] = {"child_id": cast.aigerim, "by": home.office}
    for person in (cast.father, NewPerson("=hyperlink(1)", "o'brien", "ru")):
        code = refusal(lambda person=person: escorts.add_escort(tx, cast.district, person=person, now=LATER, **add))
        assert code == "ESCORT_FORBIDDEN", "also under his own name written anew"
        today = refusal(lambda person=person: escorts.allow_today(tx, cast.district, person=person, now=LATER, **add))
        assert today == "ESCORT_FORBIDDEN"
    over = datetime(2026, 9, 10, 19, tzinfo=UTC)
    assert escorts.add_escort(tx, cast.district, person=cast.father, now=over, **add).runs(over)


def test_words_to_a_family_never_say_that_a_court_has_spoken() -> None:
    for code in ("ESCORT_FORBIDDEN", "ESCORT_NOT_YOURS", "ESCORT_ALREADY"):
        answer = PeopleRefused(code).answer
        assert not {"court", "order", "judge", "forbidden"} & set((answer.message + answer.what_to_do).lower().split())


def test_full_slots_do_not_hide_that_a_person_is_forbidden(tx: Transaction, home: Home) -> None:
    cast = home.cast
    impose(tx, home)
    add: dict[str, Any] = {"child_id": cast.aigerim, "by": home.office, "now": LATER}
    for aunt in home.aunts[:4]:
        escorts.add_escort(tx, cast.district, person=aunt, **add)
    assert refusal(lambda: escorts.add_escort(tx, cast.district, person=cast.father, **add)) == "ESCORT_FORBIDDEN"
    assert refusal(lambda: escorts.add_escort(tx, cast.district, person=home.aunts[4], **add)) == "ESCORTS_FULL"


def test_his_other_child_without_an_order_still_works(tx: Transaction, home: Home) -> None:
    cast = home.cast
    impose(tx, home, person_id=cast.mother)
    assert who_collects(tx, home, cast.aigerim) == {cast.father}
    assert who_collects(tx, home, cast.timur) == {cast.mother}
    held, rules = knowledge_of_site(tx, cast.district, 101, LATER)
    mother = attendance.ref_of(tx, cast.district, 101, person_id=cast.mother)
    aigerim, timur = (attendance.ref_of(tx, cast.district, 101, child_id=child) for child in (cast.aigerim, cast.timur))
    held, rules = knowledge_of_site(tx, cast.district, 101, LATER)
    assert (held[mother, aigerim], held[mother, timur]) == (1, 3), "she may bring, and collect the other"
    assert [(rule.holder, rule.bits, rule.to) for rule in rules[aigerim]] == [
        (0, RULE_OUT | RULE_ASK, UINT32_MAX), (mother, RULE_OUT, UINT32_MAX)]  # fmt: skip
    assert timur not in rules


def test_who_must_not_collect_cannot_send_somebody_else(tx: Transaction, home: Home) -> None:
    cast = home.cast
    impose(tx, home)
    add: dict[str, Any] = {"child_id": cast.aigerim, "person": home.aunts[0], "by": cast.father, "now": LATER}
    assert refusal(lambda: escorts.add_escort(tx, cast.district, **add)) == "ESCORT_NOT_YOURS"
    [mothers] = escorts.escorts_of_child(tx, cast.district, cast.aigerim, LATER)
    right = escorts.add_escort(tx, cast.district, **{**add, "by": cast.mother})
    assert right.veto_until is None, "and is not asked either"
    for one_right in (mothers, right):
        ended: dict[str, Any] = {"child_id": cast.aigerim, "right_id": one_right.id, "by": cast.father, "now": LATER}
        assert refusal(lambda ended=ended: escorts.remove_escort(tx, cast.district, **ended)) == "ESCORT_NOT_YOURS"


# --- two people -----------------------------------------------------------------------------------------------------


def test_another_person_confirms_and_never_the_same_or_the_one_concerned(tx: Transaction, home: Home) -> None:
    cast, made = home.cast, impose(tx, home)
    confirm: dict[str, Any] = {"order_id": made.id, "now": LATER}
    assert orders.orders_to_decide(tx, cast.district, cast.school, LATER) == [made]
    assert refusal(lambda: orders.confirm_order(tx, cast.district, by=home.office, **confirm)) == "ORDER_NEEDS_ANOTHER"
    for nobody in (cast.mother, cast.teacher, cast.operator):
        code = refusal(lambda nobody=nobody: orders.confirm_order(tx, cast.district, by=nobody, **confirm))
        assert code == "NOT_OF_THIS_SCHOOL"
    done = orders.confirm_order(tx, cast.district, by=cast.head, **confirm)
    assert (done.state(LATER), done.confirmed_by, done.confirmed_by_name) == ("confirmed", cast.head, "Élodie Durand")
    again: dict[str, Any] = {**confirm, "now": LATER + timedelta(hours=1)}
    assert refusal(lambda: orders.confirm_order(tx, cast.district, by=cast.head, **again)) == "ORDER_DONE"
    assert orders.orders_to_decide(tx, cast.district, cast.school, LATER) == []


def test_two_people_lift_and_what_was_cut_does_not_come_back(tx: Transaction, home: Home) -> None:
    cast, made, then = home.cast, impose(tx, home), LATER + timedelta(days=3)
    step: dict[str, Any] = {"order_id": made.id, "now": then}
    assert refusal(lambda: orders.lift_order(tx, cast.district, by=cast.head, **step)) == "ORDER_NEEDS_ANOTHER"
    asked = orders.ask_lift(tx, cast.district, by=home.office, **step)
    assert asked.state(then) == "lift_asked"
    assert refusal(lambda: orders.lift_order(tx, cast.district, by=home.office, **step)) == "ORDER_NEEDS_ANOTHER"
    assert cast.father not in who_collects(tx, home, cast.aigerim, then)
    tx.execute("DELETE FROM job")
    lifted = orders.lift_order(tx, cast.district, by=cast.head, **step)
    assert (lifted.state(then), lifted.ends) == ("lifted", then)
    assert facts(tx) == [("RightsChanged", {"site": 101})]
    assert cast.father not in who_collects(tx, home, cast.aigerim, then)
    assert escorts.add_escort(tx, cast.district, child_id=cast.aigerim, person=cast.father, by=home.office, now=then)
    for again in (orders.confirm_order, orders.ask_lift, orders.lift_order):
        assert refusal(lambda again=again: again(tx, cast.district, by=cast.head, **step)) == "ORDER_UNKNOWN"
    assert [action for action, _ in lines(tx, cast.aigerim)] == ["order.impose", "order.ask_lift", "order.lift",
                                                                 "escort.add"]  # fmt: skip


def test_the_person_concerned_decides_nothing_even_as_head(tx: Transaction, home: Home) -> None:
    cast = home.cast
    made = impose(tx, home, person_id=cast.head)
    step: dict[str, Any] = {"order_id": made.id, "by": cast.head, "now": LATER}
    for decide in (orders.confirm_order, orders.ask_lift):
        assert refusal(lambda decide=decide: decide(tx, cast.district, **step)) == "ORDER_NEEDS_ANOTHER"
    query = "UPDATE court_order SET confirmed_by = %s, confirmed_at = %s WHERE id = %s"
    assert broken(tx, query, (cast.head, LATER, made.id)) == ("23514", "court_order_never_by_its_subject")


@pytest.mark.parametrize(("change", "rule"), [
    ("confirmed_by = imposed_by, confirmed_at = imposed_at", ("23514", "court_order_confirmed_by_another")),
    ("lifted_by = imposed_by, lifted_at = imposed_at", ("23514", "court_order_lifted_by_two")),
    ("lift_asked_by = imposed_by, lift_asked_at = imposed_at, lifted_by = imposed_by, lifted_at = imposed_at",
     ("23514", "court_order_lifted_by_two")),
    ("hides = NOT hides", ("23001", "court_order_only_moves_on")),
    ("evidence = sha256('another page')", ("23001", "court_order_only_moves_on")),
    ("confirmed_at = imposed_at", ("23514", "court_order_steps_dated")),
])  # fmt: skip
def test_the_database_keeps_the_two_people_apart(
    tx: Transaction, home: Home, change: str, rule: tuple[str, str]
) -> None:
    made = impose(tx, home)
    assert broken(tx, f"UPDATE court_order SET {change} WHERE id = %s", (made.id,)) == rule


def test_a_prohibition_is_not_ended_past_its_order(tx: Transaction, home: Home) -> None:
    impose(tx, home)
    query = ("UPDATE escort_right SET period = tstzrange(lower(period), %s), ended_at = %s"
             " WHERE kind = 'must_not_collect'")  # fmt: skip
    values = (LATER + timedelta(hours=1), LATER + timedelta(hours=1))
    assert broken(tx, query, values) == ("23001", "escort_right_order_lifted_first")


@pytest.mark.parametrize(("more", "code"), [
    ({"evidence": b"x"}, "ORDER_NO_EVIDENCE"), ({"evidence": b""}, "ORDER_NO_EVIDENCE"),
    ({"until": date(2026, 8, 31)}, "DATES_BACKWARDS"), ({"person_id": UUID(int=7)}, "NOT_FOUND"),
    ({"child_id": UUID(int=7)}, "NOT_FOUND"),
])  # fmt: skip
def test_an_order_that_cannot_be_is_refused(tx: Transaction, home: Home, more: dict[str, Any], code: str) -> None:
    assert refusal(lambda: impose(tx, home, **more)) == code


def test_only_the_school_of_the_child_imposes_and_only_once(tx: Transaction, home: Home) -> None:
    cast = home.cast
    for nobody in (cast.mother, cast.teacher, cast.operator, cast.stranger):
        assert refusal(lambda nobody=nobody: impose(tx, home, by=nobody)) == "NOT_OF_THIS_SCHOOL"
    impose(tx, home)
    assert refusal(lambda: impose(tx, home)) == "ORDER_ALREADY"
    assert refusal(lambda: orders.order(tx, cast.district, UUID(int=7))) == "ORDER_UNKNOWN"


# --- what the person sees -------------------------------------------------------------------------------------------


def test_a_guardians_transaction_knows_of_no_order(tx: Transaction, home: Home, seen_by: SeenBy) -> None:
    cast, made = home.cast, impose(tx, home)
    for person in (cast.mother, cast.father):
        with seen_by(person):
            assert orders.orders_of_child(tx, cast.district, cast.aigerim) == []
            assert refusal(lambda: orders.order(tx, cast.district, made.id)) == "ORDER_UNKNOWN"
            assert one(tx, int, "SELECT count(*) FROM escort_right WHERE kind = 'must_not_collect'") == 0
            assert one(tx, int, "SELECT count(*) FROM court_order") == 0
    assert [order.id for order in orders.orders_of_child(tx, cast.district, cast.aigerim)] == [made.id]


def test_an_order_that_hides_leaves_nothing_of_the_child(tx: Transaction, home: Home, seen_by: SeenBy) -> None:
    cast = home.cast
    with seen_by(cast.father):
        assert [child.id for child in people.children_of_guardian(tx, cast.district, cast.father, NOW.date())]
    impose(tx, home, hides=True)
    tables = many(tx, str, "SELECT tablename FROM pg_policies WHERE policyname = 'tenant'"
                  " AND qual LIKE '%app_children%' ORDER BY 1")  # fmt: skip
    assert {"child", "attendance_day", "escort_right", "guardianship", "custody_calendar"} <= set(tables)
    with seen_by(cast.father):
        assert people.children_of_guardian(tx, cast.district, cast.father, NOW.date()) == []
        assert refusal(lambda: people.child_file(tx, cast.district, cast.aigerim, LATER)) == "NOT_FOUND"
        counted = {name: tx.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone()
                   for name in tables}  # fmt: skip
        assert counted == dict.fromkeys(tables, (0,))
    held, rules = knowledge_of_site(tx, cast.district, 101, LATER)
    father = attendance.ref_of(tx, cast.district, 101, person_id=cast.father)
    assert not [pair for pair in held if pair[0] == father], "his next pass does not even name the child"
    assert people.children_of_guardian(tx, cast.district, cast.father, NOW.date()) == [], "nor in a staff transaction"
    with seen_by(cast.mother):
        assert people.child_file(tx, cast.district, cast.aigerim, LATER).id == cast.aigerim


def test_an_order_that_hides_refuses_bringing_too(tx: Transaction, home: Home) -> None:
    cast = home.cast
    for adult, child in ((cast.father, None), (None, cast.aigerim)):
        attendance.ref_of(tx, cast.district, 101, person_id=adult, child_id=child)
    impose(tx, home, hides=True)
    [told] = knowledge_of_site(tx, cast.district, 101, LATER)[1].values()
    assert {rule.bits for rule in told if rule.holder} == {RULE_OUT, RULE_OUT | RULE_IN}


# --- a race ---------------------------------------------------------------------------------------------------------


def test_a_right_added_in_the_same_moment_loses_against_the_order(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        aunt = people.put_person(tx, cast.district, sourced_id="aunt", given="Aunt", family="A", language="en")
        office = people.put_person(tx, cast.district, sourced_id="office", given="Office", family="O", language="en")
        identity.grant_role(tx, cast.district, office, Role.OFFICE, FIRST_DAY, school_id=cast.school)
    added = Event()

    def add() -> EscortRight:
        with database.tenant(cast.district) as tx:
            right = escorts.add_escort(tx, cast.district, child_id=cast.timur, person=aunt, by=cast.mother, now=NOW)
            added.set()
            tx.execute("SELECT pg_sleep(0.3)")
            return right

    def forbid() -> Order:
        added.wait(5)
        with database.tenant(cast.district) as tx:
            return orders.impose_order(tx, cast.district, child_id=cast.timur, person_id=aunt, by=office,
                                       evidence=DOCUMENT, hides=False, until=None, now=LATER)  # fmt: skip

    with ThreadPoolExecutor(2) as racers:
        right, order = [racers.submit(run) for run in (add, forbid)]
        assert right.result().person_id == order.result().person_id == aunt
    with database.tenant(cast.district) as tx:
        running = escorts.escorts_of_child(tx, cast.district, cast.timur, LATER)
    assert {one.person_id for one in running} == {cast.mother}
