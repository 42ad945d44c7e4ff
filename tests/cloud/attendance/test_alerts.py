"""Alerts reach the head on a page of their own, and nobody else; who has seen one is written down (P-3, P27)."""

from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from cloud.attendance import alerts
from cloud.attendance.service import ref_of
from cloud.audit import service as audit
from cloud.identity import service as identity
from cloud.identity.doors import COOKIES
from cloud.identity.model import Door, Role
from cloud.kit import clock
from cloud.kit.db import Database, one
from tests.cast import FIRST_DAY, NOW, Cast, a_district


@pytest.fixture
def cast(database: Database) -> Cast:
    """A school with two alerts: a refused father of Aigerim, and cards too fast."""
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        child = ref_of(tx, cast.district, cast.site, child_id=cast.aigerim)
        for seq, (code, ref) in enumerate((("CUSTODY", child), ("CARDS_TOO_FAST", None))):
            tx.execute(
                "INSERT INTO attendance_incident (district_id, raised_at, site, gate, epoch, seq, code, child_ref,"
                " gate_said, cloud_says) VALUES (%s, %s, %s, 11, 1, %s, %s, %s, %s, %s)",
                (cast.district, NOW, cast.site, seq, code, ref, code, code),
            )
        tx.execute("UPDATE person SET language = 'en'")
    return cast


def sign_in(browser: TestClient, database: Database, cast: Cast, person: UUID, door: Door = Door.SCHOOL) -> None:
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, person, clock.now())
        token = identity.new_session(tx, login, door, clock.now())
    browser.cookies.clear()
    browser.cookies.set(COOKIES[door], token)


def test_the_head_reads_each_alert_with_its_child_and_says_that_it_was_seen(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    sign_in(browser, database, cast, cast.head)
    assert "2 alerts for the head" in browser.get("/school/day").text
    told = browser.get("/school/alerts").text
    assert "Айгерім" in told and "More than three cards" in told and "may not collect" in told
    with database.tenant(cast.district) as tx:
        first, second = alerts.open_alerts(tx, cast.district, cast.school, cast.site)
    assert browser.post(f"/school/alerts/{first.id}/seen").status_code == 303
    assert [browser.post(f"/school/alerts/{each}/seen").status_code for each in (first.id, 0, -1, 2**63, "x")] == [
        404, 400, 400, 400, 400,
    ]  # fmt: skip
    browser.post(f"/school/alerts/{second.id}/seen")
    assert "No alert is open" in browser.get("/school/alerts").text
    assert "for the head" not in browser.get("/school/day").text
    with database.tenant(cast.district) as tx:
        assert one(tx, int, "SELECT count(*) FROM audit_log WHERE action = 'alert.close'") == 2
        assert audit.readings_of_child(tx, cast.district, cast.aigerim) == [], "no line of a child says so"


def test_neither_office_nor_teacher_nor_family_hears_of_an_alert(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    with database.tenant(cast.district) as tx:
        identity.grant_role(tx, cast.district, cast.stranger, Role.OFFICE, FIRST_DAY, school_id=cast.school)
    for person in (cast.teacher, cast.stranger):
        sign_in(browser, database, cast, person)
        assert browser.get("/school/alerts").status_code == 403
        assert browser.post("/school/alerts/1/seen").status_code == 403
        assert "for the head" not in browser.get("/school/day").text
    sign_in(browser, database, cast, cast.mother, Door.FAMILY)
    assert browser.get("/school/alerts").status_code == 401


def test_an_auditor_reads_alerts_and_closes_none(browser: TestClient, database: Database, cast: Cast) -> None:
    with database.tenant(cast.district) as tx:
        identity.grant_role(tx, cast.district, cast.stranger, Role.AUDITOR, FIRST_DAY)
        [first, _] = alerts.open_alerts(tx, cast.district, cast.school, cast.site)
    sign_in(browser, database, cast, cast.stranger)
    told = browser.get("/school/alerts")
    assert told.status_code == 200 and "/seen" not in told.text
    assert browser.post(f"/school/alerts/{first.id}/seen").status_code == 403


def test_a_head_of_another_school_at_the_site_reads_no_childs_name_and_the_neighbours_nothing(
    database: Database, cast: Cast
) -> None:
    from cloud.schools import service as schools

    there = a_district(database, "neighbour", 202)
    with database.tenant(cast.district) as tx:
        other = schools.put_school(tx, cast.district, sourced_id="other", site=cast.site, name="Other",
                                   level="primary", timezone="Asia/Almaty", language="ru")  # fmt: skip
        assert [one.child for one in alerts.open_alerts(tx, cast.district, other, cast.site)] == ["", ""]
    with database.tenant(there.district) as tx:
        assert alerts.open_alerts(tx, cast.district, cast.school, cast.site) == []
        assert not alerts.close_alert(tx, there.district, there.school, cast.site, 1, there.head, NOW)
