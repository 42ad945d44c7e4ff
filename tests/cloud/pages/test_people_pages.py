"""Pages of people over HTTP, without a browser: who may, whose child, what was typed, what is refused and why."""

import re
from datetime import timedelta
from html import unescape
from uuid import UUID, uuid4

import pytest

from cloud.audit import service as audit
from cloud.identity import service as identity
from cloud.kit import clock
from cloud.people import orders
from cloud.people import service as people
from cloud.people.escorts import escorts_of_child
from cloud.people.model import Tie
from tests.cloud.pages.conftest import House

RIGHT_TO_LEFT = "Ann\u202egnp.exe"
EVERY_DAY = [str(day) for day in range(7)]
ORDER = {"document": ("order.pdf", b"%PDF-1.7 an order", "application/pdf")}


def file_of(child: UUID) -> str:
    return f"/school/children/{child}"


def own(child: UUID) -> str:
    return f"/family/children/{child}"


def named(given: str, **more: object) -> dict[str, object]:
    """A form that names a new person for every day."""
    return {"given": given, "family": "Ким", "how": "days", "day": EVERY_DAY, **more}


def added(house: House, child: UUID, given: str, who: str = "head") -> str:
    """Let the office add a person and return the id of the right, out of the page."""
    answer = house.post(f"{file_of(child)}/escorts", who, data=named(given))
    assert answer.status_code == 303, answer.text[:2000]
    page = unescape(house.get(file_of(child), "head").text)
    found = re.findall(r'id="right-([0-9a-f-]{36})"[^\n]*?<b>(.*?)</b>', page)
    return next(right for right, name in found if given in name)


# --- who may, and whose child ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["teacher", "mother"])
def test_the_offices_pages_are_not_for_others(house: House, who: str) -> None:
    """A teacher has the door and not the right; a mother has no role at this door at all."""
    expected = {"teacher": 403, "mother": 401}[who]
    for path in ("/school/people", "/school/staff", "/school/calendar"):
        assert house.get(path, who).status_code == expected
    assert house.get(file_of(house.cast.aigerim), who).status_code in (401, 404)


def test_a_teachers_bar_leads_nowhere_that_is_closed(house: House) -> None:
    assert "/school/people" not in house.get("/school/day", "teacher").text
    assert "/school/people" in house.get("/school/day", "head").text


@pytest.mark.parametrize("door", ["family", "school"])
def test_nobody_opens_a_file_without_signing_in(house: House, door: str) -> None:
    house.client.cookies.clear()
    assert house.client.get(f"/{door}/children/{house.cast.aigerim}").status_code == 401


def test_another_familys_child_is_not_there(house: House) -> None:
    for child in (house.cast.minh, house.neighbour.aigerim, uuid4()):
        assert house.get(own(child), "mother", "family").status_code == 404
        for form in ("escorts", "corrections", f"escorts/{uuid4()}/remove", f"escorts/{uuid4()}/veto"):
            answer = house.post(f"{own(child)}/{form}", "mother", "family", data=named("Ann"))
            assert answer.status_code == 404, form


def test_a_child_of_another_district_is_not_there_for_the_office(house: House) -> None:
    child = house.neighbour.aigerim
    assert house.get(file_of(child), "head").status_code == 404
    for form in ("escorts", "orders", "custody", "custody/day", "protect", f"corrections/{uuid4()}"):
        assert house.post(f"{file_of(child)}/{form}", "head", data=named("Ann")).status_code == 404, form


def test_a_right_of_another_child_is_not_ended_through_this_one(house: House) -> None:
    right = added(house, house.cast.minh, "Гость")
    assert house.post(f"{file_of(house.cast.timur)}/escorts/{right}/remove", "head").status_code == 404
    assert house.post(f"{own(house.cast.timur)}/escorts/{right}/remove", "mother", "family").status_code == 404
    assert "Гость" in house.escorts(house.cast.minh)


