"""A OneRoster set in the database: all or nothing, again nothing, and never over what a person decided."""

import json
from typing import Any

import pytest

from cloud.identity import grants
from cloud.kit import clock
from cloud.people import corrections, escorts
from cloud.schools import service as schools
from cloud.seed import load, read_district
from cloud.standards.model import RosterRefused, digest, merged
from cloud.standards.service import ABSENT_FEW
from tests.cloud.standards.region import NUMBERS, Region, acts, row


def everything(region: Region) -> dict[str, list[tuple[Any, ...]]]:
    tables = ("district", "site", "school", "class", "academic_session", "person", "staff", "role_grant", "child",
              "class_teacher", "enrolment", "guardianship", "escort_right", "roster_row", "audit_log")  # fmt: skip
    return {table: region.asked(f"SELECT t::text FROM {table} t ORDER BY 1") for table in tables}


def test_a_set_becomes_schools_classes_people_and_who_may_collect(region: Region) -> None:
    report = region.imported()
    assert {kind: counts.get("add", 0) for kind, counts in report.counts().items()} == {
        "district": 0, "session": 1, "school": 1, "class": 2, "person": 5, "child": 3, "enrolment": 3, "tie": 4,
        "role": 2, "teacher": 1}  # fmt: skip
    assert region.asked("SELECT name, level, timezone, language FROM school") == [
        ("Балапан", "kindergarten", "Asia/Almaty", "kk")]  # fmt: skip
    assert region.asked(
        "SELECT p.given, g.relation, g.authority, r.slot FROM guardianship g JOIN person p ON p.id = g.person_id"
        " LEFT JOIN escort_right r ON r.child_id = g.child_id AND r.person_id = g.person_id"
        " WHERE g.child_id = (SELECT id FROM child WHERE sourced_id = 'timur') ORDER BY 1"
    ) == [("Дана", "aunt", False, None), ("Әсел", "mother", True, 1)]
    assert region.asked("SELECT role, class_id IS NULL FROM role_grant ORDER BY 1, 2") == [
        ("head", True), ("teacher", False), ("teacher", True)]  # fmt: skip


def test_the_same_set_again_changes_no_row_and_writes_no_line(region: Region) -> None:
    region.imported()
    before = everything(region)
    again = region.imported()
    assert not again.changes and sum(again.same.values()) == 23
    assert everything(region) == before


def test_a_changed_name_changes_that_name_and_tells_the_childs_log(region: Region) -> None:
    region.imported()
    before = everything(region)
    region.change("users", "timur", givenName="Тимурхан")
    report = region.imported()
    assert acts(report) == [("change", "child", "timur")]
    assert report.changes[0].fields == {"given": ("Тимур", "Тимурхан")}
    after = everything(region)
    assert {table for table in after if after[table] != before[table]} == {"child", "roster_row", "audit_log"}
    assert region.asked("SELECT action, detail FROM audit_log WHERE child_id IS NOT NULL") == [
        ("child.import", {"fields": "given"})]  # fmt: skip


def test_a_dry_run_tells_the_differences_and_leaves_nothing(region: Region) -> None:
    dry = region.imported(dry_run=True)
    assert dry.dry_run and len(dry.changes) == 22
    with region.pool.untenanted() as tx:
        assert schools.district_of_slug(tx, region.slug) is None
    real = region.imported()
    assert acts(real) == acts(dry)


def test_what_was_said_is_kept_as_digests_and_no_name(region: Region) -> None:
    region.imported()
    kept = json.dumps(region.asked("SELECT key, said FROM roster_row"), ensure_ascii=False)
    assert digest("Тимур") in kept and "Тимур" not in kept and "mother@" not in kept


