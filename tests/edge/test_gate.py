"""What only a gate knows: its view, replays, who waits, what it remembers (P-3, and hostile cases by number)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from edge.decision import StaffAnswer
from edge.view import Symbol
from protocols.documents import CustodyRule, GateKey, GateList, build_gate_list
from protocols.events import Kind, Note, build_note
from protocols.passes import IN, INTENT_ENTER, OUT, POWER_CONFIRM, POWER_RELEASE
from protocols.reasons import DocumentKind, Reason, Signal
from tests.doorstep import GATE, NOW, SISTER, SITE, Doorstep, Phone, a_card, a_list

MOTHER = Phone(1)
OTHER = Phone(2, children=((2, 3),), holder=8)
TEACHER = Phone(3, holder=50, powers=15)


def test_a_family_enters_once_and_a_moment_later_stays_green() -> None:
    door = Doorstep()
    opened = door.scan(NOW + 1, MOTHER.shows(NOW + 1))
    assert (opened.code, opened.strike, opened.acts) == (Reason.OPEN, True, ((1, IN),))
    assert [draft.kind for draft in opened.events] == [Kind.PHONE_PASS]
    again = door.scan(NOW + 6, MOTHER.shows(NOW + 5))
    assert (again.code, again.strike, again.events) == (Reason.SAME_AS_BEFORE, False, ())


def test_p8_a_pass_held_up_for_30_seconds_is_one_event() -> None:
    door = Doorstep()
    frames = [door.scan(NOW + n / 10, MOTHER.shows(NOW + n // 40 * 4)) for n in range(300)]
    attendance = [draft for frame in frames for draft in frame.events if draft.kind == Kind.PHONE_PASS]
    assert len(attendance) == 1
    assert sum(frame.strike for frame in frames) == 2  # the pulse, and one further pulse after 10 s
    assert {frame.code for frame in frames} == {Reason.OPEN, Reason.SAME_AS_BEFORE}


def test_p9_two_credentials_from_one_spot_within_a_second_are_asked_to_be_one() -> None:
    door = Doorstep()
    spot = (640.0, 360.0, 300.0)
    first = door.scan(NOW + 1, Symbol(MOTHER.shows(NOW + 1), spot=spot))
    second = door.scan(NOW + 1.1, Symbol(OTHER.shows(NOW + 1), spot=(650.0, 365.0, 300.0)))
    assert (first.code, second.code) == (Reason.OPEN, Reason.SHOW_ONE_CODE)
    assert door.scan(NOW + 2.2, Symbol(OTHER.shows(NOW + 2), spot=spot)).code == Reason.OPEN


def test_two_families_at_two_spots_within_a_second_both_enter() -> None:
    door = Doorstep()
    door.scan(NOW + 1, Symbol(MOTHER.shows(NOW + 1), spot=(200.0, 360.0, 150.0)))
    assert door.scan(NOW + 1.1, Symbol(OTHER.shows(NOW + 1), spot=(900.0, 360.0, 150.0))).code == Reason.OPEN


def test_two_passes_in_one_view_are_not_judged() -> None:
    decision = Doorstep().scan(NOW + 1, MOTHER.shows(NOW + 1), OTHER.shows(NOW + 1))
    assert (decision.code, decision.strike, decision.events) == (Reason.SHOW_ONE_CODE, False, ())


def test_a_reflection_of_the_same_text_counts_once() -> None:
    text = MOTHER.shows(NOW + 1)
    assert Doorstep().scan(NOW + 1, text, text).code == Reason.OPEN


@pytest.mark.parametrize("kind", ["MicroQRCode", "Aztec", "DataMatrix", "RMQRCode", "PDF417"])
def test_p1_p2_another_symbology_is_ignored_beside_a_pass_and_alone(kind: str) -> None:
    text = MOTHER.shows(NOW + 1)
    assert Doorstep().scan(NOW + 1, Symbol(text, format=kind)).code == Reason.NOT_A_PASS
    assert Doorstep().scan(NOW + 1, Symbol(OTHER.shows(NOW), format=kind), text).code == Reason.OPEN


def test_p41_a_card_taped_to_the_wall_stops_nobody() -> None:
    door, card = Doorstep(), a_card()
    for second in range(31):
        door.scan(NOW + second, card)
    assert door.scan(NOW + 31, card, MOTHER.shows(NOW + 31)).code == Reason.OPEN
    assert door.scan(NOW + 32, card).code == Reason.NOT_A_PASS


def test_a_taped_card_that_left_is_read_again_but_a_missed_frame_is_no_leaving() -> None:
    door, card = Doorstep(), a_card()
    for second in range(31):
        door.scan(NOW + second, card)
    door.scan(NOW + 30.1)
    assert door.scan(NOW + 30.2, card).code == Reason.NOT_A_PASS
    door.scan(NOW + 32)
    assert door.scan(NOW + 33, card).code == Reason.STAFF_CONFIRM


def test_p43_ten_minutes_later_the_lunch_box_is_no_departure() -> None:
    door = Doorstep()
    door.scan(NOW + 1, MOTHER.shows(NOW + 1))
    back = door.scan(NOW + 600, MOTHER.shows(NOW + 600))
    assert (back.code, back.strike, back.acts) == (Reason.PASSBACK, False, ())


def test_a_copied_presentation_is_a_replay_and_cries_once_per_answer() -> None:
    door = Doorstep()
    copied = MOTHER.shows(NOW + 1)
    door.scan(NOW + 1, copied)
    replayed = door.scan(NOW + 12, copied)
    assert (replayed.code, replayed.strike, replayed.alarms) == (Reason.REPLAY, False, (Reason.REPLAY,))
    assert door.scan(NOW + 13, copied).alarms == ()


def test_what_was_consumed_survives_a_restart() -> None:
    door = Doorstep()
    copied = MOTHER.shows(NOW + 1)
    door.scan(NOW + 1, copied)
    door.restart(NOW + 2)
    assert door.scan(NOW + 3, copied).code == Reason.SAME_AS_BEFORE
    assert door.scan(NOW + 13, copied).code == Reason.REPLAY


def test_where_state_was_lost_each_phone_redraws_once() -> None:
    door = Doorstep()
    copied = MOTHER.shows(NOW + 1)
    door.scan(NOW + 1, copied)
    door.rows.clear()
    door.restart(NOW + 2)
    door.gate.document(DocumentKind.KR1, a_list(), NOW + 2)
    assert door.scan(NOW + 3, copied).code == Reason.STALE
    assert door.scan(NOW + 13, MOTHER.shows(NOW + 12)).code == Reason.OPEN


def test_a_sisters_note_makes_a_copy_a_replay_and_an_equal_one_double_use() -> None:
    door = Doorstep(gates=2)
    note = Note(SISTER, MOTHER.device.thumb, NOW + 5, 0, ((1, IN),))
    door.keep(door.gate.seen(note, NOW + 5))
    assert door.scan(NOW + 6, MOTHER.shows(NOW + 5)).code == Reason.REPLAY
    door.scan(NOW + 7, OTHER.shows(NOW + 7))
    double = door.gate.seen(Note(SISTER, OTHER.device.thumb, NOW + 7, 0, ((2, IN),)), NOW + 8)
    assert double.alarms == ("DOUBLE_USE",)
    assert [draft.kind for draft in double.events] == [Kind.DOUBLE_USE]


def test_p15_a_note_far_ahead_locks_no_family_out() -> None:
    door = Doorstep(gates=2)
    door.gate.seen(Note(SISTER, MOTHER.device.thumb, 2**32 - 1, 0, ()), NOW)
    assert door.scan(NOW + 1, MOTHER.shows(NOW + 1)).code == Reason.OPEN


def test_a_note_that_comes_late_never_overwrites_what_is_known_since() -> None:
    door = Doorstep(gates=2)
    door.scan(NOW + 100, MOTHER.shows(NOW + 100))

    def presence_after_a_note(of: float, heard_at: float, direction: int) -> int | None:
        door.keep(door.gate.seen(Note(SISTER, bytes(8), 0, int(of * 1000), ((1, direction),)), heard_at))
        return door.gate._memory.presence(1, door.gate._day(NOW))

    assert presence_after_a_note(NOW + 50, NOW + 101, OUT) == IN
    door.restart(NOW + 102)
    assert presence_after_a_note(NOW + 50, NOW + 103, OUT) == IN, "its moment survives a restart"
    assert presence_after_a_note(NOW + 104, NOW + 105, OUT) == OUT
    assert presence_after_a_note(NOW + 900, NOW + 106, IN) == IN, "a sister whose clock runs ahead is of this moment"
    assert presence_after_a_note(NOW + 107, NOW + 108, OUT) == OUT


def test_a_phone_a_year_ahead_at_an_untrusted_clock_is_let_in_once_the_clock_is_right() -> None:
    door = Doorstep(clock="untrusted")
    year = NOW + 365 * 86_400
    assert door.scan(NOW + 1, MOTHER.shows(year)).code == Reason.STAFF_CONFIRM
    door.gate.roster.set_clock("holdover", NOW + 100)
    assert door.scan(NOW + 100, MOTHER.shows(NOW + 100)).code == Reason.REPLAY, "nobody vouches for this clock"
    door.gate.roster.set_clock("ntp", NOW + 200)
    assert door.scan(NOW + 200, MOTHER.shows(NOW + 200)).code == Reason.OPEN
    assert door.scan(NOW + 215, MOTHER.shows(NOW + 200)).code == Reason.REPLAY, "and is counted from then on"


def test_a_sisters_note_of_a_year_ahead_heard_by_an_untrusted_clock_locks_no_family_out() -> None:
    door = Doorstep(gates=2, clock="untrusted")
    year = NOW + 365 * 86_400
    door.keep(door.gate.seen(Note(SISTER, MOTHER.device.thumb, year, 0, ()), year))
    door.gate.roster.set_clock("ntp", NOW)
    assert door.scan(NOW + 1, MOTHER.shows(NOW + 1)).code == Reason.OPEN


REGISTRY, SISTER_KEY, STRANGER = SigningKey(b"r" * 32), SigningKey(b"s" * 32), SigningKey(b"x" * 32)


@pytest.mark.parametrize(
    ("signed_by", "says_gate", "alarms"),
    [(SISTER_KEY, SISTER, ()), (STRANGER, SISTER, ("BUS_KEY",)), (SISTER_KEY, 13, ("BUS_KEY",))],
)
def test_p15_only_a_sister_of_this_site_is_heard(signed_by: SigningKey, says_gate: int, alarms: tuple) -> None:
    from protocols.trust import Role, TrustedKey, trust_of

    door = Doorstep(gates=2)
    rows = [*door.gate.roster.trust.keys.values(), TrustedKey(bytes(REGISTRY.verify_key), Role.REGISTRY)]
    door.gate.roster.trust = trust_of(rows)
    gates = {n: GateKey(n, bytes(k.verify_key)) for n, k in ((SISTER, SISTER_KEY), (13, SigningKey(b"t" * 32)))}
    listed = build_gate_list(REGISTRY, GateList(SITE, 1, NOW, gates))
    assert door.gate.document(DocumentKind.KL1, listed, NOW).code == "GATES_OK"
    note = Note(says_gate, MOTHER.device.thumb, NOW + 1, NOW * 1000, ((1, IN),))
    assert door.gate.note(build_note(signed_by, note), NOW + 2).alarms == alarms
    expected = Reason.PASSBACK if not alarms else Reason.OPEN
    assert door.scan(NOW + 3, MOTHER.shows(NOW + 3)).code == expected
    day = 86_400
    assert door.gate.note(build_note(signed_by, note), NOW + day).alarms == (alarms or ("BUS_STALE",))
    assert door.scan(NOW + day, MOTHER.shows(NOW + day)).code == Reason.OPEN


def test_p15_an_unsigned_note_is_ignored_and_cried() -> None:
    assert Doorstep().gate.note(b"\x80", NOW).alarms == ("BUS_FORMAT",)


def test_p42_rubbish_is_counted_and_cries_once_an_hour() -> None:
    door = Doorstep()
    forged = Phone(9)
    forged.credential = forged.credential[:-1] + bytes([forged.credential[-1] ^ 1])
    decisions = [door.scan(NOW + n, forged.shows(NOW + n)) for n in range(60)]
    assert {d.code for d in decisions} == {Reason.BAD_SIGNATURE}
    assert sum(len(d.events) for d in decisions) == 0
    assert sum(len(d.alarms) for d in decisions) == 1
    assert door.gate.take_counts() == {"BAD_SIGNATURE": 60}


def test_after_the_issuer_at_most_six_refusals_a_minute_are_recorded() -> None:
    door = Doorstep()
    decisions = [door.scan(NOW + 2 * n, MOTHER.shows(NOW - 100 + n)) for n in range(20)]
    assert {d.code for d in decisions} == {Reason.STALE}
    assert sum(len(d.events) for d in decisions) == 6
    assert door.gate.take_counts() == {"STALE": 14}


def test_a_custody_rule_closes_silently_and_the_head_hears_once_in_ten_minutes() -> None:
    door = Doorstep()
    rule = CustodyRule(1, MOTHER.holder, 3, NOW, NOW + 3600)
    door.gate.document(DocumentKind.KR1, a_list(2, custody=(rule,)), NOW)
    first = door.scan(NOW + 1, MOTHER.shows(NOW + 1))
    assert (first.code, first.strike, first.alarms) == (Reason.CUSTODY, False, (Reason.CUSTODY,))
    assert door.scan(NOW + 20, MOTHER.shows(NOW + 20)).alarms == ()
    assert door.gate.waiting(NOW + 21) == ()


def test_a_teachers_pass_confirms_the_one_family_that_waits() -> None:
    door = Doorstep(departures="staff")
    door.scan(NOW + 1, MOTHER.shows(NOW + 1))
    assert door.scan(NOW + 60, MOTHER.shows(NOW + 60, OUT)).code == Reason.STAFF_CONFIRM
    assert door.scan(NOW + 64, MOTHER.shows(NOW + 64, OUT)).events == ()
    confirmed = door.scan(NOW + 66, TEACHER.shows_staff(NOW + 66))
    assert (confirmed.code, confirmed.strike, confirmed.acts) == (Reason.CONFIRMED, True, ((1, OUT),))
    repeated = door.scan(NOW + 70, TEACHER.shows_staff(NOW + 70))
    assert (repeated.code, repeated.strike, repeated.events) == (Reason.CONFIRMED, False, ())


def test_a_teachers_pass_confirms_nothing_while_two_families_wait() -> None:
    door = Doorstep(listed=False)
    door.scan(NOW + 1, MOTHER.shows(NOW + 1))
    door.scan(NOW + 2, OTHER.shows(NOW + 2))
    assert door.scan(NOW + 3, TEACHER.shows_staff(NOW + 3)).code == Reason.NOTHING_WAITS


def test_releasing_a_child_needs_the_power_to_release() -> None:
    door = Doorstep(departures="staff")
    door.scan(NOW + 1, MOTHER.shows(NOW + 1))
    door.scan(NOW + 60, MOTHER.shows(NOW + 60, OUT))
    helper = Phone(4, holder=51, powers=POWER_CONFIRM)
    assert door.scan(NOW + 61, helper.shows_staff(NOW + 61)).code == Reason.NOT_ALLOWED
    releaser = Phone(5, holder=52, powers=POWER_CONFIRM | POWER_RELEASE)
    assert door.scan(NOW + 63, releaser.shows_staff(NOW + 63)).code == Reason.CONFIRMED


def test_custody_is_checked_again_when_staff_confirm() -> None:
    door = Doorstep(departures="staff")
    door.scan(NOW + 1, MOTHER.shows(NOW + 1))
    door.scan(NOW + 60, MOTHER.shows(NOW + 60, OUT))
    rule = CustodyRule(1, 0, 2, NOW, NOW + 3600)
    door.gate.document(DocumentKind.KR1, a_list(2, NOW + 10, custody=(rule,)), NOW + 61)
    decision = door.gate.staff(StaffAnswer(True, 50), NOW + 62)
    assert (decision.code, decision.strike) == (Reason.CUSTODY, False)
    assert door.gate.staff(StaffAnswer(True, 50), NOW + 63).code == Reason.NOTHING_WAITS


def test_a_declined_family_stays_declined_through_its_redraws() -> None:
    door = Doorstep(listed=False)
    door.scan(NOW + 1, MOTHER.shows(NOW + 1))
    assert door.gate.staff(StaffAnswer(False, 50), NOW + 5).code == Reason.DECLINED
    redraw = door.scan(NOW + 9, MOTHER.shows(NOW + 9))
    assert (redraw.code, redraw.events) == (Reason.DECLINED, ())
    assert door.scan(NOW + 51, MOTHER.shows(NOW + 51)).code == Reason.STAFF_CONFIRM


def test_staff_enter_with_their_own_pass_at_any_hour() -> None:
    door = Doorstep()
    entered = door.scan(NOW + 1, TEACHER.shows_staff(NOW + 1, INTENT_ENTER))
    assert (entered.code, entered.strike, entered.acts) == (Reason.OPEN, True, ())


def test_with_a_failing_journal_nothing_is_written_and_staff_are_asked() -> None:
    door = Doorstep()
    door.gate.journal(False, NOW)
    asked = door.scan(NOW + 1, MOTHER.shows(NOW + 1))
    assert (asked.code, asked.strike, asked.events, asked.asks) == (Reason.STAFF_CONFIRM, False, (), ("journal",))
    assert asked.later == ()


def test_with_a_failing_journal_the_gate_s_own_news_are_for_later() -> None:
    door = Doorstep()
    door.gate.journal(False, NOW)
    told = door.gate.clock("holdover", NOW + 1)
    assert (told.events, [draft.kind for draft in told.later]) == ((), [Kind.CLOCK_SET])


def test_p14_a_bad_list_is_named_and_the_good_one_stays() -> None:
    door = Doorstep()
    held = door.gate.roster.policy
    for data, code in ((b"", "LIST_FORMAT"), (b"{}" * 40_000, "LIST_FORMAT"), (a_list(0), "LIST_ROLLBACK")):
        decision = door.gate.document(DocumentKind.KR1, data, NOW)
        assert (decision.code, decision.alarms) == (code, (code,))
    assert door.gate.roster.policy == held


def test_the_code_of_a_document_shows_nothing_to_people() -> None:
    assert Doorstep().gate.document(DocumentKind.KR1, b"", NOW).signal is Signal.NONE
    assert Doorstep().scan(NOW + 1, MOTHER.shows(NOW + 1)).signal is Signal.GREEN


def test_p47_a_list_of_ten_minutes_ahead_locks_no_site_out() -> None:
    door = Doorstep()
    assert door.gate.document(DocumentKind.KR1, a_list(2, NOW + 600), NOW).code == "LIST_FUTURE"
    assert door.scan(NOW + 1, MOTHER.shows(NOW + 1)).code == Reason.OPEN


def test_p30_the_end_of_uint32_is_a_moment_like_another() -> None:
    late = 2**32 - 100
    door = Doorstep(listed=False)
    assert door.scan(late, MOTHER.shows(late)).code == Reason.EXPIRED


def test_p47_a_receipt_of_ten_minutes_ahead_locks_no_site_out_in_holdover() -> None:
    door = Doorstep(clock="holdover")
    assert not door.gate.roster.told_time(NOW + 600, NOW)
    assert door.scan(NOW + 1, MOTHER.shows(NOW + 1)).code == Reason.OPEN
    assert door.gate.roster.told_time(NOW + 60, NOW + 1)


def test_a_gate_that_booted_in_another_century_opens_once_its_clock_is_right() -> None:
    door = Doorstep()
    door.rows.clear()
    door.restart(2**32 - 100)
    door.keep(door.gate.document(DocumentKind.KR1, a_list(), NOW))
    assert door.scan(NOW + 1, MOTHER.shows(NOW + 1)).code == Reason.STALE
    assert door.scan(NOW + 12, MOTHER.shows(NOW + 12)).code == Reason.OPEN
    door.restart(NOW + 20)
    assert door.scan(NOW + 60, OTHER.shows(NOW + 60)).code == Reason.OPEN


def test_a_clock_set_back_by_a_month_ends_what_waited() -> None:
    door = Doorstep(departures="staff")
    assert door.scan(NOW + 1, MOTHER.shows(NOW + 1, OUT)).code == Reason.STAFF_CONFIRM
    month = 30 * 86_400
    assert door.gate.waiting(NOW - month) == ()
    assert door.gate.staff(StaffAnswer(True, 50), NOW - month).code == Reason.NOTHING_WAITS


def test_a_gate_names_only_itself_in_its_own_settings() -> None:
    door = Doorstep()
    assert door.scan(NOW + 1, MOTHER.shows(NOW + 1, gate=GATE)).code == Reason.OPEN
    assert door.scan(NOW + 2, OTHER.shows(NOW + 2, gate=SISTER)).code == Reason.OTHER_GATE


STEPS = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from(["mother", "other", "card", "teacher", "copy", "note", "tablet"])),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_whatever_happens_the_strike_moves_only_for_a_reason(steps: list[tuple[int, str]]) -> None:
    """And a gate that restarts between any two steps answers replays and presence as one that did not."""
    steady, restarted = Doorstep(), Doorstep()
    at, copy = float(NOW), MOTHER.shows(NOW)
    for wait, who in steps:
        at += wait
        texts = {
            "mother": MOTHER.shows(at, IN if wait % 2 else OUT),
            "other": OTHER.shows(at),
            "card": a_card(),
            "teacher": TEACHER.shows_staff(at),
            "copy": copy,
        }
        for door in (steady, restarted):
            if who == "note":
                decision = door.keep(door.gate.seen(Note(SISTER, MOTHER.device.thumb, int(at), 0, ((1, OUT),)), at))
            elif who == "tablet":
                decision = door.keep(door.gate.staff(StaffAnswer(wait % 2 == 0, 50), at))
            else:
                decision = door.scan(at, texts[who])
            assert not decision.strike or decision.code in (Reason.OPEN, Reason.CONFIRMED, Reason.SAME_AS_BEFORE)
            assert bool(decision.acts) <= decision.strike
            assert not decision.strike or decision.events
        copy = texts["mother"] if who == "mother" else copy
        restarted.restart(at)
    day = steady.gate._day(at)
    opened_alone = [child for child in (1, 2) if restarted.gate._memory.presence(child, day) is not None]
    assert set(opened_alone) <= {1, 2}