def test_a_protected_child_is_found_by_office_and_head_only(house: House) -> None:
    with house.database.tenant(house.cast.district) as tx:
        hidden = people.put_child(tx, house.cast.district, sourced_id="hidden", given="Zarina", family="", birth=None)
        people.enrol(tx, house.cast.district, hidden, house.cast.school, house.cast.sunflowers, clock.now().date())
    assert house.post(f"{file_of(hidden)}/protect", "head", data={"protected": "yes"}).status_code == 303
    assert "Zarina" in house.get("/school/people?q=zarina", house.clerk).text
    for path in ("/school/people?q=zarina", f"/school/people?class={house.cast.sunflowers}"):
        assert "Zarina" not in house.get(path, house.auditor).text
    assert house.get(file_of(hidden), house.auditor).status_code == 404
    assert house.get(file_of(house.cast.minh), house.auditor).status_code == 200


def test_an_auditor_reads_and_has_no_form(house: House) -> None:
    page = house.get(file_of(house.cast.minh), house.auditor).text
    assert "<form" not in page and "Orders against" not in page
    assert house.post(f"{file_of(house.cast.minh)}/escorts", house.auditor, data=named("Ann")).status_code == 403


def test_s5_2_children_of_two_districts_are_in_one_account(house: House) -> None:
    """The same login is a person of both districts; the other one's child opens, and its other families' do not."""
    with house.database.tenant(house.cast.district) as tx:
        login = identity.login_of_person(tx, house.cast.district, house.cast.father, clock.now())
    there = house.neighbour
    with house.database.tenant(there.district) as tx:
        uncle = people.put_person(tx, there.district, sourced_id="uncle", given="Uncle", family="", language="en",
                                  login_id=login)  # fmt: skip
        tie = Tie(there.timur, uncle, "uncle", True, False, True, clock.now().date() - timedelta(days=1))
        people.tie_guardian(tx, there.district, tie)
    listed = house.get("/family/children", "father", "family").text
    assert str(house.cast.aigerim) in listed and str(there.timur) in listed
    assert house.get(own(there.timur), "father", "family").status_code == 200
    assert house.get(own(there.minh), "father", "family").status_code == 404
    answer = house.post(f"{own(there.timur)}/escorts", "father", "family", data=named("Сосед"))
    assert answer.status_code == 303
    with house.database.tenant(there.district) as tx:
        names = [right.given for right in escorts_of_child(tx, there.district, there.timur, clock.now())]
    assert "Сосед" in names


# --- a fresh proof, foreign forms -----------------------------------------------------------------------------------


def test_what_gives_or_takes_a_right_asks_for_a_fresh_proof(house: House) -> None:
    child, some = house.cast.aigerim, uuid4()
    of_school = ("escorts", f"escorts/{some}/remove", "orders", f"orders/{some}/confirm", "custody", "protect")
    for door, who, page, forms in (
        ("school", "head", file_of(child), of_school),
        ("family", "mother", own(child), ("escorts", f"escorts/{some}/remove", f"escorts/{some}/veto")),
    ):  # fmt: skip
        for form in forms:
            answer = house.post(f"{page}/{form}", who, door, sure=False, data=named("Ann"))
            assert answer.status_code == 303, form
            assert answer.headers["location"].startswith("/step-up?next="), form
        unsure = house.get(page, who, door, sure=False).text
        assert "/step-up?next=" in unsure and f'action="{page}/escorts"' not in unsure


def test_a_form_of_another_site_is_refused(house: House) -> None:
    answer = house.post(
        f"{own(house.cast.aigerim)}/escorts", "mother", "family", data=named("Ann"), origin="https://evil.test"
    )
    assert answer.status_code == 403
    assert "Ann" not in house.escorts(house.cast.aigerim)


# --- who may collect ------------------------------------------------------------------------------------------------


