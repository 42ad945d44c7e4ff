"""Staff, their roles and hours, and the calendar of a school, over HTTP; and the rules that anybody may read."""

import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from cloud.identity import grants
from cloud.kit import clock
from cloud.kit.i18n import LANGUAGES
from cloud.people import service as people
from cloud.people import staff
from cloud.schools import service as schools
from tests.cloud.pages.conftest import House


def member(person: UUID) -> str:
    return f"/school/staff/{person}"


def roles_of(house: House, person: UUID) -> dict[str, UUID]:
    with house.database.tenant(house.cast.district) as tx:
        today = clock.now().date() + timedelta(days=1)
        found = grants.roles_of_school(tx, house.cast.district, house.cast.school, today)
    return {str(one.role): one.id for one in found if one.person_id == person}


# --- roles ----------------------------------------------------------------------------------------------------------


def test_the_head_grants_a_dated_role_and_ends_it(house: House) -> None:
    page = member(house.clerk)
    until = (clock.now().date() + timedelta(days=30)).isoformat()
    form = {"role": "gate_staff", "class": "", "since": "", "until": until}
    assert house.post(f"{page}/roles", "head", data=form).status_code == 303
    assert "staff at the gate" in house.get("/school/staff", "head").text
    assert house.post(f"{page}/roles", "head", data=form).status_code == 409
    grant = roles_of(house, house.clerk)["gate_staff"]
    assert house.post(f"{page}/roles/{grant}/end", "head").status_code == 303
    assert "gate_staff" not in roles_of(house, house.clerk)
    assert house.post(f"{page}/roles/{grant}/end", "head").status_code == 404


def test_nobody_changes_own_roles_and_the_office_grants_none(house: House) -> None:
    form = {"role": "head", "class": "", "since": "", "until": ""}
    own_role = house.post(f"{member(house.cast.head)}/roles", "head", data=form)
    assert own_role.status_code == 403 and "Nobody changes own roles." in own_role.text
    assert house.post(f"{member(house.cast.teacher)}/roles", house.clerk, data=form).status_code == 403
    assert house.post(f"{member(house.cast.teacher)}/powers", house.clerk, data={"power": "8"}).status_code == 403
    assert "Only the head grants roles." in house.get(member(house.cast.teacher), house.clerk).text


@pytest.mark.parametrize("role", ["auditor", "operator", "district_officer", "guardian", "", "HEAD", "x" * 5000])
def test_a_role_that_is_not_the_schools_is_not_granted(house: House, role: str) -> None:
    form = {"role": role, "class": "", "since": "", "until": ""}
    assert house.post(f"{member(house.cast.teacher)}/roles", "head", data=form).status_code == 400


def test_a_role_asks_for_a_fresh_proof_and_stays_in_its_school(house: House) -> None:
    form = {"role": "office", "class": "", "since": "", "until": ""}
    unsure = house.post(f"{member(house.cast.teacher)}/roles", "head", data=form, sure=False)
    assert unsure.headers["location"].startswith("/step-up?next=")
    for stranger in (house.neighbour.teacher, house.cast.mother, uuid4()):
        assert house.post(f"{member(stranger)}/roles", "head", data=form).status_code == 404
        assert house.get(member(stranger), "head").status_code == 404
    elsewhere = {**form, "class": str(house.neighbour.sunflowers)}
    assert house.post(f"{member(house.cast.teacher)}/roles", "head", data=elsewhere).status_code == 400


# --- powers and hours -----------------------------------------------------------------------------------------------


def test_powers_are_what_is_ticked(house: House) -> None:
    assert house.post(f"{member(house.clerk)}/powers", "head", data={"power": ["1", "8", "64"]}).status_code == 303
    with house.database.tenant(house.cast.district) as tx:
        members = people.staff_of_school(tx, house.cast.district, house.cast.school)
    assert next(one.powers for one in members if one.person_id == house.clerk) == 9


