"""The broker's log as Mosquitto 2.0 writes it: who did what it may not, and what a stranger's words cannot fake."""

from cloud.fleet.broker_log import (
    ADDRESSES_MAX,
    CERTIFICATE_REFUSED,
    READ_DENIED,
    WRITE_DENIED,
    BrokerLog,
    Noticed,
    Place,
)

OURS, SISTER, GONE = Place("demo", 101, 11), Place("demo", 101, 12), Place("demo", 101, 13, revoked=True)
REGISTRY = {place.client: place for place in (OURS, SISTER, GONE)}


def told(*lines: str) -> list[Noticed]:
    log = BrokerLog(REGISTRY)
    return [noticed for line in lines for noticed in log.read(line)]


def enters(client: str, name: str = "", address: str = "192.0.2.7:40000") -> tuple[str, str]:
    return (f"New connection from {address} on port 8883.",
            f"New client connected from {address} as {client} (p5, c0, k20, u'{name or client}').")  # fmt: skip


KNOCK = "New connection from 192.0.2.7:40001 on port 8883."
FAILS = "OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed"


def test_a_denied_publication_is_told_of_the_gate_that_tried() -> None:
    line = "Denied PUBLISH from 101-11 (d0, q1, r0, m3, 'portillon/1/demo/101/12/up/ev', ... (1 bytes))"
    assert told(line) == [Noticed(OURS, WRITE_DENIED)]
    assert told(line.replace("101-11", "101-99"), line.replace("101-11", "cloud-worker")) == []


def test_a_subscription_beyond_the_own_topics_is_told_and_the_own_ones_are_not() -> None:
    own = ("portillon/1/demo/101/11/dn/ack", "portillon/1/demo/101/_/dn/rl", "portillon/1/demo/101/_/seen/+")
    strange = ("#", "$SYS/#", "portillon/1/demo/101/12/dn/cmd", "portillon/1/demo/#", "portillon/1/demo/101/_/seen/#")
    for topic in own:
        assert told("Received SUBSCRIBE from 101-11", f"\t{topic} (QoS 1)") == []
    for topic in strange:
        assert told("Received SUBSCRIBE from 101-11", f"\t{topic} (QoS 1)") == [Noticed(OURS, READ_DENIED)]
    assert told("Received SUBSCRIBE from 101-11", "Sending SUBACK to 101-11", "\t# (QoS 1)") == []


def test_a_refused_handshake_is_told_of_who_was_last_seen_at_its_address() -> None:
    left = "Client 101-11 closed its connection."
    assert told(*enters("101-11"), left, KNOCK, FAILS) == [Noticed(OURS, CERTIFICATE_REFUSED)]
    assert told(*enters("101-11"), left, KNOCK, FAILS, FAILS) == [Noticed(OURS, CERTIFICATE_REFUSED)]
    assert told(*enters("101-11"), KNOCK, FAILS) == []  # it is here: somebody else stands behind that router
    assert told(*enters("101-11", address="192.0.2.9:1"), left, KNOCK, FAILS) == []
    assert told(FAILS) == []


def test_a_revoked_gate_that_comes_in_is_pushed_off_and_the_warden_in_its_name_is_not() -> None:
    assert told(*enters("101-13")) == [Noticed(GONE, "")]
    assert told(*enters("101-13", "cloud-warden", "127.0.0.1:5")) == []


def test_words_of_a_stranger_fake_no_line() -> None:
    topic = "x', OpenSSL Error Denied PUBLISH from 101-12 (certificate verify failed"
    line = f"Received PUBLISH from 101-11 (d0, q1, r0, m2, '{topic}', ... (1 bytes))"
    assert told(*enters("101-12"), "Client 101-12 disconnected.", KNOCK, line) == []
    filters = ["\t (QoS 1)", "\tNew client connected from 1 as 101-13 (u'101-13') (QoS 1)", "\t" + "a" * 70_000]
    assert {one.code for one in told("Received SUBSCRIBE from 101-11", *filters)} == {READ_DENIED}
    assert told("", "\0", "Denied PUBLISH from", "\t", "New client connected from  as  (") == []


def test_addresses_are_remembered_within_a_bound() -> None:
    registry = {f"1-{number}": Place("demo", 1, number) for number in range(1, ADDRESSES_MAX + 3)}
    log = BrokerLog(registry)
    for client in registry:
        log.read(enters(client)[1])
    assert len(log._address_of) <= ADDRESSES_MAX
