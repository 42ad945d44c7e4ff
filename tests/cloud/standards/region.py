"""A small region as OneRoster files, to be spoilt: two schools of one site, a class, three children, five adults."""

import csv
import io
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from cloud.kit import clock
from cloud.kit.db import Database
from cloud.schools import service as schools
from cloud.standards.model import Report
from cloud.standards.oneroster import Roster, Wishes, read_roster
from cloud.standards.service import import_roster
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


def read(files: Files, folder: Path, wishes: Wishes = WISHES, at: datetime | None = None) -> Roster:
    version, rows = read_sheets(as_bytes(files, folder))
    return read_roster(version, rows, wishes, at or clock.now())


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


NUMBERS = iter(range(501, 600))


class Region:
    """A set on disk, its rows to be changed, and the district that it is imported into."""

    def __init__(self, pool: Database, folder: Path) -> None:
        site = next(NUMBERS)
        self.pool, self.folder, self.slug, self.files = pool, folder, f"region-{site}", a_region(site)

    def imported(self, at: datetime | None = None, **more: Any) -> Report:
        now = at or clock.now()
        return import_roster(self.pool, self.slug, read(self.files, self.folder, at=now), now, **more)

    def change(self, name: str, key: str, **cells: str) -> None:
        row(self.files, name, key).update(cells)

    @property
    def district(self) -> UUID:
        with self.pool.untenanted() as tx:
            found = schools.district_of_slug(tx, self.slug)
        assert found
        return found

    def asked(self, query: str) -> list[tuple[Any, ...]]:
        with self.pool.tenant(self.district) as tx:
            return tx.execute(query.encode()).fetchall()

    def one(self, query: str) -> Any:
        [[value]] = self.asked(query)
        return value

    def id_of(self, table: str, key: str) -> UUID:
        return self.one(f"SELECT id FROM {table} WHERE sourced_id = '{key}'")


def acts(report: Report) -> list[tuple[str, str, str]]:
    return [(change.act, change.kind, change.key) for change in report.changes]


Spoil = Callable[[Files], object]
