"""The table of updates: what may begin when, which orders count, and when a version on trial stays or goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.config import ConfigProblems, load_config
from edge.update import (
    DOWNGRADE,
    TRIES_MAX,
    WITHDRAWN,
    Condition,
    Now,
    Step,
    Trial,
    Update,
    broke_off,
    judge,
    next_step,
    ordered,
    self_test,
    told,
)
from protocols.releases import (
    Order,
    ReleaseRefused,
    UpdateState,
    build_order,
    order_of,
    read_description,
    read_order,
    target_of,
    version_of,
)
from tests.edge.household import Site, write_gate

NOW = Now(in_window=True, clock_believed=True, quiet=True)
WAITING = Update(7, "0.3.0", UpdateState.DOWNLOADING)
STEPS = {
    UpdateState.DOWNLOADING: Step.FETCH, UpdateState.VERIFIED: Step.INSTALL, UpdateState.INSTALLED: Step.SWITCH,
}  # fmt: skip


@pytest.mark.parametrize("state", list(UpdateState))
def test_each_state_has_its_one_step(state: UpdateState) -> None:
    assert next_step(replace(WAITING, state=state), NOW) is STEPS.get(state)


@pytest.mark.parametrize("state", list(STEPS))
@pytest.mark.parametrize("missing", ["in_window", "clock_believed", "quiet"])
def test_nothing_begins_when_families_come_or_the_clock_is_not_believed(state: UpdateState, missing: str) -> None:
    assert next_step(replace(WAITING, state=state), replace(NOW, **{missing: False})) is None


def test_a_download_that_broke_off_waits_a_minute_and_does_not_go_on_for_ever() -> None:
    assert next_step(WAITING, replace(NOW, waited_seconds=59.0)) is None
    update = WAITING
    for _ in range(TRIES_MAX - 1):
        update = broke_off(update)
    assert update.state is UpdateState.DOWNLOADING
    assert (broke_off(update).state, broke_off(update).code) == (UpdateState.FAILED, "TRIES")


# --- orders -----------------------------------------------------------------------------------------------------------


def test_an_order_is_taken_once_and_an_older_one_never() -> None:
    update = ordered(Update(), Order(7, "0.3.0"), "0.2.0")
    assert update is not None and update == WAITING
    assert ordered(update, Order(7, "0.3.0"), "0.2.0") is None
    assert ordered(update, Order(6, "0.9.0"), "0.2.0") is None


def test_a_lower_version_is_never_taken_whoever_orders_it() -> None:
    update = ordered(Update(), Order(7, "0.9.0"), "0.10.0")
    assert update and (update.state, update.code) == (UpdateState.FAILED, DOWNGRADE)


def test_what_runs_already_is_committed_without_a_step() -> None:
    update = ordered(Update(), Order(7, "0.3.0"), "0.3.0")
    assert update and update.state is UpdateState.COMMITTED


def test_an_order_during_a_trial_waits_for_its_end() -> None:
    assert ordered(replace(WAITING, state=UpdateState.TRIAL), Order(8, "0.4.0"), "0.3.0") is None


def test_an_order_is_taken_back_while_nothing_was_switched_and_not_afterwards() -> None:
    update = ordered(replace(WAITING, state=UpdateState.INSTALLED), Order(8, ""), "0.2.0")
    assert update and (update.state, update.code) == (UpdateState.FAILED, WITHDRAWN)
    stays = ordered(replace(WAITING, state=UpdateState.COMMITTED), Order(8, ""), "0.3.0")
    assert stays and stays.state is UpdateState.COMMITTED
    assert ordered(replace(WAITING, state=UpdateState.TRIAL), Order(8, ""), "0.3.0") is None


def test_a_version_that_went_back_is_tried_again_only_by_a_new_order() -> None:
    back = replace(WAITING, state=UpdateState.ROLLED_BACK, code="NO_FRAME")
    assert ordered(back, Order(7, "0.3.0"), "0.2.0") is None
    assert ordered(back, Order(9, "0.3.0"), "0.2.0") == replace(WAITING, job=9)


@pytest.mark.parametrize("payload", [
    b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"v":1}', b'{"v":2,"job":1,"version":"0.2.0"}', b"\xff", b"[" * 1_000,
    b'{"v":true,"job":1,"version":"0.2.0"}', b'{"v":1,"job":0,"version":"0.2.0"}', b'{"v":1,"job":-1,"version":""}',
    b'{"v":1,"job":1.5,"version":"0.2.0"}', b'{"v":1,"job":4294967296,"version":"0.2.0"}', b" " * 1_025,
    b'{"v":1,"job":1,"version":"../../etc"}', b'{"v":1,"job":1,"version":"0.2"}', b'{"v":1,"job":1,"version":"00.2.0"}',
    b'{"v":1,"job":1,"version":["0.2.0"]}', b'{"v":1,"job":1,"version":"0.2.0\\n"}', b'{"v":1,"job":true,"version":""}',
])  # fmt: skip
def test_an_order_of_another_shape_is_refused(payload: bytes) -> None:
    with pytest.raises(ReleaseRefused):
        read_order(payload)


def test_an_order_is_read_as_it_was_written_and_unknown_members_are_ignored() -> None:
    order = Order(7, "0.3.0")
    assert read_order(build_order(order)) == order
    assert read_order(build_order(order)[:-1] + b',"later":{}}') == order


@pytest.mark.parametrize("data", [
    b"", b"[]", b'{"v":1,"version":"0.2.0","python":[3]}', b'{"v":1,"version":"0.2.0","python":[3,-1]}',
    b'{"v":1,"version":"x","python":[3,11]}', b'{"v":2,"version":"0.2.0","python":[3,11]}',
    b'{"v":1,"version":"0.2.0","python":[3,11],"libraries":[]}',
    b'{"v":1,"version":"0.2.0","python":[3,11],"libraries":{"A B":"1"}}',
    b'{"v":1,"version":"0.2.0","python":[3,11],"libraries":{"a":">=1"}}',
])  # fmt: skip
def test_a_description_of_another_shape_is_refused(data: bytes) -> None:
    with pytest.raises(ReleaseRefused):
        read_description(data)


def test_versions_are_sorted_by_their_numbers_and_name_their_files() -> None:
    assert sorted(["0.10.0", "0.9.0", "0.9.10"], key=order_of) == ["0.9.0", "0.9.10", "0.10.0"]
    assert version_of(target_of("0.10.0")) == "0.10.0"
    others = ("0.1.0", "portillon-gate-0.1.tar.gz", "portillon-gate-1.0.0.zip")
    assert [version_of(name) for name in others] == [None] * 3


# --- the trial --------------------------------------------------------------------------------------------------------

WELL = Trial(5.0, 300.0, Condition(), frames=3, receipted=True)


def on_trial(before: Condition | None = None) -> Update:
    return replace(WAITING, state=UpdateState.TRIAL, before=before or Condition())


def test_a_trial_stays_as_soon_as_picture_receipt_and_condition_are_there() -> None:
    assert judge(on_trial(), WELL) == (Step.COMMIT, "")


@pytest.mark.parametrize(("lacks", "code"), [
    ({"frames": 0}, "NO_FRAME"), ({"receipted": False}, "NOT_RECEIPTED"),
    ({"condition": Condition(("camera",))}, "SELFTEST"), ({"frames": 0, "receipted": False}, "NO_FRAME"),
])  # fmt: skip
def test_a_trial_waits_for_what_it_lacks_and_goes_back_when_its_time_is_over(
    lacks: dict[str, Any], code: str
) -> None:
    lacking = replace(WELL, **lacks)
    assert judge(on_trial(), lacking) == (None, "")
    assert judge(on_trial(), replace(lacking, seconds=300.0)) == (Step.BACK, code)


def test_a_fault_of_before_is_not_the_new_version_s_and_a_lost_document_is() -> None:
    before = Condition(("door",), {"KR1": 4, "KK1": 1})
    assert self_test(before, Condition(("door",), {"KR1": 5, "KK1": 1})) == ()
    assert self_test(before, Condition(("door", "camera"), {"KR1": 3})) == ("camera", "KK1", "KR1")
    assert judge(on_trial(before), replace(WELL, condition=Condition((), {"KR1": 4}), seconds=300.0))[1] == "SELFTEST"


def test_what_is_told_names_order_version_state_and_what_runs() -> None:
    assert told(Update(), "0.1.0") is None
    said = told(replace(WAITING, state=UpdateState.FAILED, code="EXPIRED"), "0.2.0")
    assert said and (said.job, said.version, said.state, said.code, said.running) == (
        7, "0.3.0", UpdateState.FAILED, "EXPIRED", "0.2.0",
    )  # fmt: skip


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("written", "key"), [
    ('url = "https://r.example/updates"', "updates.root"),
    ('url = "http://r.example/updates"\nroot = "r.json"', "updates.url"),
    ('url = "file:///etc"\nroot = "r.json"', "updates.url"),
    ('url = "https://user:word@r.example"\nroot = "r.json"', "updates.url"),
    ('url = "https://r.example/?a=b"\nroot = "r.json"', "updates.url"),
    ('url = "https://r.example"\nroot = "r.json"\nwindows = ["06:00-07:01"]', "updates.windows"),
    ('url = "https://r.example"\nroot = "r.json"\nwindows = []', "updates.windows"),
    ("trial_seconds = 5.0", "updates.trial_seconds"), ("trial_seconds = 601.0", "updates.trial_seconds"),
])  # fmt: skip
def test_a_wrong_setting_of_updates_is_named(tmp_path: Path, written: str, key: str) -> None:
    config = write_gate(tmp_path, Site())
    text = config.read_text().replace('hours = ["00:00-24:00"]', 'hours = ["07:00-19:00"]')
    config.write_text(f"{text}\n[updates]\n{written}\n")
    with pytest.raises(ConfigProblems) as wrong:
        load_config(config)
    assert key in [problem.key for problem in wrong.value.problems]
