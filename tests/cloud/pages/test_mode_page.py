"""The page on which a school locks its gates down or opens its doors: who may, with what proof, what is refused."""

import pytest

from cloud.kit import clock
from cloud.passes import modes
from protocols.documents import Mode
from tests.cloud.pages.conftest import House
from tests.gates import a_gate


def mode_now(house: House) -> Mode:
    with house.database.tenant(house.cast.district) as tx:
        setting = modes.setting_of(tx, house.cast.district, house.cast.site)
    return setting.at(clock.now()) if setting else Mode.NORMAL


def set_mode(house: House, who: str, sure: bool = True, **form: str):  # the client's own answer
    return house.post(f"/school/mode/{house.cast.school}", who, data=form, sure=sure, follow_redirects=False)


def test_the_head_locks_the_school_down_and_the_page_says_who(house: House) -> None:
    a_gate(house.database, house.cast)
    assert set_mode(house, "head", mode="lockdown").headers["location"].endswith("said=set")
    page = house.get("/school/mode", "head").text
    assert "Lockdown" in page and "Set by" in page and "gate 11" in page
    assert mode_now(house) is Mode.LOCKDOWN
    with house.database.tenant(house.cast.district) as tx:
        [who] = tx.execute("SELECT by_person FROM audit_log WHERE action = 'site.mode'").fetchall()
    assert who == (house.cast.head,)


def test_open_doors_end_when_the_page_says(house: House) -> None:
    set_mode(house, "head", mode="evacuate", minutes="30")
    with house.database.tenant(house.cast.district) as tx:
        setting = modes.setting_of(tx, house.cast.district, house.cast.site)
    assert setting and setting.ends_at and (setting.ends_at - setting.set_at).total_seconds() == 1_800


def test_without_a_fresh_proof_nothing_is_set(house: House) -> None:
    set_mode(house, "head", mode="normal")
    assert set_mode(house, "head", sure=False, mode="free").headers["location"].startswith("/step-up?next=")
    assert mode_now(house) is Mode.NORMAL
    assert 'name="mode"' not in house.get("/school/mode", "head", sure=False).text


def test_a_teacher_sets_no_mode(house: House) -> None:
    set_mode(house, "head", mode="normal")
    assert set_mode(house, "teacher", mode="free").status_code == 403
    assert house.get("/school/mode", "teacher").status_code == 403
    assert mode_now(house) is Mode.NORMAL


@pytest.mark.parametrize(
    "form",
    [{}, {"mode": "party"}, {"mode": "3"}, {"mode": "free", "minutes": "9999"}, {"mode": "free", "minutes": "x"}],
)
def test_a_form_of_another_shape_is_answered_and_sets_nothing(house: House, form: dict[str, str]) -> None:
    set_mode(house, "head", mode="normal")
    answer = set_mode(house, "head", True, **form)
    assert (answer.status_code, mode_now(house)) == (400, Mode.NORMAL)
    assert "problem" in answer.text
