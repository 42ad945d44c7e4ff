"""The broker as firmware_config sets it up, a real Mosquitto: each gate writes and reads its own topics, no other."""

from __future__ import annotations

import datetime
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from paho.mqtt.enums import CallbackAPIVersion

from cloud.fleet.broker_log import CERTIFICATE_REFUSED, READ_DENIED, WRITE_DENIED, BrokerLog, Noticed, Place
from cloud.kit.broker import Line, take_over
from protocols import topics
from tests.edge.line import MOSQUITTO, free_port, until
from tests.edge.test_broker_tls import FROM, UNTIL, Authority
from tests.firmware.target import SOURCE

pytestmark = pytest.mark.serial
PLACE = "/etc/mosquitto/portillon"
GATES = (("demo", 101, 11), ("demo", 101, 12), ("demo", 102, 21), ("other", 201, 31))
OURS = GATES[0]
REVOKED = ("demo", 101, 13)
NOT_AUTHORISED = 135
STARTED_SECONDS = 10.0
INGEST, WORKER, WARDEN = "cloud-ingest", "cloud-worker", "cloud-warden"
LOG = "/run/mosquitto/portillon.log"

Gate = tuple[str, int, int]


def may_write(gate: Gate) -> set[str]:
    return {topics.up(*gate, leaf) for leaf in topics.UP} | {topics.seen(*gate)}


def may_read(gate: Gate) -> set[str]:
    district, site, _ = gate
    own = {topics.down(*gate, leaf) for leaf in topics.DOWN}
    of_site = {topics.site_down(district, site, leaf) for leaf in topics.SITE_DOWN}
    return own | of_site | {topics.seen(*other) for other in GATES if other[:2] == gate[:2]}


def of_cloud() -> dict[str, tuple[set[str], set[str]]]:
    """What each process of the cloud may write and read."""
    up = {topics.up(*gate, leaf) for gate in GATES for leaf in topics.UP} | {topics.seen(*gate) for gate in GATES}
    down = {topic for topic in every_topic() if "/dn/" in topic}
    return {INGEST: ({topics.down(*gate, topics.RECEIPT) for gate in GATES}, up), WORKER: (down, down),
            WARDEN: (set(), set())}  # fmt: skip


def every_topic() -> set[str]:
    return set().union(*(may_write(gate) | may_read(gate) for gate in GATES))


def acl(registry: str, folder: Path = SOURCE / "broker") -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", str(folder / "make-acl")], input=registry, capture_output=True, text=True, check=False)


@dataclass
class Party:
    """One client of the broker, with what it heard and what was answered to what it published."""

    client: mqtt.Client
    heard: list[str] = field(default_factory=list)
    answers: dict[int, int] = field(default_factory=dict)
    connected: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
    subscribed: threading.Event = field(default_factory=threading.Event)

    def publish(self, *wanted: str) -> dict[str, int]:
        """Return the broker's answer to each publication: 0 or 16 taken, 135 refused."""
        sent = {topic: self.client.publish(topic, b"?", qos=1).mid for topic in wanted}
        until(lambda: set(sent.values()) <= self.answers.keys())
        return {topic: self.answers[mid] for topic, mid in sent.items()}


