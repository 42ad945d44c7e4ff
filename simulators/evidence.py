"""What was seen of a run of chaos, and what it comes to: lost, doubled, invented, out of order, wrongly receipted.

Responsible for: looking on (receipts on the lines, memory of the parts), reading the two exports and the doors' records
when all is over, and the counts of an outsider.
Not for: making anything happen (chaos.py). Obeys INTERFACES.md (the exports), PROTOCOL.md section 5, docs/faults.md.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from protocols import topics
from protocols.documents import Reader, load_gate_list, load_policy_list
from protocols.envelope import DocumentRefused
from protocols.events import Receipt, load_receipt
from protocols.trust import Trust, load_trust_list
from simulators.clock import now
from simulators.morning import Fact, Ledger, read_ledger
from simulators.parts import Part
from simulators.proxy import DOWN, UP, Passed
from simulators.stack import Stack
from simulators.witness import RECORD

STRIKE_PIN = 17  # gate.toml's default
SAMPLE_SECONDS = 1.0
OPENING_CODES = ("OPEN", "CONFIRMED")
OPENING_KINDS = (10, 11, 12)  # a further pulse, a mode, a command: each a row of its own
PASS_KINDS = (1, 2, 3, 9, 14, 15)
RECEIPTS_MAX = 200_000
REST_SECONDS = 1.0  # within which what a gate writes is on its way
READINGS_MAX = 10

Json = dict[str, Any]
T = TypeVar("T")


class Lookout:
    """Looks on at the lines: the newest segment of each gate, and every receipt that is genuine."""

    def __init__(self, stack: Stack) -> None:
        keys = stack.directory / "keys" / "all"
        public = bytes.fromhex((keys / "root.pub").read_text().strip())
        self._root = public
        self._trust: Trust = load_trust_list((keys / "trust.kk1").read_bytes(), public, int(now()), clock_trusted=True)
        self._slug: str = stack.district["district"]["slug"]
        self._sites = {gate["gate"]: school["site"] for school in stack.district["schools"] for gate in school["gates"]}
        self.segments: dict[int, bytes] = {}
        self.receipts: list[Receipt] = []
        self.raw_receipts: dict[int, bytes] = {}
        self.passed = 0  # segments and receipts
        self.on_segment: Callable[[], None] | None = None  # called once, in the line's thread

    def __call__(self, passed: Passed) -> None:
        topic = topics.parse(passed.publish.topic)
        if topic is None or topic.gate != passed.gate:
            return
        self.passed += topic.leaf in (topics.EVENTS, topics.RECEIPT)
        if passed.direction == UP and topic.leaf == topics.EVENTS:
            self.segments[passed.gate] = passed.publish.payload
            call, self.on_segment = self.on_segment, None
            if call is not None:
                call()
        elif passed.direction == DOWN and topic.leaf == topics.RECEIPT:
            receipt = self.receipt_of(passed.publish.payload, passed.gate)
            if receipt is not None and len(self.receipts) < RECEIPTS_MAX:
                self.receipts.append(receipt)
                self.raw_receipts[passed.gate] = passed.publish.payload

    def receipt_of(self, payload: bytes, gate: int) -> Receipt | None:
        """Return a receipt that a gate would believe, None for any other bytes."""
        try:
            return load_receipt(payload, self._trust, self._sites[gate])
        except DocumentRefused:
            return None

    def missing_documents(self, held: dict[str, bytes]) -> list[str]:
        """Return the topics that hold no genuine document of their site. held: topic -> what the broker keeps."""
        missing = []
        for site in sorted(set(self._sites.values())):
            reader = Reader(self._trust, site, int(now()))
            loaders = {
                topics.POLICY: lambda body, reader=reader: load_policy_list(body, reader),
                topics.GATES: lambda body, reader=reader: load_gate_list(body, reader),
                topics.TRUST: lambda body: load_trust_list(body, self._root, int(now())),
            }
            for leaf, load in loaders.items():
                topic = topics.site_down(self._slug, site, leaf)
                try:
                    load(held.get(topic, b""))
                except DocumentRefused as refused:
                    missing.append(f"{topic}: {refused.code}")
        return missing


class Scales:
    """Samples what each part holds in memory; the largest it ever was, by part."""

    def __init__(self, parts: Callable[[], Iterable[Part]]) -> None:
        self.most_mb: dict[str, float] = {}
        self._parts = parts
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._weigh, name="scales", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _weigh(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            for part in list(self._parts()):
                megabytes = sum(resident_mb(pid) for pid in [part.pid, *descendants(part.pid)])
                if part.kind != "database":  # its processes share one memory, which the sum counts many times
                    self.most_mb[part.name] = max(self.most_mb.get(part.name, 0.0), megabytes)


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process, 0 where it is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass  # it ended between two looks
    return 0.0


def descendants(pid: int) -> list[int]:
    """Return the children of a process and theirs: a supervised worker, a database's backends."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended between two looks
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, waiting = [], [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


@dataclass
class Findings:
    """The counts of a run. What is not 0, but for `decided`, `stored`, `openings`, `receipts`, is Portillon's fault."""

    decided: int = 0
    stored: int = 0
    lost: int = 0
    duplicates: int = 0
    phantoms: int = 0
    other_bytes: int = 0
    out_of_order: int = 0
    unreceipted: int = 0
    openings: int = 0
    unwritten_openings: int = 0
    receipts: int = 0
    wrong_receipts: int = 0
    details: list[str] = field(default_factory=list)

    def say(self, what: str, found: Iterable[object]) -> int:
        """Keep the first few of what was found, and return how many there are."""
        rows = list(found)
        if rows:
            self.details.append(f"{what}: {', '.join(map(str, rows[:5]))}" + (" …" if len(rows) > 5 else ""))
        return len(rows)


def judge(stack: Stack, lookout: Lookout, records: dict[int, Path], heard: dict[int, list[Fact]]) -> Findings:
    """Read all that is left and compare it. records: the witness' folder by gate; heard: what `facts_heard` returns."""
    lines = {gate: (folder / RECORD).read_text().splitlines() for gate, folder in records.items()}
    receipts, ledger, heads = at_rest(
        lambda: (list(lookout.receipts), read_ledger(stack), _heads_in_cloud(stack)), lambda: lookout.passed
    )
    return compare(ledger, heads, receipts, lines, heard)


def at_rest(read: Callable[[], T], passed: Callable[[], int]) -> T:
    """Return what was read while nothing passed on the lines: a gate tells of itself now and then, and a row between
    two readings looks like a lost or an invented one. Of lines that never rest, the last reading. passed: so far."""
    for _ in range(READINGS_MAX - 1):
        before, found = passed(), read()
        time.sleep(REST_SECONDS)
        if passed() == before:
            return found
    return read()


def compare(
    ledger: Ledger,
    heads: dict[Fact, str],
    receipts: list[Receipt],
    records: dict[int, list[str]],
    heard: dict[int, list[Fact]],
) -> Findings:
    """Return what does not agree. heads: of the chain, in the cloud; records: lines of the witness by gate."""
    found = Findings()
    passes = {fact for fact, row in ledger.at_gates.items() if row["kind"] in PASS_KINDS}
    found.decided, found.stored = len(passes), sum(1 for fact in passes if fact in ledger.in_cloud)
    found.lost = found.say("lost", lost(ledger, heard))
    found.duplicates = found.say("stored twice", ledger.duplicates)
    found.phantoms = found.say("phantoms", ledger.phantoms)
    found.unreceipted = found.say(
        "no receipt", (fact for fact, row in ledger.at_gates.items() if row["receipted"] is None)
    )
    found.other_bytes = found.say("other bytes in the cloud", _other_bytes(ledger, heads))
    found.out_of_order = found.say("out of order", [*_gaps(ledger.in_cloud), *_unordered(heard)])
    found.wrong_receipts = found.say("wrong receipts", wrong_receipts(ledger, receipts))
    found.receipts = len(receipts)
    for gate, lines in records.items():
        openings, unwritten = unwritten_openings(lines, gate, ledger.at_gates)
        found.openings += openings
        found.unwritten_openings += found.say(f"gate {gate} opened with no row", unwritten)
    return found


def lost(ledger: Ledger, heard: dict[int, list[Fact]]) -> list[Fact]:
    """Return the rows that the cloud lacks, and those that a gate told somebody of and that one of the two lacks."""
    told = {fact for facts in heard.values() for fact in facts}
    gone = {fact for fact in told if fact not in ledger.at_gates or fact not in ledger.in_cloud}
    return sorted({*ledger.lost, *gone})


def _other_bytes(ledger: Ledger, heads: dict[Fact, str]) -> list[Fact]:
    """Return the facts whose chain says otherwise in the cloud than at the gate."""
    return [fact for fact, head in heads.items()
            if fact in ledger.at_gates and ledger.at_gates[fact]["head"] != head]  # fmt: skip


def _heads_in_cloud(stack: Stack) -> dict[Fact, str]:
    rows = map(json.loads, stack.cloud("events", "export", "--json").splitlines())
    return {(int(row["gate"]), int(row["epoch"]), int(row["seq"])): row["head"] for row in rows}


def _gaps(in_cloud: Iterable[Fact]) -> list[str]:
    """Return where a ledger in the cloud does not go 0, 1, 2, …"""
    numbers: dict[tuple[int, int], set[int]] = {}
    for gate, epoch, seq in in_cloud:
        numbers.setdefault((gate, epoch), set()).add(seq)
    return [
        f"gate {gate}: {len(seqs)} events up to {max(seqs)}"
        for (gate, _), seqs in numbers.items()
        if max(seqs) + 1 != len(seqs)
    ]


def _unordered(heard: dict[int, list[Fact]]) -> list[str]:
    """Return the answers whose row came before that of an earlier answer."""
    return [
        f"{later} after {earlier}"
        for facts in heard.values()
        for earlier, later in zip(facts, facts[1:], strict=False)
        if later[1] == earlier[1] and later[2] <= earlier[2]
    ]


def wrong_receipts(ledger: Ledger, receipts: Iterable[Receipt]) -> list[str]:
    """Return the genuine receipts that name another head than the gate's own, or cover what the cloud does not hold."""
    wrong = []
    for receipt in set(receipts):
        fact = (receipt.gate, receipt.epoch, receipt.upto)
        row = ledger.at_gates.get(fact)
        if row is None or row["head"] != receipt.head.hex() or fact not in ledger.in_cloud:
            wrong.append(f"gate {receipt.gate} upto {receipt.upto}")
    return wrong


def unwritten_openings(record: Iterable[str], gate: int, rows: dict[Fact, Json]) -> tuple[int, list[str]]:
    """Return how often the strike was given power, and where that did not follow a row that lets somebody in."""
    openings, unwritten, may = 0, [], False
    for line in record:
        word, *rest = line.split()
        if word == "start":
            may = False
        elif word == "wrote":
            may = may or any(_opens(rows.get((gate, int(rest[0]), int(seq)))) for seq in rest[1:])
        elif word == "pin" and int(rest[0]) == STRIKE_PIN:
            if rest[1:] == ["output", "1"]:  # told once for each pulse, also of a strike that has power already
                openings += 1
                if not may:
                    unwritten.append(f"opening {openings}")
                may = False
    return openings, unwritten


def _opens(row: Json | None) -> bool:
    return row is not None and (row["code"] in OPENING_CODES or row["kind"] in OPENING_KINDS)


def facts_heard(arrivals: Iterable[Any]) -> dict[int, list[Fact]]:
    """Return the rows of the answers that gates gave on their streams, by gate, each once, in order."""
    heard: dict[int, list[Fact]] = {}
    for arrival in arrivals:
        seq = arrival.decision.get("seq")
        if seq is not None:
            fact = (arrival.gate, int(arrival.decision["epoch"]), int(seq))
            facts = heard.setdefault(arrival.gate, [])
            if fact not in facts[-1:]:
                facts.append(fact)
    return heard


def answered_since(arrivals: Iterable[Any], gates: Iterable[int], since_ns: int) -> dict[int, int]:
    """Return by gate how many adults who came since then were answered with a row of its ledger."""
    answered = dict.fromkeys(gates, 0)
    for arrival in arrivals:
        if arrival.first_frame_ns >= since_ns and arrival.decision.get("seq") is not None:
            answered[arrival.gate] += 1
    return answered


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile by nearest rank. Raises ValueError for no values."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("nothing was measured")
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