def test_a_mother_names_a_person_sees_the_place_taken_and_takes_it_back(house: House) -> None:
    page = own(house.cast.timur)
    answer = house.post(f"{page}/escorts", "mother", "family", data=named("Сауле", day=["1", "4"], why="Tuesdays"))
    assert answer.status_code == 303 and answer.headers["location"].startswith(f"{page}?said=added")
    shown = house.get(answer.headers["location"], "mother", "family").text
    assert "Сауле Ким" in shown and "Tuesday and Friday" in shown and "Tuesdays" in shown
    right = re.findall(r'id="right-([0-9a-f-]{36})"[^\n]*?Сауле', shown)[0]
    gone = house.post(f"{page}/escorts/{right}/remove", "mother", "family")
    after = house.get(gone.headers["location"], "mother", "family").text
    assert "Сауле" not in house.escorts(house.cast.timur) and "Undo" in after
    person = re.findall(r'name="person" value="([0-9a-f-]{36})"', after)[0]
    back = {"undo": "yes", "person": person, "day": ["1", "4"]}
    assert house.post(f"{page}/escorts", "mother", "family", data=back).status_code == 303
    assert "Сауле" in house.escorts(house.cast.timur)


def test_a_person_of_no_own_child_is_not_given_a_right_by_id(house: House) -> None:
    for stranger in (house.cast.stranger, house.neighbour.mother, uuid4()):
        for undo in ({}, {"undo": "yes"}):
            form = {"person": str(stranger), "how": "days", "day": EVERY_DAY, **undo}
            answer = house.post(f"{own(house.cast.timur)}/escorts", "mother", "family", data=form)
            assert answer.status_code == 400
            assert "Please choose one." in answer.text


def test_the_sixth_is_refused_in_words_and_the_form_is_gone(house: House) -> None:
    with house.database.tenant(house.cast.district) as tx:
        full = people.put_child(tx, house.cast.district, sourced_id="full", given="Толық", family="", birth=None)
        people.enrol(tx, house.cast.district, full, house.cast.school, house.cast.sunflowers, clock.now().date())
    for number in range(5):
        added(house, full, f"Person{number}")
    answer = house.post(f"{file_of(full)}/escorts", "head", data=named("Sixth"))
    assert answer.status_code == 409
    assert "Five people may already collect this child" in answer.text
    page = house.get(file_of(full), "head").text
    assert f'action="{file_of(full)}/escorts"' not in page and "the limit is the same for everybody" in page


def test_the_other_parent_may_object_and_then_the_person_may_not_collect(house: House) -> None:
    child = house.cast.aigerim
    assert house.post(f"{own(child)}/escorts", "father", "family", data=named("Дядя")).status_code == 303
    children = house.get("/family/children", "mother", "family").text
    assert "You may object" in children
    shown = house.get(own(child), "mother", "family").text
    assert "You may object until" in shown
    right = re.findall(rf'action="{own(child)}/escorts/([0-9a-f-]{{36}})/veto"', shown)[0]
    assert f"{right}/veto" not in house.get(own(child), "father", "family").text
    assert house.post(f"{own(child)}/escorts/{right}/veto", "mother", "family").status_code == 303
    assert "Дядя" not in house.escorts(child)
    again = house.post(f"{own(child)}/escorts", "father", "family", data=named("Дядя"))
    assert again.status_code == 409 and "objected" in again.text


def test_the_other_parents_place_is_not_ours_and_the_page_says_why(house: House) -> None:
    shown = house.get(own(house.cast.aigerim), "mother", "family").text
    assert "decides for this child too" in shown
    right = re.findall(r'id="right-([0-9a-f-]{36})"[^\n]*?HYPERLINK', shown)[0]
    answer = house.post(f"{own(house.cast.aigerim)}/escorts/{right}/remove", "mother", "family")
    assert answer.status_code == 403 and "Only the office can change this right" in answer.text