class Broker:
    """Mosquitto with the configuration of firmware_config, its paths and ports moved to a folder of the test."""

    def __init__(self, folder: Path, settings: str, rights: str) -> None:
        for above in (folder, *folder.parents):
            if above.stat().st_mode & 0o005 == 0:  # pytest's own folders, which Mosquitto's user may not pass
                above.chmod(0o755)
        self.authority, self.services = Authority(folder, "gates-ca"), Authority(folder, "services-ca")
        self.folder, self.port, self.inner = folder, free_port(), free_port()
        (folder / "broker.pem").write_bytes(b"".join(file.read_bytes() for file in self.services.issue("broker")))
        self.certificates: dict[Gate | str, tuple[Path, Path]] = {
            gate: self.authority.issue(topics.client_id(*gate[1:])) for gate in (*GATES, REVOKED)
        }
        self.certificates |= {name: self.services.issue(name) for name in (INGEST, WORKER, WARDEN)}
        (folder / "revoked.pem").write_bytes(self._revocations(self.certificates[REVOKED][0]))
        (folder / "acl").write_text(rights)
        settings = settings.replace(PLACE, str(folder)).replace("listener 8883", f"listener {self.port} 127.0.0.1")
        settings = settings.replace(f"log_dest file {LOG}", "log_dest stderr")
        (folder / "mosquitto.conf").write_text(settings.replace("listener 8884", f"listener {self.inner}"))
        for name in ("acl", "revoked.pem", "mosquitto.conf", "broker.pem"):
            (folder / name).chmod(0o644)

    def _revocations(self, certificate: Path) -> bytes:
        serial = x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(FROM).build()
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.authority.certificate.subject)
        signed = (
            builder.last_update(FROM)
            .next_update(UNTIL - datetime.timedelta(days=1))
            .add_revoked_certificate(entry)
            .sign(self.authority._key, hashes.SHA256())
        )
        return signed.public_bytes(serialization.Encoding.PEM)

    @contextmanager
    def running(self) -> Iterator[None]:
        with (self.folder / "log").open("w") as log:
            process = subprocess.Popen([MOSQUITTO, "-c", str(self.folder / "mosquitto.conf")], stderr=log)
        try:
            until(lambda: process.poll() is not None or self._answers(), STARTED_SECONDS)
            assert process.poll() is None, "Mosquitto does not take this configuration"
            yield
        finally:
            process.kill()
            process.wait()

    def _answers(self) -> bool:
        with socket.socket() as one, socket.socket() as other:
            return not one.connect_ex(("127.0.0.1", self.port)) and not other.connect_ex(("127.0.0.1", self.inner))

    @contextmanager
    def party(
        self, who: Gate | str, *, calls_itself: str = "", certificate: bool = True, inner: bool | None = None
    ) -> Iterator[Party]:
        """A gate, or a process of the cloud, by its certificate; subscribed to everything there is.

        inner: at the cloud's listener; None: at the listener where it belongs.
        """
        name = calls_itself or (who if isinstance(who, str) else topics.client_id(*who[1:]))
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
        party = Party(client)
        chain, key = (str(file) if certificate else None for file in self.certificates[who])
        client.tls_set(str(self.services.file), chain, key)
        inner = isinstance(who, str) if inner is None else inner
        client.on_connect = lambda *words: (party.gone if words[3].is_failure else party.connected).set()
        client.on_disconnect = lambda *words: party.gone.set()
        client.on_connect_fail = lambda *words: party.gone.set()
        client.on_message = lambda _client, _data, message: party.heard.append(message.topic)
        client.on_publish = lambda _client, _data, mid, reason, _more: party.answers.__setitem__(mid, reason.value)
        client.on_subscribe = lambda *words: party.subscribed.set()
        try:
            client.connect("127.0.0.1", self.inner if inner else self.port)
        except (ssl.SSLError, OSError):
            party.gone.set()
        client.loop_start()
        try:
            until(lambda: party.connected.is_set() or party.gone.is_set())
            if party.connected.is_set():
                client.subscribe("#", qos=1)
                until(lambda: party.subscribed.is_set() or party.gone.is_set())
            yield party
        finally:
            client.disconnect()
            client.loop_stop()


def registry() -> str:
    return "".join(f"{district} {site} {gate}\n" for district, site, gate in (*GATES, REVOKED))


SETTINGS = (SOURCE / "broker/mosquitto.conf").read_text()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    made = Broker(tmp_path_factory.mktemp("broker"), SETTINGS, acl(registry()).stdout)
    with made.running():
        yield made


@pytest.mark.parametrize("gate", GATES, ids=str)
def test_a_gate_writes_its_own_topics_and_is_refused_every_other(broker: Broker, gate: Gate) -> None:
    with broker.party(gate) as party:
        answers = party.publish(*sorted(every_topic()), "portillon", "$SYS/broker/version")
    taken = {topic for topic, answer in answers.items() if answer != NOT_AUTHORISED}
    assert taken == may_write(gate)


def test_a_gate_that_subscribes_to_everything_hears_its_own_topics_and_no_other(broker: Broker) -> None:
    with ExitStack() as stack:
        parties = {gate: stack.enter_context(broker.party(gate)) for gate in GATES}
        worker, ingest = stack.enter_context(broker.party(WORKER)), stack.enter_context(broker.party(INGEST))
        answers = worker.publish(*sorted(of_cloud()[WORKER][0]))
        assert set(answers.values()) <= {0, 16}
        for gate, party in parties.items():
            party.publish(*sorted(may_write(gate)))
        for gate, party in parties.items():
            until(lambda party=party, gate=gate: set(party.heard) >= may_read(gate))
            assert set(party.heard) == may_read(gate)
        until(lambda: set(ingest.heard) >= of_cloud()[INGEST][1])
        assert set(ingest.heard) == of_cloud()[INGEST][1] and set(worker.heard) <= of_cloud()[WORKER][1]


