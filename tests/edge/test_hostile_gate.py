"""Hostile cases that a gate answers alone: P10 to P13, P15, P16, P40, P42, P43, P47, P48 (docs/hostile-cases.md).

The real decision core with real signatures; two gates of a site tell each other by real signed notes.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from nacl.signing import SigningKey

from edge.decision import Decision, GateSettings, StaffAnswer
from edge.gate import Gate
from edge.roster import Roster
from protocols.documents import (
    CustodyRule,
    GateKey,
    GateList,
    Mode,
    PolicyList,
    SiteMode,
    build_gate_list,
    build_policy_list,
    build_site_mode,
)
from protocols.events import Detail, Flag, Kind, Note, build_note
from protocols.limits import MODE_SECONDS_MAX, PHONES_REMEMBERED_MAX, REFUSALS_PER_MINUTE_MAX
from protocols.passes import IN, OUT, Revocations
from protocols.reasons import DocumentKind, Reason
from protocols.rules import Hours
from protocols.trust import Role, TrustedKey, build_trust_list, trust_of
from tests.doorstep import GATE, ISSUER, NOW, POLICY, SISTER, SITE, TRUST, UTC, Doorstep, Phone, a_card, a_list

MOTHER = Phone(1)
OTHER = Phone(2, children=((2, 3),), holder=8)
DAY = 86_400
REGISTRY, COMMAND, ROOT = SigningKey(b"r" * 32), SigningKey(b"c" * 32), SigningKey(b"o" * 32)
GATE_KEYS = {GATE: SigningKey(b"g" * 32), SISTER: SigningKey(b"s" * 32)}
STRANGER = SigningKey(b"x" * 32)
WHOLE_TRUST = trust_of(
    [
        *TRUST.keys.values(),
        TrustedKey(bytes(REGISTRY.verify_key), Role.REGISTRY),
        TrustedKey(bytes(COMMAND.verify_key), Role.COMMAND),
    ]
)


class OneOfTwo(Doorstep):
    """One gate of a site that has two, with the list of both, its bus down or up."""

    def __init__(self, number: int = GATE, *, bus_up: bool = True, clock: str = "ntp", site: int = SITE) -> None:
        self.number, self.site = number, site
        super().__init__(gates=2, clock=clock, listed=False)
        self.gate.bus(bus_up, NOW)
        gates = {one: GateKey(one, bytes(key.verify_key)) for one, key in GATE_KEYS.items()}
        self.takes(DocumentKind.KL1, build_gate_list(REGISTRY, GateList(site, 1, NOW, gates)))
        body = PolicyList(site, 1, NOW, NOW + 3 * DAY, Revocations(), ())
        self.takes(DocumentKind.KR1, build_policy_list(POLICY, body))

    def _boot(self, at: float) -> Gate:
        settings = GateSettings(self.number, self.site, Hours(UTC), "pass", 2)
        roster = Roster(self.site, self.number, trust=WHOLE_TRUST, clock=self.clock, saved=self.rows)
        self.gate = Gate(settings, roster, saved=self.rows, boot_at=at)
        self.keep(self.gate.boot(at))
        return self.gate

    def takes(self, kind: DocumentKind, data: bytes, at: float = NOW) -> str:
        return self.keep(self.gate.document(kind, data, at)).code

    def hears(self, note: bytes, at: float) -> Decision:
        return self.keep(self.gate.note(note, at))

    def note_of(self, decision: Decision, at: float) -> bytes:
        """What this gate's loop would sign of an acceptance."""
        assert decision.seen is not None
        thumb, iat, acts = decision.seen
        return build_note(GATE_KEYS[self.number], Note(self.number, thumb, iat, int(at * 1000), acts))


# P10 to P13: copies ------------------------------------------------------------------------------------------------


