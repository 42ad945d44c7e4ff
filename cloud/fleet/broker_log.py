"""What Mosquitto's log says of gates that do what they may not: lines in, what an operator should hear of out.

PURE. Responsible for: publications that were denied, subscriptions beyond a gate's own topics (which Mosquitto grants
and never serves), certificates that were refused, who is connected from where. Not responsible for: reading the file,
alarms (cloud/warden.py). The words are those of Mosquitto 2.0, with log_type debug and without timestamps; a line that
says nothing to us is passed over. Whatever stands in a topic was chosen by a stranger: it is never passed on.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from protocols import topics

WRITE_DENIED, READ_DENIED, CERTIFICATE_REFUSED = "BROKER_WRITE_DENIED", "BROKER_READ_DENIED", "CERTIFICATE_REFUSED"
ADDRESSES_MAX = 20_000  # clients remembered; twice what one broker serves

_DENIED = re.compile(r"Denied PUBLISH from (\d+-\d+) \(")
_SUBSCRIBES = re.compile(r"Received SUBSCRIBE from (\S+)")
_FILTER = re.compile(r"\t(.*) \(QoS [012]\)")
_KNOCKS = re.compile(r"New connection from (\S+) on port \d+\.")
_ENTERS = re.compile(r"New client connected from (\S+) as (\S+) \(.*u'([^']*)'\)")  # the name of its certificate last
_LEAVES = re.compile(r"Client (\d+-\d+) (?:closed|disconnected|has exceeded|already connected)")
_HANDSHAKE = re.compile(r"OpenSSL Error")


@dataclass(frozen=True)
class Place:
    """Where a gate of the registry stands. revoked: it may not be here at all."""

    district: str
    site: int
    gate: int
    revoked: bool = False

    @property
    def client(self) -> str:
        return topics.client_id(self.site, self.gate)

    def may_read(self, topic_filter: str) -> bool:
        """Return whether a subscription stays within the gate's own topics and its site's."""
        own = f"{topics.PREFIX}/{self.district}/{self.site}"
        within = (f"{own}/{self.gate}/dn/", f"{own}/_/dn/")
        return topic_filter.startswith(within) or topic_filter == topics.seen_filter(self.district, self.site)


@dataclass(frozen=True)
class Noticed:
    """Something about a gate. code: an alarm's; "" where a revoked gate came in and must be pushed off."""

    place: Place
    code: str


@dataclass
class BrokerLog:
    """Reads line after line; `registry`: client id -> place, as it is now."""

    registry: Mapping[str, Place]
    _knocked: str = ""
    _subscriber: str = ""
    _address_of: dict[str, str] = field(default_factory=dict)
    _here: set[str] = field(default_factory=set)

    def read(self, line: str) -> list[Noticed]:
        """Return what a line tells. A handshake that failed has no name: told of the gates last seen at its address."""
        if found := _FILTER.match(line):
            return self._subscribed(found[1])
        self._subscriber = ""
        if found := _SUBSCRIBES.match(line):
            self._subscriber = found[1]
        elif found := _DENIED.match(line):
            return self._of(found[1], WRITE_DENIED)
        elif found := _KNOCKS.match(line):
            self._knocked = _host(found[1])
        elif found := _ENTERS.match(line):
            # The warden comes under a gate's client id when it pushes one off: it is not that gate.
            return self._entered(_host(found[1]), found[2]) if found[2] == found[3] else []
        elif found := _LEAVES.match(line):
            self._here.discard(found[1])
        elif _HANDSHAKE.match(line):
            return self._refused()
        return []

    def _of(self, client: str, code: str) -> list[Noticed]:
        place = self.registry.get(client)
        return [Noticed(place, code)] if place else []

    def _subscribed(self, topic_filter: str) -> list[Noticed]:
        place = self.registry.get(self._subscriber)
        return [Noticed(place, READ_DENIED)] if place and not place.may_read(topic_filter) else []

    def _entered(self, address: str, client: str) -> list[Noticed]:
        if client not in self.registry:
            return []
        if len(self._address_of) >= ADDRESSES_MAX:
            self._address_of.clear()
        self._address_of[client] = address
        self._here.add(client)
        place = self.registry[client]
        return [Noticed(place, "")] if place.revoked else []

    def _refused(self) -> list[Noticed]:
        knocked, self._knocked = self._knocked, ""
        away = [client for client, address in self._address_of.items() if address == knocked and knocked
                and client not in self._here and client in self.registry]  # fmt: skip
        return [Noticed(self.registry[client], CERTIFICATE_REFUSED) for client in away]


def _host(address: str) -> str:
    """Return the address without its port, which Mosquitto writes since 2.0.8."""
    host, _, port = address.rpartition(":")
    return host if host and port.isdigit() else address