def test_a_name_that_a_correction_mended_stays_until_a_person_changes_it(region: Region) -> None:
    region.imported()
    head, mother = region.id_of("person", "head"), region.id_of("person", "mother")
    child = region.id_of("child", "timur")
    with region.pool.tenant(region.district) as tx:
        proposal = corrections.propose_correction(
            tx, region.district, child_id=child, by=mother, wanted={"given": "Тимур-бек"}, now=clock.now())
        corrections.decide_correction(
            tx, region.district, correction_id=proposal.id, accept=True, by=head, now=clock.now())
    assert not region.imported().changes
    assert region.one("SELECT given FROM child WHERE sourced_id = 'timur'") == "Тимур-бек"
    region.change("users", "timur", givenName="Тимурхан", familyName="Сейткали")
    report = region.imported()
    assert [(change.act, dict(change.fields)) for change in report.changes] == [
        ("change", {"family": ("Сейтқали", "Сейткали")}), ("keep", {"given": ("Тимур-бек", "Тимурхан")})]  # fmt: skip
    assert region.asked("SELECT given, family FROM child WHERE sourced_id = 'timur'") == [("Тимур-бек", "Сейткали")]


def test_a_seed_writes_no_old_spelling_over_a_correction(region: Region) -> None:
    from cloud.config import Settings

    described = read_district(json.dumps({
        "district": {"slug": region.slug, "name": "R"},
        "schools": [{"key": "s", "name": "S", "timezone": "UTC", "language": "en", "level": "primary",
                     "site": next(NUMBERS), "gates": []}],
        "staff": [{"key": "h", "given": "H", "family": "H", "school": "s", "role": "head", "powers": 0}],
        "children": [{"key": "k", "given": "Timur", "family": "B", "birth": "2021-01-03", "school": "s"}],
        "guardians": [{"key": "g", "given": "G", "family": "B", "language": "en", "wants": "card",
                       "children": [{"child": "k", "relation": "mother", "may_collect": True}]}],
    }).encode())  # fmt: skip
    settings = Settings(secret=bytes(32))
    load(region.pool, settings, described, clock.now())
    child = region.id_of("child", "k")
    with region.pool.tenant(region.district) as tx:
        made = corrections.propose_correction(tx, region.district, child_id=child, by=region.id_of("person", "g"),
                                              wanted={"given": "Timour"}, now=clock.now())  # fmt: skip
        corrections.decide_correction(tx, region.district, correction_id=made.id, accept=True,
                                      by=region.id_of("person", "h"), now=clock.now())  # fmt: skip
    again = described.model_copy(update={"children": [described.children[0].model_copy(update={"family": "Bek"})]})
    load(region.pool, settings, again, clock.now())
    assert region.asked("SELECT given, family FROM child") == [("Timour", "Bek")]


def test_a_right_that_a_person_ended_comes_back_by_no_file(region: Region) -> None:
    region.imported()
    child, head = region.id_of("child", "minh"), region.id_of("person", "head")
    with region.pool.tenant(region.district) as tx:
        [right] = escorts.escorts_of_child(tx, region.district, child, clock.now())
        escorts.remove_escort(tx, region.district, child_id=child, right_id=right.id, by=head, now=clock.now())
    assert not region.imported().changes
    region.change("users", "father", **{"metadata.portillon.relation": "stepfather"})
    report = region.imported()
    assert (report.changes[0].act, dict(report.changes[0].fields)) == ("keep", {"collect": ("false", "true")})
    with region.pool.tenant(region.district) as tx:
        assert escorts.escorts_of_child(tx, region.district, child, clock.now()) == []


def test_a_role_that_a_person_took_away_comes_back_by_no_file(region: Region) -> None:
    region.imported()
    teacher, head = region.id_of("person", "teacher"), region.id_of("person", "head")
    now = clock.now()
    with region.pool.tenant(region.district) as tx:
        school = schools.schools(tx, region.district)[0]
        for grant in grants.roles_of_school(tx, region.district, school.id, now.date()):
            if grant.person_id == teacher:
                grants.end_grant(tx, region.district, grant_id=grant.id, school_id=school.id, day=now.date(), by=head,
                                 now=now)  # fmt: skip
    region.change("roles", "role-teacher-1", beginDate="2026-08-31")
    assert acts(region.imported()) == [("keep", "role", "teacher teacher school")]
    assert region.one("SELECT count(*) FROM role_grant WHERE upper_inf(period) AND role = 'teacher'") == 0


