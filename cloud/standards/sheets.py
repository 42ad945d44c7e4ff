"""The CSV files of OneRoster 1.1 and 1.2 as rows with their line numbers; every fault of form is listed. Pure.

Responsible for: the manifest, encodings, headers, cells: dates, words, lengths, characters, formulas (P18), sourcedIds.
A byte order mark and any line ends are taken. Not responsible for: what rows say of one another (oneroster.py).
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from cloud.standards.model import PROBLEMS_MAX, Problem, RosterRefused, shown

ROWS_MAX = 1_000_000  # of one file
COLUMNS_MAX = 100
CELL_CHARACTERS_MAX = 4_000  # a list of sourcedIds; texts are shorter
NAME_CHARACTERS_MAX = 100  # person_named, child_named
ID = re.compile(r"[^\s,\"'<>=+@-][^\s,\"<>]{0,254}")  # a sourcedId: no space, no comma, nothing that begins a formula
FORMULA = ("=", "+", "-", "@")  # what a spreadsheet takes for a command at the beginning of a cell
TURNS_TEXT = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
STATUS = frozenset({"", "active", "tobedeleted"})
VERSIONS = ("1.1", "1.2")
MODES = frozenset({"absent", "bulk", "delta"})

ROLES_1_1 = frozenset({"administrator", "aide", "guardian", "parent", "proctor", "relative", "student", "teacher"})
ROLES_1_2 = frozenset({
    "aide", "counselor", "districtAdministrator", "guardian", "parent", "principal", "proctor", "relative",
    "siteAdministrator", "student", "systemAdministrator", "teacher",
})  # fmt: skip
LEVELS = frozenset({"", "kindergarten", "primary", "secondary", "daycare"})
LANGUAGES = frozenset({"", "en", "fr", "kk", "ru", "vi"})
TRUTH = frozenset({"", "true", "false"})


@dataclass(frozen=True)
class Sheet:
    """A file as far as we read it. needed: filled in every row. texts: characters at most. refs: the file a sourcedId
    leads to; the cell is a list where the column ends with Ids. words: what may stand there. Other columns are let be.
    """

    needed: tuple[str, ...]
    texts: Mapping[str, int] = field(default_factory=dict)
    refs: Mapping[str, str] = field(default_factory=dict)
    dates: tuple[str, ...] = ()
    words: Mapping[str, frozenset[str]] = field(default_factory=dict)


USERS = Sheet(
    ("givenName", "familyName", "enabledUser"), {"givenName": NAME_CHARACTERS_MAX, "familyName": NAME_CHARACTERS_MAX,
    "email": 254, "metadata.portillon.relation": 40}, {"agentSourcedIds": "users"}, (),
    {"enabledUser": TRUTH, "metadata.portillon.language": LANGUAGES, "metadata.portillon.livesWith": TRUTH,
     "metadata.portillon.mayCollect": TRUTH},
)  # fmt: skip
SHEETS = {
    "orgs": Sheet(
        ("name", "type"), {"name": NAME_CHARACTERS_MAX, "metadata.portillon.timezone": 60},
        {"parentSourcedId": "orgs"}, (),
        {"type": frozenset({"department", "school", "district", "local", "state", "national"}),
         "metadata.portillon.level": LEVELS, "metadata.portillon.language": LANGUAGES},
    ),
    "academicSessions": Sheet(
        ("title", "type", "startDate", "endDate"), {"title": NAME_CHARACTERS_MAX},
        {"parentSourcedId": "academicSessions"}, ("startDate", "endDate"),
        {"type": frozenset({"gradingPeriod", "semester", "schoolYear", "term"})},
    ),
    "courses": Sheet(
        ("title", "orgSourcedId"), {}, {"orgSourcedId": "orgs", "schoolYearSourcedId": "academicSessions"}
    ),
    "classes": Sheet(
        ("title", "schoolSourcedId", "classType"), {"title": NAME_CHARACTERS_MAX},
        {"schoolSourcedId": "orgs", "courseSourcedId": "courses", "termSourcedIds": "academicSessions"}, (),
        {"classType": frozenset({"homeroom", "scheduled"})},
    ),
    "users": USERS,
    "roles": Sheet(
        ("userSourcedId", "role", "orgSourcedId"), {}, {"userSourcedId": "users", "orgSourcedId": "orgs"},
        ("beginDate", "endDate"), {"role": ROLES_1_2, "roleType": frozenset({"", "primary", "secondary"})},
    ),
    "enrollments": Sheet(
        ("classSourcedId", "schoolSourcedId", "userSourcedId", "role"), {},
        {"classSourcedId": "classes", "schoolSourcedId": "orgs", "userSourcedId": "users"}, ("beginDate", "endDate"),
        {"role": frozenset({"administrator", "proctor", "student", "teacher"}), "primary": TRUTH},
    ),
    "demographics": Sheet((), {}, {"sourcedId": "users"}, ("birthDate",)),
}  # fmt: skip
USERS_1_1 = Sheet(
    (*USERS.needed, "role", "orgSourcedIds"), USERS.texts, {**USERS.refs, "orgSourcedIds": "orgs"}, (),
    {**USERS.words, "role": ROLES_1_1},
)  # fmt: skip
ALWAYS = {"1.1": ("orgs", "users"), "1.2": ("orgs", "users", "roles")}


@dataclass(frozen=True)
class Row:
    """One line of a file."""

    file: str
    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")

    def ids(self, column: str) -> list[str]:
        """Return the sourcedIds of a list, each once, in their order."""
        return list(dict.fromkeys(one.strip() for one in self[column].split(",") if one.strip()))

    @property
    def is_gone(self) -> bool:
        return self["status"] == "tobedeleted"


class Findings:
    """Collects what is wrong, up to a bound; `raise_any` ends the reading."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.more = 0

    def add(self, code: str, file: str, line: int, column: str, found: str, to_type: str) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(code, file, line, column, shown(found), to_type))
        else:
            self.more += 1

    def at(self, code: str, row: Row, column: str, to_type: str) -> None:
        self.add(code, row.file, row.line, column, row[column], to_type)

    def raise_any(self) -> None:
        if self.problems:
            raise RosterRefused(self.problems, self.more)


