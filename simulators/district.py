"""A believable district, made from a seed: schools, classes, staff, families, gates.

Responsible for: the JSON that `portillon-cloud seed` loads; the same seed and sizes give the same district.
Not for: keys of gates (stack.py makes them at random and hands the public halves in), nor loading.
Obeys PROTOCOL.md section 2 for the ranges: a site has 8 gates at most here, a credential 8 children.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulators.names import CLASSES, CULTURES, GATES, KAZAKH, SCHOOLS, Culture

GATES_AT_SITE_MAX = 2  # the usual kindergarten has a front and a garden gate
SCHOOLS_MAX = len(SCHOOLS)
CLASS_SIZE = 24  # children of one kindergarten class
FAMILIES_MIN = 4
SLUG = "demo"
POWERS = {"head": 15, "teacher": 11, "office": 7, "gate_staff": 15}
SIBLINGS = (1, 1, 1, 1, 1, 1, 2, 2, 2, 3)  # of ten families, how many children each has at the school
BIRTH_YEARS = (2020, 2023)

Json = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How large a district is. families: of the whole district, spread evenly over the schools."""

    gates: int = 2
    families: int = 240
    timezone: str = "Asia/Almaty"
    language: str = "en"  # of the featured family and staff, whom a visitor of the demo looks at


