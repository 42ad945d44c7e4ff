"""A made-up district is the same for the same seed, and whole: every reference leads somewhere."""

from __future__ import annotations

import json

import pytest

from simulators.district import Sizes, featured, gate_numbers, make_district


def keys_for(gates: int) -> dict[int, str]:
    return {gate: f"{gate:064x}" for _, gate in gate_numbers(gates)}


def test_the_same_seed_makes_the_same_district_and_another_seed_another() -> None:
    first, again, other = (make_district(seed, Sizes(), keys_for(2)) for seed in (7, 7, 8))
    assert json.dumps(first) == json.dumps(again)
    assert json.dumps(first) != json.dumps(other)


@pytest.mark.parametrize("gates", [1, 2, 3, 6, 16, 40])
def test_every_reference_in_a_district_leads_somewhere(gates: int) -> None:
    district = make_district(1, Sizes(gates=gates, families=60), keys_for(gates))
    children = {child["key"]: child for child in district["children"]}
    classes = {class_["key"] for school in district["schools"] for class_ in school["classes"]}
    staff = {one["key"] for one in district["staff"]}
    assert all(child["class"] in classes for child in children.values())
    assert all(class_["teacher"] in staff for school in district["schools"] for class_ in school["classes"])
    for guardian in district["guardians"]:
        schools = {children[tie["child"]]["school"] for tie in guardian["children"]}
        assert len(schools) == 1
    assert sum(len(school["gates"]) for school in district["schools"]) == gates
    everyone = [one["key"] for kind in ("staff", "guardians", "children", "operators") for one in district[kind]]
    assert len(everyone) == len(set(everyone))


def test_gate_and_site_numbers_are_unique_in_the_district() -> None:
    numbers = gate_numbers(16)
    assert len({gate for _, gate in numbers}) == 16
    assert numbers[:3] == [(101, 11), (101, 12), (102, 21)]


def test_families_keep_their_own_scripts() -> None:
    district = make_district(1, Sizes(), keys_for(2))
    text = " ".join(guardian["given"] + guardian["family"] for guardian in district["guardians"])
    assert all(letter in text.lower() for letter in "әқүұё")
    assert any(letter in text for letter in "éèïî") and any(letter in text for letter in "ễầạặ")


def test_the_people_of_the_demo_are_one_family_and_its_own_teacher_and_head() -> None:
    district = make_district(1, Sizes(), keys_for(2))
    people = featured(district)
    assert people["parent"] == "aigolek-mother-1"
    assert people["head"] == "aigolek-head" and people["teacher"].startswith("aigolek-teacher-")


def test_too_many_gates_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 64 gates, not 65"):
        gate_numbers(65)