# --- what is typed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (named(RIGHT_TO_LEFT), "characters that no name is written with"), (named("A\x00"), "no name is written with"),
        (named("x" * 10_000), "This is too long"), (named(""), "or write the name of a new one"),
        (named("Ann", day=[]), "Choose at least one day"), (named("Ann", until="tomorrow"), "year-month-day"),
        (named("Ann", since="2027-02-01", until="2027-01-01"), "The end lies before the beginning"),
        (named("Ann", until="2020-01-01"), "The end lies before the beginning"),
        (named("Ann", person="' OR 1=1 --"), "Please choose one."), (named("Ann", why="\u2066x"), "no name is"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_beside_its_field_and_nothing_typed_is_lost(
    house: House, form: dict[str, object], words: str
) -> None:
    for page, who, door in (
        (own(house.cast.timur), "mother", "family"), (file_of(house.cast.timur), "head", "school"),
    ):  # fmt: skip
        answer = house.post(f"{page}/escorts", who, door, data=form)
        assert answer.status_code == 400
        assert words in answer.text
        assert 'aria-invalid="true"' in answer.text
        assert 'value="Ким"' in answer.text


@pytest.mark.parametrize("given", ["=HYPERLINK(1)", "<script>alert(1)</script>", "{{ 7*7 }}", "'; DROP TABLE child--"])
def test_a_name_that_is_code_elsewhere_is_a_name_here(house: House, given: str) -> None:
    right = added(house, house.cast.minh, given)
    page = house.get(file_of(house.cast.minh), "head").text
    assert "<script>alert" not in page and given in unescape(page)
    assert house.post(f"{file_of(house.cast.minh)}/escorts/{right}/remove", "head").status_code == 303


def test_markup_in_a_search_stays_text(house: House) -> None:
    page = house.get('/school/people?q="><script>alert(1)</script>', "head").text
    assert "<script>alert" not in page and "&lt;script&gt;" in page
    for odd in ("%00", "x" * 5000, "%F0%9F%92%A9", "%ff", "'%25_\\"):
        assert house.get(f"/school/people?q={odd}", "head").status_code == 200


def test_a_search_forgets_accents_and_capitals(house: House) -> None:
    assert "Minh Đức" in house.get("/school/people?q=MINH%20duc", "head").text


@pytest.mark.parametrize(
    "path", ["/school/children/x", "/family/children/%00", "/school/staff/x", "/school/people?class=x"]
)
def test_an_address_that_names_nothing_is_no_fault(house: House, path: str) -> None:
    assert house.get(path, "head" if "school" in path else "mother", path.split("/")[1]).status_code in (400, 404)


# --- orders ---------------------------------------------------------------------------------------------------------


def test_an_order_blocks_at_once_and_a_second_person_confirms_it(house: House) -> None:
    child, man = house.cast.minh, house.cast.stranger
    answer = house.post(
        f"{file_of(child)}/orders", house.clerk, data={"person": str(man), "until": ""}, files=ORDER
    )
    assert answer.status_code == 303, answer.text[:1500]
    assert "Hoa" not in house.escorts(child)
    with house.database.tenant(house.cast.district) as tx:
        (order,) = orders.orders_of_child(tx, house.cast.district, child)
    mine = house.get(file_of(child), house.clerk).text
    assert "ask a colleague" in mine and f"/orders/{order.id}/confirm" not in mine
    assert house.post(f"{file_of(child)}/orders/{order.id}/confirm", house.clerk).status_code == 409
    assert "An order waits for a second person" in house.get("/school/people", "head").text
    assert house.post(f"{file_of(house.cast.timur)}/orders/{order.id}/confirm", "head").status_code == 404
    assert house.post(f"{file_of(child)}/orders/{order.id}/confirm", "head").status_code == 303
    assert "confirmed by two" in house.get(file_of(child), "head").text
    refused = house.post(f"{file_of(child)}/escorts", "head", data={**named(""), "person": str(man)})
    assert refused.status_code == 409 and "cannot be given this right" in refused.text


def test_a_familys_page_never_speaks_of_an_order(house: House) -> None:
    test_child = house.cast.aigerim
    page = house.get(own(test_child), "mother", "family").text.lower()
    assert not re.search(r"\bcourt|\border\b|orders against", page)


def test_an_order_without_its_document_or_person_is_refused_beside_the_field(house: House) -> None:
    for data, files in (
        ({"person": str(house.cast.stranger)}, {"document": ("", b"")}), ({"person": ""}, ORDER),
        ({"person": str(house.cast.head)}, ORDER), ({"person": str(house.neighbour.mother)}, ORDER),
    ):  # fmt: skip
        answer = house.post(f"{file_of(house.cast.timur)}/orders", "head", data=data, files=files)
        assert answer.status_code == 400 and 'class="problem"' in answer.text


# --- custody, corrections, the log ----------------------------------------------------------------------------------


def test_weeks_are_set_drawn_changed_on_a_day_and_ended(house: House) -> None:
    page, mother = file_of(house.cast.aigerim), str(house.cast.mother)
    weeks = {"person": mother, "weeks": "2", "since": "2026-11-18", "week1": ["0", "1"], "week2": ["5"]}
    assert house.post(f"{page}/custody", "head", data=weeks).status_code == 303
    shown = house.get(own(house.cast.aigerim), "father", "family").text
    assert "Week 1: Monday and Tuesday · Week 2: Saturday" in shown and 'class="weeks"' in shown
    day = {"person": mother, "date": clock.now().date().replace(year=2030).isoformat(), "what": "with"}
    assert house.post(f"{page}/custody/day", "head", data=day).status_code == 303
    assert house.post(f"{page}/custody/{house.cast.father}/end", "head").status_code == 404
    assert house.post(f"{page}/custody/{mother}/end", "head").status_code == 303
    for bad in ({"weeks": "9"}, {"since": ""}, {"person": str(house.cast.head)}, {"weeks": "٢"}):
        assert house.post(f"{page}/custody", "head", data={**weeks, **bad}).status_code == 400, bad


def test_a_parent_proposes_the_office_decides_and_both_see_it(house: House) -> None:
    child = house.cast.timur
    sent = {"given": "Тимур", "family": "Сейтқали-Ким", "birth": "2022-05-17"}
    assert house.post(f"{own(child)}/corrections", "mother", "family", data=sent).status_code == 303
    assert "Waits for the office" in house.get(own(child), "mother", "family").text
    assert "proposes a correction" in house.get("/school/people", "head").text
    page = house.get(file_of(child), "head").text
    assert "Сейтқали-Ким" in page and "<del>Сейтқали</del>" in page
    correction = re.findall(r"/corrections/([0-9a-f-]{36})", page)[0]
    answer = {"answer": "accept", "reason": "seen the certificate"}
    assert house.post(f"{file_of(child)}/corrections/{correction}", house.clerk, data=answer).status_code == 303
    assert house.post(f"{file_of(child)}/corrections/{correction}", "head", data=answer).status_code == 409
    assert "seen the certificate" in house.get(own(child), "mother", "family").text
    nothing = {**sent, "given": "Тимур"}
    assert house.post(f"{own(child)}/corrections", "mother", "family", data=nothing).status_code == 400


def test_s3_8_every_opening_of_a_file_by_staff_is_seen_by_the_parents(house: House) -> None:
    child = house.cast.aigerim
    house.get(file_of(child), house.clerk)
    assert "Ольга Ким (office): read the file" in house.get(own(child), "mother", "family").text
    with house.database.tenant(house.cast.district) as tx:
        before = len(audit.readings_of_child(tx, house.cast.district, child))
    house.get(own(child), "mother", "family")
    house.get(file_of(child), house.auditor)
    with house.database.tenant(house.cast.district) as tx:
        assert len(audit.readings_of_child(tx, house.cast.district, child)) == before + 1
