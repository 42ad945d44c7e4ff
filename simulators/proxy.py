"""A line between each gate and the broker that does what lines do: doubles, delays, reorders, cuts, swallows.

Responsible for: one listening port a gate, carrying whole MQTT packets both ways under the weather of the moment, each
direction by itself; telling a watcher of each PUBLISH that passed.
Not for: when the weather changes (chaos.py), TLS (it could not see packets), what packets mean (packets.py).
Obeys docs/faults.md, "The line". TCP loses nothing in the middle of a connection, so a connection of which something
was swallowed is reset when the weather clears, as a router does that forgot it.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from simulators.clock import monotonic_ns
from simulators.packets import PUBLISH, NotMqtt, Publish, acknowledged, kind_of, read_publish, sent_again, take_packet
from simulators.processes import free_port

READ_BYTES = 64 * 1024
HELD_PACKETS_MAX = 2_000  # on one direction of one connection; then its sender has to wait
REORDER_SECONDS = 0.3  # a PUBLISH that waits to be overtaken goes by itself after this
START_SECONDS_MAX = 5.0
UP, DOWN = "up", "down"


@dataclass(frozen=True)
class Weather:
    """What happens to packets of one direction. cut_after: so many packets pass, then half of one, and the end."""

    duplicate: bool = False
    delay_ms: int = 0
    reorder: bool = False
    swallow: bool = False
    cut_after: int | None = None


FAIR = Weather()


@dataclass(frozen=True)
class Passed:
    """A PUBLISH that went through. at_ns: CLOCK_MONOTONIC, when its last byte was handed on."""

    gate: int
    direction: str
    publish: Publish
    at_ns: int


Watcher = Callable[[Passed], None]


@dataclass(eq=False)
class _Connection:
    """One gate's connection: both directions, and what was done to it."""

    gate: int
    writers: dict[str, asyncio.StreamWriter] = field(default_factory=dict)  # direction -> where its packets go
    is_lossy: bool = False
    surplus: dict[str, Counter[int]] = field(default_factory=lambda: {UP: Counter(), DOWN: Counter()})
    carried: Counter[str] = field(default_factory=Counter)

    def reset(self) -> None:
        for writer in self.writers.values():
            writer.transport.abort()


