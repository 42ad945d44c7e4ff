"""A small region as OneRoster files, to be spoilt: two schools of one site, a class, three children, five adults."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cloud.standards.oneroster import Roster, Wishes, read_roster
from cloud.standards.sheets import read_sheets
from simulators.oneroster import oneroster_of, write_files

Files = dict[str, list[dict[str, str]]]
WISHES = Wishes("Asia/Almaty", "kk", "kindergarten")


def a_region(site: int = 501) -> Files:
    """Return the rows of a set; `site` is unique in a database."""

    def tie(child: str, relation: str, decides: bool) -> dict[str, Any]:
        return {"child": child, "relation": relation, "authority": decides, "lives_with": decides}

    district = {
        "district": {"name": "Ақмола"},
        "schools": [{"key": "school", "name": "Балапан", "timezone": "Asia/Almaty", "language": "kk",
                     "level": "kindergarten", "site": site, "classes": [
                         {"key": "suns", "name": "Күн", "teacher": "teacher"}, {"key": "moons", "name": "Ай"}]}],
        "staff": [
            {"key": "head", "given": "Élodie", "family": "Durand", "email": "head@x.example", "role": "head",
             "school": "school"},
            {"key": "teacher", "given": "Мадина", "family": "О'Brien", "email": "teacher@x.example", "role": "teacher",
             "school": "school"},
        ],
        "children": [
            {"key": "aigerim", "given": "Айгерім", "family": "Сейтқали", "birth": "2022-05-17", "school": "school",
             "class": "suns"},
            {"key": "timur", "given": "Тимур", "family": "Сейтқали", "birth": "2021-02-03", "school": "school",
             "class": "suns"},
            {"key": "minh", "given": "Minh Đức", "family": "Nguyễn", "birth": "2021-12-31", "school": "school",
             "class": "moons"},
        ],
        "guardians": [
            {"key": "mother", "given": "Әсел", "family": "Сейтқали", "email": "mother@x.example", "language": "kk",
             "children": [tie("aigerim", "mother", True), tie("timur", "mother", True)]},
            {"key": "aunt", "given": "Дана", "family": "Сейтқали", "language": "ru",
             "children": [tie("timur", "aunt", False)]},
            {"key": "father", "given": "Hoà", "family": "Nguyễn", "email": "father@x.example", "language": "vi",
             "children": [tie("minh", "father", True)]},
        ],
    }  # fmt: skip
    return oneroster_of(district)


def row(files: Files, name: str, key: str) -> dict[str, str]:
    """Return the row of a sourcedId, to be changed."""
    return next(one for one in files[name] if one["sourcedId"] == key)


def as_bytes(files: Files, folder: Path) -> dict[str, bytes]:
    write_files(files, folder)
    return {file.name: file.read_bytes() for file in folder.glob("*.csv")}


def read(files: Files, folder: Path, wishes: Wishes = WISHES) -> Roster:
    version, rows = read_sheets(as_bytes(files, folder))
    return read_roster(version, rows, wishes)


def as_version_1_1(files: Files, folder: Path) -> dict[str, bytes]:
    """Return the same set as OneRoster 1.1 has it: role and orgs stand with the user, there is no roles.csv."""
    old = {"principal": "administrator", "siteAdministrator": "administrator"}
    for user in files["users"]:
        of_user = [one for one in files["roles"] if one["userSourcedId"] == user["sourcedId"]]
        user["role"] = old.get(of_user[0]["role"], of_user[0]["role"])
        user["orgSourcedIds"] = ",".join(one["orgSourcedId"] for one in of_user)
    data = as_bytes({name: rows for name, rows in files.items() if name not in ("roles", "users")}, folder)
    columns = ("sourcedId status dateLastModified enabledUser orgSourcedIds role username userIds givenName familyName"
               " middleName identifier email sms phone agentSourcedIds grades password").split()  # fmt: skip
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow(columns)
    table.writerows([user.get(column, "") for column in columns] for user in files["users"])
    data["users.csv"] = written.getvalue().encode()
    manifest = data["manifest.csv"].replace(b"oneroster.version,1.2", b"oneroster.version,1.1")
    data["manifest.csv"] = manifest + b"file.users,bulk\r\n"
    return data


Spoil = Callable[[Files], object]
