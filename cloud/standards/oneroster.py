"""From the rows of a OneRoster set to what they say of schools and people; every loose end is listed. Pure.

Responsible for: sourcedIds that lead nowhere or in a circle, roles and what they are here, guardians of children, one
class a child, and which of several rows of one thing counts: a running one before one of last year, and any of them
before a deleted one. Not responsible for: the form of the files (sheets.py), what stands in the database (service.py).
What OneRoster has no word for (site, time zone, language, level) is asked for, or given in `metadata.portillon.…`.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

from cloud.kit import clock
from cloud.standards.model import Fields, Notice, Said
from cloud.standards.sheets import SHEETS, USERS_1_1, Findings, Row, Rows, as_date
from protocols.limits import ESCORTS_PER_CHILD_MAX, UINT32_MAX

GUARDIANS = frozenset({"guardian", "parent", "relative"})
HERE = {
    "principal": "head", "siteAdministrator": "office", "teacher": "teacher",
    "districtAdministrator": "district_officer", "aide": "member", "counselor": "member", "proctor": "member",
}  # fmt: skip
"""What a role of OneRoster is here; member: staff with no role yet. `administrator` of 1.1 is the head of a school or
the officer of a district; a systemAdministrator is nobody here."""
NO_END = date.max.isoformat()
SESSIONS = {"schoolYear": "schoolYear", "term": "term", "semester": "term", "gradingPeriod": "gradingPeriod"}


@dataclass(frozen=True)
class Wishes:
    """What the command says where the set does not. Empty text: not given."""

    timezone: str = ""
    language: str = ""
    level: str = ""


@dataclass(frozen=True)
class Roster:
    """All that a set says, in the order in which it can be written; a link once. gone: users who were deleted."""

    said: list[Said]
    notices: list[Notice]
    gone: frozenset[str]


@dataclass(frozen=True)
class _Role:
    """One role of a user at an org."""

    user: str
    role: str
    org: str
    row: Row


@dataclass
class _Reading:
    rows: Rows
    version: str
    wishes: Wishes
    now: datetime
    findings: Findings = field(default_factory=Findings)
    notices: list[Notice] = field(default_factory=list)
    by_key: dict[str, dict[str, Row]] = field(default_factory=dict)
    roles: list[_Role] = field(default_factory=list)
    roles_of: dict[str, list[_Role]] = field(default_factory=dict)

    def of(self, name: str) -> list[Row]:
        return self.rows.get(name, [])

    def note(self, code: str, kind: str, key: str, words: str) -> None:
        self.notices.append(Notice(code, kind, key, words))

    def has(self, user: str, *roles: str) -> bool:
        return any(one.role in roles for one in self.roles_of.get(user, ()))

    def is_gone(self, user: str) -> bool:
        return user in self.by_key["users"] and self.by_key["users"][user].is_gone

    def today(self, school: str) -> date:
        """Return the day at a school, as far as the set says its time zone; else the day in UTC."""
        row = self.by_key["orgs"].get(school)
        timezone = (row["metadata.portillon.timezone"] if row else "") or self.wishes.timezone
        return clock.school_day(self.now, timezone) if clock.is_timezone(timezone) else self.now.date()


def read_roster(version: str, rows: Rows, wishes: Wishes, now: datetime) -> Roster:
    """Return what a set says; now: decides which of several dated rows runs. Raises RosterRefused: every loose end."""
    reading = _Reading(rows, version, wishes, now)
    reading.by_key = {name: {row["sourcedId"]: row for row in found} for name, found in rows.items()}
    _check_references(reading)
    _check_circles(reading, "orgs")
    _check_circles(reading, "academicSessions")
    reading.findings.raise_any()
    reading.roles = list(_roles(reading))
    for one in reading.roles:
        reading.roles_of.setdefault(one.user, []).append(one)
    said = [
        *_district(reading), *_sessions(reading), *_schools(reading), *_classes(reading), *_people(reading),
        *_children(reading), *_enrolments(reading), *_ties(reading), *_staff(reading), *_teachers(reading),
    ]
    reading.findings.raise_any()
    return Roster(said, reading.notices, frozenset(row["sourcedId"] for row in reading.of("users") if row.is_gone))


def _check_references(reading: _Reading) -> None:
    for name, rows in reading.rows.items():
        sheet = USERS_1_1 if (name, reading.version) == ("users", "1.1") else SHEETS[name]
        for row in (one for one in rows if not one.is_gone):
            for column, target in sheet.refs.items():
                known = reading.by_key.get(target)
                ids = row.ids(column) if column.endswith("Ids") else [row[column]]
                for key in (one for one in ids if one and known is not None and one not in known):
                    reading.findings.add(
                        "REFERENCE", row.file, row.line, column, key, f"a sourcedId that stands in {target}.csv"
                    )


def _check_circles(reading: _Reading, name: str) -> None:
    parents = {row["sourcedId"]: row["parentSourcedId"] for row in reading.of(name) if not row.is_gone}
    whole: set[str] = set()
    for row in reading.of(name):
        walked: dict[str, None] = {}
        key = row["sourcedId"]
        while key and key not in whole and key not in walked:
            walked[key] = None
            key = parents.get(key, "")
        if key in walked and row["sourcedId"] in list(walked)[list(walked).index(key):]:
            reading.findings.at("CYCLE", row, "parentSourcedId", "a parent that is not below it")
        whole |= walked.keys()


def _roles(reading: _Reading) -> Iterator[_Role]:
    if reading.version == "1.2":
        for row in reading.of("roles"):
            if not row.is_gone and not reading.is_gone(row["userSourcedId"]):
                yield _Role(row["userSourcedId"], row["role"], row["orgSourcedId"], row)
        return
    for row in reading.of("users"):
        for org in () if row.is_gone else row.ids("orgSourcedIds"):
            yield _Role(row["sourcedId"], row["role"], org, row)


# --- places ---------------------------------------------------------------------------------------------------------


def _district(reading: _Reading) -> Iterator[Said]:
    found = [row for row in reading.of("orgs") if row["type"] == "district" and not row.is_gone]
    for row in found[1:]:
        reading.findings.at("DISTRICTS_SEVERAL", row, "type", "one district a set: import each by itself")
    for row in found[:1]:
        yield Said("district", "", {"name": row["name"]}, False, row.file, row.line)


def _sessions(reading: _Reading) -> Iterator[Said]:
    for row in reading.of("academicSessions"):
        if row.is_gone:
            reading.note("STAYS", "session", row["sourcedId"], "a session stays: facts belong to it")
            continue
        if row["endDate"] < row["startDate"]:
            reading.findings.at("DATES_BACKWARDS", row, "endDate", "a date after startDate")
        yield Said("session", row["sourcedId"], {
            "kind": SESSIONS[row["type"]], "name": row["title"], "first": row["startDate"], "last": row["endDate"],
        }, False, row.file, row.line)


def _schools(reading: _Reading) -> Iterator[Said]:
    schools = [row for row in reading.of("orgs") if row["type"] == "school"]
    if not any(not row.is_gone for row in schools):
        reading.findings.add("SCHOOLS_NONE", "orgs.csv", 0, "type", "", "school, for at least one org")
    for row in schools:
        if row.is_gone:
            reading.note("STAYS", "school", row["sourcedId"], "a school is closed by people, not by a file")
            continue
        fields = {
            "name": row["name"],
            "timezone": row["metadata.portillon.timezone"] or reading.wishes.timezone,
            "language": row["metadata.portillon.language"] or reading.wishes.language,
            "level": row["metadata.portillon.level"] or reading.wishes.level,
            "site": row["metadata.portillon.site"],
        }
        if not clock.is_timezone(fields["timezone"]):
            reading.findings.add("TIMEZONE", row.file, row.line, "metadata.portillon.timezone", fields["timezone"],
                                 "--timezone with an IANA name, as Asia/Almaty")  # fmt: skip
        site = fields["site"]
        if site and not (site.isascii() and site.isdecimal() and len(site) <= 10 and 1 <= int(site) <= UINT32_MAX):
            reading.findings.at("SITE", row, "metadata.portillon.site", f"a number from 1 to {UINT32_MAX}, or nothing")
        yield Said("school", row["sourcedId"], fields, False, row.file, row.line)


def _school_keys(reading: _Reading) -> set[str]:
    return {row["sourcedId"] for row in reading.of("orgs") if row["type"] == "school" and not row.is_gone}


def _classes(reading: _Reading) -> Iterator[Said]:
    schools = _school_keys(reading)
    for row in reading.of("classes"):
        if row.is_gone:
            reading.note("STAYS", "class", row["sourcedId"], "a class stays: who was in it must stay answerable")
        elif row["schoolSourcedId"] not in schools:
            reading.findings.at("REFERENCE", row, "schoolSourcedId", "an org of type school")
        else:
            yield Said("class", row["sourcedId"], {"name": row["title"], "school": row["schoolSourcedId"]}, False,
                       row.file, row.line)  # fmt: skip


# --- people ---------------------------------------------------------------------------------------------------------


def _is_child(reading: _Reading, user: str) -> bool:
    return reading.has(user, "student")


def _people(reading: _Reading) -> Iterator[Said]:
    """Adults: guardians and staff. The address is not kept where two of different names share it."""
    adults = [row for row in reading.of("users") if not row.is_gone and not _is_child(reading, row["sourcedId"])]
    owners: dict[str, set[str]] = {}
    for row in adults:
        owners.setdefault(row["email"].lower(), set()).add(_name(row))
    for row in adults:
        key, email = row["sourcedId"], row["email"].lower()
        if not reading.has(key, *GUARDIANS, *HERE, "administrator"):
            reading.note("ROLE_NOT_USED", "person", key, "no role that counts here: not taken in")
            continue
        if email and not _is_address(email):
            reading.findings.at("EMAIL", row, "email", "an address as name@example.org, or nothing")
        if email and len(owners[email]) > 1:
            reading.note("EMAIL_SHARED", "person", key, "two people have this address: it opens nothing, use letters")
            email = ""
        yield Said("person", key, {
            "given": row["givenName"], "family": row["familyName"], "email": email,
            "language": row["metadata.portillon.language"] or reading.wishes.language or "en",
        }, False, row.file, row.line)


def _name(row: Row) -> str:
    return f"{row['givenName']} {row['familyName']}".casefold()


def _is_address(text: str) -> bool:
    before, at, host = text.partition("@")
    return bool(before and at and host) and "@" not in host and not any(letter.isspace() for letter in text)


def _children(reading: _Reading) -> Iterator[Said]:
    births = {row["sourcedId"]: row["birthDate"] for row in reading.of("demographics") if not row.is_gone}
    for row in reading.of("users"):
        if row.is_gone or not _is_child(reading, row["sourcedId"]):
            continue
        if reading.has(row["sourcedId"], *GUARDIANS, *HERE, "administrator"):
            reading.findings.at("ROLES_MIXED", row, "sourcedId", "another user for the adult: a student is a child")
        yield Said("child", row["sourcedId"], {
            "given": row["givenName"], "family": row["familyName"], "birth": births.get(row["sourcedId"], ""),
        }, False, row.file, row.line)


# --- who is where ---------------------------------------------------------------------------------------------------


def _enrolments(reading: _Reading) -> Iterator[Said]:
    """One a child and school: in the homeroom of today, else in its only class of today, else in none."""
    schools = _school_keys(reading)
    placed: dict[tuple[str, str], list[Row]] = {}
    ending: dict[tuple[str, str], Row] = {}
    for row in reading.of("enrollments"):
        key = (row["userSourcedId"], row["schoolSourcedId"])
        if reading.is_gone(key[0]):
            continue
        if row.is_gone:
            ending[key] = row
        elif row["role"] == "student" and row["schoolSourcedId"] in schools:
            _check_dates(reading, row)
            placed.setdefault(key, []).append(row)
    at_school: dict[tuple[str, str], list[Row]] = {}
    for one in (one for one in reading.roles if one.role == "student" and one.org in schools):
        at_school.setdefault((one.user, one.org), []).append(one.row)
    for key in dict.fromkeys([*placed, *at_school]):
        if not _is_child(reading, key[0]):
            reading.findings.at("REFERENCE", placed[key][0], "userSourcedId", "a user who is a student")
            continue
        today = reading.today(key[1])
        row = _home_class(reading, _of_today(placed[key], today)) if key in placed else None
        rows = placed[key] if row or key not in at_school else at_school[key]
        said = row or _one_of(rows, today)
        fields = {"class": row["classSourcedId"] if row else "",
                  "first": said["beginDate"], "last": _until(said, rows)}  # fmt: skip
        yield Said("enrolment", " ".join(key), fields, False, said.file, said.line)
    for (child, school), row in ending.items():
        if not child or not school:
            reading.note("ENDS_WHAT", "enrolment", row["sourcedId"], "its row names no user or school: left as it is")
        elif (child, school) not in placed and (child, school) not in at_school and row["role"] == "student":
            yield Said("enrolment", f"{child} {school}", {}, True, row.file, row.line)


def _home_class(reading: _Reading, rows: list[Row]) -> Row | None:
    classes = reading.by_key.get("classes", {})
    homerooms = [row for row in rows if classes.get(row["classSourcedId"], row)["classType"] == "homeroom"]
    if len(homerooms) == 1 or len(rows) == 1:
        return homerooms[0] if homerooms else rows[0]
    reading.note("HOMEROOM", "enrolment", rows[0]["userSourcedId"],
                 "several classes and not one homeroom among them: enrolled at the school, in no class")  # fmt: skip
    return None


def _check_dates(reading: _Reading, row: Row) -> None:
    first, last = as_date(row["beginDate"]), as_date(row["endDate"])
    if first and last and last <= first:
        reading.findings.at("DATES_BACKWARDS", row, "endDate", "a date after beginDate")


def _ties(reading: _Reading) -> Iterator[Said]:
    """Who is guardian of whom: said by the child's agents, or by the guardian's."""
    users = reading.by_key["users"]
    collecting: dict[str, set[str]] = {}
    pairs: dict[tuple[str, str], Row] = {}
    for row in (one for one in reading.of("users") if not one.is_gone):
        for other in row.ids("agentSourcedIds"):
            is_child = _is_child(reading, row["sourcedId"])
            child, adult = (row["sourcedId"], other) if is_child else (other, row["sourcedId"])
            if users[other].is_gone:
                continue
            if not _is_child(reading, child) or not reading.has(adult, *GUARDIANS):
                reading.note("AGENT_NOT_GUARDIAN", "tie", f"{child} {adult}",
                             "an agent who is no guardian, parent or relative of a student: no tie")  # fmt: skip
                continue
            pairs.setdefault((child, adult), row)
    for (child, adult), row in pairs.items():
        fields = _tie_fields(reading, users[adult])
        if fields["relation"] == "relative" and fields["authority"] == "false":
            reading.note("RELATION_UNKNOWN", "tie", f"{child} {adult}",
                         "a relative decides nothing and collects nobody until a parent or the office says so")
        if fields["collect"] == "true":
            collecting.setdefault(child, set()).add(adult)
        yield Said("tie", f"{child} {adult}", fields, False, row.file, row.line)
    for child, adults in collecting.items():
        if len(adults) > ESCORTS_PER_CHILD_MAX:
            reading.findings.at("AGENTS_TOO_MANY", users[child], "agentSourcedIds",
                                f"{ESCORTS_PER_CHILD_MAX} who collect at most, parents counted: "
                                "metadata.portillon.mayCollect=false for the others")  # fmt: skip


def _tie_fields(reading: _Reading, adult: Row) -> Fields:
    """OneRoster tells neither who lives with a child nor who may collect: parents and guardians may, relatives not."""
    decides = reading.has(adult["sourcedId"], "parent", "guardian")
    role = next(one.role for one in reading.roles_of[adult["sourcedId"]] if one.role in GUARDIANS)
    return {
        "relation": adult["metadata.portillon.relation"] or role,
        "authority": "true" if decides else "false",
        "lives": adult["metadata.portillon.livesWith"] or "false",
        "collect": adult["metadata.portillon.mayCollect"] or ("true" if decides else "false"),
    }


def _staff(reading: _Reading) -> Iterator[Said]:
    schools = _school_keys(reading)
    held: dict[tuple[str, str, str], list[Row]] = {}
    for one in reading.roles:
        at_school = one.org in schools
        role = HERE.get(one.role, "")
        if one.role == "administrator":
            role = "head" if at_school else "district_officer"
        if one.role in GUARDIANS or one.role == "student":
            continue
        if not role or (role == "district_officer") == at_school:
            key = f"{one.user} {one.role} {one.org}"
            reading.note("ROLE_NOT_USED", "role", key, "this role at this org is none here")
            continue
        held.setdefault((one.user, role, one.org if at_school else "*"), []).append(one.row)
    for key, rows in held.items():
        yield _dated("role", " ".join(key), rows, reading.today(key[2]))
    yield from _roles_that_end(reading, schools, held)


def _roles_that_end(reading: _Reading, schools: set[str], held: Container[tuple[str, str, str]]) -> Iterator[Said]:
    """Deleted rows, but where another row says the same role. An org that never was a school here ends nothing."""
    ending: dict[tuple[str, str, str], Row] = {}
    for row in reading.of("roles"):
        user, role, org = row["userSourcedId"], HERE.get(row["role"], ""), row["orgSourcedId"]
        if row.is_gone and role and user and not reading.is_gone(user):
            if role != "district_officer" and org:
                ending[user, role, org] = row
            elif role == "district_officer" and org not in schools:
                ending[user, role, "*"] = row
    for key, row in ending.items():
        if key not in held:
            yield Said("role", " ".join(key), {}, True, row.file, row.line)


def _teachers(reading: _Reading) -> Iterator[Said]:
    held: dict[tuple[str, str], list[Row]] = {}
    ending: dict[tuple[str, str], Row] = {}
    for row in reading.of("enrollments"):
        user, key = row["userSourcedId"], (row["userSourcedId"], row["classSourcedId"])
        if row["role"] != "teacher" or not all(key) or reading.is_gone(user):
            continue
        if row.is_gone:
            ending[key] = row
            continue
        if not reading.has(user, "teacher", "principal", "administrator"):
            reading.findings.at("REFERENCE", row, "userSourcedId", "a user who is a teacher (roles.csv)")
        held.setdefault(key, []).append(row)
    for key, rows in held.items():
        yield _dated("teacher", " ".join(key), rows, reading.today(rows[0]["schoolSourcedId"]))
    for key, row in ending.items():
        if key not in held:
            yield Said("teacher", " ".join(key), {}, True, row.file, row.line)


# --- dates ----------------------------------------------------------------------------------------------------------


def _dated(kind: str, key: str, rows: list[Row], today: date) -> Said:
    """What rows of one link say together. It is over where the last of them has ended."""
    row = _one_of(rows, today)
    return Said(kind, key, {"first": row["beginDate"], "last": _until(row, rows)}, _is_over(row, today), row.file,
                row.line)  # fmt: skip


def _one_of(rows: list[Row], today: date) -> Row:
    return max(_of_today(rows, today), key=_end)


def _of_today(rows: list[Row], today: date) -> list[Row]:
    """Return the rows that run; where none does, the next to begin; where all are over, the last to end."""
    to_come = [row for row in rows if not _is_over(row, today)]
    running = [row for row in to_come if (as_date(row["beginDate"]) or date.min) <= today]
    if running or not to_come:
        return running or [max(rows, key=_end)]
    return [row for row in to_come if row["beginDate"] == min(one["beginDate"] for one in to_come)]


def _until(row: Row, rows: list[Row]) -> str:
    """Return the end of a row or, where others go on without a gap, of the last of them: the next set may come late."""
    end = _end(row)
    while longer := [_end(one) for one in rows if one["beginDate"] <= end < _end(one)]:
        end = max(longer)
    return "" if end == NO_END else end


def _end(row: Row) -> str:
    return row["endDate"] or NO_END


def _is_over(row: Row, today: date) -> bool:
    return (as_date(row["endDate"]) or date.max) <= today


def first_day_of(fields: Fields) -> date | None:
    """Return the day on which a link begins, or None where the source does not say."""
    return as_date(fields.get("first", ""))


def last_day_of(fields: Fields) -> date | None:
    """Return the day on which a link ends, that day excluded (OneRoster 1.2), or None."""
    return as_date(fields.get("last", ""))