class Proxy:
    """The lines of some gates to one broker. Runs in a thread of its own; every method may be called from any other."""

    def __init__(self, gates: list[int], broker_port: int, seed: int = 0) -> None:
        self.ports = {gate: free_port() for gate in gates}
        self.weather = {gate: {UP: FAIR, DOWN: FAIR} for gate in gates}
        self.watchers: list[Watcher] = []
        self.counts: Counter[str] = Counter()
        self._broker_port = broker_port
        self._chance = random.Random(f"portillon-proxy-{seed}")
        self._connections: set[_Connection] = set()
        self._ended = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def url(self, gate: int) -> str:
        return f"mqtt://127.0.0.1:{self.ports[gate]}"

    def start(self) -> None:
        self._thread.start()
        if not self._listening.wait(START_SECONDS_MAX):
            raise OSError("the lines' ports cannot be had")

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(START_SECONDS_MAX)

    def change(self, gate: int, up: Weather = FAIR, down: Weather = FAIR) -> None:
        """Let one gate's line have this weather from now on."""
        self.weather[gate] = {UP: up, DOWN: down}
        for connection in list(self._connections):
            if connection.gate == gate:
                connection.carried.clear()
        if not (up.swallow or down.swallow):
            self._loop.call_soon_threadsafe(self._reset_lossy, gate)

    def reset(self, gate: int) -> None:
        """End every connection of this gate at once."""
        self._loop.call_soon_threadsafe(self._reset_all, gate)

    # --- in the proxy's own thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        servers = [
            await asyncio.start_server(lambda r, w, gate=gate: self._accept(gate, r, w), "127.0.0.1", port)
            for gate, port in self.ports.items()
        ]
        self._listening.set()
        await self._ended.wait()
        for server in servers:
            server.close()
        for connection in list(self._connections):
            connection.reset()
        await asyncio.sleep(0)

    async def _accept(self, gate: int, from_gate: asyncio.StreamReader, to_gate: asyncio.StreamWriter) -> None:
        self.counts["connections"] += 1
        try:
            from_broker, to_broker = await asyncio.open_connection("127.0.0.1", self._broker_port)
        except OSError:
            to_gate.transport.abort()  # the broker is away: the gate meets what it would meet without us
            return
        connection = _Connection(gate, {UP: to_broker, DOWN: to_gate})
        self._connections.add(connection)
        try:
            await asyncio.gather(
                self._carry(connection, UP, from_gate, to_broker), self._carry(connection, DOWN, from_broker, to_gate)
            )
        finally:
            connection.reset()
            self._connections.discard(connection)

    async def _carry(
        self, connection: _Connection, direction: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Read packets, let the weather have them, hand them on at their time; the end of one way ends the other."""
        held: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue(HELD_PACKETS_MAX)
        handing = asyncio.create_task(self._hand_on(connection, direction, held, writer))
        try:
            await self._meet_weather(connection, direction, reader, held)
        except (OSError, NotMqtt, asyncio.IncompleteReadError):
            pass  # either end may go at any time; that is what a line is for
        finally:
            await held.put(None)
            await handing
            connection.reset()

    async def _meet_weather(
        self,
        connection: _Connection,
        direction: str,
        reader: asyncio.StreamReader,
        held: asyncio.Queue[tuple[float, bytes] | None],
    ) -> None:
        buffer, overtaken = bytearray(), None
        while True:
            try:
                data = await asyncio.wait_for(reader.read(READ_BYTES), REORDER_SECONDS if overtaken else None)
            except TimeoutError:
                assert overtaken is not None
                await held.put((self._due(FAIR), overtaken))
                overtaken = None
                continue
            if not data:
                return
            buffer += data
            while (packet := take_packet(buffer)) is not None:
                weather = self.weather[connection.gate][direction]
                for one in self._spoiled(connection, direction, packet, weather):
                    if weather.reorder and overtaken is None and kind_of(one) == PUBLISH:
                        overtaken = one
                        self.counts["reordered"] += 1
                        continue
                    await held.put((self._due(weather), one))
                    if overtaken is not None:
                        await held.put((self._due(weather), overtaken))
                        overtaken = None
                connection.carried[direction] += 1
                if weather.cut_after is not None and connection.carried[direction] > weather.cut_after:
                    return

    def _spoiled(self, connection: _Connection, direction: str, packet: bytes, weather: Weather) -> list[bytes]:
        """Return what goes on instead of this packet: nothing, half of it, itself, or itself twice."""
        if weather.swallow:
            connection.is_lossy = True
            self.counts["swallowed"] += 1
            return []
        answered = acknowledged(packet)
        if answered is not None and connection.surplus[direction][answered] > 0:
            connection.surplus[direction][answered] -= 1  # the answer to our own double: its sender asked once
            return []
        if weather.cut_after is not None and connection.carried[direction] >= weather.cut_after:
            self.counts["cut"] += 1
            return [packet[: max(1, len(packet) // 2)]]
        publish = read_publish(packet) if weather.duplicate else None
        if publish is None:
            return [packet]
        if publish.qos:
            connection.surplus[DOWN if direction == UP else UP][publish.packet_id] += 1
        self.counts["duplicated"] += 1
        return [packet, sent_again(packet)]

    async def _hand_on(
        self,
        connection: _Connection,
        direction: str,
        held: asyncio.Queue[tuple[float, bytes] | None],
        writer: asyncio.StreamWriter,
    ) -> None:
        while (item := await held.get()) is not None:
            due, packet = item
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            if writer.is_closing():
                continue
            try:
                writer.write(packet)
                await writer.drain()
            except OSError:
                continue  # the reader of the other way notices and ends both
            self._tell(connection.gate, direction, packet)

    def _due(self, weather: Weather) -> float:
        jitter = self._chance.uniform(0.5, 1.5) if weather.delay_ms else 0.0
        return self._loop.time() + weather.delay_ms / 1000 * jitter

    def _tell(self, gate: int, direction: str, packet: bytes) -> None:
        try:
            publish = read_publish(packet) if self.watchers else None
        except NotMqtt:
            return  # the half of one
        if publish is not None:
            passed = Passed(gate, direction, publish, monotonic_ns())
            for watcher in list(self.watchers):
                watcher(passed)

    def _reset_lossy(self, gate: int) -> None:
        for connection in list(self._connections):
            if connection.gate == gate and connection.is_lossy:
                connection.reset()

    def _reset_all(self, gate: int) -> None:
        for connection in list(self._connections):
            if connection.gate == gate:
                connection.reset()
