"""Topics are spelled and parsed in one place, and nothing from outside gets into one (P-6, hostile case P17)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import topics
from protocols.topics import Topic

NUMBERS = st.integers(1, 2**32 - 1)
DISTRICTS = st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)

HOSTILE_IDS = [
    "101/#",
    "../",
    "$SYS",
    "101\0",
    "+",
    "#",
    "",
    "1" * 65_536,
    "101",
    -1,
    0,
    2**32,
    1.0,
    True,
    None,
    b"101",
]
MAKERS: dict[str, Callable[[Any], str]] = {
    "site of up": lambda value: topics.up("demo", value, 11, topics.EVENTS),
    "gate of up": lambda value: topics.up("demo", 101, value, topics.EVENTS),
    "site of down": lambda value: topics.down("demo", value, 11, topics.RECEIPT),
    "gate of down": lambda value: topics.down("demo", 101, value, topics.RECEIPT),
    "site of site_down": lambda value: topics.site_down("demo", value, topics.POLICY),
    "gate of seen": lambda value: topics.seen("demo", 101, value),
    "site of seen filter": lambda value: topics.seen_filter("demo", value),
    "site of client id": lambda value: topics.client_id(value, 11),
    "gate of client id": lambda value: topics.client_id(101, value),
}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("value", HOSTILE_IDS, ids=lambda value: repr(value)[:20])
def test_p17_an_id_that_is_no_number_never_becomes_a_topic(maker: str, value: Any) -> None:
    with pytest.raises(ValueError):
        MAKERS[maker](value)


@pytest.mark.parametrize(
    "district", ["", "Demo", "de mo", "demo/#", "+", "$SYS", "demo\n", "ü", "a" * 33, "a/b", "demo\0"]
)
def test_a_district_is_1_to_32_small_letters_digits_and_dashes(district: str) -> None:
    with pytest.raises(ValueError):
        topics.up(district, 101, 11, topics.EVENTS)
    assert topics.parse(f"portillon/1/{district}/101/11/up/ev") is None


@pytest.mark.parametrize("leaf", ["", "#", "up/#", "up/xx", "dn/ack/", "../ev"])
def test_a_leaf_that_does_not_exist_never_becomes_a_topic(leaf: str) -> None:
    for make in (topics.up, topics.down):
        with pytest.raises(ValueError):
            make("demo", 101, 11, leaf)
    with pytest.raises(ValueError):
        topics.site_down("demo", 101, leaf)
    with pytest.raises(ValueError):
        topics.up_filter(leaf)


def test_a_gates_leaf_is_not_the_clouds_and_a_sites_is_neither() -> None:
    for make, leaf in ((topics.up, topics.RECEIPT), (topics.down, topics.EVENTS), (topics.down, topics.POLICY)):
        with pytest.raises(ValueError):
            make("demo", 101, 11, leaf)


@given(DISTRICTS, NUMBERS, NUMBERS)
def test_every_topic_that_is_spelled_is_parsed_to_the_same(district: str, site: int, gate: int) -> None:
    for leaf in topics.UP:
        assert topics.parse(topics.up(district, site, gate, leaf)) == Topic(district, site, gate, leaf)
    for leaf in topics.DOWN:
        assert topics.parse(topics.down(district, site, gate, leaf)) == Topic(district, site, gate, leaf)
    for leaf in topics.SITE_DOWN:
        assert topics.parse(topics.site_down(district, site, leaf)) == Topic(district, site, None, leaf)
    assert topics.parse(topics.seen(district, site, gate)) == Topic(district, site, gate, "seen")


@given(
    st.text(max_size=80)
    | st.lists(
        st.sampled_from(["portillon", "1", "demo", "101", "_", "up", "ev", "seen", "+", "#", ""]), max_size=9
    ).map("/".join)
)
def test_a_text_that_is_parsed_is_spelled_the_same_again(text: str) -> None:
    found = topics.parse(text)
    if found is None:
        return
    place = "_" if found.gate is None or found.leaf == "seen" else str(found.gate)
    tail = f"seen/{found.gate}" if found.leaf == "seen" else found.leaf
    assert text == f"portillon/1/{found.district}/{found.site}/{place}/{tail}"


@pytest.mark.parametrize(
    "text",
    [
        "portillon/1/demo/101/11/up", "portillon/1/demo/101/11/up/ev/x", "portillon/2/demo/101/11/up/ev",
        "portillon/1/demo/0101/11/up/ev", "portillon/1/demo/101/011/up/ev", "portillon/1/demo/101/0/up/ev",
        "portillon/1/demo/4294967296/11/up/ev", "portillon/1/demo/١٠١/11/up/ev", "portillon/1/demo/101/11/seen/12",
        "portillon/1/demo/101/_/seen/_", "portillon/1/demo/101/_/up/ev", "portillon/1/demo/101/11/dn/rl",
        "$SYS/broker/version", "portillon/1/demo/101/+/up/ev", "portillon/1/demo/101/11/up/ev\n",
        "portillon/1/demo/101/11/up/" + "x" * 65_536, "portillon/1/demo/" + "9" * 65_000 + "/11/up/ev",
    ],
)  # fmt: skip
def test_another_text_is_no_topic(text: str) -> None:
    assert topics.parse(text) is None


def test_a_filter_names_one_leaf_of_every_gate_or_the_notes_of_one_site() -> None:
    assert topics.up_filter(topics.EVENTS) == "portillon/1/+/+/+/up/ev"
    assert topics.seen_filter("demo", 101) == "portillon/1/demo/101/_/seen/+"
    assert topics.client_id(101, 11) == "101-11"