Rows = dict[str, list[Row]]


def read_sheets(files: Mapping[str, bytes]) -> tuple[str, Rows]:
    """Return the version and the rows of every file that we read. Raises RosterRefused with all faults of form."""
    findings = Findings()
    version, present = _manifest(files, findings)
    findings.raise_any()
    rows: Rows = {}
    for name in SHEETS:
        if name in present and not (name == "roles" and version == "1.1"):
            sheet = USERS_1_1 if (name, version) == ("users", "1.1") else SHEETS[name]
            rows[name] = _rows(f"{name}.csv", files[f"{name}.csv"], sheet, findings)
    findings.raise_any()
    return version, rows


def _manifest(files: Mapping[str, bytes], findings: Findings) -> tuple[str, set[str]]:
    """Return the version and the names of the files that the manifest announces and that are there."""
    file = "manifest.csv"
    if file not in files:
        findings.add("FILE_MISSING", file, 0, "", "", "export the whole set: every OneRoster export has a manifest.csv")
        return "", set()
    said = {row["propertyName"]: row for row in _cells(file, files[file], ("propertyName", "value"), findings)}
    version = said["oneroster.version"]["value"] if "oneroster.version" in said else ""
    if version not in VERSIONS:
        line = said["oneroster.version"].line if "oneroster.version" in said else 0
        findings.add("MANIFEST_VERSION", file, line, "oneroster.version", version, "1.1 or 1.2")
        return "", set()
    present = set()
    for key, row in said.items():
        if not key.startswith("file."):
            continue
        name, mode = key.removeprefix("file."), row["value"]
        there = f"{name}.csv" in files
        if mode not in MODES:
            findings.at("MANIFEST_MODE", row, "value", "bulk or absent")
        elif mode == "delta":
            findings.at("MANIFEST_DELTA", row, "value", "bulk: export everything, not what changed")
        elif mode == "bulk" and not there:
            findings.add("FILE_MISSING", f"{name}.csv", 0, "", "", f"export {name}.csv as well, or say absent")
        elif mode == "absent" and there and name in SHEETS:
            findings.at("FILE_UNDECLARED", row, "value", f"bulk, for {name}.csv is there")
        elif mode == "bulk":
            present.add(name)
    for name in ALWAYS[version]:
        if name not in present and not any(one.file == f"{name}.csv" for one in findings.problems):
            findings.add("FILE_MISSING", file, 0, f"file.{name}", "absent", f"bulk, and export {name}.csv")
    return version, present


# --- one file -------------------------------------------------------------------------------------------------------


def _rows(file: str, data: bytes, sheet: Sheet, findings: Findings) -> list[Row]:
    rows, first_lines = [], dict[str, int]()
    for row in _cells(file, data, ("sourcedId", "status", *sheet.needed), findings):
        _check(row, sheet, findings)
        key = row["sourcedId"]
        if key in first_lines:
            findings.at("DUPLICATE", row, "sourcedId", f"another sourcedId: line {first_lines[key]} has this one")
        first_lines.setdefault(key, row.line)
        rows.append(row)
    return rows