def gate_numbers(gates: int) -> list[tuple[int, int]]:
    """Return (site, gate) of each gate: two gates a site, 101 with 11 and 12, 102 with 21 and 22, ..."""
    if not 1 <= gates <= SCHOOLS_MAX * len(GATES):
        raise ValueError(f"a district has 1 to {SCHOOLS_MAX * len(GATES)} gates, not {gates}")
    at_site = max(GATES_AT_SITE_MAX, -(-gates // SCHOOLS_MAX))
    return [(101 + index // at_site, 10 * (index // at_site + 1) + index % at_site + 1) for index in range(gates)]


def make_district(seed: int, sizes: Sizes, public_keys: Mapping[int, str]) -> Json:
    """Return the district as `portillon-cloud seed` reads it. public_keys: hex, by gate number."""
    chance = random.Random(f"portillon-district-{seed}")
    numbers = gate_numbers(sizes.gates)
    sites = sorted({site for site, _ in numbers})
    district: Json = {
        "district": {"slug": SLUG, "name": "Көкшетау · Кокшетау"},
        "schools": [],
        "staff": [],
        "children": [],
        "guardians": [],
        "operators": [{"key": "operator-1", "email": "operator-1@example.org", "name": "Operator"}],
    }
    for index, site in enumerate(sites):
        gates = [gate for at, gate in numbers if at == site]
        families = max(FAMILIES_MIN, sizes.families // len(sites))
        _add_school(district, chance, index, site, gates, families, sizes, public_keys)
    return district


def _add_school(
    district: Json,
    chance: random.Random,
    index: int,
    site: int,
    gates: list[int],
    families: int,
    sizes: Sizes,
    public_keys: Mapping[int, str],
) -> None:
    key, name, language = SCHOOLS[index]
    school: Json = {
        "key": key,
        "name": name,
        "timezone": sizes.timezone,
        "language": language,
        "level": "kindergarten",
        "site": site,
        "classes": [],
        "gates": [
            {"gate": gate, "name": GATES[place], "public_key": public_keys[gate]} for place, gate in enumerate(gates)
        ],
    }
    district["schools"].append(school)
    children = _add_families(district, chance, key, families, sizes.language if index == 0 else None)
    _add_classes(district, chance, school, children, sizes.language if index == 0 else None)
    _add_office(district, chance, key, sizes.language if index == 0 else language)


def _add_families(
    district: Json, chance: random.Random, school: str, families: int, featured_language: str | None
) -> list[Json]:
    """Add families of one school and return their children, still without a class."""
    children: list[Json] = []
    for number in range(1, families + 1):
        featured = number == 1 and featured_language is not None
        culture = KAZAKH if featured else chance.choices(CULTURES, [culture.share for culture in CULTURES])[0]
        siblings = 2 if featured else chance.choice(SIBLINGS)
        surname = culture.families[0] if featured else chance.choice(culture.families)
        own = [_child(chance, school, number, place, culture, surname, featured) for place in range(siblings)]
        children += own
        language = featured_language if featured and featured_language else culture.language
        _add_guardians(district, chance, school, number, culture, surname, own, language, featured)
    district["children"] += children
    return children


def _child(
    chance: random.Random,
    school: str,
    number: int,
    place: int,
    culture: Culture,
    surname: tuple[str, str],
    featured: bool,
) -> Json:
    girl = place == 0 if featured else chance.random() < 0.5
    given = culture.girls[0] if featured and girl else chance.choice(culture.girls if girl else culture.boys)
    birth = f"{chance.randint(*BIRTH_YEARS)}-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}"
    return {
        "key": f"{school}-child-{number}-{place + 1}",
        "given": given,
        "family": surname[0] if girl else surname[1],
        "birth": birth,
        "school": school,
        "class": "",
    }


def _add_guardians(
    district: Json,
    chance: random.Random,
    school: str,
    number: int,
    culture: Culture,
    surname: tuple[str, str],
    children: list[Json],
    language: str,
    featured: bool,
) -> None:
    """Add the adult whose phone is used first (a mother mostly), a second parent, sometimes a grandmother."""
    alone = not featured and chance.random() < 0.18
    first = "mother" if featured or chance.random() < 0.7 else "father"
    adults = [first] if alone else [first, "father" if first == "mother" else "mother"]
    if featured or chance.random() < 0.15:
        adults.append("grandmother")
    for place, relation in enumerate(adults):
        woman = relation != "father"
        given = (
            culture.mothers[0]
            if featured and relation == "mother"
            else culture.person(chance.randrange(99), woman=woman)
        )
        key = f"{school}-{relation}-{number}"
        district["guardians"].append(
            {
                "key": key,
                "given": given,
                "family": surname[0] if woman else surname[1],
                "email": f"{key}@example.org",
                "language": language,
                "children": [_relation(child, relation) for child in children],
                "wants": "card" if relation == "grandmother" or (place == 1 and chance.random() < 0.2) else "phone",
            }
        )


def _relation(child: Json, relation: str) -> Json:
    parent = relation in ("mother", "father")
    return {
        "child": child["key"],
        "relation": relation,
        "may_collect": True,
        "lives_with": parent,
        "authority": parent,
    }


def _add_classes(
    district: Json, chance: random.Random, school: Json, children: list[Json], featured_language: str | None
) -> None:
    """Fill classes by age, the oldest together, each with a teacher of its own."""
    featured = children[0]
    by_age = sorted(children, key=lambda child: child["birth"])
    classes = [by_age[start : start + CLASS_SIZE] for start in range(0, len(by_age), CLASS_SIZE)]
    for place, members in enumerate(classes):
        key = f"{school['key']}-class-{place + 1}"
        teacher = f"{school['key']}-teacher-{place + 1}"
        for child in members:
            child["class"] = key
        round_two = "" if place < len(CLASSES) else f" {place // len(CLASSES) + 1}"
        school["classes"].append({"key": key, "name": CLASSES[place % len(CLASSES)] + round_two, "teacher": teacher})
        speaks = featured_language if featured_language and featured in members else school["language"]
        _add_staff(district, chance, school["key"], teacher, "teacher", speaks)


def _add_office(district: Json, chance: random.Random, school: str, language: str) -> None:
    _add_staff(district, chance, school, f"{school}-head", "head", language)
    _add_staff(district, chance, school, f"{school}-office", "office", language)
    _add_staff(district, chance, school, f"{school}-gate-staff", "gate_staff", language)


def _add_staff(district: Json, chance: random.Random, school: str, key: str, role: str, language: str) -> None:
    culture = chance.choices(CULTURES[:2], [60, 40])[0]
    woman = role != "gate_staff"
    surname = chance.choice(culture.families)
    district["staff"].append(
        {
            "key": key,
            "given": culture.person(chance.randrange(99), woman=woman),
            "family": surname[0] if woman else surname[1],
            "email": f"{key}@example.org",
            "language": language,
            "school": school,
            "role": role,
            "powers": POWERS[role],
        }
    )


def featured(district: Json) -> dict[str, str]:
    """Return the keys of the people a visitor of the demo becomes: parent, teacher, head, operator."""
    mother = district["guardians"][0]
    first_child = mother["children"][0]["child"]
    child = next(child for child in district["children"] if child["key"] == first_child)
    classes = [class_ for school in district["schools"] for class_ in school["classes"]]
    teacher = next(class_["teacher"] for class_ in classes if class_["key"] == child["class"])
    head = next(one["key"] for one in district["staff"] if one["role"] == "head" and one["school"] == child["school"])
    return {"parent": mother["key"], "teacher": teacher, "head": head, "operator": district["operators"][0]["key"]}