def test_p10_a_photographed_code_at_the_second_gate_opens_flagged_while_the_bus_is_down_and_is_found_later() -> None:
    first, second = OneOfTwo(GATE, bus_up=False), OneOfTwo(SISTER, bus_up=False)
    photographed = MOTHER.shows(NOW + 1)
    opened, copied = first.scan(NOW + 1, photographed), second.scan(NOW + 6, photographed)
    assert (opened.code, copied.code) == (Reason.OPEN, Reason.OPEN)
    assert [draft.flags for draft in copied.events] == [Flag.REPLAY_BUS_DOWN]
    for gate, told in ((first, second.note_of(copied, NOW + 6)), (second, first.note_of(opened, NOW + 1))):
        gate.gate.bus(True, NOW + 20)
        found = gate.hears(told, NOW + 20)
        assert ([draft.kind for draft in found.events], found.alarms) == ([Kind.DOUBLE_USE], ("DOUBLE_USE",))
        assert gate.hears(told, NOW + 21).alarms == (), "once"


def test_p10_a_code_that_names_its_gate_opens_no_other() -> None:
    named = MOTHER.shows(NOW + 1, gate=GATE)
    refused = OneOfTwo(SISTER, bus_up=False).scan(NOW + 6, named)
    assert (refused.code, refused.strike, refused.alarms) == (Reason.OTHER_GATE, False, (Reason.OTHER_GATE,))
    assert OneOfTwo(GATE, bus_up=False).scan(NOW + 6, named).code == Reason.OPEN


def test_p10_with_the_bus_up_the_copy_is_a_replay() -> None:
    first, second = OneOfTwo(GATE), OneOfTwo(SISTER)
    photographed = MOTHER.shows(NOW + 1)
    second.hears(first.note_of(first.scan(NOW + 1, photographed), NOW + 1), NOW + 2)
    copied = second.scan(NOW + 6, photographed)
    assert (copied.code, copied.strike, copied.alarms) == (Reason.REPLAY, False, (Reason.REPLAY,))


def test_p11_a_relayed_code_at_pick_up_waits_for_staff_who_see_whose_it_is() -> None:
    assert GateSettings(GATE, SITE, Hours(UTC)).departures == "staff", "what stands in the way by default"
    door = Doorstep(departures="staff")
    door.scan(NOW + 1, MOTHER.shows(NOW + 1))
    relayed = door.scan(NOW + 60, MOTHER.shows(NOW + 60, OUT))
    assert (relayed.code, relayed.strike, relayed.acts) == (Reason.STAFF_CONFIRM, False, ())
    [waits] = door.gate.waiting(NOW + 61)
    assert (waits.sight.holder, waits.sight.ids, waits.sight.direction) == (MOTHER.holder, (1,), OUT)
    confirmed = door.gate.staff(StaffAnswer(True, 50, key=waits.key), NOW + 62)
    [event] = confirmed.events
    assert (event.detail[Detail.HOLDER], event.detail[Detail.STAFF]) == (MOTHER.holder, 50), "who vouched stands there"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(-901, "FUTURE"), (-30, "CLOCK_SKEW"), (0, "OPEN"), (20, "OPEN"), (21, "STALE"), (DAY, "STALE")],
)
def test_p12_a_code_signed_ahead_opens_in_its_own_seconds_only_and_once(seconds: int, code: str) -> None:
    tomorrow = NOW + DAY
    signed_ahead = MOTHER.shows(tomorrow)
    door = Doorstep()
    told = door.scan(tomorrow + seconds, signed_ahead)
    assert told.code == code
    if code == "OPEN":
        assert door.scan(tomorrow + seconds + 11, signed_ahead).code in (Reason.REPLAY, Reason.STALE)


def test_p13_a_copied_phone_key_and_its_original_stand_on_one_time_line_and_end_with_its_revocation() -> None:
    door = OneOfTwo()
    assert door.scan(NOW + 1, MOTHER.shows(NOW + 1)).code == Reason.OPEN
    assert door.scan(NOW + 15, MOTHER.shows(NOW + 14, OUT)).code == Reason.OPEN, "the copy, a moment ahead"
    slow = door.scan(NOW + 16, MOTHER.shows(NOW + 13, OUT))
    assert (slow.code, slow.strike, slow.alarms) == (Reason.REPLAY, False, (Reason.REPLAY,))
    fast = door.scan(NOW + 30, MOTHER.shows(NOW + 36))
    assert fast.code == Reason.OPEN, "up to 10 s ahead"
    assert door.scan(NOW + 35, MOTHER.shows(NOW + 35)).code == Reason.REPLAY, "the original is told at once"
    revoked = PolicyList(SITE, 2, NOW, NOW + 3 * DAY, Revocations(thumbs=frozenset({MOTHER.device.thumb})), ())
    assert door.takes(DocumentKind.KR1, build_policy_list(POLICY, revoked)) == "LIST_OK"
    ended = door.scan(NOW + 60, MOTHER.shows(NOW + 60))
    assert (ended.code, ended.strike, ended.alarms) == (Reason.DEVICE_REVOKED, False, (Reason.DEVICE_REVOKED,))


