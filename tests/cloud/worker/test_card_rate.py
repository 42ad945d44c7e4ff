"""Thirty printed cards in two minutes: one incident for the head, however the events come in (HOSTILE P27)."""

from collections.abc import Sequence
from datetime import timedelta

from cloud.attendance import service as attendance
from cloud.attendance.model import Incident, Sent
from cloud.kit.db import Database
from cloud.kit.jobs import run_next
from cloud.reactions import World, facts_recorded, react
from protocols.events import Detail, Kind
from tests.cast import NOW, Cast, a_district
from tests.gates import Ledger, a_gate, an_event, number_of


def confirmed(database: Database, cast: Cast, ledger: Ledger, seconds: Sequence[float]) -> None:
    """Let staff confirm the father's card at these seconds of the morning, and all that follows from it."""
    father, child = number_of(database, cast, person=cast.father), number_of(database, cast, child=cast.aigerim)
    first = len(ledger.events)
    for second in seconds:
        detail = {Detail.HOLDER: father, Detail.DIRECTION: 1, Detail.CHILDREN: [[child, 3]], Detail.CODE: "CONFIRMED",
                  Detail.STAFF: number_of(database, cast, person=cast.teacher)}  # fmt: skip
        ledger.write(an_event(Kind.CARD_CONFIRMED, NOW + timedelta(seconds=second), detail))
    with database.tenant(cast.district) as tx:
        recorded = attendance.record_batch(tx, cast.district, [Sent(cast.site, ledger.segment(first))], NOW)
        assert recorded.stored == len(seconds)
        facts_recorded(tx, cast.district, recorded.facts)
        facts_recorded(tx, cast.district, recorded.facts)  # told twice: the second time changes nothing
    while run_next(database, lambda tx, job, now: react(tx, World(None), job, now)):  # type: ignore[arg-type]
        pass


def raised(database: Database, cast: Cast) -> list[Incident]:
    with database.tenant(cast.district) as tx:
        found = attendance.incidents(tx, cast.district, cast.site)
    return sorted((one for one in found if one.code == "CARDS_TOO_FAST"), key=lambda one: one.seq)


def test_p27_thirty_cards_in_two_minutes_are_one_incident_and_three_a_minute_are_none(database: Database) -> None:
    cast = a_district(database)
    ledger = a_gate(database, cast)
    confirmed(database, cast, ledger, [20.5 * n for n in range(12)])
    assert raised(database, cast) == [], "three in each minute"
    confirmed(database, cast, ledger, [1000 + 4 * n for n in range(30)])
    [incident] = raised(database, cast)
    assert (incident.gate, incident.seq) == (11, 15), "the fourth card of the burst"
    confirmed(database, cast, ledger, [5000, 5001, 5002, 5003])
    assert len(raised(database, cast)) == 2, "another burst is another incident"


def test_p27_cards_at_two_gates_of_a_site_count_together_and_another_sites_do_not(database: Database) -> None:
    cast, there = a_district(database), a_district(database, "neighbour", 202)
    front, back, other = a_gate(database, cast), a_gate(database, cast, 12, 12), a_gate(database, there, 13, 13)
    confirmed(database, there, other, [0, 1, 2])
    confirmed(database, cast, front, [0, 5])
    confirmed(database, cast, back, [10])
    assert raised(database, cast) == []
    confirmed(database, cast, back, [15])
    assert [(one.gate, one.seq) for one in raised(database, cast)] == [(12, 1)]
    assert raised(database, there) == []