def test_what_is_to_be_deleted_ends_by_date_and_stays_answerable(region: Region) -> None:
    region.imported()
    for key in ("timur", "teacher", "father"):
        region.change("users", key, status="tobedeleted")
    report = region.imported()
    assert [act for act in acts(report) if act[0] != "keep"] == [
        ("end", "enrolment", "timur school"), ("end", "tie", "minh father"), ("end", "role", "teacher teacher school"),
        ("end", "teacher", "teacher suns")]  # fmt: skip
    assert region.one("SELECT count(*) FROM child") == 3
    assert region.asked("SELECT c.sourced_id FROM enrolment e JOIN child c ON c.id = e.child_id"
                        " WHERE upper_inf(e.period) ORDER BY 1") == [("aigerim",), ("minh",)]  # fmt: skip
    assert region.one("SELECT count(*) FROM guardianship WHERE NOT upper_inf(period)") == 1
    assert region.one("SELECT count(*) FROM escort_right WHERE ended_at IS NOT NULL") == 1
    assert region.one("SELECT count(*) FROM class_teacher WHERE upper_inf(period)") == 0
    assert not region.imported().changes
    region.change("users", "timur", status="")
    assert ("add", "enrolment", "timur school") in acts(region.imported())


def test_the_last_head_of_a_school_ends_by_no_file(region: Region) -> None:
    region.imported()
    region.change("users", "head", status="tobedeleted")
    report = region.imported()
    assert ("ROLE_LAST_HEAD", "head head school") in [(notice.code, notice.key) for notice in report.notices]
    assert region.one("SELECT count(*) FROM role_grant WHERE role = 'head' AND upper_inf(period)") == 1


def test_a_child_in_another_class_keeps_the_days_in_the_first_one(region: Region) -> None:
    region.change("enrollments", "enrollment-suns-timur", beginDate="2026-09-01")
    region.imported()
    region.change("enrollments", "enrollment-suns-timur", classSourcedId="moons")
    assert acts(region.imported()) == [("change", "enrolment", "timur school")]
    rows = region.asked("SELECT k.sourced_id, upper_inf(e.period) FROM enrolment e JOIN class k ON k.id = e.class_id"
                        " JOIN child c ON c.id = e.child_id WHERE c.sourced_id = 'timur' ORDER BY lower(e.period)")
    assert rows == [("suns", False), ("moons", True)]


def test_what_a_set_does_not_name_any_more_stays_unless_one_asks(region: Region) -> None:
    region.imported()
    region.files["enrollments"].remove(row(region.files, "enrollments", "enrollment-suns-timur"))
    region.files["roles"].remove(row(region.files, "roles", "role-timur-1"))
    region.files["users"].remove(row(region.files, "users", "timur"))
    region.files["demographics"].remove(row(region.files, "demographics", "timur"))
    assert not region.imported().changes
    assert sorted(acts(region.imported(end_absent=True))) == [
        ("end", "enrolment", "timur school"), ("end", "tie", "timur aunt"), ("end", "tie", "timur mother")]  # fmt: skip
    assert not region.imported(end_absent=True).changes


