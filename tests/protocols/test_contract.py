"""The published contract (asyncapi.yaml, wire.cddl) is held against topics, limits, and the frozen vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
import yaml
import zcbor

import protocols
from protocols import documents, events, limits, topics
from protocols.reasons import DocumentKind
from protocols.trust import Role
from tests.protocols import foreign
from tests.protocols.foreign import ISSUER, PHONE, PHONE_P256, Card, Family, Staff, cbor
from tests.protocols.test_vectors import DOCUMENTS, LEDGER, PASSES

HERE = Path(protocols.__file__ or "").parent
API: dict[str, Any] = yaml.safe_load((HERE / "asyncapi.yaml").read_text())
TYPES = zcbor.DataTranslator.from_cddl((HERE / "wire.cddl").read_text(), 16).my_types

# Section 6, row by row: leaf -> (direction seen from the gate, QoS, retained, expiry in seconds or None).
ROWS = {
    "up/st": ("send", 1, True, None),
    "up/ev": ("send", 1, False, None),
    "up/hb": ("send", 0, False, 120),
    "up/rep": ("send", 1, True, None),
    "up/rsp": ("send", 1, False, 60),
    "up/req": ("send", 1, False, 60),
    "up/job": ("send", 1, False, None),
    "dn/rsp": ("receive", 1, False, 60),
    "dn/ack": ("receive", 1, False, 300),
    "dn/cfg": ("receive", 1, True, None),
    "dn/job": ("receive", 1, True, None),
    "dn/cmd": ("receive", 1, False, 15),
    "dn/rl": ("receive", 1, True, None),
    "dn/keys": ("receive", 1, True, None),
    "dn/gates": ("receive", 1, True, None),
    "dn/mode": ("receive", 1, True, None),
    "seen": ("send", 1, False, 120),
}


def spelled() -> dict[str, str]:
    """Leaf -> the topic that topics.py spells for it, with the ids made parameters again."""
    made = {leaf: topics.up("d", 7, 8, leaf) for leaf in topics.UP}
    made |= {leaf: topics.down("d", 7, 8, leaf) for leaf in topics.DOWN}
    made |= {leaf: topics.site_down("d", 7, leaf) for leaf in topics.SITE_DOWN} | {"seen": topics.seen("d", 7, 8)}
    return {leaf: text.replace("/d/7/", "/{district}/{site}/").replace("/8", "/{gate}") for leaf, text in made.items()}


def operations() -> list[dict]:
    return [
        {**row, "address": API["channels"][row["channel"]["$ref"].rsplit("/", 1)[1]]["address"]}
        for row in API["operations"].values()
    ]


# --- topics -----------------------------------------------------------------------------------------------------


def test_every_topic_of_the_code_stands_in_the_document_and_the_other_way_round() -> None:
    assert sorted(channel["address"] for channel in API["channels"].values()) == sorted(spelled().values())
    assert ROWS.keys() == spelled().keys()


@pytest.mark.parametrize("leaf", ROWS)
def test_direction_quality_retaining_and_expiry_are_those_of_the_page(leaf: str) -> None:
    direction, qos, retain, expiry = ROWS[leaf]
    found = [row for row in operations() if row["address"] == spelled()[leaf]]
    assert {row["action"] for row in found} == ({"send", "receive"} if leaf == "seen" else {direction})
    for row in found:
        binding = row["bindings"]["mqtt"]
        assert (binding["qos"], binding["retain"], binding.get("messageExpiryInterval")) == (qos, retain, expiry)


def test_the_expiries_and_the_session_are_the_limits_of_the_code() -> None:
    expiries = {
        "up/hb": limits.TELEMETRY_EXPIRY_SECONDS, "up/rsp": 60,
        "up/req": 60, "dn/rsp": 60,
        "dn/ack": limits.RECEIPT_EXPIRY_SECONDS, "dn/cmd": limits.COMMAND_SECONDS_MAX,
        "seen": limits.SEEN_EXPIRY_SECONDS,
    }  # fmt: skip
    assert expiries == {leaf: row[3] for leaf, row in ROWS.items() if row[3]}
    session = API["servers"]["broker"]["bindings"]["mqtt"]
    assert session["sessionExpiryInterval"] == limits.SESSION_EXPIRY_SECONDS
    assert session["maximumPacketSize"] == limits.PACKET_BYTES_MAX and session["cleanSession"] is False
    assert session["x-will-delay-seconds"] == limits.WILL_DELAY_SECONDS
    assert session["x-receive-maximum"] == limits.RECEIVE_MAXIMUM
    assert session["lastWill"] == {"topic": spelled()["up/st"], "qos": 1, "retain": True}


def test_every_reference_of_the_document_leads_somewhere_and_every_payload_in_cbor_is_a_rule_of_the_cddl() -> None:
    def walk(node: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "$ref":
                    place: Any = API
                    for part in value.removeprefix("#/").split("/"):
                        place = place[part]
                elif key == "x-cddl":
                    assert value in TYPES and value in DocumentKind.__members__
                else:
                    walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(API)
    named = {m["payload"]["x-cddl"] for m in API["components"]["messages"].values() if "x-cddl" in m["payload"]}
    assert named == set(DocumentKind.__members__)


# --- payloads ---------------------------------------------------------------------------------------------------


def has_shape(rule: str, data: bytes) -> bool:
    try:
        TYPES[rule].validate_str(data)
    except (zcbor.CddlValidationError, cbor2.CBORDecodeError):
        return False
    return True


RULE_OF = {"KG1": "phone-pass", "KT1": "staff-pass", "KC1": "card"}


@pytest.mark.parametrize("vector", [v for v in PASSES["vectors"] if v["answer"] == "OPEN"], ids=lambda v: v["name"])
def test_every_pass_that_opens_has_the_shape_of_the_cddl(vector: dict) -> None:
    assert has_shape(RULE_OF[vector["text"][:3]], foreign.unbase45(vector["text"][4:]))


@pytest.mark.parametrize("vector", DOCUMENTS["vectors"], ids=lambda v: f"{v['kind']} {v['name']}")
def test_every_document_that_is_not_refused_for_its_format_has_the_shape_of_the_cddl(vector: dict) -> None:
    beyond = {"ctis out of order", "format before site", "free for over 4 h", "two", "16 s long"}
    shaped = has_shape(vector["kind"], bytes.fromhex(vector["bytes"]))
    assert shaped == (not vector["answer"].endswith("_FORMAT") or vector["name"] in beyond)


@pytest.mark.parametrize(("rows", "rule"), [("segments", "KE1"), ("receipts", "KA1"), ("notes", "KS1")])
def test_segments_receipts_and_notes_have_the_shape_of_the_cddl_unless_refused_for_it(rows: str, rule: str) -> None:
    for vector in LEDGER[rows]:
        assert has_shape(rule, bytes.fromhex(vector["bytes"])) == (not vector["answer"].endswith("_FORMAT"))


@pytest.mark.parametrize(
    "made",
    [
        Family(childmask=0), Family(childmask=256), Family(direction=3), Family(claims={5: 1}), Family(drop=(4,)),
        Family(site=0), Family(children=[]), Family(children=[[n, 3] for n in range(1, 10)]), Family(children=[[1, 8]]),
        Family(cose_key={**PHONE.cose_key, 2: b"k"}), Family(cose_key={**PHONE_P256.cose_key, -3: bytes(32)}),
        Family(shown={5: 0}), Family(acts=[1, 1, 1, 1]), Family(shown_protected={1: -19, 4: b"kid!"}),
        Family(holder=2**32), Family(cti=b"short"),
        Family(protected={1: -9, 4: ISSUER.kid}), Family(signature=bytes(63)),
        Staff(powers=16), Staff(intent=3), Card(claims={9: 0}), Card(children=[[0, 1]]),
    ],
)  # fmt: skip
def test_the_cddl_refuses_what_the_code_refuses_for_its_shape(made: Family) -> None:
    assert not has_shape(RULE_OF[made.domain], made.bytes())


def test_the_rules_of_the_cddl_name_the_roles_and_kinds_that_the_code_knows() -> None:
    for role in Role:
        assert has_shape("KK1", foreign.trust_list([foreign.trust_row(ISSUER, role.value)]))
    assert not has_shape("KK1", foreign.trust_list([foreign.trust_row(ISSUER, "emperor")]))
    kinds = [foreign.event(0, int(kind)) for kind in events.Kind]
    assert has_shape("KE1", foreign.segment(kinds)) and not has_shape("KE1", foreign.segment([foreign.event(0, 17)]))
    modes = [foreign.site_mode(int(mode)) for mode in documents.Mode]
    assert all(has_shape("KM1", mode) for mode in modes) and not has_shape("KM1", foreign.site_mode(5))
    assert not has_shape("card", cbor([*Card().credential()[:1], {1: 1}, *Card().credential()[2:]]))


def test_the_contract_is_installed_with_the_package() -> None:
    assert {"asyncapi.yaml", "wire.cddl"} <= {path.name for path in HERE.iterdir()}
    assert json.dumps(API)  # plain values, no YAML tags