@pytest.mark.parametrize("process", [INGEST, WORKER, WARDEN])
def test_a_process_of_the_cloud_writes_what_is_its_own_and_no_gates_words(broker: Broker, process: str) -> None:
    with broker.party(process) as cloud:
        answers = cloud.publish(*sorted(every_topic()))
    assert {topic for topic, answer in answers.items() if answer != NOT_AUTHORISED} == of_cloud()[process][0]


def test_no_gates_certificate_opens_the_clouds_listener_and_no_clouds_one_the_gates(broker: Broker) -> None:
    with broker.party(OURS, inner=True) as gate, broker.party(WORKER, inner=False) as cloud:
        until(lambda: gate.gone.is_set() and cloud.gone.is_set())
        assert not gate.connected.is_set() and not cloud.connected.is_set()


def test_the_warden_pushes_a_gate_off_by_its_name(broker: Broker) -> None:
    with broker.party(OURS) as ours:
        certificate, key = broker.certificates[WARDEN]
        both = broker.folder / "warden.pem"
        both.write_bytes(certificate.read_bytes() + key.read_bytes())
        assert take_over(Line(f"mqtts://127.0.0.1:{broker.inner}", broker.services.file, both), "101-11")
        until(ours.gone.is_set)


def test_the_log_tells_the_warden_what_was_refused(broker: Broker) -> None:
    with broker.party(OURS) as ours, broker.party(REVOKED) as revoked:
        ours.publish(topics.up(*GATES[1], topics.EVENTS))
        until(revoked.gone.is_set)
    place = Place(*OURS)
    told = BrokerLog({place.client: place})
    noticed = [one for line in (broker.folder / "log").read_text().split("\n") for one in told.read(line)]
    assert {Noticed(place, WRITE_DENIED), Noticed(place, READ_DENIED), Noticed(place, CERTIFICATE_REFUSED)} == set(
        noticed
    )


def test_a_gate_that_takes_anothers_name_is_still_itself_and_pushes_nobody_off(broker: Broker) -> None:
    sister = GATES[1]
    with broker.party(OURS) as ours, broker.party(sister, calls_itself=topics.client_id(*OURS[1:])) as thief:
        assert thief.connected.is_set()
        answers = thief.publish(topics.up(*OURS, topics.EVENTS), topics.up(*sister, topics.EVENTS))
        assert answers[topics.up(*OURS, topics.EVENTS)] == NOT_AUTHORISED
        assert answers[topics.up(*sister, topics.EVENTS)] != NOT_AUTHORISED
        assert not ours.gone.is_set()
        assert ours.publish(topics.up(*OURS, topics.EVENTS))


def test_a_revoked_certificate_and_none_at_all_are_refused(broker: Broker) -> None:
    with broker.party(REVOKED) as revoked, broker.party(OURS, certificate=False) as nobody:
        until(lambda: revoked.gone.is_set() and nobody.gone.is_set())
        assert not revoked.connected.is_set() and not nobody.connected.is_set()


def test_a_gate_that_left_the_registry_has_no_right_left(tmp_path: Path) -> None:
    made = Broker(tmp_path, SETTINGS, acl("demo 101 12\n").stdout)
    with made.running(), made.party(OURS) as gone:
        assert set(gone.publish(*sorted(may_write(OURS))).values()) == {NOT_AUTHORISED}


# --- a wrong setting is noticed -----------------------------------------------------------------------------------


def holes(broker: Broker) -> set[str]:
    """What this broker lets happen that it must not, or does not let happen that it must."""
    found: set[str] = set()
    sister = GATES[1]
    with broker.running(), ExitStack() as stack:
        enter = stack.enter_context
        ours, cloud = enter(broker.party(OURS)), enter(broker.party(WORKER))
        if not ours.connected.is_set():
            return {"a gate cannot come in"}
        if not cloud.connected.is_set():
            return {"the cloud cannot come in"}
        for topic, answer in ours.publish(*sorted(every_topic())).items():
            if (answer != NOT_AUTHORISED) != (topic in may_write(OURS)):
                found.add(f"writing {topic}: {answer}")
        if set(cloud.publish(*(t for t in every_topic() if "/dn/" in t)).values()) - {0, 16}:
            found.add("the cloud cannot write")
        if found:
            return found
        thief = enter(broker.party(sister, calls_itself=topics.client_id(*OURS[1:])))
        last = topics.down(*OURS, topics.RESPONSE)
        heard = ours.heard.count(last)
        cloud.publish(last)  # what it may not hear was sent before this
        until(lambda: ours.heard.count(last) > heard or ours.gone.is_set())
        found |= {f"reading {topic}" for topic in set(ours.heard) - may_read(OURS)}
        found |= {"a name was taken"} if ours.gone.is_set() or not thief.connected.is_set() else set()
        found |= {"a revoked certificate came in"} if enter(broker.party(REVOKED)).connected.is_set() else set()
        nobody = enter(broker.party(OURS, certificate=False))
        found |= {"nobody came in"} if nobody.connected.is_set() else set()
    return found


