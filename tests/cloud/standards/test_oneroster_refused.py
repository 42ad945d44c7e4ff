"""What is wrong with a OneRoster set is listed whole, with file, line and what to type, before anything is written."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cloud.kit import clock
from cloud.standards import packed
from cloud.standards.model import PROBLEMS_MAX, Problem, RosterRefused, shown
from cloud.standards.oneroster import Wishes, read_roster
from cloud.standards.packed import read_set
from cloud.standards.sheets import read_sheets
from simulators.oneroster import pack
from tests.cloud.standards.region import (
    WISHES,
    Files,
    Spoil,
    a_region,
    as_bytes,
    as_version_1_1,
    read,
    row,
)


def refused(run: Callable[[], object]) -> list[Problem]:
    with pytest.raises(RosterRefused) as told:
        run()
    assert all(one.code and one.to_type for one in told.value.problems)
    return told.value.problems


def put(name: str, key: str, **cells: str) -> Spoil:
    return lambda files: row(files, name, key).update(cells)


# What is spoilt -> code, file, line, field
SPOILT: dict[str, tuple[Spoil, tuple[str, str, int, str]]] = {
    "a formula as a name (P18)": (
        put("users", "mother", givenName="=HYPERLINK(1)"), ("FORMULA", "users.csv", 7, "givenName")),
    "a formula as a class": (put("classes", "suns", title="@SUM(A1)"), ("FORMULA", "classes.csv", 2, "title")),
    "a name that turns the text round": (
        put("users", "timur", familyName="a\u202eb"), ("CHARACTERS", "users.csv", 5, "familyName")),
    "a line end inside a name": (
        put("users", "timur", familyName="a\nb"), ("CHARACTERS", "users.csv", 5, "familyName")),
    "a name of 101 letters": (
        put("users", "timur", givenName="x" * 101), ("VALUE_TOO_LONG", "users.csv", 5, "givenName")),
    "a name that is missing": (put("users", "timur", givenName=" "), ("VALUE_MISSING", "users.csv", 5, "givenName")),
    "a sourcedId with a space": (put("classes", "moons", sourcedId="a b"), ("ID", "classes.csv", 3, "sourcedId")),
    "a sourcedId that is a formula": (put("classes", "moons", sourcedId="=1"), ("ID", "classes.csv", 3, "sourcedId")),
    "the same sourcedId twice": (
        put("users", "timur", sourcedId="aigerim"), ("DUPLICATE", "users.csv", 5, "sourcedId")),
    "a status of another version": (
        put("orgs", "school", status="inactive"), ("VALUE_UNKNOWN", "orgs.csv", 3, "status")),
    "a role that there is not": (
        put("roles", "role-head-1", role="king"), ("VALUE_UNKNOWN", "roles.csv", 2, "role")),
    "a date that is none": (
        put("demographics", "timur", birthDate="2021-02-30"), ("DATE", "demographics.csv", 3, "birthDate")),
    "a date by weeks": (
        put("demographics", "timur", birthDate="2021-W05-3"), ("DATE", "demographics.csv", 3, "birthDate")),
    "a class of no school": (
        put("classes", "suns", schoolSourcedId="?1"), ("REFERENCE", "classes.csv", 2, "schoolSourcedId")),
    "a class of the district": (
        put("classes", "suns", schoolSourcedId="district"), ("REFERENCE", "classes.csv", 2, "schoolSourcedId")),
    "an agent who is nobody": (
        put("users", "minh", agentSourcedIds="father,ghost"), ("REFERENCE", "users.csv", 6, "agentSourcedIds")),
    "an enrollment in no class": (
        put("enrollments", "enrollment-suns-timur", classSourcedId="x"),
        ("REFERENCE", "enrollments.csv", 4, "classSourcedId")),
    "a parent below its child": (
        put("orgs", "district", parentSourcedId="school"), ("CYCLE", "orgs.csv", 2, "parentSourcedId")),
    "an org that is its own parent": (
        put("orgs", "school", parentSourcedId="school"), ("CYCLE", "orgs.csv", 3, "parentSourcedId")),
    "two districts": (
        lambda files: files["orgs"].append({"sourcedId": "d2", "name": "D", "type": "district"}),
        ("DISTRICTS_SEVERAL", "orgs.csv", 4, "type")),
    "no school": (put("orgs", "school", type="local"), ("SCHOOLS_NONE", "orgs.csv", 0, "type")),
    "a term that ends before it begins": (
        put("academicSessions", "year-2026", endDate="2026-01-01"),
        ("DATES_BACKWARDS", "academicSessions.csv", 2, "endDate")),
    "an enrollment that ends before it begins": (
        put("enrollments", "enrollment-suns-timur", beginDate="2026-09-02", endDate="2026-09-02"),
        ("DATES_BACKWARDS", "enrollments.csv", 4, "endDate")),
    "an address that is none": (put("users", "mother", email="at home"), ("EMAIL", "users.csv", 7, "email")),
    "a time zone that is none": (
        put("orgs", "school", **{"metadata.portillon.timezone": "Almaty"}),
        ("TIMEZONE", "orgs.csv", 3, "metadata.portillon.timezone")),
    "a site that is no number": (
        put("orgs", "school", **{"metadata.portillon.site": "101/#"}),
        ("SITE", "orgs.csv", 3, "metadata.portillon.site")),
    "a site beyond the wire": (
        put("orgs", "school", **{"metadata.portillon.site": "4294967296"}),
        ("SITE", "orgs.csv", 3, "metadata.portillon.site")),
    "a child who is a parent": (
        lambda files: files["roles"].append(
            {"sourcedId": "r", "userSourcedId": "timur", "role": "parent", "orgSourcedId": "school"}),
        ("ROLES_MIXED", "users.csv", 5, "sourcedId")),
    "a teacher who is none": (
        put("enrollments", "enrollment-suns-teacher", userSourcedId="mother"),
        ("REFERENCE", "enrollments.csv", 2, "userSourcedId")),
}  # fmt: skip


@pytest.mark.parametrize("what", SPOILT)
def test_a_set_with_one_fault_is_refused_by_its_file_and_line(what: str, tmp_path: Path) -> None:
    spoil, expected = SPOILT[what]
    read(a_region(), tmp_path)
    files = a_region()
    spoil(files)
    told = [(one.code, one.file, one.line, one.field) for one in refused(lambda: read(files, tmp_path))]
    assert expected in told
    assert {code for code, *_ in told} <= {expected[0], "REFERENCE"}, "one fault is not told as another"


def test_a_sixth_who_may_collect_is_found_before_anything_is_written(tmp_path: Path) -> None:
    files = a_region()
    for number in range(5):
        key = f"uncle-{number}"
        files["users"].append({"sourcedId": key, "enabledUser": "true", "givenName": "U", "familyName": key})
        files["roles"].append({"sourcedId": key, "userSourcedId": key, "role": "parent", "orgSourcedId": "school"})
        row(files, "users", "minh")["agentSourcedIds"] += f",{key}"
    [problem] = refused(lambda: read(files, tmp_path))
    assert (problem.code, problem.line) == ("AGENTS_TOO_MANY", 6)
    row(files, "users", "uncle-4")["metadata.portillon.mayCollect"] = "false"
    read(files, tmp_path)


def test_all_faults_are_listed_at_once(tmp_path: Path) -> None:
    files = a_region()
    put("users", "mother", givenName="=1", familyName="")(files)
    put("orgs", "school", status="x")(files)
    put("demographics", "timur", birthDate="yesterday")(files)
    told = refused(lambda: read(files, tmp_path))
    assert [one.code for one in told] == ["VALUE_UNKNOWN", "VALUE_MISSING", "FORMULA", "DATE"]


def test_a_set_of_nothing_but_faults_is_told_up_to_a_bound(tmp_path: Path) -> None:
    files = a_region()
    files["users"] += [{"sourcedId": f"u{number}", "enabledUser": "true"} for number in range(PROBLEMS_MAX)]
    with pytest.raises(RosterRefused) as told:
        read(files, tmp_path)
    assert (len(told.value.problems), told.value.more) == (PROBLEMS_MAX, PROBLEMS_MAX)


# --- bytes ----------------------------------------------------------------------------------------------------------


def bytes_read(data: dict[str, bytes]) -> object:
    version, rows = read_sheets(data)
    return read_roster(version, rows, WISHES, clock.now())


def test_a_byte_order_mark_and_any_line_ends_are_taken(tmp_path: Path) -> None:
    data = as_bytes(a_region(), tmp_path)
    assert all(b"\r\n" in one for one in data.values())
    plain = {name: one.replace(b"\r\n", b"\n") for name, one in data.items()}
    marked = {name: b"\xef\xbb\xbf" + one for name, one in data.items()}
    assert bytes_read(plain) == bytes_read(marked) == bytes_read(data)


BYTES: dict[str, tuple[str, Callable[[bytes], bytes], str, int]] = {
    "Latin-1": ("users.csv", lambda data: data.replace("Élodie".encode(), "Élodie".encode("latin-1")), "ENCODING", 2),
    "UTF-16": ("users.csv", lambda data: data.decode().encode("utf-16"), "ENCODING", 1),
    "NUL": ("orgs.csv", lambda data: data.replace("Балапан".encode(), b"\x00"), "ENCODING", 3),
    "an open quote": ("orgs.csv", lambda data: data.replace("Балапан".encode(), b'"x'), "ROW_MALFORMED", 3),
    "a cell too many": ("orgs.csv", lambda data: data.replace("Балапан".encode(), b"a,b"), "ROW_LENGTH", 3),
    "a header in another case": ("orgs.csv", lambda data: data.replace(b"sourcedId", b"SourcedId", 1),
                                 "COLUMN_MISSING", 1),
    "a column twice": ("orgs.csv", lambda data: data.replace(b"identifier", b"name", 1), "COLUMN_TWICE", 1),
    "an empty file": ("orgs.csv", lambda data: b"", "SCHOOLS_NONE", 0),
    "an unknown version": ("manifest.csv", lambda data: data.replace(b"version,1.2", b"version,2.0"),
                           "MANIFEST_VERSION", 3),
    "a delta": ("manifest.csv", lambda data: data.replace(b"users,bulk", b"users,delta"), "MANIFEST_DELTA", 24),
    "a mode that is none": ("manifest.csv", lambda data: data.replace(b"users,bulk", b"users,all"),
                            "MANIFEST_MODE", 24),
    "a file that is said to be absent": ("manifest.csv", lambda data: data.replace(b"classes,bulk", b"classes,absent"),
                                         "FILE_UNDECLARED", 7),
    "no word on users": ("manifest.csv", lambda data: data.replace(b"file.users,bulk\r\n", b""), "FILE_MISSING", 0),
}  # fmt: skip


@pytest.mark.parametrize("what", BYTES)
def test_a_file_that_is_not_as_the_standard_says_is_refused(what: str, tmp_path: Path) -> None:
    name, spoil, code, line = BYTES[what]
    data = as_bytes(a_region(), tmp_path)
    spoilt = spoil(data[name])
    assert spoilt != data[name]
    told = refused(lambda: bytes_read({**data, name: spoilt}))
    if what == "an empty file":
        assert {one.code for one in told} >= {"REFERENCE"}, "whatever leads to it is told"
        return
    assert (code, line) in [(one.code, one.line) for one in told]


@pytest.mark.parametrize("name", ["manifest.csv", "users.csv", "roles.csv", "classes.csv"])
def test_a_file_that_is_missing_is_named(name: str, tmp_path: Path) -> None:
    data = as_bytes(a_region(), tmp_path)
    del data[name]
    assert ("FILE_MISSING", name) in [(one.code, one.file) for one in refused(lambda: bytes_read(data))]


# --- archives -------------------------------------------------------------------------------------------------------


def a_zip(tmp_path: Path, members: dict[str, bytes]) -> Path:
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed_set:
        for name, data in members.items():
            packed_set.writestr(name, data)
    return archive


def test_a_zip_is_as_good_as_its_folder(tmp_path: Path) -> None:
    data = as_bytes(a_region(), tmp_path)
    pack(tmp_path, tmp_path / "set.zip")
    assert read_set(tmp_path / "set.zip") == read_set(tmp_path) == data
    assert read_set(a_zip(tmp_path, {f"export/{name}": one for name, one in data.items()})) == data


@pytest.mark.parametrize(("name", "code"), [
    ("../manifest.csv", "ZIP_UNSAFE"), ("/etc/manifest.csv", "ZIP_UNSAFE"), ("a/b/manifest.csv", "ZIP_UNSAFE"),
    ("..\\manifest.csv", "ZIP_UNSAFE"),
])  # fmt: skip
def test_a_member_that_leads_elsewhere_is_refused(name: str, code: str, tmp_path: Path) -> None:
    [problem] = refused(lambda: read_set(a_zip(tmp_path, {name: b"x"})))
    assert problem.code == code


def test_a_bomb_is_counted_and_not_believed(tmp_path: Path) -> None:
    bomb = a_zip(tmp_path, {"users.csv": bytes(packed.FILE_BYTES_MAX + 1)})
    assert bomb.stat().st_size < 1_000_000
    # The archive lies about the size of what it holds: ten bytes, it says, in both of its places.
    size = (packed.FILE_BYTES_MAX + 1).to_bytes(4, "little")
    lying = bomb.read_bytes()
    assert lying.count(size) >= 1
    [problem] = refused(lambda: read_set(bomb))
    assert problem.code == "SET_TOO_LARGE"
    bomb.write_bytes(lying.replace(size, (10).to_bytes(4, "little")))
    assert refused(lambda: read_set(bomb) and bytes_read(read_set(bomb)))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"x" * 1000, b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "set.zip").write_bytes(data)
    told = refused(lambda: bytes_read(read_set(tmp_path / "set.zip")))
    assert told[0].code in ("ZIP_BROKEN", "FILE_MISSING")


def test_an_archive_of_too_many_files_one_twice_or_with_a_password_is_refused(tmp_path: Path) -> None:
    many = a_zip(tmp_path, {f"{number}.csv": b"" for number in range(packed.MEMBERS_MAX + 1)})
    assert refused(lambda: read_set(many))[0].code == "SET_TOO_LARGE"
    twice = a_zip(tmp_path, {"users.csv": b"", "a/users.csv": b""})
    assert refused(lambda: read_set(twice))[0].code == "ZIP_UNSAFE"
    locked = a_zip(tmp_path, {"users.csv": b"secret"})
    data = bytearray(locked.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    locked.write_bytes(bytes(data))
    assert refused(lambda: read_set(locked))[0].code == "ZIP_UNSAFE"


def test_nothing_at_all_is_refused_with_what_to_type(tmp_path: Path) -> None:
    assert refused(lambda: read_set(tmp_path / "none"))[0].code == "SET_MISSING"
    assert refused(lambda: bytes_read(read_set(tmp_path)))[0].code == "FILE_MISSING"


# --- what is taken --------------------------------------------------------------------------------------------------


def test_a_set_of_version_1_1_says_the_same_of_children_and_guardians(tmp_path: Path) -> None:
    new = read(a_region(), tmp_path)
    version, rows = read_sheets(as_version_1_1(a_region(), tmp_path))
    assert version == "1.1"
    old = read_roster(version, rows, WISHES, clock.now())
    keys = {kind: {one.key for one in new.said if one.kind == kind} for kind in ("child", "enrolment", "tie", "role")}
    assert keys == {kind: {one.key for one in old.said if one.kind == kind} for kind in keys}
    assert {"head head school", "teacher teacher school"} == keys["role"]


def test_a_relative_and_an_agent_who_is_no_guardian_are_reported(tmp_path: Path) -> None:
    files = a_region()
    put("users", "minh", agentSourcedIds="father,teacher")(files)
    put("users", "aunt", **{"metadata.portillon.relation": ""})(files)
    told = {(one.code, one.key) for one in read(files, tmp_path).notices}
    assert {("RELATION_UNKNOWN", "timur aunt"), ("AGENT_NOT_GUARDIAN", "minh teacher")} <= told


def test_a_child_of_many_classes_and_no_homeroom_is_enrolled_in_none(tmp_path: Path) -> None:
    files = a_region()
    for key in ("suns", "moons"):
        put("classes", key, classType="scheduled")(files)
    files["enrollments"].append({**row(files, "enrollments", "enrollment-suns-timur"), "sourcedId": "e",
                                 "classSourcedId": "moons"})  # fmt: skip
    roster = read(files, tmp_path)
    [enrolment] = [one for one in roster.said if one.key == "timur school"]
    assert enrolment.fields["class"] == ""
    assert ("HOMEROOM", "timur") in [(one.code, one.key) for one in roster.notices]


def test_a_set_that_says_no_time_zone_asks_for_one(tmp_path: Path) -> None:
    files: Files = a_region()
    put("orgs", "school", **{"metadata.portillon.timezone": ""})(files)
    read(files, tmp_path)
    [problem] = refused(lambda: read(files, tmp_path, Wishes()))
    assert (problem.code, "--timezone" in problem.to_type) == ("TIMEZONE", True)


def test_what_a_terminal_would_obey_is_shown_as_letters() -> None:
    assert shown("a\x1b[2J\u202eb") == "a\\u001b[2J\\u202eb"
    assert len(shown("x" * 500)) == 60