def test_working_hours_are_kept_and_half_a_day_is_refused_beside_it(house: House) -> None:
    page = f"{member(house.clerk)}/hours"
    assert house.post(page, "head", data={"starts0": "08:00", "ends0": "16:30"}).status_code == 303
    with house.database.tenant(house.cast.district) as tx:
        (one,) = [w for w in staff.working_hours(tx, house.cast.district, house.cast.school)
                  if w.person_id == house.clerk]  # fmt: skip
    assert (one.weekday, one.starts.hour, one.ends.minute) == (0, 8, 30)
    for form in ({"starts0": "08:00"}, {"starts0": "25:00", "ends0": "26:00"}, {"starts0": "16:00", "ends0": "08:00"}):
        answer = house.post(page, "head", data=form)
        assert answer.status_code == 400 and 'class="problem"' in answer.text, form


# --- the calendar ---------------------------------------------------------------------------------------------------


def test_hours_and_dates_are_set_shown_and_taken_back(house: House) -> None:
    page = f"/school/calendar/{house.cast.school}"
    assert house.post(f"{page}/hours", house.clerk, data={"starts0": "07:30", "ends0": "18:30"}).status_code == 303
    day = (clock.now() + timedelta(days=9)).date().isoformat()
    closed = {"date": day, "what": "closed", "note": "Наурыз <b>"}
    assert house.post(f"{page}/dates", house.clerk, data=closed).status_code == 303
    shown = house.get("/school/calendar", "head").text
    assert "Наурыз &lt;b&gt;" in shown and 'value="07:30"' in shown
    assert house.post(f"{page}/dates", "head", data={**closed, "what": "usual"}).status_code == 303
    assert "Наурыз" not in house.get("/school/calendar", "head").text


@pytest.mark.parametrize(
    ("part", "form"),
    [("hours", {"starts0": "18:30", "ends0": "07:30"}), ("hours", {"starts3": "07:30"}),
     ("dates", {"date": "", "what": "closed"}), ("dates", {"date": "2026-12-01", "what": "maybe"}),
     ("dates", {"date": "2026-12-01", "what": "open", "note": "\u202eabc"})],
)  # fmt: skip
def test_what_no_calendar_can_be_is_refused_beside_its_field(house: House, part: str, form: dict[str, str]) -> None:
    answer = house.post(f"/school/calendar/{house.cast.school}/{part}", "head", data=form)
    assert answer.status_code == 400 and 'class="problem"' in answer.text


def test_terms_belong_to_the_district(house: House) -> None:
    form = {"name": "2026/27", "kind": "schoolYear", "since": "2026-09-01", "until": "2027-05-31"}
    page = f"/school/calendar/{house.cast.school}/terms"
    assert house.post(page, "head", data=form).status_code == 403
    assert house.post(page, house.officer, data={**form, "until": "2026-08-01"}).status_code == 400
    assert house.post(page, house.officer, data=form).status_code == 303
    assert "2026/27" in house.get("/school/calendar", "head").text
    with house.database.tenant(house.cast.district) as tx:
        assert [one.name for one in schools.sessions(tx, house.cast.district, clock.now().date())] == ["2026/27"]


def test_the_calendar_of_another_school_is_not_there(house: House) -> None:
    for part in ("hours", "dates", "terms"):
        assert house.post(f"/school/calendar/{house.neighbour.school}/{part}", "head", data={}).status_code == 404
    assert house.get(f"/school/calendar?school={house.neighbour.school}", "head").status_code == 404


# --- the rules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_s1_8_the_rules_are_read_by_anybody_in_five_languages(house: House, language: str) -> None:
    house.client.cookies.clear()
    first = house.client.get("/", headers={"accept-language": language})
    assert 'href="/rules"' in first.text
    page = house.client.get("/rules", headers={"accept-language": language})
    assert page.status_code == 200 and f'<html lang="{language}">' in page.text
    assert len(re.findall(r"<li>", page.text.partition("<main")[2].partition("</main>")[0])) >= 15