@pytest.mark.parametrize(
    "words",
    [
        {
            "require_certificate true": "false",
            "allow_anonymous false": "true",
            "use_identity_as_username true": "false",
        },
        {"use_username_as_clientid true": "false"},
        {"use_identity_as_username true": "false"},
        {f"crlfile {PLACE}/revoked.pem": ""},
        {f"acl_file {PLACE}/acl": ""},
        {f"cafile {PLACE}/services-ca.pem": f"{PLACE}/gates-ca.pem"},
    ],
    ids=str,
)
def test_a_wrong_setting_of_the_broker_opens_a_hole_that_is_found(tmp_path: Path, words: dict[str, str]) -> None:
    settings = SETTINGS
    for right, wrong in words.items():
        assert right in settings
        settings = settings.replace(right, f"{right.split()[0]} {wrong}" if wrong else "", 1)
    assert holes(Broker(tmp_path, settings, acl(registry()).stdout))


@pytest.mark.parametrize("wrong", ["use_identity_as_usernam true", "listener", "require_certificate perhaps"])
def test_a_word_that_mosquitto_does_not_know_is_found(tmp_path: Path, wrong: str) -> None:
    broker = Broker(tmp_path, f"{SETTINGS}\n{wrong}\n", acl(registry()).stdout)
    with pytest.raises(AssertionError, match="does not take this configuration"), broker.running():
        raise ValueError("it started")


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("acl.gate", "@GATE@/up/ev", "@GATE@/up/evt"),
        ("acl.gate", "seen/@GATE@", "seen/+"),
        ("acl.gate", "topic write portillon/1/@DISTRICT@/@SITE@/@GATE@/up/st", "topic portillon/1/@DISTRICT@/@SITE@/#"),
        ("acl.gate", "user @SITE@-@GATE@", "user @GATE@"),
        ("acl.gate", "topic read portillon/1/@DISTRICT@/@SITE@/@GATE@/dn/#", "topic read portillon/1/@DISTRICT@/#"),
        ("acl.head", "topic readwrite portillon", "topic read portillon"),
        ("acl.head", "user cloud-worker", "user cloud-walker"),
    ],
)
def test_a_wrong_line_of_the_rights_is_found(tmp_path: Path, file: str, right: str, wrong: str) -> None:
    folder = tmp_path / "wrong"
    folder.mkdir()
    for name in ("make-acl", "acl.head", "acl.gate"):
        before = (SOURCE / "broker" / name).read_text()
        assert name != file or right in before
        (folder / name).write_text(before.replace(right, wrong) if name == file else before)
    assert holes(Broker(tmp_path, SETTINGS, acl(registry(), folder).stdout))


def test_the_broker_that_firmware_config_describes_has_no_hole(tmp_path: Path) -> None:
    assert holes(Broker(tmp_path, SETTINGS, acl(registry()).stdout)) == set()


# --- the list of rights is made from a registry that is not trusted -----------------------------------------------


@pytest.mark.parametrize(
    "line",
    ["demo 101", "demo 101 11 x", "Demo 101 11", "demo 0 11", "demo 101 +", "demo # 11", "demo/x 101 11", "& 101 11",
     "demo 101 99999999999", "demo 101 11\tuser", "-" * 33 + " 101 11", "démo 101 11", "demo 101 11;reboot"],
)  # fmt: skip
def test_a_line_that_names_no_gate_makes_no_list_at_all(line: str) -> None:
    done = acl(f"demo 101 12\n{line}\ndemo 101 14\n")
    assert done.returncode == 1 and done.stdout == ""
    assert "not a gate" in done.stderr


def test_the_list_is_made_of_every_line_the_last_one_too() -> None:
    made = acl("demo 101 11\n\ndemo 101 12")
    assert made.returncode == 0
    assert re.findall(r"^user (\d.*)$", made.stdout, re.MULTILINE) == ["101-11", "101-12"]
    assert "@" not in made.stdout
