"""The drills of the fleet on one stack, in the order of their table: what an operator does on real gates."""

from collections.abc import Iterator
from typing import Any

import pytest

from simulators.drill import SIZES, play
from simulators.stack import Stack, Wishes, running_stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("drills"), Wishes(sizes=SIZES, mtls=True)) as stack:
        yield stack


def proof_of(stack: Stack, name: str) -> dict[str, Any]:
    told = play(stack, name)
    moments = [step["at_s"] for step in told["timeline"]]
    assert moments and moments == sorted(moments)
    return told["proof"]


def test_a_configuration_that_fails_its_health_check_rolls_back_and_the_next_ring_is_never_told(stack: Stack) -> None:
    proof = proof_of(stack, "rollout")
    outcome = (proof["good"], proof["blinding"], proof["code"], proof["ring_2"])
    assert outcome == ("done", "failed", "CAMERA", "untouched")
    assert proof["told"][12] is None and proof["told"][21] is None


@pytest.mark.long
def test_a_good_release_stays_and_two_bad_ones_go_back_by_themselves(stack: Stack) -> None:
    proof = proof_of(stack, "update")
    assert (proof["card"], proof["stayed"], proof["runs"]) == ("0.1.0", "0.2.0", "0.2.0")
    assert max(proof[f"{name}_s"] for name in ("stayed_after", "crashed_back_after", "blind_back_after")) < 45


def test_a_blank_card_gets_its_name_and_lets_a_family_in(stack: Stack) -> None:
    proof = proof_of(stack, "claim")
    assert (proof["gate"], proof["opened"], proof["certificates"], proof["refused"]) == (19, "OPEN", 1, 4)


def test_the_authority_is_rolled_over_and_no_gate_is_shut_out(stack: Stack) -> None:
    proof = proof_of(stack, "rotate")
    assert (proof["gates"], proof["authority"], proof["shut_out"]) == (4, 2, 0)
    assert proof["old_ones_refused"]


def test_a_revoked_gate_is_pushed_off_and_its_certificate_refused_and_told(stack: Stack) -> None:
    proof = proof_of(stack, "revoke")
    assert (proof["gate"], proof["others_up"]) == (21, 3)
    assert {"CERTIFICATE_REFUSED", "GATE_REVOKED"} <= set(proof["faults"])
