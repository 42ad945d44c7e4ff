"""The words of `--ring`: each names gates; a word that is no gate is refused, never left out."""

import pytest
import typer

from cloud.fleet.ring_option import read_rings
from cloud.fleet.rings import RINGS_MAX, are_rings


def test_rings_are_read_in_their_order() -> None:
    assert read_rings(["11", "21, 31"]) == [[11], [21, 31]]


@pytest.mark.parametrize(
    "words", [[], [""], ["11,"], ["11,x"], ["11", "2l"], ["-1"], ["11 12"], ["١١"], ["1.0"]], ids=repr
)
def test_a_word_that_is_no_gate_is_refused_and_none_is_left_out(words: list[str]) -> None:
    with pytest.raises(typer.BadParameter, match="such as --ring 11"):
        read_rings(words)


@pytest.mark.parametrize(
    ("rings", "are"),
    [([[11]], True), ([[11], [12, 13]], True), ([], False), ([[11], []], False), ([[11], [11]], False),
     ([[99]], False), ([[11]] * (RINGS_MAX + 1), False)],
)  # fmt: skip
def test_rings_name_known_gates_each_once(rings: list[list[int]], are: bool) -> None:
    assert are_rings(rings, [11, 12, 13]) is are