def _cells(file: str, data: bytes, columns: Iterable[str], findings: Findings) -> list[Row]:
    """Return the rows of a file with the columns that must be in it; none where the file cannot be read at all."""
    text = _text(file, data, findings)
    if text is None:
        return []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    header: list[str] = []
    line = 1
    try:
        for cells in reader:
            if not header:
                header = [cell.strip() for cell in cells]
                if not _header_fits(file, header, columns, findings):
                    return []
            elif cells and any(cells):
                if len(cells) != len(header):
                    said = f"{len(cells)} cells"
                    findings.add("ROW_LENGTH", file, line, "", said, f"{len(header)} cells, as the header has")
                elif len(rows) >= ROWS_MAX:
                    findings.add("ROWS_TOO_MANY", file, line, "", "", f"{ROWS_MAX} rows at most: split the district")
                    return rows
                else:
                    rows.append(Row(file, line, dict(zip(header, (cell.strip() for cell in cells), strict=True))))
            line = reader.line_num + 1
    except csv.Error as error:
        findings.add("ROW_MALFORMED", file, line, "", str(error), 'a quote inside a cell as "", and the cell closed')
    return rows


def _text(file: str, data: bytes, findings: Findings) -> str | None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = repr(data[max(0, error.start - 10):error.end + 10])[2:-1]
        findings.add("ENCODING", file, line, "", found, 'UTF-8: in a spreadsheet save as "CSV UTF-8"')
        return None
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        findings.add("ENCODING", file, line, "", "NUL", 'UTF-8: in a spreadsheet save as "CSV UTF-8"')
        return None
    return text


def _header_fits(file: str, header: list[str], columns: Iterable[str], findings: Findings) -> bool:
    before = len(findings.problems)
    if len(header) > COLUMNS_MAX:
        findings.add("ROW_LENGTH", file, 1, "", f"{len(header)} columns", f"{COLUMNS_MAX} columns at most")
    for name in dict.fromkeys(columns):
        if name not in header:
            other = next((one for one in header if one.lower() == name.lower()), "")
            findings.add("COLUMN_MISSING", file, 1, name, other, f"{name} in the first line, spelt so")
    for name in sorted({one for one in header if one and header.count(one) > 1}):
        findings.add("COLUMN_TWICE", file, 1, name, name, "each column once")
    return len(findings.problems) == before


# --- one row --------------------------------------------------------------------------------------------------------


def _check(row: Row, sheet: Sheet, findings: Findings) -> None:
    if not ID.fullmatch(row["sourcedId"]):
        findings.at("ID", row, "sourcedId", "1 to 255 characters without spaces, commas and quotes")
    if row["status"] not in STATUS:
        findings.at("VALUE_UNKNOWN", row, "status", "active, tobedeleted or nothing")
    if row.is_gone:
        return  # Of what ends, only the sourcedId is read.
    for name in sheet.needed:
        if not row[name]:
            findings.at("VALUE_MISSING", row, name, "something: OneRoster requires it")
    for name, most in sheet.texts.items():
        _check_text(row, name, most, findings)
    for name in sheet.refs:
        if len(row[name]) > CELL_CHARACTERS_MAX:
            findings.at("VALUE_TOO_LONG", row, name, f"{CELL_CHARACTERS_MAX} characters at most")
    for name in sheet.dates:
        if row[name] and as_date(row[name]) is None:
            findings.at("DATE", row, name, "a date as 2026-09-01")
    for name, words in sheet.words.items():
        if row[name] and row[name] not in words:
            findings.at("VALUE_UNKNOWN", row, name, "one of " + ", ".join(sorted(words - {""})))


def _check_text(row: Row, name: str, most: int, findings: Findings) -> None:
    text = row[name]
    if len(text) > most:
        findings.at("VALUE_TOO_LONG", row, name, f"{most} characters at most")
    elif text.startswith(FORMULA):
        findings.at("FORMULA", row, name, "the text without = + - @ before it")
    elif any(unicodedata.category(letter) in ("Cc", "Cs", "Co") or letter in TURNS_TEXT for letter in text):
        findings.at("CHARACTERS", row, name, "letters only: no line ends, no marks that turn the text round")


def as_date(text: str) -> date | None:
    """Return a date as OneRoster writes it (2026-09-01), or None."""
    try:
        return date.fromisoformat(text) if DAY.fullmatch(text) else None
    except ValueError:
        return None
