"""Writes scenarios/*.jsonl: one for each sentence of sections 3 and 4, with what each step must answer.

    python -m tests.vectors.make_scenarios

Made by the second implementation, and told from the specification and the scenario's format alone: the gate's code was
not read for it. `expect` in a step is no part of the format: it is taken out before the step is played. It names the
code, and of the other members those that the sentence is about. Unless it says otherwise the door opens with OPEN and
CONFIRMED and with nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.protocols import foreign
from tests.protocols.foreign import GATE, NOW, PHONE, PHONE_P256, SITE, Card, Family, Staff, edkey
from tests.vectors.make import TRUST, a_key

HERE = Path(__file__).parent / "scenarios"
ADA, BEN, CHI = 1001, 1002, 1003
IN, OUT = 1, 2
MOTHER, FATHER = Family(), Family(phone=PHONE_P256, holder=501, cti=b"cti-fath")
OTHER_PHONE = edkey("another phone")
SCENES: dict[str, Callable[[], Play]] = {}


class Play:
    """A scenario as it is written: a header, then steps with what they must answer."""

    def __init__(self, **header: Any) -> None:
        right = {
            "gate": GATE,
            "site": SITE,
            "tz": "UTC",
            "hours": [[0, 86_400]],
            "boot": NOW - 3600,
            "floor": NOW - 86_400,
        }
        self.lines: list[dict] = [{**right, "clock": "ntp", "departures": "pass", "trust": TRUST, **header}]

    def step(self, at: float, code: str, does: dict, **expect: Any) -> Play:
        self.lines.append({"at": NOW + at, **does, "expect": {"code": code, **expect}})
        return self

    def listed(self, at: float = -60, code: str = "LIST_OK", data: bytes | None = None, **body: Any) -> Play:
        """A policy list; nothing forbidden and fresh unless said."""
        made = foreign.policy_list(**{"iat": int(NOW + at), **body}) if data is None else data
        return self.step(at, code, {"policy": made.hex()})

    def scan(self, at: float, code: str, *texts: str, **expect: Any) -> Play:
        return self.step(
            at, code, {"scan": [{"text": text, "format": "QRCode", "append": False} for text in texts]}, **expect
        )

    def shows(self, at: float, code: str, who: Family = MOTHER, **changes: Any) -> Play:
        """A pass redrawn this second (unless `drawn` says when), with members of the pass and of what is expected."""
        expect = {
            key: changes.pop(key)
            for key in ("strike", "acts", "refused", "flags", "events", "alarms", "by")
            if key in changes
        }
        made = type(who)(**{**vars(who), "at": int(NOW + changes.pop("drawn", at)), **changes})
        return self.scan(at, code, made.text(), **expect)

    def staff(self, at: float, code: str, confirm: bool = True, direction: int | None = None, **expect: Any) -> Play:
        answer = {"confirm": confirm, "staff": 700, **({"direction": direction} if direction else {})}
        return self.step(at, code, {"staff": answer}, **expect)

    def ok(self, at: float, does: dict, **expect: Any) -> Play:
        return self.step(at, "OK", does, **expect)

    def note(self, at: float, iat: float, thumb: bytes, acts: list, gate: int = 12, **expect: Any) -> Play:
        return self.ok(
            at, {"seen": {"thumb": thumb.hex(), "iat": int(NOW + iat), "gate": gate, "acts": acts}}, **expect
        )


def scene(make: Callable[[], Play]) -> Callable[[], Play]:
    SCENES[make.__name__] = make
    return make


def opened(**header: Any) -> Play:
    """The usual beginning: a fresh list that forbids nothing."""
    return Play(**header).listed()


# --- (a) view ---------------------------------------------------------------------------------------------------


@scene
def other_symbols_are_ignored() -> Play:
    play, text = opened(), MOTHER.text()
    play.scan(0, "NOT_A_PASS", events=0, acts=[]).scan(1, "NOT_A_PASS", "https://example.org", "KX1:ABC", events=0)
    for at, form in enumerate(("MicroQRCode", "rMQRCode", "Aztec", "DataMatrix", "PDF417"), 2):
        play.step(at, "NOT_A_PASS", {"scan": [{"text": text, "format": form, "append": False}]})
    play.step(8, "NOT_A_PASS", {"scan": [{"text": text, "format": "QRCode", "append": True}]})
    return play.scan(9, "OPEN", "https://example.org", text, acts=[[ADA, IN]], events=1)


@scene
def two_different_passes_show_one_code_and_a_reflection_counts_once() -> Play:
    play = opened().scan(0, "SHOW_ONE_CODE", MOTHER.text(), FATHER.text(), events=0)
    play.scan(15, "SHOW_ONE_CODE", Family(at=NOW + 15).text(), Card().text())
    again = Family(at=NOW + 30).text()
    return play.scan(30, "OPEN", again, again, acts=[[ADA, IN]])


@scene
def a_staff_pass_goes_before_family_passes() -> Play:
    play = opened().scan(0, "NOTHING_WAITS", Staff().text(), MOTHER.text())
    play.shows(20, "OPEN", drawn=20)
    two = Staff(at=NOW + 80).text(), Staff(at=NOW + 80, phone=PHONE_P256, holder=701, cti=b"cti-sta2").text()
    return play.scan(80, "SHOW_ONE_CODE", *two)


@scene
def a_text_unchanged_for_30_s_is_ignored_until_it_leaves() -> Play:
    play, card = opened(), Card().text()
    for at in range(0, 30, 2):
        play.scan(at, "STAFF_CONFIRM", card, events=1 if at == 0 else 0)
    play.scan(31, "NOT_A_PASS", card).scan(32, "OPEN", card, Family(at=NOW + 32, children=[[BEN, 3]]).text())
    for at in range(34, 60, 2):
        play.scan(at, "NOT_A_PASS", card)
    return play.scan(60, "NOT_A_PASS").scan(75, "NOT_A_PASS").scan(90, "STAFF_CONFIRM", card, events=1)


@scene
def length_version_base45_cbor_and_shapes_are_read_in_this_order_and_only_counted() -> Play:
    play, text = opened(), MOTHER.text()
    wrong = [
        ("TOO_LONG", "KG2:" + "?" * 640), ("UNKNOWN_VERSION", "KG2:?"), ("FORMAT", "KG1:?"), ("FORMAT", "KG1:"),
        ("FORMAT", text[:-4]), ("FORMAT", text + "0" * 30), ("FORMAT", "KC1:" + text[4:]),
        ("FORMAT", "KG1:" + Card().text()[4:]),
        ("TOO_LONG", text + "0" * (641 - len(text))), ("UNKNOWN_VERSION", "KC0:" + text[4:]),
        ("UNKNOWN_VERSION", "KT9:" + text[4:]),
    ]  # fmt: skip
    for at, (code, shown) in enumerate(wrong):
        play.scan(15 * at, code, shown, acts=[])
    return play


# --- (b) issuer -------------------------------------------------------------------------------------------------


@scene
def before_the_issuer_is_known_there_are_counters_and_one_alert_an_hour_and_code() -> Play:
    play = Play().listed(kids=[edkey("revoked issuer").kid])
    stranger = edkey("stranger")
    wrong = {
        "BAD_ALG": Family(protected={1: -9, 4: foreign.ISSUER.kid}),
        "UNKNOWN_ISSUER": Family(issuer=stranger),
        "BAD_SIGNATURE": Family(signature=bytes(64)),
    }
    for number, (code, made) in enumerate(wrong.items()):
        play.scan(100 * number, code, made.text(), alarms=[code], acts=[])
        play.scan(100 * number + 20, code, type(made)(**{**vars(made), "cti": b"cti-0009"}).text(), alarms=[])
    play.listed(3500, version=2, kids=[edkey("revoked issuer").kid])
    play.scan(3650, "BAD_ALG", wrong["BAD_ALG"].text(), alarms=["BAD_ALG"])
    return play


@scene
def a_key_of_another_role_issues_nothing_and_a_kid_on_the_list_is_revoked() -> Play:
    play = Play().listed(kids=[foreign.ISSUER.kid])
    play.scan(0, "ISSUER_REVOKED", MOTHER.text(), alarms=["ISSUER_REVOKED"])
    play.scan(20, "ISSUER_REVOKED", Family(signature=bytes(64), at=NOW + 20).text())
    return play.scan(40, "UNKNOWN_ISSUER", Family(issuer=foreign.POLICY).text(), alarms=["UNKNOWN_ISSUER"])


# --- (c) credential ---------------------------------------------------------------------------------------------


@scene
def credentials_that_are_not_good_here_and_now() -> Play:
    play = Play().listed(ctis=[b"cti-gone"], holders=[[502, NOW]], thumbs=[OTHER_PHONE.thumb])
    late = {"iat": NOW - 9 * 86_400}
    wrong = [
        ("OTHER_SITE", {"site": 202}), ("FORMAT", {"exp": NOW + 8 * 86_400}), ("FORMAT", {"claims": {5: 0}}),
        ("FORMAT", {"children": [[ADA, 3], [ADA, 3]]}), ("NOT_YET_VALID", {"iat": NOW + 600, "exp": NOW + 86_400}),
        ("EXPIRED", {"exp": NOW + 1, "iat": NOW - 86_400}), ("REVOKED", {"cti": b"cti-gone"}),
        ("HOLDER_BLOCKED", {"holder": 502}),
        ("EXPIRED", {"cti": b"cti-gone", **late, "exp": NOW - 86_400}), ("DEVICE_REVOKED", {"phone": OTHER_PHONE}),
        ("BAD_KEY", {"cose_key": {1: 1, -1: 6, -2: bytes(32)}}), ("BAD_ALG", {"shown_protected": {1: -9}}),
        ("BAD_SIGNATURE", {"shown_signature": bytes(64)}), ("CHILD_NOT_IN_PASS", {"childmask": 4}),
        ("OTHER_GATE", {"gate": GATE + 1}),
    ]  # fmt: skip
    alerts = {"BAD_KEY", "BAD_ALG", "BAD_SIGNATURE", "CHILD_NOT_IN_PASS", "OTHER_GATE"}
    for number, (code, changes) in enumerate(wrong):
        at = 15 * number
        expect: dict[str, Any] = (
            {"alarms": [code] if code in alerts else []}
            if code not in ("REVOKED", "HOLDER_BLOCKED", "DEVICE_REVOKED")
            else {}
        )
        play.shows(at, code, **{"cti": b"cti-%04d" % number, **changes}, events=1, acts=[], **expect)
    return play


@scene
def a_holder_is_blocked_for_credentials_from_before_and_not_for_new_ones() -> Play:
    play = Play().listed(holders=[[500, NOW - 3599]])
    return play.shows(0, "HOLDER_BLOCKED").shows(15, "OPEN", iat=NOW - 3599, cti=b"cti-new1")


@scene
def an_issuer_may_not_issue_outside_its_window_or_its_sites() -> Play:
    row, stranger = a_key("issuer", foreign.ISSUER, (SITE,), NOW - 7200, NOW - 3601), edkey("issuer of 202")
    play = Play(trust=[a_key("issuer", stranger, (202,)), row, *TRUST[1:]]).listed()
    play.shows(0, "ISSUER_WINDOW", alarms=["ISSUER_WINDOW"], events=1).shows(15, "OTHER_SITE", issuer=stranger)
    return play.shows(30, "OPEN", iat=NOW - 3601, exp=NOW + 86_400, cti=b"cti-0002")


@scene
def the_end_of_uint32_is_not_the_end_of_the_gate() -> Play:
    return (
        opened()
        .shows(0, "FORMAT", holder=2**32)
        .shows(15, "FORMAT", children=[[2**32, 3]], cti=b"cti-0003")
        .shows(30, "OPEN", holder=2**32 - 1, children=[[2**32 - 1, 3]], cti=b"cti-0004", acts=[[2**32 - 1, IN]])
    )


# --- (d) presentation, replays ----------------------------------------------------------------------------------


@scene
def the_time_window_of_a_presentation() -> Play:
    play = opened()
    edges = [("STALE", -21), ("OPEN", -20), ("CLOCK_SKEW", 11), ("CLOCK_SKEW", 900), ("FUTURE", 901), ("OPEN", 10)]
    for number, (code, ahead) in enumerate(edges):
        at, phone = 100 * number, edkey(f"phone {number}")
        more: dict[str, Any] = {"by": ahead} if code == "CLOCK_SKEW" else {}
        children = [[2000 + number, 3]]
        play.shows(at, code, phone=phone, cti=b"cti-%04d" % number, children=children, drawn=at + ahead, **more)
    return play


@scene
def a_skewed_or_stale_presentation_is_not_consumed_and_one_that_was_answered_is() -> Play:
    play = opened().shows(0, "CLOCK_SKEW", drawn=240).shows(15, "OPEN")
    play.shows(100, "NOT_ALLOWED", FATHER, children=[[BEN, 2]])
    return play.shows(115, "REPLAY", FATHER, children=[[BEN, 2]], drawn=99, alarms=["REPLAY"], events=1)


@scene
def the_very_presentation_again_is_the_same_for_10_s_and_a_replay_after() -> Play:
    play, text = opened(), MOTHER.text()
    play.scan(0, "OPEN", text, acts=[[ADA, IN]], events=1)
    for at in (1, 5, 10):
        play.scan(at, "SAME_AS_BEFORE", text, strike=False, acts=[], events=0, alarms=[])
    return play.scan(12, "REPLAY", text, strike=False, alarms=["REPLAY"])


@scene
def an_older_presentation_of_an_accepted_phone_is_a_replay() -> Play:
    return opened().shows(0, "OPEN").shows(2, "REPLAY", drawn=-3, alarms=["REPLAY"], events=1).shows(60, "PASSBACK")


@scene
def a_refused_presentation_repeats_its_code_for_10_s_without_an_event() -> Play:
    play, text = opened(), Family(children=[[ADA, 2]]).text()
    play.scan(0, "NOT_ALLOWED", text, events=1)
    return play.scan(4, "NOT_ALLOWED", text, events=0, alarms=[]).scan(9, "NOT_ALLOWED", text, events=0)


@scene
def where_the_replay_state_was_lost_the_first_seconds_after_the_boot_are_stale() -> Play:
    play = Play(boot=NOW).listed(1)
    play.shows(8, "STALE", drawn=9).shows(11, "OPEN", drawn=10)
    play.ok(100, {"restart": {"keep_state": True}}, events=1)
    play.shows(102, "OPEN", FATHER, children=[[BEN, 3]])
    play.ok(200, {"restart": {"keep_state": False}}, events=1).listed(201, iat=NOW + 200)
    return play.shows(205, "STALE", phone=OTHER_PHONE, cti=b"cti-0005").shows(
        210, "OPEN", phone=OTHER_PHONE, cti=b"cti-0005"
    )


@scene
def a_phone_redraws_and_stays_the_same_for_45_s_with_one_further_pulse() -> Play:
    play = opened().shows(0, "OPEN", strike=True, events=1)
    play.shows(5, "SAME_AS_BEFORE", strike=False, events=0, acts=[]).shows(9, "SAME_AS_BEFORE", strike=False)
    play.shows(10, "SAME_AS_BEFORE", strike=True, acts=[], events=1).shows(15, "SAME_AS_BEFORE", strike=False, events=0)
    play.shows(30, "SAME_AS_BEFORE", strike=False).shows(45, "SAME_AS_BEFORE", strike=False)
    return play.shows(50, "PASSBACK", events=1, acts=[]).shows(600, "PASSBACK")


@scene
def another_mask_or_direction_is_not_the_same_as_before() -> Play:
    play = opened().shows(0, "OPEN", acts=[[ADA, IN]])
    play.shows(5, "OPEN", childmask=3, acts=[[BEN, IN]], refused=[[ADA, "PASSBACK"]])
    play.shows(10, "SAME_AS_BEFORE", childmask=3, acts=[])
    play.shows(20, "OPEN", direction=OUT, childmask=3, acts=[[ADA, OUT], [BEN, OUT]])
    return play.shows(25, "OPEN", childmask=3, acts=[[ADA, IN], [BEN, IN]])


@scene
def nothing_is_the_same_once_somebody_moved_the_children() -> Play:
    play = opened(gates=2).shows(0, "OPEN")
    play.note(5, 5, OTHER_PHONE.thumb, [[ADA, OUT]])
    return play.shows(10, "OPEN", acts=[[ADA, IN]])


@scene
def another_phone_for_the_same_child_is_passback_and_not_the_same() -> Play:
    return opened().shows(0, "OPEN").shows(5, "PASSBACK", FATHER, acts=[])


@scene
def custody_stands_before_the_same_as_before() -> Play:
    play = opened().shows(0, "OPEN")
    play.listed(3, version=2, custody=[[ADA, 0, 3, 0, 2**32 - 1]])
    return play.shows(6, "CUSTODY", strike=False, acts=[])


@scene
def what_fails_before_the_phones_signature_repeats_its_code_too_without_event_or_alarm() -> Play:
    play = opened()
    wrong = {
        "CHILD_NOT_IN_PASS": Family(childmask=4),
        "OTHER_GATE": Family(gate=GATE + 1, cti=b"cti-0002"),
        "EXPIRED": Family(iat=NOW - 900, exp=NOW - 300, cti=b"cti-0003"),
        "BAD_KEY": Family(cose_key={1: 1, -1: 6, -2: bytes(32)}, cti=b"cti-0004"),
        "OTHER_SITE": Card(site=202),
    }
    for number, (code, made) in enumerate(wrong.items()):
        text, at = made.text(), 100 * number
        play.scan(at, code, text, events=1)
        for later in (0.03, 1, 9):
            play.scan(at + later, code, text, events=0, alarms=[], acts=[])
    return play


@scene
def a_wall_of_posters_hides_no_pass() -> Play:
    return opened().scan(0, "OPEN", *[f"https://example.org/{n}" for n in range(12)], MOTHER.text())


# --- sisters ----------------------------------------------------------------------------------------------------


@scene
def a_sisters_note_makes_older_presentations_replays() -> Play:
    play = opened(gates=2).note(0, 0, PHONE.thumb, [[BEN, IN]])
    play.shows(2, "REPLAY", drawn=0, alarms=["REPLAY"]).shows(15, "OPEN", acts=[[ADA, IN]])
    return play.shows(60, "PASSBACK", childmask=2)


@scene
def a_note_from_far_ahead_locks_nobody_out_but_its_presence_counts() -> Play:
    play = opened(gates=2).note(0, 21, PHONE.thumb, [[BEN, IN]]).note(1, 2**31, PHONE_P256.thumb, [])
    return play.shows(2, "OPEN", childmask=3, acts=[[ADA, IN]], refused=[[BEN, "PASSBACK"]]).shows(
        20, "PASSBACK", FATHER
    )


@scene
def a_note_20_s_ahead_is_believed() -> Play:
    return opened(gates=2).note(0, 20, PHONE.thumb, []).shows(15, "REPLAY", drawn=20).shows(25, "OPEN")


@scene
def one_presentation_at_two_gates_is_double_use() -> Play:
    play = opened(gates=2).ok(0, {"bus": "down"}).shows(1, "OPEN", flags=["replay_bus_down"], acts=[[ADA, IN]])
    play.ok(5, {"bus": "up"}).note(6, 1, PHONE.thumb, [[ADA, IN]], alarms=["DOUBLE_USE"], events=1)
    return play.shows(8, "SAME_AS_BEFORE", drawn=1, strike=False).note(9, 0, PHONE.thumb, [[ADA, IN]], alarms=[])


@scene
def a_note_never_changes_what_this_gate_calls_the_same_presentation() -> Play:
    play = opened(gates=2).shows(0, "OPEN", drawn=0)
    return play.note(2, 0, PHONE.thumb, [[ADA, IN]], alarms=["DOUBLE_USE"]).shows(
        4, "SAME_AS_BEFORE", drawn=0, strike=False
    )


# --- (e) site ---------------------------------------------------------------------------------------------------


@scene
def lockdown_stops_all_and_does_not_wait() -> Play:
    play = opened().ok(0, {"mode": "lockdown"}).shows(1, "LOCKDOWN", events=1, acts=[])
    play.staff(5, "NOTHING_WAITS").shows(20, "LOCKDOWN", FATHER, direction=OUT)
    return play.ok(30, {"mode": "normal"}).shows(31, "OPEN")


@scene
def arrivals_outside_the_hours_are_closed_and_the_end_is_excluded() -> Play:
    second = NOW % 86_400  # of the UTC day
    play = opened(hours=[[second, second + 10]])
    one, two, three = (
        Family(phone=edkey(f"phone {n}"), cti=b"cti-%04d" % n, children=[[2000 + n, 3]]) for n in range(3)
    )
    play.shows(-1, "CLOSED", one, events=1, acts=[]).shows(9, "OPEN", two).shows(10, "CLOSED", three)
    return play.staff(15, "CONFIRMED", acts=[[2002, IN]], strike=True)


@scene
def a_late_departure_asks_staff_and_is_not_closed() -> Play:
    second = NOW % 86_400
    play = opened(hours=[[second, second + 10]]).shows(0, "OPEN")
    return play.shows(60, "STAFF_CONFIRM", direction=OUT).staff(65, "CONFIRMED", acts=[[ADA, OUT]])


@scene
def hours_are_the_wall_clock_of_the_sites_time_zone() -> Play:
    almaty = (NOW % 86_400 + 5 * 3600) % 86_400  # 19:13:20 in Almaty
    play = opened(tz="Asia/Almaty", hours=[[almaty - 60, almaty + 60]])
    return play.shows(-59, "OPEN").shows(100, "CLOSED", FATHER, children=[[BEN, 3]])


@scene
def hours_follow_the_change_of_the_clocks() -> Play:
    summer, winter = (
        1_792_821_600,
        1_793_080_800 + 3600,
    )  # 2026-10-24 06:00 UTC = 08:00 in Paris; 2026-10-27 07:00 = 08:00
    play = Play(tz="Europe/Paris", hours=[[8 * 3600, 9 * 3600]], boot=summer - 86_400, floor=0)
    for number, (moment, code) in enumerate(
        ((summer - 1, "CLOSED"), (summer, "OPEN"), (winter - 3600, "CLOSED"), (winter, "OPEN"))
    ):
        at, child = moment - NOW, [[3000 + number, 3]]
        play.listed(at - 30, version=number + 1)
        phone = edkey(f"phone {number}")
        play.shows(at, code, phone=phone, children=child, iat=moment - 60, exp=moment + 60, cti=b"cti-%04d" % number)
    return play


# --- (f) children -----------------------------------------------------------------------------------------------


@scene
def perms_that_lack_the_direction_are_not_allowed_and_wait_for_staff() -> Play:
    play = opened().shows(0, "NOT_ALLOWED", children=[[ADA, 2]], events=1, acts=[])
    return play.staff(5, "CONFIRMED", acts=[[ADA, IN]], strike=True, events=1)


@scene
def custody_denies_from_its_first_second_to_before_its_last_and_does_not_wait() -> Play:
    rules = [[ADA, 500, 1, NOW, NOW + 30], [ADA, 501, 3, 0, 2**32 - 1]]
    play = Play().listed(custody=rules)
    play.shows(0, "CUSTODY", events=1, acts=[], strike=False).staff(5, "NOTHING_WAITS")
    return play.shows(15, "CUSTODY", FATHER).shows(30, "OPEN")


@scene
def a_custody_rule_may_ask_staff_instead() -> Play:
    play = Play().listed(custody=[[ADA, 0, 5, 0, 2**32 - 1]])
    return play.shows(0, "STAFF_CONFIRM").staff(4, "CONFIRMED", acts=[[ADA, IN]])


@scene
def a_child_already_in_or_out_today_is_passback_and_waits() -> Play:
    play = opened().shows(0, "OPEN").shows(60, "PASSBACK", events=1, acts=[])
    play.shows(120, "OPEN", direction=OUT).shows(180, "PASSBACK", direction=OUT)
    return play.shows(240, "OPEN", acts=[[ADA, IN]])


@scene
def presence_is_of_today_in_the_sites_own_zone() -> Play:
    evening = 86_400 - (NOW + 5 * 3600) % 86_400 - 120  # two minutes to midnight in Almaty
    play = opened(tz="Asia/Almaty").shows(evening, "OPEN").shows(evening + 60, "PASSBACK")
    return play.shows(evening + 180, "OPEN", acts=[[ADA, IN]])


@scene
def a_departure_of_a_child_not_known_to_be_in_asks_staff() -> Play:
    return opened().shows(0, "STAFF_CONFIRM", direction=OUT).staff(5, "CONFIRMED", acts=[[ADA, OUT]])


@scene
def perms_4_asks_staff_both_ways() -> Play:
    play = opened().shows(0, "STAFF_CONFIRM", children=[[ADA, 7]]).staff(3, "CONFIRMED", acts=[[ADA, IN]])
    return play.shows(60, "STAFF_CONFIRM", children=[[ADA, 7]], direction=OUT).staff(63, "CONFIRMED", acts=[[ADA, OUT]])


@scene
def of_an_arrival_those_who_may_enter_and_the_others_are_listed() -> Play:
    rows = [[ADA, 2], [BEN, 3], [CHI, 7]]
    listed = [[ADA, "NOT_ALLOWED"], [CHI, "STAFF_CONFIRM"]]
    return opened().shows(0, "OPEN", children=rows, childmask=7, acts=[[BEN, IN]], refused=listed)


@scene
def of_an_arrival_of_which_none_may_enter_the_first_childs_code_answers() -> Play:
    play = Play().listed(custody=[[BEN, 0, 1, 0, 2**32 - 1]])
    play.shows(0, "NOT_ALLOWED", children=[[ADA, 2], [BEN, 3]], childmask=3, acts=[])
    return play.shows(60, "CUSTODY", FATHER, children=[[BEN, 3], [ADA, 2]], childmask=3, acts=[])


@scene
def of_a_departure_all_leave_or_none() -> Play:
    rows, play = [[ADA, 3], [BEN, 3]], Play().listed(custody=[[CHI, 0, 2, 0, 2**32 - 1]])
    play.shows(0, "OPEN", children=[*rows, [CHI, 3]], childmask=7)
    play.shows(60, "STAFF_CONFIRM", children=[*rows, [CHI, 3]], childmask=7, direction=OUT, acts=[])
    play.shows(130, "OPEN", FATHER, children=rows, childmask=3, direction=OUT, acts=[[ADA, OUT], [BEN, OUT]])
    return play.shows(190, "PASSBACK", FATHER, children=[*rows, [CHI, 3]], childmask=3, direction=OUT).shows(
        250, "PASSBACK", FATHER, children=[*rows, [CHI, 3]], childmask=7, direction=OUT
    )


# --- (g) freshness, staff ---------------------------------------------------------------------------------------


@scene
def without_a_policy_list_staff_are_asked_both_ways() -> Play:
    return Play().shows(0, "STAFF_CONFIRM").shows(20, "STAFF_CONFIRM", FATHER, children=[[BEN, 3]], direction=OUT)


@scene
def an_old_list_asks_for_departures_after_24_h_and_for_arrivals_4_days_past_its_next_update() -> Play:
    play = Play().listed(0, iat=NOW, next_update=NOW + 3 * 86_400)

    def comes(at: int, number: int, code: str, direction: int, **expect: Any) -> None:
        moment = NOW + at
        play.shows(at, code, phone=edkey(f"phone {number}"), cti=b"cti-%04d" % number, direction=direction,
                   children=[[4000 + number // 2, 3]], iat=moment - 60, exp=moment + 600, **expect)  # fmt: skip

    comes(86_300, 0, "OPEN", IN, flags=[])
    comes(86_400, 1, "OPEN", OUT)
    comes(86_500, 2, "OPEN", IN)
    comes(86_600, 3, "STAFF_CONFIRM", OUT)
    comes(3 * 86_400 + 1, 4, "OPEN", IN, flags=["list_stale"])
    comes(7 * 86_400, 6, "OPEN", IN, flags=["list_stale"])
    comes(7 * 86_400 + 1, 8, "STAFF_CONFIRM", IN)
    return play


@scene
def a_card_asks_staff_and_its_direction_is_chosen_or_follows_presence() -> Play:
    play, card = opened(), Card(children=[[ADA, 3]]).text()
    play.scan(0, "STAFF_CONFIRM", card, events=1).staff(5, "CONFIRMED", acts=[[ADA, IN]], events=1)
    play.scan(10, "SAME_AS_BEFORE", card, strike=False, events=0).scan(30, "SAME_AS_BEFORE", card, strike=False)
    play.scan(120, "STAFF_CONFIRM", card).staff(125, "CONFIRMED", acts=[[ADA, OUT]])
    return play.scan(240, "STAFF_CONFIRM", card).staff(245, "CONFIRMED", direction=IN, acts=[[ADA, IN]])


@scene
def departures_are_kept_for_staff_unless_the_site_says_otherwise() -> Play:
    play = opened(departures="staff").shows(0, "OPEN").shows(60, "STAFF_CONFIRM", direction=OUT)
    return play.staff(65, "CONFIRMED", acts=[[ADA, OUT]], flags=[])


@scene
def with_the_bus_down_departures_ask_only_at_a_site_of_several_gates() -> Play:
    play = opened(gates=2).ok(0, {"bus": "down"}).shows(1, "OPEN", flags=["replay_bus_down"])
    play.shows(60, "STAFF_CONFIRM", direction=OUT).staff(65, "CONFIRMED", flags=["replay_bus_down"])
    return play.ok(70, {"bus": "up"}).shows(130, "OPEN", flags=[])


@scene
def at_a_site_of_one_gate_the_bus_does_not_matter() -> Play:
    return opened(gates=1).ok(0, {"bus": "down"}).shows(1, "OPEN", flags=[]).shows(60, "OPEN", direction=OUT, flags=[])


@scene
def a_failing_journal_asks_staff_both_ways() -> Play:
    play = opened().shows(0, "OPEN").ok(50, {"journal": "failing"}).shows(60, "STAFF_CONFIRM", direction=OUT)
    play.shows(80, "STAFF_CONFIRM", FATHER, children=[[BEN, 3]])
    return play.ok(150, {"journal": "ok"}).shows(160, "OPEN", FATHER, children=[[BEN, 3]])


# --- waiting ----------------------------------------------------------------------------------------------------


@scene
def a_request_waits_60_s_from_its_first_answer_through_its_redraws() -> Play:
    play = opened().shows(0, "STAFF_CONFIRM", direction=OUT, events=1)
    for at in range(5, 60, 5):
        play.shows(at, "STAFF_CONFIRM", direction=OUT, events=0, alarms=[], strike=False)
    return play.staff(59, "CONFIRMED", acts=[[ADA, OUT]], strike=True, events=1)


@scene
def after_60_s_nothing_waits_and_the_request_asks_anew() -> Play:
    play = opened().shows(0, "STAFF_CONFIRM", direction=OUT).shows(50, "STAFF_CONFIRM", direction=OUT, events=0)
    play.staff(61, "NOTHING_WAITS", strike=False, acts=[])
    return play.shows(65, "STAFF_CONFIRM", direction=OUT, events=1).staff(70, "CONFIRMED")


@scene
def a_confirmed_request_is_the_same_as_before_for_45_s_with_one_further_pulse() -> Play:
    play = opened().shows(0, "STAFF_CONFIRM", direction=OUT).staff(5, "CONFIRMED", strike=True)
    play.shows(10, "SAME_AS_BEFORE", direction=OUT, strike=False).shows(
        15, "SAME_AS_BEFORE", direction=OUT, strike=True
    )
    return play.shows(26, "SAME_AS_BEFORE", direction=OUT, strike=False).shows(60, "PASSBACK", direction=OUT)


@scene
def a_declined_request_repeats_declined_for_45_s() -> Play:
    play = (
        opened()
        .shows(0, "STAFF_CONFIRM", direction=OUT)
        .staff(5, "DECLINED", confirm=False, strike=False, acts=[], events=1)
    )
    play.shows(10, "DECLINED", direction=OUT, strike=False, events=0).shows(49, "DECLINED", direction=OUT)
    play.staff(50, "NOTHING_WAITS")
    return play.shows(52, "STAFF_CONFIRM", direction=OUT, events=1).staff(55, "CONFIRMED")


@scene
def the_tablet_answers_the_newest_request_each_by_itself() -> Play:
    play = opened().shows(0, "STAFF_CONFIRM", direction=OUT)
    play.shows(10, "STAFF_CONFIRM", FATHER, children=[[BEN, 3]], direction=OUT)
    play.staff(15, "CONFIRMED", acts=[[BEN, OUT]]).staff(16, "CONFIRMED", acts=[[ADA, OUT]])
    return play.staff(17, "NOTHING_WAITS")


@scene
def what_is_checked_again_when_staff_confirm() -> Play:
    play = opened(gates=2).shows(0, "STAFF_CONFIRM", direction=OUT)
    play.listed(5, version=2, custody=[[ADA, 0, 2, 0, 2**32 - 1]]).staff(10, "CUSTODY", strike=False, acts=[])
    play.listed(100, version=3).shows(105, "STAFF_CONFIRM", direction=OUT)
    play.listed(106, version=4, ctis=[b"cti-0001"]).staff(110, "REVOKED", strike=False, acts=[])
    play.listed(200, version=5).shows(205, "STAFF_CONFIRM", direction=OUT)
    play.listed(206, version=6, thumbs=[PHONE.thumb]).staff(210, "DEVICE_REVOKED", strike=False, acts=[])
    play.listed(300, version=7).shows(305, "STAFF_CONFIRM", direction=OUT)
    play.note(306, 306, OTHER_PHONE.thumb, [[ADA, OUT]])
    return play.staff(310, "PASSBACK", strike=False, acts=[])


# --- staff passes -----------------------------------------------------------------------------------------------


@scene
def a_staff_pass_confirms_exactly_one_request_that_waits() -> Play:
    play = opened().shows(0, "NOTHING_WAITS", Staff(), strike=False, acts=[])
    play.shows(60, "STAFF_CONFIRM", direction=OUT).shows(
        65, "CONFIRMED", Staff(), acts=[[ADA, OUT]], strike=True, events=1
    )
    play.shows(120, "STAFF_CONFIRM", children=[[BEN, 3]], direction=OUT, cti=b"cti-0002")
    play.shows(125, "STAFF_CONFIRM", FATHER, children=[[CHI, 3]], direction=OUT)
    return play.shows(130, "NOTHING_WAITS", Staff(), acts=[], strike=False)


@scene
def redraws_of_a_staff_pass_repeat_the_answer_and_touch_nothing_else() -> Play:
    play = opened().shows(0, "STAFF_CONFIRM", direction=OUT).shows(5, "CONFIRMED", Staff(), strike=True)
    play.shows(10, "CONFIRMED", Staff(), strike=False, events=0)
    play.shows(15, "STAFF_CONFIRM", FATHER, children=[[BEN, 3]], direction=OUT)
    play.shows(20, "CONFIRMED", Staff(), strike=False, events=0)
    return play.shows(55, "CONFIRMED", Staff(), strike=True, acts=[[BEN, OUT]], events=1)


@scene
def a_staff_pass_answers_no_other_code_and_no_request_with_a_refused_child() -> Play:
    play = opened().shows(0, "NOT_ALLOWED", children=[[ADA, 2]]).shows(5, "NOTHING_WAITS", Staff())
    play.shows(70, "STAFF_CONFIRM", FATHER, children=[[ADA, 3], [BEN, 1]], childmask=3, direction=OUT)
    return play.shows(75, "NOTHING_WAITS", Staff(), strike=False)


@scene
def confirming_needs_power_1_and_a_departure_also_8() -> Play:
    play = (
        opened()
        .shows(0, "STAFF_CONFIRM", direction=OUT)
        .shows(2, "NOT_ALLOWED", Staff(powers=7), strike=False, acts=[])
    )
    play.shows(60, "STAFF_CONFIRM", FATHER, children=[[BEN, 7]])
    play.shows(62, "NOT_ALLOWED", Staff(powers=14, holder=701, cti=b"cti-sta1", phone=OTHER_PHONE), strike=False)
    return play.shows(
        70, "CONFIRMED", Staff(powers=1, holder=702, cti=b"cti-sta2", phone=edkey("third staff")), acts=[[BEN, IN]]
    )


@scene
def staff_enter_at_any_hour_with_power_4_and_no_list() -> Play:
    play = Play(hours=[[0, 1]]).shows(0, "OPEN", Staff(intent=2), strike=True, acts=[], events=1)
    return play.shows(60, "NOT_ALLOWED", Staff(intent=2, powers=11, phone=OTHER_PHONE, cti=b"cti-sta1"), strike=False)


@scene
def staff_passes_are_held_to_credential_presentation_and_replay() -> Play:
    play = Play().listed(ctis=[b"cti-gone"], thumbs=[OTHER_PHONE.thumb])
    play.shows(0, "REVOKED", Staff(cti=b"cti-gone")).shows(
        15, "DEVICE_REVOKED", Staff(phone=OTHER_PHONE, cti=b"cti-sta1")
    )
    play.shows(30, "OTHER_SITE", Staff(site=202, cti=b"cti-sta2")).shows(45, "STALE", Staff(intent=2), drawn=20)
    return play.shows(60, "OPEN", Staff(intent=2)).shows(75, "REPLAY", Staff(intent=2), drawn=59)


# --- clock ------------------------------------------------------------------------------------------------------


@scene
def a_clock_in_holdover_is_flagged_and_answers_to_its_floor() -> Play:
    play = Play(clock="holdover", floor=NOW).listed(0, iat=NOW)
    play.shows(-6, "GATE_CLOCK", strike=False).shows(-5, "OPEN", flags=["clock_unsure"])
    return play.ok(10, {"clock": "ntp"}).shows(60, "OPEN", direction=OUT, flags=[])


@scene
def documents_raise_the_floor_to_60_s_before_their_iat() -> Play:
    play = Play(clock="holdover").listed(0, iat=NOW + 60)
    return play.shows(-6, "GATE_CLOCK").shows(-5, "OPEN")


@scene
def the_floor_never_passes_a_synchronised_clock() -> Play:
    play = Play(floor=NOW + 86_400).listed().shows(0, "OPEN")
    return play.ok(5, {"clock": "holdover"}).shows(60, "PASSBACK")


@scene
def with_an_untrusted_clock_all_that_is_good_asks_the_tablet() -> Play:
    play = opened(clock="untrusted")
    play.shows(0, "STAFF_CONFIRM").staff(4, "CONFIRMED", acts=[[ADA, IN]], flags=["clock_unsure"])
    play.shows(
        60, "STAFF_CONFIRM", FATHER, iat=NOW - 90 * 86_400, exp=NOW - 89 * 86_400, children=[[BEN, 3]], drawn=-5_000_000
    )
    return play.shows(130, "STAFF_CONFIRM", Staff(intent=2))


@scene
def with_an_untrusted_clock_a_denial_counts_whatever_its_interval() -> Play:
    play = Play(clock="untrusted").listed(custody=[[ADA, 0, 1, 1, 2]])
    play.shows(0, "CUSTODY", acts=[])
    return play.ok(20, {"clock": "ntp"}).shows(60, "OPEN")


@scene
def with_an_untrusted_clock_hours_are_not_asked_and_documents_ahead_are_taken() -> Play:
    play = Play(clock="untrusted", hours=[[0, 1]]).listed(0, iat=NOW + 5000)
    return play.shows(5, "STAFF_CONFIRM")


# --- state that survives ----------------------------------------------------------------------------------------


@scene
def a_restart_keeps_replays_presence_the_last_acceptance_and_documents() -> Play:
    play = opened().shows(0, "OPEN").ok(3, {"restart": {"keep_state": True}}, events=1)
    play.shows(5, "SAME_AS_BEFORE", strike=False).shows(6, "REPLAY", drawn=-1)
    play.shows(60, "PASSBACK", FATHER)
    play.listed(70, "LIST_ROLLBACK", version=0)
    return play.shows(80, "OPEN", FATHER, children=[[BEN, 3]], flags=[])


@scene
def a_restart_without_its_state_loses_all_but_the_header() -> Play:
    play = opened().shows(0, "OPEN").ok(60, {"restart": {"keep_state": False}}, events=1)
    play.shows(65, "STALE").shows(75, "STAFF_CONFIRM").listed(100, version=0)
    return play.shows(140, "OPEN", acts=[[ADA, IN]])


@scene
def a_restart_does_not_mend_the_bus_or_the_journal() -> Play:
    play = opened(gates=2).shows(0, "OPEN").ok(5, {"bus": "down"}).ok(10, {"restart": {"keep_state": True}})
    play.shows(60, "STAFF_CONFIRM", direction=OUT).ok(70, {"bus": "up"}).ok(71, {"journal": "failing"})
    play.ok(80, {"restart": {"keep_state": True}}).shows(100, "STAFF_CONFIRM", FATHER, children=[[BEN, 3]])
    return play.ok(200, {"restart": {"keep_state": False}}).listed(201, iat=NOW + 200).shows(215, "OPEN", FATHER)


# --- events -----------------------------------------------------------------------------------------------------


@scene
def at_most_six_refusals_a_minute_and_credential_are_recorded() -> Play:
    play = opened()
    for number in range(9):
        play.shows(4 * number, "EXPIRED", exp=NOW - 60, events=1 if number < 6 else 0)
    play.shows(40, "EXPIRED", exp=NOW - 60, cti=b"cti-0002", events=1)
    return play.shows(100, "EXPIRED", exp=NOW - 60, events=1)


# --- section 4 --------------------------------------------------------------------------------------------------


@scene
def a_bad_list_keeps_the_last_good_one_and_never_stops_the_door() -> Play:
    play = Play().listed(-60, version=7, custody=[[BEN, 0, 3, 0, 2**32 - 1]])
    fork = foreign.policy_list(7, NOW - 59, custody=[])
    body = {4: NOW, 6: NOW, -65540: foreign.policy_body(8)[:6]}
    wrong = [
        ("LIST_FORMAT", b""), ("LIST_FORMAT", b'{"version": 8}'), ("LIST_FORMAT", b"\0" * 10_000),
        ("LIST_KEY", foreign.policy_list(8, key=edkey("stranger"))),
        ("LIST_KEY", foreign.policy_list(8, key=foreign.COMMAND)),
        ("LIST_KEY", foreign.document("KK1", {4: NOW, 6: NOW, -65540: foreign.policy_body(8)}, foreign.POLICY)),
        ("LIST_FORMAT", foreign.document("KR1", body, foreign.POLICY)), ("LIST_SITE", foreign.policy_list(8, site=202)),
        ("LIST_FUTURE", foreign.policy_list(8, NOW + 600)), ("LIST_ROLLBACK", foreign.policy_list(6)),
        ("LIST_FORK", fork),
    ]  # fmt: skip
    for number, (code, data) in enumerate(wrong):
        play.step(10 * number, code, {"policy": data.hex()}, strike=False, acts=[])
        play.lines[-1]["expect"]["alarms"] = [code]
    good = foreign.policy_list(7, NOW - 60, custody=[[BEN, 0, 3, 0, 2**32 - 1]])
    play.step(200, "LIST_OK", {"policy": good.hex()}, alarms=[])
    play.shows(210, "OPEN").shows(260, "CUSTODY", childmask=2)
    return play.listed(300, version=8).shows(310, "OPEN", childmask=2)


@scene
def the_first_of_several_faults_of_a_list_answers() -> Play:
    play = Play().listed(-60, version=7)
    for number, (code, made) in enumerate({
        "LIST_KEY": foreign.policy_list(6, NOW + 999, key=edkey("stranger"), site=202),
        "LIST_SITE": foreign.policy_list(6, NOW + 999, site=202),
        "LIST_FUTURE": foreign.policy_list(6, NOW + 999),
        "LIST_ROLLBACK": foreign.policy_list(6),
    }.items()):  # fmt: skip
        play.step(number, code, {"policy": made.hex()})
    return play


@scene
def a_list_60_s_ahead_is_taken_and_one_of_61_s_is_not() -> Play:
    play = Play().listed(0, "LIST_FUTURE", iat=NOW + 61).listed(1, "LIST_OK", iat=NOW + 61)
    return play


# --- the format -------------------------------------------------------------------------------------------------


@scene
def malformed_steps_answer_format_and_the_rest_goes_on() -> Play:
    play = opened()
    for at, does in enumerate((
        {}, {"scan": "KG1:"}, {"scan": [{"format": "QRCode"}]}, {"policy": "zz"}, {"policy": 7}, {"seen": {}},
        {"bus": "sideways"},
        {"clock": "sundial"}, {"mode": "party"}, {"journal": None}, {"staff": {}}, {"restart": 1}, {"dance": True},
    )):  # fmt: skip
        play.step(at, "FORMAT", does, strike=False, acts=[])
    return play.shows(30, "OPEN")


def written(play: Play) -> str:
    return "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in play.lines)


def main() -> None:
    HERE.mkdir(exist_ok=True)
    for path in HERE.glob("*.jsonl"):
        path.unlink()
    for name, make in SCENES.items():
        (HERE / f"{name}.jsonl").write_text(written(make()))


if __name__ == "__main__":
    main()