def test_p13_one_key_at_two_gates_in_the_same_second_is_double_use() -> None:
    first, second = OneOfTwo(GATE), OneOfTwo(SISTER)
    here, there = first.scan(NOW + 1, MOTHER.shows(NOW + 1)), second.scan(NOW + 1, MOTHER.shows(NOW + 1))
    assert first.hears(second.note_of(there, NOW + 1), NOW + 2).alarms == ("DOUBLE_USE",)
    assert second.hears(first.note_of(here, NOW + 1), NOW + 2).alarms == ("DOUBLE_USE",)


# P15, P16: notes of sisters ----------------------------------------------------------------------------------------

MOTHERS = Note(SISTER, MOTHER.device.thumb, NOW + 5, NOW * 1000, ((1, IN),))
BAD_NOTES = {
    "unsigned": (build_note(GATE_KEYS[SISTER], MOTHERS)[:-64] + bytes(64), "BUS_KEY"),
    "rubbish": (b"\x80", "BUS_FORMAT"),
    "of an unknown gate": (build_note(STRANGER, MOTHERS), "BUS_KEY"),
    "of another site's gate": (build_note(SigningKey(b"t" * 32), replace(MOTHERS, gate=999)), "BUS_KEY"),
    "of another gate than it says": (build_note(GATE_KEYS[GATE], MOTHERS), "BUS_KEY"),
    "of yesterday": (build_note(GATE_KEYS[SISTER], replace(MOTHERS, at_ms=(NOW - DAY) * 1000)), "BUS_STALE"),
    "of the year 2106": (build_note(GATE_KEYS[SISTER], replace(MOTHERS, at_ms=(2**32 - 1) * 1000)), "BUS_STALE"),
}


@pytest.mark.parametrize("name", BAD_NOTES)
def test_p15_a_bad_note_is_ignored_and_cried_and_locks_no_family_out(name: str) -> None:
    note, alarm = BAD_NOTES[name]
    door = OneOfTwo()
    heard = door.hears(note, NOW)
    assert (heard.alarms, heard.events, heard.changes) == ((alarm,), (), ())
    assert door.scan(NOW + 1, MOTHER.shows(NOW + 1)).code == Reason.OPEN


def test_p15_an_iat_at_the_end_of_time_is_ignored_and_cried_and_locks_no_family_out() -> None:
    door = OneOfTwo()
    far = build_note(GATE_KEYS[SISTER], replace(MOTHERS, iat=2**32 - 1, acts=()))
    assert door.hears(far, NOW).alarms == ("BUS_FUTURE",)
    assert door.scan(NOW + 1, MOTHER.shows(NOW + 1)).code == Reason.OPEN
    near = build_note(GATE_KEYS[SISTER], replace(MOTHERS, thumb=OTHER.device.thumb, iat=NOW + 19, acts=()))
    assert door.hears(near, NOW).alarms == ()
    assert door.scan(NOW + 20, OTHER.shows(NOW + 19)).code == Reason.REPLAY, "a note that may count does"


def test_p16_a_flood_of_strange_phones_is_bounded_and_forgets_nobody_who_was_accepted_here() -> None:
    door = OneOfTwo()
    copied = MOTHER.shows(NOW + 1)
    door.scan(NOW + 1, copied)
    for number in range(PHONES_REMEMBERED_MAX + 100):
        door.keep(door.gate.seen(Note(SISTER, number.to_bytes(8, "big"), NOW, NOW * 1000, ()), NOW + 2))
    assert len(door.gate._memory._told_of) == PHONES_REMEMBERED_MAX
    assert len([key for key in door.rows if key[0] == "phone"]) == PHONES_REMEMBERED_MAX + 1, "nor on the disk"
    assert door.scan(NOW + 13, copied).code == Reason.REPLAY


