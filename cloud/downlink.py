"""The publisher of signed documents: every site's retained KR1, KL1, KM1 and KK1 are the newest, whatever happens.

Responsible for: comparing what the broker holds (it subscribes to its own topics) with what is signed, and publishing
the difference: after a restart, after a broker lost its memory, after somebody put rubbish there (hostile case P14).
And for what goes down to one gate: levels in the same way, all else once (fleet/messages.py).
Not responsible for: compiling and signing (reactions.py), receipts (ingest.py). Rules: P-4, P-6 (`dn/…`).
Runs as a thread of `portillon-cloud work`.
"""

import hashlib
import logging
import math
import queue
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from cloud.fleet import messages
from cloud.fleet import service as fleet
from cloud.kit import clock
from cloud.kit.broker import Broker, Line, Message
from cloud.kit.db import Database, DatabaseAway
from cloud.passes import service as passes
from cloud.passes.keys import KeysRefused, load_ring
from protocols import topics

LEAVES = {"KR1": topics.POLICY, "KL1": topics.GATES, "KM1": topics.MODE}
FILTERS = (f"{topics.PREFIX}/+/+/_/dn/+", *(topics.down_filter(leaf) for leaf in messages.LEVELS))
OVERLAP = timedelta(seconds=30)  # a level is read again for so long: transactions become visible out of order
LOOK_SECONDS = 1.0  # a change reaches the gates within it
SETTLE_SECONDS = 1.0  # after a connection: time for the broker to tell what it holds
HEARD_MAX = 100_000  # four topics a site: far more sites than one broker serves

log = logging.getLogger("portillon.downlink")


@dataclass
class Downlink:
    """One publisher. Several do no harm: they publish the same bytes."""

    database: Database
    broker_url: str | Line
    keys_dir: Path
    name: str = "1"
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._heard: queue.Queue[Message | None] = queue.Queue(HEARD_MAX)
        self._held: dict[str, bytes] = {}
        self._bodies: dict[tuple[UUID, int, str], tuple[int, bytes]] = {}
        self._levels: dict[str, bytes] = {}
        self._levels_since: dict[UUID, datetime] = {}
        self._quiet_until = math.inf  # nothing is compared before the broker has told what it holds
        self._trust_said = ""
        self.broker = Broker(self.broker_url, f"portillon-downlink-{self.name}", list(FILTERS), self._put,
                             lambda: self._put(None))  # fmt: skip

    def run(self) -> None:
        """Publish until told to stop. A database that is away only delays."""
        self.broker.start()
        try:
            while not self.stop.wait(LOOK_SECONDS / 2):
                self.look()
        finally:
            self.broker.stop()

    def look(self) -> None:
        """Compare once and publish what differs."""
        self._listen()
        if not self.broker.is_connected or time.monotonic() < self._quiet_until:
            return
        try:
            wanted = self._wanted()
            self._send_once()
        except DatabaseAway:
            return
        for topic, body in wanted.items():
            if self._held.get(topic) != _digest(body):
                log.info("publishing %s, %d bytes", topic, len(body))
                self.broker.publish(topic, body, retain=True)
                self._held[topic] = _digest(body)

    def _put(self, item: Message | None) -> None:
        try:
            self._heard.put_nowait(item)
        except queue.Full:  # what is not compared is published again at the next connection
            log.warning("too many documents heard at once")

    def _listen(self) -> None:
        """Take in what the broker holds; after a new connection it tells all of it again."""
        while not self._heard.empty():
            item = self._heard.get_nowait()
            if item is None:
                self._held.clear()
                self._quiet_until = time.monotonic() + SETTLE_SECONDS
            else:
                self._held[item.topic] = _digest(item.payload)
                self.broker.acknowledge(item)

    def _wanted(self) -> dict[str, bytes]:
        with self.database.untenanted() as tx:
            sites = fleet.sites_with_gates(tx)
        trust = self._trust()
        wanted: dict[str, bytes] = {}
        for district_id, district in dict.fromkeys((site.district_id, site.district) for site in sites):
            numbers = [site.site for site in sites if site.district_id == district_id]
            self._refresh(district_id, district)
            for number in numbers:
                if trust:
                    wanted[topics.site_down(district, number, topics.TRUST)] = trust
                for domain, leaf in LEAVES.items():
                    held = self._bodies.get((district_id, number, domain))
                    if held:
                        wanted[topics.site_down(district, number, leaf)] = held[1]
        return wanted | self._levels

    def _send_once(self) -> None:
        """Publish what is no level, each message once; one that is published again by a crash is known by its nonce."""
        with self.database.untenanted() as tx:
            districts = {site.district_id: site.district for site in fleet.sites_with_gates(tx)}
        for district_id, district in districts.items():
            with self.database.tenant(district_id) as tx:
                now = clock.now()
                waiting = messages.unsent(tx, district_id, now)
                for one in waiting:
                    assert one.expires_at
                    left = max(1, math.ceil((one.expires_at - now).total_seconds()))
                    topic = topics.down(district, one.site, one.gate, one.leaf)
                    self.broker.publish(topic, one.body, expiry_seconds=left)
                if waiting:
                    messages.note_sent(tx, district_id, [one.id for one in waiting], now)

    def _refresh(self, district_id: UUID, district: str) -> None:
        """Read the bodies of the versions that rose since the last look, and levels of gates that are new."""
        now = clock.now()
        with self.database.tenant(district_id) as tx:
            since = self._levels_since.get(district_id, datetime.fromtimestamp(0, UTC))
            for one in messages.levels(tx, district_id, since):
                self._levels[topics.down(district, one.site, one.gate, one.leaf)] = one.body
            self._levels_since[district_id] = now - OVERLAP
        with self.database.tenant(district_id) as tx:
            for site, domain, version in fleet.document_versions(tx, district_id):
                known = self._bodies.get((district_id, site, domain))
                if known is None or known[0] < version:
                    newest = passes.newest_document(tx, district_id, site, domain)
                    if newest:
                        self._bodies[district_id, site, domain] = (newest.version, newest.body)

    def _trust(self) -> bytes | None:
        """Return the trust list in force; a lower version, or another of the same, is not published."""
        try:
            ring = load_ring(self.keys_dir, clock.now().timestamp())
        except KeysRefused as refused:
            return self._say_trust(refused.code)
        version = ring.trust.held.version if ring.trust.held else 0
        with self.database.untenanted() as tx:
            code = passes.keep_trust_list(tx, version, ring.trust_bytes, clock.now())
        return self._say_trust(code) if code else ring.trust_bytes

    def _say_trust(self, code: str) -> None:
        if code != self._trust_said:
            log.error("the trust list is not published: %s", code)
        self._trust_said = code


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
