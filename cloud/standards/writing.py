"""One thing of a roster into the database: by the services of the slices below, a method a kind.

Responsible for: what is known here by which key, what a person decided (left alone, and told), what cannot be at all.
Not responsible for: the order (service.py), whether anything new was said at all (model.py).
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from functools import cached_property
from uuid import UUID

from cloud.identity import service as identity
from cloud.identity.grants import GrantRefused
from cloud.identity.model import Role
from cloud.kit.clock import school_day
from cloud.kit.db import Transaction
from cloud.people import roster as known
from cloud.people import service as people
from cloud.people.model import Tie, folded
from cloud.people.refusals import PeopleRefused
from cloud.schools import service as schools
from cloud.schools.model import School
from cloud.standards.model import (
    PERSON_AT,
    Change,
    Fields,
    Kept,
    Merged,
    Notice,
    Problem,
    Report,
    RosterRefused,
    Said,
    merged,
)
from cloud.standards.oneroster import first_day_of, last_day_of

POWERS = {Role.HEAD: 15, Role.TEACHER: 11, Role.OFFICE: 7}
"""What a gate lets somebody do who is new here (PROTOCOL 2); the head changes it on the staff page, and it stays."""
DEFAULT_LANGUAGE, DEFAULT_LEVEL = "en", "primary"


class Writing:
    """What is known of one district, and one thing after another written into it."""

    def __init__(
        self, tx: Transaction, district_id: UUID, now: datetime, report: Report, written_before: Mapping[str, UUID],
        still_said: set[tuple[str, str]],
    ) -> None:  # fmt: skip
        """written_before: key of a person -> row, also where it was the row of another key. still_said: kind and key of
        every link that the source says, now or since an earlier import."""
        self.tx, self.district_id, self.now, self.report, self.still_said = tx, district_id, now, report, still_said
        self.schools: dict[str, School] = {one.sourced_id: one for one in schools.schools(tx, district_id)
                                           if one.sourced_id}  # fmt: skip
        self.sessions = {one.sourced_id: one for one in schools.sessions(tx, district_id, date.min)}
        self.classes = {one.sourced_id: one for school in self.schools.values()
                        for one in schools.classes(tx, district_id, school.id) if one.sourced_id}  # fmt: skip
        self.people = {one.sourced_id: one for one in known.known_people(tx, district_id)}
        self.children = {one.sourced_id: one for one in known.known_children(tx, district_id)}
        self.person_ids = dict(written_before) | {key: one.id for key, one in self.people.items()}
        self.child_ids = {key: one.id for key, one in self.children.items()}
        self.staffed = {(one.person_id, one.school_id) for school in self.schools.values()
                        for one in people.staff_of_school(tx, district_id, school.id)}  # fmt: skip
        self._by: dict[str, Callable[[Said, Kept | None], UUID | None]] = {
            "district": self._district, "session": self._session, "school": self._school, "class": self._class,
            "person": self._person, "child": self._child, "enrolment": self._enrolment, "tie": self._tie,
            "role": self._role, "teacher": self._teacher,
        }  # fmt: skip

    def write(self, said: Said, before: Kept | None) -> UUID | None:
        """Write one thing; return its row where a key is needed to find it again.

        Raises GrantRefused where it would leave a school without a head: nothing of it was done.
        """
        return self._by[said.kind](said, before)

    def refuse_impossible(self, said: list[Said]) -> None:
        """Raise RosterRefused with everything that the database's own state forbids; nothing was written."""
        problems = []
        for one in said:
            if one.kind == "class" and (there := self.classes.get(one.key)):
                if self.schools.get(one.fields["school"], None) is None or (
                        self.schools[one.fields["school"]].id != there.school_id):
                    problems.append(Problem("CLASS_MOVED", one.file, one.line, "schoolSourcedId", one.fields["school"],
                                            "a new sourcedId: a class stays at its school"))  # fmt: skip
            if one.kind == "child" and one.key in self.people or one.kind == "person" and one.key in self.children:
                problems.append(Problem("KIND_CHANGED", one.file, one.line, "sourcedId", one.key,
                                        "a new sourcedId: this one is an adult here, or a child"))  # fmt: skip
        if problems:
            raise RosterRefused(problems)

    # --- places -----------------------------------------------------------------------------------------------------

    def _district(self, said: Said, before: Kept | None) -> None:
        district = schools.district(self.tx, self.district_id)
        assert district is not None
        made = self._merged(said, before, {"name": district.name})
        if made.changed:
            schools.put_district_row(self.tx, self.district_id, district.slug, made.values["name"], self.now)

    def _session(self, said: Said, before: Kept | None) -> None:
        there = self.sessions.get(said.key)
        now = there and {"kind": there.kind, "name": there.name, "first": there.first_day.isoformat(),
                         "last": there.last_day.isoformat()}  # fmt: skip
        made = self._merged(said, before, now)
        if made.changed:
            schools.put_session(
                self.tx, self.district_id, sourced_id=said.key, kind=made.values["kind"], name=made.values["name"],
                first_day=date.fromisoformat(made.values["first"]), last_day=date.fromisoformat(made.values["last"]),
            )  # fmt: skip

    def _school(self, said: Said, before: Kept | None) -> None:
        there = self.schools.get(said.key)
        fields = {name: value for name, value in said.fields.items() if value and name != "site"}
        now = there and {name: str(getattr(there, name)) for name in ("name", "timezone", "language", "level")}
        made = self._merged(Said(said.kind, said.key, fields), before, now)
        site = there.site if there else int(said.fields["site"] or schools.free_site_number(self.tx))
        if there and said.fields["site"] and int(said.fields["site"]) != there.site:
            self._note("SITE_KEPT", said, "a school does not move to another site by a file")
        if made.changed:
            school_id = schools.put_school(
                self.tx, self.district_id, sourced_id=said.key, site=site, name=made.values["name"],
                level=made.values.get("level", DEFAULT_LEVEL), timezone=made.values["timezone"],
                language=made.values.get("language", DEFAULT_LANGUAGE),
            )  # fmt: skip
            self.schools[said.key] = schools.school(self.tx, self.district_id, school_id)

    def _class(self, said: Said, before: Kept | None) -> None:
        there, school = self.classes.get(said.key), self.schools[said.fields["school"]]
        made = self._merged(Said(said.kind, said.key, {"name": said.fields["name"]}), before,
                            {"name": there.name} if there else None)  # fmt: skip
        if made.changed:
            class_id = schools.put_class(
                self.tx, self.district_id, school.id, sourced_id=said.key, name=made.values["name"]
            )
            self.classes[said.key] = schools.SchoolClass(class_id, said.key, school.id, made.values["name"])

    # --- people -----------------------------------------------------------------------------------------------------

    def _person(self, said: Said, before: Kept | None) -> UUID:
        there, fields = self.people.get(said.key), said.fields
        names = Said(said.kind, said.key, {"given": fields["given"], "family": fields["family"]})
        if there is None and said.key in self.person_ids:
            return self.person_ids[said.key]  # Written under another key before: that key's file says who they are.
        login_id = None if there and there.login_id else self._login(said)
        if there is None and isinstance(login_id, known.KnownPerson):
            self.person_ids[said.key] = login_id.id
            self._change(said, "add", {"same person as": ("", login_id.sourced_id)})
            return login_id.id
        now = {"given": there.given, "family": there.family} if there else None
        made = self._merged(names, before, now)
        gives_login = isinstance(login_id, UUID)
        if made.changed or gives_login:
            if there and not made.changed:
                self._change(said, "change", {"email": ("", fields["email"])})
            self.person_ids[said.key] = people.put_person(
                self.tx, self.district_id, sourced_id=said.key, given=made.values["given"],
                family=made.values["family"], language=there.language if there else fields["language"],
                login_id=login_id if isinstance(login_id, UUID) else None,
            )  # fmt: skip
            self.people[said.key] = known.KnownPerson(
                self.person_ids[said.key], said.key, made.values["given"], made.values["family"], fields["language"],
                login_id if isinstance(login_id, UUID) else there.login_id if there else None,
            )  # fmt: skip
        return self.person_ids[said.key]

    def _login(self, said: Said) -> "UUID | known.KnownPerson | None":
        """Return the login of the address; or the person of this district who has it and bears the same name (S5.8)."""
        if not said.fields["email"]:
            return None
        login_id = identity.make_login(self.tx, said.fields["email"], self.now)
        holder_id = known.person_of_login(self.tx, self.district_id, login_id)
        if holder_id is None:
            return login_id
        holder = next((one for one in self.people.values() if one.id == holder_id), None)
        if holder and holder.sourced_id == said.key:
            return None
        name = folded(f"{said.fields['given']} {said.fields['family']}")
        if holder and folded(f"{holder.given} {holder.family}") == name:
            return holder
        self._note("EMAIL_SHARED", said, "somebody else here has this address: it opens nothing, use letters")
        return None

    def _child(self, said: Said, before: Kept | None) -> UUID:
        there = self.children.get(said.key)
        now = there and {"given": there.given, "family": there.family,
                         "birth": there.birth.isoformat() if there.birth else ""}  # fmt: skip
        made = self._merged(said, before, now, frozenset(there.mended) if there else frozenset())
        if made.changed:
            birth = made.values.get("birth", "")
            self.child_ids[said.key] = people.put_child(
                self.tx, self.district_id, sourced_id=said.key, given=made.values["given"],
                family=made.values["family"], birth=date.fromisoformat(birth) if birth else None, over_corrections=True,
            )  # fmt: skip
            if there:
                self.report.children_changed.append((self.child_ids[said.key], self.report.changes[-1]))
        return self.child_ids[said.key]

    # --- links ------------------------------------------------------------------------------------------------------

    def _enrolment(self, said: Said, before: Kept | None) -> None:
        child_key, school_key = said.key.split(" ")
        child_id, school = self.child_ids.get(child_key), self.schools.get(school_key)
        if child_id is None or school is None:
            if not said.is_gone:
                self._note("UNKNOWN_HERE", said, "its child or school ended or was never here")
            return
        today = self._today(school)
        last = last_day_of(said.fields)
        if said.is_gone or (last and last <= today):
            self._ended(said, known.end_enrolments(
                self.tx, self.district_id, child_id, school.id, min(today, last or today), self.now
            ))  # fmt: skip
            return
        there = self.classes.get(said.fields["class"])
        if said.fields["class"] and there is None:
            self._note("UNKNOWN_HERE", said, "its class ended or was never here: enrolled in none")
        if known.put_enrolment(
            self.tx, self.district_id, child_id, school.id, there.id if there else None,
            first_day=first_day_of(said.fields) or self._yesterday, last_day=last, today=today,
        ):  # fmt: skip
            self._change(said, "change" if before and not before.is_gone else "add",
                         {name: ("", value) for name, value in said.fields.items() if value})  # fmt: skip

    def _tie(self, said: Said, before: Kept | None) -> None:
        child_key, person_key = said.key.split(" ")
        person_id, child_id = self.person_ids.get(person_key), self.child_ids.get(child_key)
        if person_id is None or child_id is None:
            if not said.is_gone:
                self._note("UNKNOWN_HERE", said, "its child or guardian ended or was never here")
            return
        today = self._today(None)
        if said.is_gone:
            if not self._is_said_otherwise(said, person_id):
                self._ended(said, known.end_tie(self.tx, self.district_id, child_id, person_id, today, self.now))
            return
        fields = said.fields
        tie = Tie(child_id, person_id, fields["relation"], fields["authority"] == "true", fields["lives"] == "true",
                  fields["collect"] == "true", self._yesterday)  # fmt: skip
        changed = known.put_tie(self.tx, self.district_id, tie, today, self.now)
        changed |= self._right(said, child_id, person_id, tie.may_collect)
        if changed:
            self._change(said, "change" if before and not before.is_gone else "add",
                         {name: ("", value) for name, value in fields.items()})  # fmt: skip

    def _right(self, said: Said, child_id: UUID, person_id: UUID, may_collect: bool) -> bool:
        """Give or end the right to collect that the tie says, unless a person decided; return whether it changed."""
        if not may_collect:
            return known.end_imported_right(self.tx, self.district_id, child_id, person_id, self.now)
        if known.may_collect_now(self.tx, self.district_id, child_id, person_id, self.now):
            return False
        try:
            given = people.import_escort(self.tx, self.district_id, child_id, person_id, self.now)
        except PeopleRefused as refused:
            self._note(refused.code, said, "five may collect already: the family or the office chooses")
            return False
        if not given:
            self._keep(said, {"collect": ("false", "true")})
        return given

    def _role(self, said: Said, before: Kept | None) -> None:
        person_key, role_name, school_key = said.key.split(" ")
        person_id, school = self.person_ids.get(person_key), self.schools.get(school_key)
        if person_id is None or (school is None and school_key != "*"):
            if not said.is_gone:
                self._note("UNKNOWN_HERE", said, "its person ended or was never here")
            return
        if role_name == "member":
            self._member(said, person_id, school)
            return
        role, today, last = Role(role_name), self._today(school), last_day_of(said.fields)
        school_id = school.id if school else None
        if said.is_gone or (last and last <= today):
            if not self._is_said_otherwise(said, person_id):
                self._ended(said, identity.end_role_at(
                    self.tx, self.district_id, person_id, role, today, school_id=school_id
                ))  # fmt: skip
            return
        if identity.was_taken_away(self.tx, self.district_id, person_id, role, school_id):
            self._keep(said, {"role": ("", role_name)})
            return
        if school and (person_id, school.id) not in self.staffed:
            people.put_staff(self.tx, self.district_id, person_id, school.id, POWERS.get(role, 0))
            self.staffed.add((person_id, school.id))
        first = max(first_day_of(said.fields) or self._yesterday, self._yesterday)
        ahead = None if role is Role.HEAD else last  # A school keeps a head: one ends on the day, if another is there.
        if identity.grant_role(
            self.tx, self.district_id, person_id, role, first, last_day=ahead, school_id=school_id
        ):  # fmt: skip
            self._change(said, "change" if before and not before.is_gone else "add", {"role": ("", role_name)})

    def _member(self, said: Said, person_id: UUID, school: School | None) -> None:
        """Staff with no role here: the head finds them on the staff page and says what they may."""
        if school and not said.is_gone and (person_id, school.id) not in self.staffed:
            people.put_staff(self.tx, self.district_id, person_id, school.id, 0)
            self.staffed.add((person_id, school.id))
            self._change(said, "add", {})

    def _teacher(self, said: Said, before: Kept | None) -> None:
        person_key, class_key = said.key.split(" ")
        person_id, there = self.person_ids.get(person_key), self.classes.get(class_key)
        if person_id is None or there is None:
            if not said.is_gone:
                self._note("UNKNOWN_HERE", said, "its teacher or class ended or was never here")
            return
        school = next(one for one in self.schools.values() if one.id == there.school_id)
        today, last = self._today(school), last_day_of(said.fields)
        if said.is_gone or (last and last <= today):
            if not self._is_said_otherwise(said, person_id):
                identity.end_role_at(self.tx, self.district_id, person_id, Role.TEACHER, today, class_id=there.id)
                self._ended(said, known.end_teachers(self.tx, self.district_id, person_id, there.id, today))
            return
        if identity.was_taken_away(self.tx, self.district_id, person_id, Role.TEACHER, school.id):
            self._keep(said, {"role": ("", "teacher")})
            return
        first = max(first_day_of(said.fields) or self._yesterday, self._yesterday)
        appointed = people.appoint_teacher(self.tx, self.district_id, there.id, person_id, first, last)
        granted = identity.grant_role(self.tx, self.district_id, person_id, Role.TEACHER, first, last_day=last,
                                      school_id=school.id, class_id=there.id)  # fmt: skip
        if appointed or granted:
            self._change(said, "change" if before and not before.is_gone else "add", {"class": ("", there.name)})

    def _is_said_otherwise(self, said: Said, person_id: UUID) -> bool:
        """Return whether the source says this link of this person under another sourcedId of theirs as well (S5.8)."""
        parts, at = said.key.split(" "), PERSON_AT[said.kind]
        others = (" ".join([*parts[:at], key, *parts[at + 1:]]) for key in self._keys_of[person_id] if key != parts[at])
        return any((said.kind, key) in self.still_said for key in others)

    @cached_property
    def _keys_of(self) -> dict[UUID, list[str]]:
        """Every sourcedId of a person: to be asked when all people were written."""
        keys: dict[UUID, list[str]] = {}
        for key, person_id in self.person_ids.items():
            keys.setdefault(person_id, []).append(key)
        return keys

    # --- telling ----------------------------------------------------------------------------------------------------

    @property
    def _yesterday(self) -> date:
        """Yesterday in UTC: it has begun in every time zone of the world."""
        return (self.now - timedelta(days=1)).date()

    def _today(self, school: School | None) -> date:
        return school_day(self.now, school.timezone) if school else self.now.date()

    def _merged(self, said: Said, before: Kept | None, now: Fields | None, mended: frozenset[str] = frozenset()
                ) -> Merged:  # fmt: skip
        made = merged(said.fields, before.said if before else None, now, mended)
        if made.changed:
            self._change(said, "add" if now is None else "change", made.changed)
        if made.kept:
            self._keep(said, made.kept)
        return made

    def _ended(self, said: Said, count: int) -> None:
        if count:
            self._change(said, "end", {})

    def _keep(self, said: Said, fields: dict[str, tuple[str, str]]) -> None:
        self.report.changes.append(Change(said.kind, said.key, "keep", fields))

    def _change(self, said: Said, act: str, fields: dict[str, tuple[str, str]]) -> None:
        self.report.changes.append(Change(said.kind, said.key, act, fields))

    def tell_refused(self, said: Said, refused: GrantRefused) -> None:
        """Tell what `write` could not do."""
        self._note(refused.code, said, "a school keeps a head: name another one first")

    def _note(self, code: str, said: Said, words: str) -> None:
        self.report.notices.append(Notice(code, said.kind, said.key, words))
