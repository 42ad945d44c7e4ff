"""The district of the seed as a OneRoster 1.2 set: what a region's own system would hand over.

Responsible for: files that `portillon-cloud import oneroster` takes, the same from the same district. Written after the
standard, not after our importer: every column of the standard is there, in its order. Not for: importing.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]

HEADERS = {
    "academicSessions": "sourcedId status dateLastModified title type startDate endDate parentSourcedId schoolYear",
    "orgs": "sourcedId status dateLastModified name type identifier parentSourcedId metadata.portillon.site"
    " metadata.portillon.timezone metadata.portillon.language metadata.portillon.level",
    "courses": "sourcedId status dateLastModified schoolYearSourcedId title courseCode grades orgSourcedId subjects"
    " subjectCodes",
    "classes": "sourcedId status dateLastModified title grades courseSourcedId classCode classType location"
    " schoolSourcedId termSourcedIds subjects subjectCodes periods",
    "users": "sourcedId status dateLastModified enabledUser username userIds givenName familyName middleName identifier"
    " email sms phone agentSourcedIds grades password userMasterIdentifier preferredGivenName preferredMiddleName"
    " preferredFamilyName primaryOrgSourcedId pronouns metadata.portillon.relation metadata.portillon.language"
    " metadata.portillon.livesWith metadata.portillon.mayCollect",
    "roles": "sourcedId status dateLastModified userSourcedId roleType role beginDate endDate orgSourcedId"
    " userProfileSourcedId",
    "enrollments": "sourcedId status dateLastModified classSourcedId schoolSourcedId userSourcedId role primary"
    " beginDate endDate",
    "demographics": "sourcedId status dateLastModified birthDate sex americanIndianOrAlaskaNative asian"
    " blackOrAfricanAmerican nativeHawaiianOrOtherPacificIslander white demographicRaceTwoOrMoreRaces"
    " hispanicOrLatinoEthnicity countryOfBirthCode stateOfBirthAbbreviation cityOfBirth"
    " publicSchoolResidenceStatus",
}
ABSENT = (
    "categories", "classResources", "courseResources", "lineItemLearningObjectiveIds", "lineItems",
    "lineItemScoreScales", "resources", "resultLearningObjectiveIds", "results", "resultScoreScales",
    "scoreScales", "userProfiles", "userResources",
)  # fmt: skip
ROLES = {"head": "principal", "office": "siteAdministrator", "teacher": "teacher", "gate_staff": "aide"}
YEAR, COURSE = "year-2026", "course-group"
DISTRICT = "district"


def oneroster_of(district: Json) -> dict[str, list[dict[str, str]]]:
    """Return name of the file -> rows, as the standard calls their columns."""
    files: dict[str, list[dict[str, str]]] = {name: [] for name in HEADERS}
    files["academicSessions"].append({
        "sourcedId": YEAR, "title": "2026/27", "type": "schoolYear", "startDate": "2026-08-01", "endDate": "2027-07-31",
        "schoolYear": "2027",
    })  # fmt: skip
    files["orgs"].append({"sourcedId": DISTRICT, "name": district["district"]["name"], "type": "district"})
    files["courses"].append({"sourcedId": COURSE, "title": "Group", "orgSourcedId": DISTRICT})
    for school in district["schools"]:
        _add_school(files, school)
    for member in district["staff"]:
        _add_adult(files, member, [(ROLES[member["role"]], member["school"])])
    schools = {child["key"]: child["school"] for child in district["children"]}
    _add_children(files, district)
    for guardian in district["guardians"]:
        ties = guardian["children"]
        role = "parent" if any(tie["authority"] for tie in ties) else "relative"
        at = dict.fromkeys(schools[tie["child"]] for tie in ties)
        extra = {"metadata.portillon.relation": ties[0]["relation"],
                 "metadata.portillon.livesWith": str(ties[0]["lives_with"]).lower()}  # fmt: skip
        _add_adult(files, guardian, [(role, school) for school in at], extra)
    return files


def write_oneroster(district: Json, folder: Path) -> None:
    """Write the set into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_files(oneroster_of(district), folder)