def test_half_an_export_ends_nobody(region: Region) -> None:
    for number in range(ABSENT_FEW + 1):
        key = f"more-{number}"
        region.files["users"].append({"sourcedId": key, "enabledUser": "true", "givenName": "M", "familyName": key})
        region.files["roles"].append({"sourcedId": key, "userSourcedId": key, "role": "student",
                                      "orgSourcedId": "school"})  # fmt: skip
    region.imported()
    before = everything(region)
    region.files["users"] = [one for one in region.files["users"] if not one["sourcedId"].startswith("more-")]
    region.files["roles"] = [one for one in region.files["roles"] if not one["sourcedId"].startswith("more-")]
    with pytest.raises(RosterRefused) as refused:
        region.imported(end_absent=True)
    assert [(one.code, one.field) for one in refused.value.problems] == [("ABSENT_TOO_MANY", "enrolment")]
    assert everything(region) == before


def test_one_address_of_two_people_opens_nothing_and_one_person_under_two_keys_is_one(region: Region) -> None:
    region.change("users", "aunt", email="mother@x.example")
    region.files["users"].append({**row(region.files, "users", "father"), "sourcedId": "father-2"})
    region.files["roles"].append({"sourcedId": "f2", "userSourcedId": "father-2", "role": "parent",
                                  "orgSourcedId": "school"})  # fmt: skip
    region.change("users", "timur", agentSourcedIds="mother,aunt,father-2")
    report = region.imported()
    assert {notice.key for notice in report.notices if notice.code == "EMAIL_SHARED"} == {"mother", "aunt"}
    assert region.one("SELECT count(*) FROM person WHERE login_id IS NULL") == 2
    assert region.one("SELECT count(*) FROM person WHERE family = 'Nguyễn'") == 1
    assert region.one("SELECT count(*) FROM guardianship g JOIN person p ON p.id = g.person_id"
                      " WHERE p.family = 'Nguyễn'") == 2  # fmt: skip
    assert not region.imported().changes


def test_what_the_database_forbids_is_listed_and_nothing_is_written(region: Region) -> None:
    region.imported()
    before = everything(region)
    region.change("users", "minh", givenName="Other")
    second = {**row(region.files, "orgs", "school"), "sourcedId": "school-2", "metadata.portillon.site": ""}
    region.files["orgs"].append(second)
    region.change("classes", "suns", schoolSourcedId="school-2")
    for one in region.files["roles"]:
        if one["userSourcedId"] == "mother":
            one["role"] = "student"
    with pytest.raises(RosterRefused) as refused:
        region.imported()
    assert {(one.code, one.file) for one in refused.value.problems} == {
        ("CLASS_MOVED", "classes.csv"), ("KIND_CHANGED", "users.csv")}  # fmt: skip
    assert everything(region) == before


def test_a_set_that_is_heard_for_the_first_time_changes_nothing_that_stands_alike(region: Region) -> None:
    region.imported()
    with region.pool.tenant(region.district) as tx:
        tx.execute("UPDATE roster_row SET said = '{}'")
    report = region.imported()
    assert not report.changes_something


def test_a_region_gets_a_free_site_where_it_names_none(region: Region) -> None:
    region.change("orgs", "school", **{"metadata.portillon.site": ""})
    region.imported()
    assert region.one("SELECT number FROM site") > 100
    assert not region.imported().changes


def test_two_words_of_one_field_are_brought_together_by_who_spoke_last() -> None:
    before = {"given": digest("Old")}
    for said, stands, kept, outcome in (
        ("Old", "Old", before, ("Old", False, False)),  # nothing new
        ("New", "Old", before, ("New", True, False)),  # the source speaks, nobody else did
        ("Old", "Hers", before, ("Hers", False, False)),  # a person spoke, the source says nothing new
        ("New", "Hers", before, ("Hers", False, True)),  # both did: the person's word stands, and is told
        ("New", "New", before, ("New", False, False)),
        ("New", "Hers", None, ("New", True, False)),  # heard for the first time
    ):
        made = merged({"given": said}, kept, {"given": stands})
        assert (made.values["given"], bool(made.changed), bool(made.kept)) == outcome, (said, stands)
    assert merged({"given": "New"}, None, {"given": "Hers"}, frozenset({"given"})).kept