def test_p16_what_sisters_told_of_a_phone_counts_when_it_comes_and_over_a_restart() -> None:
    door = OneOfTwo()
    door.hears(build_note(GATE_KEYS[SISTER], replace(MOTHERS, acts=())), NOW + 5)
    door.restart(NOW + 6)
    assert door.scan(NOW + 7, MOTHER.shows(NOW + 5)).code == Reason.REPLAY
    door.restart(NOW + 8)
    assert door.scan(NOW + 20, MOTHER.shows(NOW + 20)).code == Reason.OPEN
    door.restart(NOW + 21)
    assert door.scan(NOW + 32, MOTHER.shows(NOW + 20)).code == Reason.REPLAY


# P40: another site -------------------------------------------------------------------------------------------------


def test_p40_a_gate_carried_to_another_school_opens_for_nobody_there_and_takes_none_of_its_lists() -> None:
    carried = OneOfTwo(site=102)
    for text in (MOTHER.shows(NOW + 1), OTHER.shows(NOW + 2, OUT), a_card(), Phone(3, powers=15).shows_staff(NOW + 3)):
        refused = carried.scan(NOW + 4, text)
        assert (refused.code, refused.strike) == (Reason.OTHER_SITE, False)
    gates = GateList(SITE, 9, NOW, {GATE: GateKey(GATE, bytes(GATE_KEYS[GATE].verify_key))})
    free = SiteMode(SITE, 9, Mode.FREE, 1, NOW, NOW + 60)
    for kind, data, code in (
        (DocumentKind.KR1, a_list(9), "LIST_SITE"),
        (DocumentKind.KL1, build_gate_list(REGISTRY, gates), "GATES_SITE"),
        (DocumentKind.KM1, build_site_mode(COMMAND, free), "MODE_SITE"),
    ):
        told = carried.gate.document(kind, data, NOW + 5)
        assert (told.code, told.alarms) == (code, (code,)), "the fleet hears of it"
    assert carried.gate.roster.versions() == {"KL1": 1, "KR1": 1}


# P42, P43: an hour of rubbish, a phone held up ---------------------------------------------------------------------


