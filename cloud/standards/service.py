"""Importing a roster: read whole, checked whole, written in one transaction or not at all.

Responsible for: the district of a slug (made where there is none), what the source says anew, the report, one line in
the audit log. Not responsible for: reading the files (packed, sheets, oneroster), writing one thing (writing.py).
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from uuid import UUID

from cloud.audit import service as audit
from cloud.identity.grants import GrantRefused
from cloud.kit.db import Database, Transaction
from cloud.schools import service as schools
from cloud.standards import queries
from cloud.standards.model import KINDS, LINKS, PERSON_AT, Kept, Problem, Report, RosterRefused, Said
from cloud.standards.oneroster import Roster, Wishes, read_roster
from cloud.standards.packed import read_set
from cloud.standards.sheets import read_sheets
from cloud.standards.writing import Writing

ABSENT_SHARE_MAX = 0.2  # of the links of a kind that one import ends because the set does not name them any more
ABSENT_FEW = 10  # so many may always go: a small school has no shares


def read_oneroster(path: Path, wishes: Wishes, now: datetime) -> Roster:
    """Return what a folder or a .zip of OneRoster 1.1 or 1.2 says today. Raises RosterRefused with every problem."""
    version, rows = read_sheets(read_set(path))
    return read_roster(version, rows, wishes, now)


def import_roster(
    database: Database, slug: str, roster: Roster, now: datetime, *, dry_run: bool = False, end_absent: bool = False
) -> Report:
    """Write a roster into the district of a slug and return what changed; with dry_run nothing of it stays.

    end_absent: what an earlier import said and this one does not say ends today. Raises RosterRefused.
    """
    report = Report(slug, dry_run, notices=list(roster.notices))
    district_id = schools.district_id_of(database, slug, now)
    with database.tenant(district_id) as tx, tx.transaction(force_rollback=dry_run):
        queries.lock(tx, district_id)
        is_new = schools.district(tx, district_id) is None
        if is_new:
            schools.put_district_row(tx, district_id, slug, _name_of(roster, slug), now)
        kept = {(one.kind, one.key): one for one in queries.kept_rows(tx, district_id)}
        said = [*roster.said, *_ends_with(roster.gone, kept)]
        if end_absent:
            said += _absent(said, kept)
        writing = Writing(
            tx, district_id, now, report, queries.kept_ids(tx, district_id, "person"), _still_said(said, kept)
        )
        _write(tx, district_id, said, kept, writing)
        if report.changes_something:
            _tell_audit(tx, district_id, report, now)
    return report


def _name_of(roster: Roster, slug: str) -> str:
    return next((said.fields["name"] for said in roster.said if said.kind == "district"), slug)


def _write(
    tx: Transaction, district_id: UUID, said: list[Said], kept: Mapping[tuple[str, str], Kept], writing: Writing
) -> None:
    """Write what is said anew, in the order of kinds. Everything that cannot be is found before anything is written."""
    new: list[tuple[Said, Kept | None]] = []
    for one in said:
        before = kept.get((one.kind, one.key))
        if before is not None and before.says_the_same(one):
            writing.report.same[one.kind] = writing.report.same.get(one.kind, 0) + 1
        else:
            new.append((one, before))
    writing.refuse_impossible([one for one, _ in new])
    for one, before in sorted(new, key=_turn):
        try:
            row_id = writing.write(one, before)
        except GrantRefused as refused:
            writing.tell_refused(one, refused)
            continue  # What was not done is not kept as said: the next import tries again.
        queries.keep_row(tx, district_id, one, row_id, writing.now)


def _turn(pair: tuple[Said, Kept | None]) -> tuple[int, bool]:
    """In the order of kinds, what ends last: a head who leaves finds the next one there."""
    return KINDS.index(pair[0].kind), pair[0].is_gone


def _ends_with(gone: frozenset[str], kept: Mapping[tuple[str, str], Kept]) -> list[Said]:
    """Return the ends of what was said of users who were deleted, and only of that."""
    return [Said(kind, one.key, {}, True) for kind in LINKS for one in kept.values()
            if one.kind == kind and not one.is_gone and one.key.split(" ")[PERSON_AT[kind]] in gone]  # fmt: skip


def _still_said(said: list[Said], kept: Mapping[tuple[str, str], Kept]) -> set[tuple[str, str]]:
    """Return the links that the source says, now or since an earlier set."""
    running = {key for key, one in kept.items() if not one.is_gone}
    return (running | {(one.kind, one.key) for one in said}) - {(one.kind, one.key) for one in said if one.is_gone}


def _absent(said: list[Said], kept: Mapping[tuple[str, str], Kept]) -> list[Said]:
    """Return the ends of links that were said before and are not any more. Raises RosterRefused where they are many."""
    named = {(one.kind, one.key) for one in said}
    ends, problems = [], []
    for kind in LINKS:
        running = [one for one in kept.values() if one.kind == kind and not one.is_gone]
        gone = [one for one in running if (kind, one.key) not in named]
        if len(gone) > max(ABSENT_FEW, ABSENT_SHARE_MAX * len(running)):
            found = f"{len(gone)} of {len(running)}"
            problems.append(Problem("ABSENT_TOO_MANY", "", 0, kind, found,
                                    "the whole export; or mark what ends as tobedeleted"))  # fmt: skip
        ends += [Said(kind, one.key, {}, True) for one in gone]
    if problems:
        raise RosterRefused(problems)
    return ends


def _tell_audit(tx: Transaction, district_id: UUID, report: Report, now: datetime) -> None:
    acts: dict[str, str | int] = {}
    for change in report.changes:
        name = f"{change.kind}.{change.act}"
        acts[name] = int(acts.get(name, 0)) + 1
    for child_id, change in report.children_changed:
        audit.record(tx, district_id, action="child.import", by=None, thing="child", thing_id=child_id,
                     child_id=child_id, detail={"fields": " ".join(sorted(change.fields))}, now=now)  # fmt: skip
    audit.record(tx, district_id, action="import.oneroster", by=None, thing="district", thing_id=district_id,
                 detail=acts, now=now)  # fmt: skip

