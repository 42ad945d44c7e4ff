"""A protected child is in no list and no search below office and head; its class and address are nobody else's (E4)."""

from typing import Any
from uuid import UUID

import pytest

from cloud.kit.db import Transaction
from cloud.people import service as people
from tests.cast import NOW
from tests.cloud.people.conftest import Home, SeenBy, lines, refusal

TODAY = NOW.date()


@pytest.fixture
def hidden(tx: Transaction, home: Home) -> UUID:
    """Aigerim, protected."""
    cast = home.cast
    people.protect_child(tx, cast.district, child_id=cast.aigerim, protected=True, by=home.office, now=NOW)
    return cast.aigerim


def found(tx: Transaction, home: Home, words: str, **more: Any) -> set[UUID]:
    return {child.id for child in people.find_children(tx, home.cast.district, home.cast.school, words, NOW, **more)}


@pytest.mark.parametrize("words", ["", "айг", "Сейтқали", "АЙГЕРІМ сейт", "%", "_", "күнбағыс"])
def test_no_search_finds_a_protected_child(tx: Transaction, home: Home, hidden: UUID, words: str) -> None:
    assert hidden not in found(tx, home, words)
    listed = people.children_of_school(tx, home.cast.district, home.cast.school, TODAY)
    assert len(listed) == 2 and hidden not in {child.id for child in listed}


def test_office_and_head_find_the_child_and_open_the_file(tx: Transaction, home: Home, hidden: UUID) -> None:
    cast = home.cast
    assert found(tx, home, "сейт айг", protected_too=True) == {hidden}
    assert hidden in {child.id for child in people.children_of_school(
        tx, cast.district, cast.school, TODAY, protected_too=True)}  # fmt: skip
    assert people.child_file(tx, cast.district, hidden, NOW, protected_too=True).protected
    assert refusal(lambda: people.child_file(tx, cast.district, hidden, NOW)) == "NOT_FOUND"


def test_the_childs_own_guardian_sees_the_child_as_before(
    tx: Transaction, home: Home, hidden: UUID, seen_by: SeenBy
) -> None:
    cast = home.cast
    with seen_by(cast.mother):
        assert people.child_file(tx, cast.district, hidden, NOW).id == hidden
        assert hidden in {child.id for child in people.children_of_guardian(tx, cast.district, cast.mother, TODAY)}
    with seen_by(cast.stranger):
        assert refusal(lambda: people.child_file(tx, cast.district, hidden, NOW)) == "NOT_FOUND"
        assert found(tx, home, "", protected_too=True) == {cast.minh}


def test_only_the_school_protects_and_both_are_on_record(tx: Transaction, home: Home, hidden: UUID) -> None:
    cast = home.cast
    for nobody in (cast.mother, cast.teacher, cast.operator, cast.stranger):
        code = refusal(lambda nobody=nobody: people.protect_child(
            tx, cast.district, child_id=hidden, protected=False, by=nobody, now=NOW))  # fmt: skip
        assert code == "NOT_OF_THIS_SCHOOL"
    people.protect_child(tx, cast.district, child_id=hidden, protected=False, by=cast.head, now=NOW)
    assert hidden in found(tx, home, "айгерім")
    assert lines(tx, hidden) == [("child.protect", home.office), ("child.unprotect", cast.head)]


def test_a_search_takes_any_text_and_at_most_fifty_children(tx: Transaction, home: Home) -> None:
    assert found(tx, home, "duc") == {home.cast.minh}
    for words in ("'; DROP TABLE child; --", "\0", "\ud800", "x" * 10_000, "%%%", "\\"):
        assert found(tx, home, words) <= {home.cast.aigerim, home.cast.timur, home.cast.minh}
    for number in range(60):
        child = people.put_child(
            tx, home.cast.district, sourced_id=f"many-{number}", given="Many", family=str(number), birth=None)
        people.enrol(tx, home.cast.district, child, home.cast.school, None, TODAY)
    assert len(found(tx, home, "")) == 50