def test_p42_thirty_rubbish_codes_a_second_for_an_hour_are_counted_and_a_family_passes_among_them() -> None:
    door, forged = Doorstep(), Phone(9)
    forged.credential = forged.credential[:-1] + bytes([forged.credential[-1] ^ 1])
    signatures = [forged.shows(NOW + n) for n in range(60)]
    events = changes = 0
    cried: list[str] = []
    moments = [n / 30 for n in range(3_600)] + [n + 120 for n in range(3_360)] + [3_480 + n / 30 for n in range(3_600)]
    for number, second in enumerate(moments):  # thirty a second in the first and last two minutes, one between
        text = (
            signatures[number // 30 % 60] if number % 30 == 0 else ("HTTPS://E.ORG/%d", "KG1:%06d")[number % 2] % number
        )
        told = door.scan(NOW + second, text)
        events, changes = events + len(told.events), changes + len(told.changes)
        cried += told.alarms
        assert not told.strike
    assert (events, changes) == (0, 0), "nothing of it reaches the disk"
    assert cried == [Reason.BAD_SIGNATURE], "one alert an hour and code"
    assert door.gate.take_counts() == {"FORMAT": 5_280, "BAD_SIGNATURE": 352}, "a web address is not even counted"
    assert len(door.gate._view._sighted) <= 31, "what left the view is forgotten"
    opened = door.scan(NOW + 3_600, MOTHER.shows(NOW + 3_600))
    assert (opened.code, opened.strike) == (Reason.OPEN, True)


def test_p42_a_true_pass_that_is_refused_all_the_time_is_six_records_a_minute() -> None:
    door = Doorstep()
    told = [door.scan(NOW + n / 4, MOTHER.shows(NOW - 300 + n)) for n in range(0, 240, 4)]
    assert {decision.code for decision in told} == {Reason.STALE}
    assert sum(len(decision.events) for decision in told) == REFUSALS_PER_MINUTE_MAX


def test_p43_a_phone_held_up_for_40_seconds_is_one_arrival_and_the_lunch_box_no_departure() -> None:
    door = Doorstep()
    drawn = [MOTHER.shows(NOW + redraw * 4) for redraw in range(10)]
    held = [door.scan(NOW + n / 10, drawn[n // 40]) for n in range(400)]
    assert [decision.acts for decision in held if decision.acts] == [((1, IN),)]
    assert sum(decision.strike for decision in held) <= 2
    assert {decision.signal.value for decision in held} == {"green"}
    back = [door.scan(NOW + 600 + n, MOTHER.shows(NOW + 600 + n)) for n in range(0, 20, 4)]
    assert not [decision for decision in back if decision.strike or decision.acts]
    assert door.gate._memory.presence(1, door.gate._day(NOW)) == IN, "still in"


# P47, P48: wrong server clocks, recorded modes ---------------------------------------------------------------------


@pytest.mark.parametrize("clock", ["ntp", "holdover"])
def test_p47_a_list_a_mode_or_a_receipt_of_ten_minutes_ahead_locks_no_site_out(clock: str) -> None:
    door, ahead = OneOfTwo(clock=clock), NOW + 600
    everybody = CustodyRule(1, 0, 3, NOW, NOW + DAY)
    body = PolicyList(SITE, 2, ahead, ahead + DAY, Revocations(), (everybody,))
    trust = build_trust_list(ROOT, 2, ahead, [TrustedKey(bytes(ISSUER.verify_key), Role.ISSUER)])
    door.gate.roster._root_public = bytes(ROOT.verify_key)
    lockdown = SiteMode(SITE, 1, Mode.LOCKDOWN, 1, ahead, ahead + 3_600)
    for kind, data, code in (
        (DocumentKind.KR1, build_policy_list(POLICY, body), "LIST_FUTURE"),
        (DocumentKind.KM1, build_site_mode(COMMAND, lockdown), "MODE_FUTURE"),
        (DocumentKind.KL1, build_gate_list(REGISTRY, GateList(SITE, 2, ahead, {})), "GATES_FUTURE"),
        (DocumentKind.KK1, trust, "TRUST_FUTURE"),
    ):
        assert door.takes(kind, data) == code
    assert door.gate.roster.told_time(ahead, NOW) is False
    assert door.scan(NOW + 1, MOTHER.shows(NOW + 1)).code == Reason.OPEN
    door.restart(NOW + 2)
    assert door.scan(NOW + 3, OTHER.shows(NOW + 3)).code == Reason.OPEN, "nor after a restart"
    assert door.takes(DocumentKind.KR1, build_policy_list(POLICY, body), ahead) == "LIST_OK", "good when its time comes"


def test_p48_a_recorded_free_mode_opens_nothing_tomorrow() -> None:
    free = build_site_mode(COMMAND, SiteMode(SITE, 3, Mode.FREE, 1, NOW, NOW + MODE_SECONDS_MAX))
    normal = build_site_mode(COMMAND, SiteMode(SITE, 4, Mode.NORMAL, 1, NOW + 60, NOW + 2 * DAY))
    door = OneOfTwo()
    assert door.takes(DocumentKind.KM1, free) == "MODE_OK"
    assert door.gate.roster.mode(NOW + MODE_SECONDS_MAX) is Mode.NORMAL, "its end comes by itself"
    assert door.takes(DocumentKind.KM1, normal, NOW + 60) == "MODE_OK"
    assert door.takes(DocumentKind.KM1, free, NOW + 70) == "MODE_ROLLBACK", "the same hour: by its version"
    door.restart(NOW + 80)
    assert door.takes(DocumentKind.KM1, free, NOW + 90) == "MODE_ROLLBACK", "nor after a restart"
    forgot = OneOfTwo()
    assert forgot.takes(DocumentKind.KM1, free, NOW + DAY) == "MODE_EXPIRED", (
        "a gate that never saw another: by its end"
    )
    assert {one.gate.roster.mode(NOW + DAY) for one in (door, forgot)} == {Mode.NORMAL}


def test_p48_a_free_mode_of_more_than_four_hours_is_not_believed() -> None:
    longest = SiteMode(SITE, 5, Mode.FREE, 1, NOW, NOW + MODE_SECONDS_MAX)
    assert OneOfTwo().takes(DocumentKind.KM1, build_site_mode(COMMAND, longest)) == "MODE_OK"
    longer = replace(longest, exp=longest.exp + 1)
    assert OneOfTwo().takes(DocumentKind.KM1, build_site_mode(COMMAND, longer)) == "MODE_FORMAT"