def write_files(files: Mapping[str, list[dict[str, str]]], folder: Path) -> None:
    """Write rows as the files of a set, with a manifest that says which are there."""
    for name, rows in files.items():
        columns = HEADERS[name].split()
        _write(folder / f"{name}.csv", [columns, *([row.get(column, "") for column in columns] for row in rows)])
    said = [("manifest.version", "1.0"), ("oneroster.version", "1.2")]
    said += sorted([(f"file.{name}", "bulk") for name in files] + [(f"file.{name}", "absent") for name in ABSENT])
    said += [("source.systemName", "Portillon simulator"), ("source.systemCode", "portillon-sim")]
    _write(folder / "manifest.csv", [("propertyName", "value"), *said])


def pack(folder: Path, archive: Path) -> None:
    """Pack a set as the standard wants it: its files at the top of a .zip."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(folder.glob("*.csv")):
            packed.write(file, file.name)


def _add_school(files: dict[str, list[dict[str, str]]], school: Json) -> None:
    files["orgs"].append({
        "sourcedId": school["key"], "name": school["name"], "type": "school", "parentSourcedId": DISTRICT,
        "metadata.portillon.site": str(school["site"]), "metadata.portillon.timezone": school["timezone"],
        "metadata.portillon.language": school["language"], "metadata.portillon.level": school["level"],
    })  # fmt: skip
    for part in school["classes"]:
        files["classes"].append({
            "sourcedId": part["key"], "title": part["name"], "courseSourcedId": COURSE, "classType": "homeroom",
            "schoolSourcedId": school["key"], "termSourcedIds": YEAR,
        })  # fmt: skip
        if part.get("teacher"):
            files["enrollments"].append(_enrollment(part["key"], school["key"], part["teacher"], "teacher"))


def _add_children(files: dict[str, list[dict[str, str]]], district: Json) -> None:
    agents: dict[str, list[str]] = {}
    for guardian in district["guardians"]:
        for tie in guardian["children"]:
            agents.setdefault(tie["child"], []).append(guardian["key"])
    for child in district["children"]:
        key, school = child["key"], child["school"]
        files["users"].append({
            **_named(child), "agentSourcedIds": ",".join(agents.get(key, [])), "primaryOrgSourcedId": school,
        })  # fmt: skip
        files["roles"].append(_role(key, "student", school, 1))
        files["demographics"].append({"sourcedId": key, "birthDate": child.get("birth") or ""})
        files["enrollments"].append(_enrollment(child["class"], school, key, "student"))


def _add_adult(
    files: dict[str, list[dict[str, str]]], adult: Json, roles: Iterable[tuple[str, str]],
    extra: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    files["users"].append({
        **_named(adult), "email": adult.get("email") or "", "metadata.portillon.language": adult.get("language") or "",
        **(extra or {}),
    })  # fmt: skip
    files["roles"] += [_role(adult["key"], role, org, place + 1) for place, (role, org) in enumerate(roles)]


def _named(human: Json) -> dict[str, str]:
    return {"sourcedId": human["key"], "enabledUser": "true", "username": human["key"], "givenName": human["given"],
            "familyName": human["family"] or human["given"]}  # fmt: skip


def _role(user: str, role: str, org: str, place: int) -> dict[str, str]:
    kind = "primary" if place == 1 else "secondary"
    return {"sourcedId": f"role-{user}-{place}", "userSourcedId": user, "roleType": kind, "role": role,
            "orgSourcedId": org}  # fmt: skip


def _enrollment(class_: str, school: str, user: str, role: str) -> dict[str, str]:
    return {"sourcedId": f"enrollment-{class_}-{user}", "classSourcedId": class_, "schoolSourcedId": school,
            "userSourcedId": user, "role": role, "primary": "true" if role == "teacher" else "false"}  # fmt: skip


def _write(file: Path, rows: Iterable[Iterable[str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened, lineterminator="\r\n").writerows(rows)
