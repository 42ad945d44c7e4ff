"""What ends and what goes on: deleted rows, rows of last year, dates, one person under two sourcedIds."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from cloud.identity import grants
from cloud.identity.model import Role
from cloud.kit import clock
from cloud.schools import service as schools
from cloud.standards.model import Said
from tests.cloud.standards.region import Files, Region, a_region, acts, read, row

NOW = clock.now()
TODAY = clock.school_day(NOW, "Asia/Almaty")


def days(number: int) -> str:
    """The date so many days from today at the school."""
    return (TODAY + timedelta(days=number)).isoformat()


def add(files: Files, name: str, like: str, key: str, **cells: str) -> None:
    files[name].append({**row(files, name, like), "sourcedId": key, **cells})


def two_rows_of_the_mother(region: Region) -> None:
    """mother is guardian of Aigerim, mother-2, the same person, of Timur."""
    add(region.files, "users", "mother", "mother-2")
    add(region.files, "roles", "role-mother-1", "role-mother-2", userSourcedId="mother-2")
    region.change("users", "timur", agentSourcedIds="mother-2,aunt")


def children_of_the_mother(region: Region) -> list[tuple[str, bool]]:
    """The children whose guardian she is today, and whether she may collect them."""
    return region.asked(
        "SELECT c.sourced_id, EXISTS (SELECT FROM escort_right r WHERE r.child_id = c.id AND r.person_id = p.id"
        " AND r.ended_at IS NULL) FROM guardianship g JOIN child c ON c.id = g.child_id"
        " JOIN person p ON p.id = g.person_id WHERE p.family = 'Сейтқали' AND p.given = 'Әсел' AND upper_inf(g.period)"
        " ORDER BY 1")  # fmt: skip


def ends_of(region: Region, role: str) -> list[tuple[date | None]]:
    return region.asked(f"SELECT upper(period) FROM role_grant WHERE role = '{role}' AND class_id IS NULL"
                        " ORDER BY lower(period)")  # fmt: skip


def said_of(files: Files, folder: Path, kind: str, user: str) -> list[Said]:
    return [one for one in read(files, folder, at=NOW).said if one.kind == kind and user in one.key.split(" ")]


# --- one person under two sourcedIds --------------------------------------------------------------------------------


@pytest.mark.parametrize(("gone", "stays"), [("mother-2", "mother"), ("mother", "mother-2")])
def test_one_of_two_rows_of_a_guardian_that_is_deleted_ends_no_tie_that_the_other_says(
    region: Region, gone: str, stays: str
) -> None:
    two_rows_of_the_mother(region)
    region.imported()
    both = children_of_the_mother(region)
    assert both == [("aigerim", True), ("timur", True)]
    region.change("users", gone, status="tobedeleted")
    region.change("users", "aigerim", agentSourcedIds=stays)
    region.change("users", "timur", agentSourcedIds=f"{stays},aunt")
    assert "end" not in [act for act, *_ in acts(region.imported())]
    assert children_of_the_mother(region) == both
    assert not region.imported().changes and children_of_the_mother(region) == both


def test_one_of_two_rows_of_a_guardian_that_is_deleted_ends_what_it_alone_said(region: Region) -> None:
    two_rows_of_the_mother(region)
    region.imported()
    region.change("users", "mother-2", status="tobedeleted")
    assert acts(region.imported()) == [("end", "tie", "timur mother-2")]
    assert children_of_the_mother(region) == [("aigerim", True)]


def test_a_row_of_a_guardian_that_is_absent_ends_no_tie_that_another_says(region: Region) -> None:
    two_rows_of_the_mother(region)
    region.imported()
    region.files["users"].remove(row(region.files, "users", "mother-2"))
    region.files["roles"].remove(row(region.files, "roles", "role-mother-2"))
    region.change("users", "timur", agentSourcedIds="mother,aunt")
    assert "end" not in [act for act, *_ in acts(region.imported(end_absent=True))]
    assert children_of_the_mother(region) == [("aigerim", True), ("timur", True)]


def test_one_of_two_rows_of_a_teacher_that_is_deleted_ends_neither_role_nor_class_of_the_other(region: Region) -> None:
    add(region.files, "users", "teacher", "teacher-2")
    add(region.files, "roles", "role-teacher-1", "role-teacher-2", userSourcedId="teacher-2")
    add(region.files, "enrollments", "enrollment-suns-teacher", "e-2", userSourcedId="teacher-2")
    region.imported()
    region.change("users", "teacher-2", status="tobedeleted")
    assert not region.imported().changes
    assert region.one("SELECT count(*) FROM role_grant WHERE role = 'teacher' AND upper_inf(period)") == 2
    assert region.one("SELECT count(*) FROM class_teacher WHERE upper_inf(period)") == 1


# --- dates ----------------------------------------------------------------------------------------------------------


def test_a_role_and_a_class_of_a_teacher_end_on_the_day_that_the_set_says_and_follow_it(region: Region) -> None:
    def is_there(end: str) -> None:
        for table in ("role_grant WHERE role = 'teacher' AND class_id IS NULL",
                      "role_grant WHERE role = 'teacher' AND class_id IS NOT NULL", "class_teacher WHERE true"):
            assert region.one(f"SELECT max(coalesce(upper(period), 'infinity')) = '{end or 'infinity'}' FROM {table}")

    for end in (days(100), days(50), days(200), ""):
        region.change("roles", "role-teacher-1", endDate=end)
        region.change("enrollments", "enrollment-suns-teacher", endDate=end)
        region.imported()
        is_there(end)
    assert region.one("SELECT count(*) FROM role_grant WHERE role = 'head' AND upper_inf(period)") == 1


def test_an_end_that_is_said_too_late_leaves_the_days_that_were_held(region: Region) -> None:
    region.imported()
    region.change("roles", "role-teacher-1", endDate=days(-30))
    region.change("enrollments", "enrollment-suns-teacher", endDate=days(-30))
    region.imported(at=NOW + timedelta(days=8))
    assert ends_of(region, "teacher") == [(date.fromisoformat(days(8)),)]
    assert region.asked("SELECT upper(period) FROM class_teacher") == [(date.fromisoformat(days(8)),)]


@pytest.mark.parametrize("end", [days(20), "deleted"])
def test_a_role_that_was_prolonged_and_ends_earlier_comes_back_on_no_later_day(region: Region, end: str) -> None:
    rows = (("roles", "role-teacher-1"), ("enrollments", "enrollment-suns-teacher"))
    for last in (days(50), days(200)):
        for name, key in rows:
            region.change(name, key, endDate=last)
        region.imported()
    for name, key in rows:
        region.change(name, key, **({"status": "tobedeleted"} if end == "deleted" else {"endDate": end}))
    region.imported()
    for table in ("role_grant WHERE role = 'teacher' AND", "class_teacher WHERE"):
        assert region.asked(f"SELECT period FROM {table} upper(period) > '{days(20)}'") == []
        assert region.one(f"SELECT count(*) FROM {table} period @> '{days(-1)}'::date")


def test_what_the_set_ended_today_and_says_again_today_goes_on(region: Region) -> None:
    region.imported()
    region.change("roles", "role-teacher-1", status="tobedeleted")
    region.change("enrollments", "enrollment-suns-teacher", status="tobedeleted")
    region.imported(at=NOW + timedelta(days=3))
    assert region.one("SELECT count(*) FROM role_grant WHERE role = 'teacher' AND upper_inf(period)") == 0
    region.change("roles", "role-teacher-1", status="")
    region.change("enrollments", "enrollment-suns-teacher", status="")
    region.imported(at=NOW + timedelta(days=3))
    assert region.one("SELECT count(*) FROM role_grant WHERE role = 'teacher' AND upper_inf(period)") == 2
    assert region.one("SELECT count(*) FROM class_teacher WHERE upper_inf(period)") == 1


def test_the_only_head_ends_by_no_date_until_another_one_is_there(region: Region) -> None:
    region.change("roles", "role-head-1", endDate=days(10))
    region.imported()
    assert ends_of(region, "head") == [(None,)]
    region.imported(at=NOW + timedelta(days=8))
    later = region.imported(at=NOW + timedelta(days=12))
    assert [notice.code for notice in later.notices if notice.key == "head head school"] == ["ROLE_LAST_HEAD"]
    assert ends_of(region, "head") == [(None,)]
    add(region.files, "roles", "role-teacher-1", "role-teacher-2", role="principal", beginDate=days(10))
    assert {("add", "role", "teacher head school"), ("end", "role", "head head school")} <= set(
        acts(region.imported(at=NOW + timedelta(days=14))))  # fmt: skip
    assert not region.imported(at=NOW + timedelta(days=15)).changes


def test_a_child_that_changed_class_in_mid_year_is_in_the_class_of_today(region: Region) -> None:
    region.change("enrollments", "enrollment-suns-timur", beginDate=days(-80), endDate=days(5))
    add(region.files, "enrollments", "enrollment-suns-timur", "later", classSourcedId="moons", beginDate=days(5),
        endDate=days(200))  # fmt: skip
    region.imported()
    there = ("SELECT k.sourced_id, upper(e.period) FROM enrolment e JOIN child c ON c.id = e.child_id"
             " LEFT JOIN class k ON k.id = e.class_id WHERE c.sourced_id = 'timur' ORDER BY lower(e.period)")
    until = date.fromisoformat(days(200))
    assert region.asked(there) == [("suns", until)], "at school without a gap, whenever the next set comes"
    assert not region.imported(at=NOW + timedelta(days=3)).changes
    assert acts(region.imported(at=NOW + timedelta(days=8))) == [("change", "enrolment", "timur school")]
    assert region.asked(there) == [("suns", date.fromisoformat(days(8))), ("moons", until)]


# Dates of suns and of moons -> the class of today
PLACED: dict[str, tuple[tuple[int | None, int | None], tuple[int | None, int | None], str]] = {
    "one has ended": ((-90, -10), (-10, None), "moons"),
    "one has ended, nothing is said of the other": ((None, -10), (None, None), "moons"),
    "one is to come": ((-90, None), (20, None), "suns"),
    "one has ended, one is to come": ((-90, -10), (20, None), "moons"),
    "both are to come": ((20, 60), (60, None), "suns"),
    "both have ended": ((-90, -60), (-60, -10), "moons"),
    "both run": ((-90, None), (-10, None), ""),
}


@pytest.mark.parametrize("what", PLACED)
def test_of_two_dated_classes_the_one_of_today_counts(what: str, tmp_path: Path) -> None:
    suns, moons, expected = PLACED[what]
    files = a_region()
    for key, (first, last) in (("suns", suns), ("moons", moons)):
        add(files, "enrollments", "enrollment-suns-timur", f"e-{key}", classSourcedId=key,
            beginDate="" if first is None else days(first), endDate="" if last is None else days(last))  # fmt: skip
    files["enrollments"].remove(row(files, "enrollments", "enrollment-suns-timur"))
    [said] = said_of(files, tmp_path, "enrolment", "timur")
    assert said.fields["class"] == expected


# --- rows of last year ----------------------------------------------------------------------------------------------


def test_a_deleted_row_beside_a_running_one_ends_nothing_however_often_it_comes(region: Region) -> None:
    region.imported()
    for name, key in (
        ("roles", "role-teacher-1"), ("roles", "role-timur-1"), ("enrollments", "enrollment-suns-teacher"),
        ("enrollments", "enrollment-suns-timur"),
    ):  # fmt: skip
        add(region.files, name, key, f"old-{key}", status="tobedeleted")
        region.files[name].insert(0, {**row(region.files, name, key), "sourcedId": f"older-{key}",
                                      "status": "tobedeleted"})  # fmt: skip
    for _ in range(3):
        assert not region.imported().changes


def test_a_role_of_last_year_beside_the_one_of_this_year_ends_nothing(region: Region) -> None:
    region.change("roles", "role-teacher-1", beginDate=days(-400), endDate=days(-100))
    region.change("enrollments", "enrollment-suns-teacher", beginDate=days(-400), endDate=days(-100))
    add(region.files, "roles", "role-teacher-1", "this-year", beginDate=days(-50), endDate=days(200))
    add(region.files, "enrollments", "enrollment-suns-teacher", "this-year", beginDate=days(-50), endDate="")
    region.files["roles"].reverse()
    region.imported()
    assert ends_of(region, "teacher") == [(date.fromisoformat(days(200)),)]
    assert region.one("SELECT count(*) FROM class_teacher WHERE upper_inf(period)") == 1
    assert not region.imported().changes


def test_a_deleted_role_at_an_org_that_is_no_school_ends_none_at_a_school(region: Region) -> None:
    region.imported()
    add(region.files, "roles", "role-teacher-1", "elsewhere", orgSourcedId="district", status="tobedeleted")
    assert not region.imported().changes
    assert region.one("SELECT count(*) FROM role_grant WHERE role = 'teacher' AND upper_inf(period)") == 2


def test_a_deleted_role_of_the_district_ends_no_other(region: Region) -> None:
    add(region.files, "roles", "role-teacher-1", "officer", role="districtAdministrator", orgSourcedId="district")
    region.imported()
    region.change("roles", "officer", status="tobedeleted")
    assert acts(region.imported()) == [("end", "role", "teacher district_officer *")]
    assert not region.imported().changes, "the role of a teacher is not taken for an ended one"
    assert region.asked("SELECT role FROM role_grant WHERE upper_inf(period) ORDER BY 1") == [
        ("head",), ("teacher",), ("teacher",)]  # fmt: skip


def test_a_child_with_no_class_any_more_stays_at_its_school(region: Region) -> None:
    region.imported()
    region.change("enrollments", "enrollment-suns-timur", status="tobedeleted")
    assert acts(region.imported()) == [("change", "enrolment", "timur school")]
    for _ in range(2):
        assert not region.imported().changes
    assert region.one("SELECT count(*) FROM enrolment e JOIN child c ON c.id = e.child_id WHERE upper_inf(e.period)"
                      " AND e.class_id IS NULL AND c.sourced_id = 'timur'") == 1  # fmt: skip


def test_no_key_is_said_twice_and_none_for_a_deleted_user(tmp_path: Path) -> None:
    files = a_region()
    for name in ("roles", "enrollments"):
        for one in list(files[name]):
            files[name] += [{**one, "sourcedId": f"old-{one['sourcedId']}", "status": "tobedeleted"},
                            {**one, "sourcedId": f"past-{one['sourcedId']}", "endDate": days(-300)}]  # fmt: skip
    row(files, "users", "teacher")["status"] = "tobedeleted"
    row(files, "users", "minh")["status"] = "tobedeleted"
    keys = [(one.kind, one.key) for one in read(files, tmp_path, at=NOW).said]
    assert len(keys) == len(set(keys))
    assert not [key for _, key in keys if "minh" in key or "teacher " in key]


# --- who was deleted ------------------------------------------------------------------------------------------------


def test_what_people_grant_to_somebody_whom_the_set_deleted_stays(region: Region) -> None:
    region.imported()
    region.change("users", "teacher", status="tobedeleted")
    region.imported()
    with region.pool.tenant(region.district) as tx:
        school = schools.schools(tx, region.district)[0]
        grants.give_role(
            tx, region.district, person_id=region.id_of("person", "teacher"), role=Role.OFFICE, school_id=school.id,
            class_id=None, first_day=TODAY, last_day=None, by=region.id_of("person", "head"), now=NOW,
        )  # fmt: skip
    assert not region.imported(at=NOW + timedelta(days=2)).changes
    assert ends_of(region, "office") == [(None,)]


def test_what_people_granted_stays_when_the_set_deletes_its_holder(region: Region) -> None:
    region.imported()
    with region.pool.tenant(region.district) as tx:
        school = schools.schools(tx, region.district)[0]
        grants.give_role(
            tx, region.district, person_id=region.id_of("person", "teacher"), role=Role.OFFICE, school_id=school.id,
            class_id=None, first_day=TODAY, last_day=None, by=region.id_of("person", "head"), now=NOW,
        )  # fmt: skip
    region.change("users", "teacher", status="tobedeleted")
    assert acts(region.imported()) == [("end", "role", "teacher teacher school"), ("end", "teacher", "teacher suns")]
    assert ends_of(region, "office") == [(None,)]


@pytest.mark.parametrize(("name", "key"), [("users", "head"), ("roles", "role-head-1")])
def test_a_head_whose_end_was_refused_ends_when_there_is_another_one(region: Region, name: str, key: str) -> None:
    region.imported()
    region.change(name, key, status="tobedeleted")
    for _ in range(2):
        refused = region.imported()
        assert not refused.changes
        assert [one.code for one in refused.notices if one.key == "head head school"] == ["ROLE_LAST_HEAD"]
    add(region.files, "roles", "role-teacher-1", "role-teacher-2", role="principal")
    assert set(acts(region.imported())) == {("add", "role", "teacher head school"), ("end", "role", "head head school")}
    assert not region.imported().changes
