"""Corrections: a guardian proposes with a diff, the office decides, nobody decides twice (FEATURES E2)."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from cloud.kit.db import Transaction
from cloud.people import corrections
from cloud.people import service as people
from cloud.people.model import Change, Correction, Tie
from tests.cast import FIRST_DAY, NOW
from tests.cloud.people.conftest import Home, SeenBy, broken, lines, refusal


def propose(tx: Transaction, home: Home, wanted: dict[str, str], **more: Any) -> Correction:
    asked: dict[str, Any] = {"child_id": home.cast.aigerim, "by": home.cast.mother, "now": NOW, **more}
    return corrections.propose_correction(tx, home.cast.district, wanted=wanted, **asked)


def test_a_proposal_is_a_diff_and_what_is_equal_is_left_out(tx: Transaction, home: Home) -> None:
    told = {"given": " Айгерим ", "family": "Сейтқали", "birth": "2022-05-18", "address": "Абай 1, 5"}
    made = propose(tx, home, told)
    assert made.changes == (
        Change("given", "Айгерім", "Айгерим"), Change("birth", "2022-05-17", "2022-05-18"),
        Change("address", "", "Абай 1, 5"))  # fmt: skip
    assert (made.state, made.proposed_by_name, made.child_given) == ("proposed", "Әсел Сейтқали", "Айгерім")
    assert corrections.corrections_to_decide(tx, home.cast.district, home.cast.school, NOW) == [made]


def test_what_the_office_accepts_stands_in_the_file(tx: Transaction, home: Home) -> None:
    cast = home.cast
    made = propose(tx, home, {"given": "Айгерим", "birth": "2022-05-18", "address": "Абай 1"})
    done = corrections.decide_correction(
        tx, cast.district, correction_id=made.id, accept=True, by=home.office, reason="seen", now=NOW)
    assert (done.state, done.decided_by_name, done.reason) == ("accepted", "Дана Сейтқали", "seen")
    file = people.child_file(tx, cast.district, cast.aigerim, NOW)
    assert (file.given, file.family, file.birth, file.address) == ("Айгерим", "Сейтқали", date(2022, 5, 18), "Абай 1")
    assert corrections.corrections_to_decide(tx, cast.district, cast.school, NOW) == []
    assert [action for action, _ in lines(tx, cast.aigerim)] == ["correction.propose", "correction.accept"]


def test_what_is_declined_changes_nothing_and_nothing_is_decided_twice(tx: Transaction, home: Home) -> None:
    cast, made = home.cast, propose(tx, home, {"given": "X"})
    decide: dict[str, Any] = {"correction_id": made.id, "now": NOW}
    corrections.decide_correction(tx, cast.district, accept=False, by=cast.head, **decide)
    assert people.child_file(tx, cast.district, cast.aigerim, NOW).given == "Айгерім"
    for accept in (True, False):
        code = refusal(lambda accept=accept: corrections.decide_correction(
            tx, cast.district, accept=accept, by=home.office, **decide))  # fmt: skip
        assert code == "CORRECTION_DECIDED"
    assert broken(tx, "UPDATE correction SET reason = 'y'", ()) == ("23001", "correction_decided_once")


def test_a_proposal_that_the_file_has_overtaken_is_not_taken_over(tx: Transaction, home: Home) -> None:
    cast = home.cast
    first, second = propose(tx, home, {"given": "A"}), propose(tx, home, {"given": "B"}, by=cast.father)
    accept: dict[str, Any] = {"accept": True, "by": home.office, "now": NOW}
    corrections.decide_correction(tx, cast.district, correction_id=first.id, **accept)
    assert refusal(lambda: corrections.decide_correction(tx, cast.district, correction_id=second.id, **accept)) == (
        "CORRECTION_STALE")


def test_only_the_school_decides_and_never_the_proposer(tx: Transaction, home: Home) -> None:
    cast, made = home.cast, propose(tx, home, {"given": "X"})
    for nobody in (cast.mother, cast.father, cast.teacher, cast.operator):
        code = refusal(lambda nobody=nobody: corrections.decide_correction(
            tx, cast.district, correction_id=made.id, accept=True, by=nobody, now=NOW))  # fmt: skip
        assert code == "NOT_OF_THIS_SCHOOL"
    query = "UPDATE correction SET state = 'accepted', decided_by = %s, decided_at = %s"
    assert broken(tx, query, (cast.mother, NOW))[1] == "correction_decided_by_the_school"
    people.tie_guardian(tx, cast.district, Tie(cast.timur, home.office, "aunt", True, True, True, FIRST_DAY))
    own = propose(tx, home, {"given": "Y"}, child_id=cast.timur, by=home.office)
    decide: dict[str, Any] = {"correction_id": own.id, "accept": True, "by": home.office, "now": NOW}
    assert refusal(lambda: corrections.decide_correction(tx, cast.district, **decide)) == "NOT_OF_THIS_SCHOOL"
    values = (home.office, NOW, own.id)
    assert broken(tx, query + " WHERE id = %s", values) == ("23514", "correction_decided_by_another")


@pytest.mark.parametrize(("wanted", "code"), [
    ({}, "CORRECTION_EMPTY"), ({"given": "Айгерім"}, "CORRECTION_EMPTY"), ({"given": ""}, "NAME_MISSING"),
    ({"family": "x" * 101}, "NAME_MISSING"), ({"birth": "31.12.2020"}, "BAD_INPUT"), ({"birth": ""}, "BAD_INPUT"),
    ({"address": "x" * 301}, "BAD_INPUT"), ({"protected": "true"}, "BAD_INPUT"), ({"given": "A\0"}, "BAD_INPUT"),
    ({"given": "\udcff"}, "BAD_INPUT"), ({"address": " "}, "BAD_INPUT"),
])  # fmt: skip
def test_a_proposal_that_says_nothing_or_nonsense_is_refused(
    tx: Transaction, home: Home, wanted: dict[str, str], code: str
) -> None:
    assert refusal(lambda: propose(tx, home, wanted)) == code


def test_only_a_guardian_proposes(tx: Transaction, home: Home) -> None:
    cast = home.cast
    for nobody in (cast.stranger, home.grandmother, home.office):
        assert refusal(lambda nobody=nobody: propose(tx, home, {"given": "X"}, by=nobody)) == "NOT_FOUND"
    assert refusal(lambda: propose(tx, home, {"given": "X"}, child_id=UUID(int=7))) == "NOT_FOUND"
    query = ("INSERT INTO correction (district_id, id, child_id, proposed_by, proposed_at, changes)"
             " VALUES (%s, gen_random_uuid(), %s, %s, %s, '[{}]')")  # fmt: skip
    values = (cast.district, cast.aigerim, cast.stranger, NOW)
    assert broken(tx, query, values) == ("23001", "correction_by_a_guardian")


def test_where_the_child_lives_is_not_told_to_who_lives_elsewhere(
    tx: Transaction, home: Home, seen_by: SeenBy
) -> None:
    cast = home.cast
    people.put_address(tx, cast.district, child_id=cast.aigerim, address="Абай 1", by=home.office, now=NOW)
    people.tie_guardian(tx, cast.district, Tie(cast.aigerim, cast.father, "father", True, False, True, FIRST_DAY))
    assert refusal(lambda: propose(tx, home, {"address": "?"}, by=cast.father)) == "NOT_YOURS"
    mothers = propose(tx, home, {"address": "Абай 2"})
    for person, address, proposals in ((cast.mother, "Абай 1", [mothers]), (cast.father, "", [])):
        with seen_by(person):
            file = people.child_file(tx, cast.district, cast.aigerim, NOW)
            assert (file.address, list(file.corrections)) == (address, proposals)


def test_an_address_is_written_by_the_school_only(tx: Transaction, home: Home) -> None:
    cast = home.cast
    write: dict[str, Any] = {"child_id": cast.aigerim, "now": NOW + timedelta(days=1)}
    code = refusal(lambda: people.put_address(tx, cast.district, address="x", by=cast.mother, **write))
    assert code == "NOT_OF_THIS_SCHOOL"
    for address in ("", " ", "x" * 301, "a\0b"):
        assert refusal(lambda address=address: people.put_address(
            tx, cast.district, address=address, by=home.office, **write)) == "BAD_INPUT"  # fmt: skip
