"""The gate's only sequencer: frame -> codes -> decide -> journal -> door, lights, screen -> note to the sisters.

Responsible for: that order, one decision at a time, in one thread; what is not written does not happen (P-5); camera
and journal faults; the boot, clock, mode and day-close events.
Not responsible for: verdicts (gate.py), what people perceive (porch.py), sending (broker.py), starting the parts
(appliance.py).
Obeys: PROTOCOL P-3, P-5; ARCHITECTURE "an arrival" hops 1 to 5; HOSTILE P8, P39, P42.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from nacl.signing import SigningKey

from edge.broker import Broker, Heard, Inbox
from edge.camera import Camera, Frame
from edge.config import GateConfig
from edge.decision import Decision, Draft, GateSettings
from edge.doorway import Doorway
from edge.feedback import IDLE
from edge.gate import Gate
from edge.health import ClockWatch, Health
from edge.journal import Change, Journal
from edge.journal_file import JournalFailed
from edge.ledger import Ledger, Written
from edge.pins import Pins
from edge.porch import Porch
from edge.reader import Code, Reader
from edge.roster import Roster
from edge.shot import mark, picked, shot_of
from edge.tablet import HandCode
from edge.versions import FIRMWARE
from edge.view import Symbol
from edge.warmup import warm_up
from edge.watch import Watch
from edge.web.board import Board, Json, line_of
from protocols import topics
from protocols.events import Detail, Kind, Note, build_note, in_notes
from protocols.limits import REFUSALS_PER_MINUTE_MAX
from protocols.passes import Credential, looks_like_pass
from protocols.reasons import DocumentCode, DocumentKind, Reason
from protocols.rules import Hours

POLL_SECONDS = 0.008  # between two looks at a camera that has no new frame: a new one waits 4 ms on average
HOUSEKEEPING_SECONDS = 1.0
PURGE_SECONDS = 600.0
COUNTS_SECONDS = 60.0  # what was only counted goes into the ledger so often
BUILT_AT = 1_767_225_600  # 2026-01-01T00:00:00Z: no gate of this firmware has seen an earlier day (P-3, clock floor)

_DOCUMENTS = {
    topics.POLICY: DocumentKind.KR1,
    topics.TRUST: DocumentKind.KK1,
    topics.GATES: DocumentKind.KL1,
    topics.MODE: DocumentKind.KM1,
}
_MAY_BE_GOOD_LATER = (f"_{DocumentCode.KEY}", f"_{DocumentCode.FUTURE}")
_DAY = ("loop", b"day")  # the last local day this gate wrote in, for its day close


@dataclass
class Parts:
    """What the loop drives; made and closed by whoever starts it. broker: None where none is configured."""

    journal: Journal
    pins: Pins
    health: Health
    clock: ClockWatch
    inbox: Inbox
    board: Board
    open_camera: Callable[[], Camera]
    broker: Broker | None = None


@dataclass
class _Due:
    """When the slow things are due again, monotonic seconds."""

    housekeeping: float = 0.0
    purge: float = 0.0
    counts: float = field(default_factory=lambda: time.monotonic() + COUNTS_SECONDS)


class Loop:
    """One gate. `start`, then `step` for ever; `now` tells UTC seconds."""

    def __init__(self, config: GateConfig, parts: Parts, now: Callable[[], float]) -> None:
        self._config, self._parts, self._now = config, parts, now
        self._key = SigningKey(config.gate_seed)
        self._ledger = Ledger(parts.journal, parts.health, lambda: self._gate.roster.clock)
        self._hours = Hours(ZoneInfo(config.gate.timezone), config.gate.hours)
        self._boot_at = now()
        self._bus_up = False
        self._gate = self._new_gate()
        self._mode = self._gate.roster.mode(self._boot_at)
        self._unvouched: dict[DocumentKind, bytes] = {}  # the last of each kind, refused for its key or its date
        self._reader, self._due = Reader(), _Due()
        self._watch = Watch(parts.open_camera, parts.health, self._is_open, self._tell_health_soon)
        self.porch = Porch(parts.pins, parts.board)
        self.doorway = Doorway(
            config.door,
            parts.pins,
            parts.health,
            write=self.write,
            tell=self._tell_health_soon,
            unlocked_hours=Hours(self._hours.zone, config.door.unlocked_hours),
        )
        self._health_events: deque[float] = deque(maxlen=REFUSALS_PER_MINUTE_MAX)
        self._handlers: dict[str, Callable[[bytes, float], None]] = {}
        self._each_second: list[Callable[[float], None]] = []
        self._each_turn: list[Callable[[], None]] = []
        self._staff_came: Callable[[Credential, float], None] = lambda _credential, _at: None
        self.ticked_at = time.monotonic()

    def on(self, leaf: str, handler: Callable[[bytes, float], None]) -> None:
        """Have what comes on this leaf (topics.DOWN) handled in the loop's thread, guarded: payload and UTC seconds."""
        self._handlers[leaf] = handler

    def each_second(self, handler: Callable[[float], None]) -> None:
        """Have this called about once a second in the loop's thread, guarded, with UTC seconds."""
        self._each_second.append(handler)

    def each_turn(self, handler: Callable[[], None]) -> None:
        """Have this called between two frames in the loop's thread, guarded: it must not take long."""
        self._each_turn.append(handler)

    def on_staff_pass(self, handler: Callable[[Credential, float], None]) -> None:
        """Have this told of each staff pass that is genuine and of now, once its answer is shown."""
        self._staff_came = handler

    # --- what others may ask (from other threads: they read values that are replaced whole) -------------------------

    @property
    def gate(self) -> Gate:
        return self._gate

    @property
    def last_frame(self) -> Frame | None:
        return self._watch.last_frame

    def birth(self) -> dict[str, Any]:
        """Return what up/st says besides its session."""
        return {
            "boot": self._parts.journal.boot,
            "firmware": FIRMWARE,
            "documents": self._gate.roster.versions(),
            "mode": self._mode.name.lower(),
        }

    def list_age_s(self) -> int | None:
        """Return how old the policy list in force is, None where there is none: an offline gate says so."""
        policy = self._gate.roster.policy
        return None if policy is None else max(0, int(self._now() - policy.iat))

    # --- starting -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Write the boot, take the provisioned trust list, and show that the gate is ready."""
        warm_up()
        at = self._now()
        self._apply(self._gate.boot(at, FIRMWARE), at)
        self._gate.bus(False, at)
        if self._config.trust_list is not None and self._gate.roster.trust.held is None:
            self._take_document(DocumentKind.KK1, self._config.trust_list, at)
        self._parts.board.show(IDLE)

    def _new_gate(self) -> Gate:
        """The gate as the disk knows it, with what only waits for the disk."""
        place = self._config.gate
        saved = self._ledger.saved()
        roster = Roster(
            place.site,
            place.gate,
            root_public=self._config.root_public,
            clock=self._parts.clock.state,
            floor=BUILT_AT,
            saved=saved or self._parts.journal.proven,
        )
        settings = GateSettings(place.gate, place.site, self._hours, place.departures, place.gates_at_site)
        return Gate(settings, roster, saved=saved, boot_at=self._boot_at)

    # --- one turn -----------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One turn: what was heard, what is due, what the camera sees. Sleeps a moment where there is nothing."""
        self.ticked_at = moment = time.monotonic()
        for heard in self._parts.inbox.take():
            self._guarded("bus", partial(self._hear, heard))
        if moment >= self._due.housekeeping:
            self._due.housekeeping = moment + HOUSEKEEPING_SECONDS
            self._guarded("house", partial(self._keep_house, moment))
            self._guarded("hours", self._end_what_ended)
            for handler in self._each_second:
                self._guarded(handler.__qualname__, partial(handler, self._now()))
        for turn in self._each_turn:
            self._guarded(turn.__qualname__, turn)
        self._guarded("doorway", self._turn_door)
        self.porch.fade(self._mode, broken=not self._ledger.ok or self._parts.health.fault_of("camera") is not None)
        frame = self._watch.look(moment)
        if frame is None:
            time.sleep(POLL_SECONDS)
            return
        try:
            self._read(frame)
        except Exception as error:  # one picture that trips a library must not keep the next family out
            self._parts.health.internal("loop", error)
            time.sleep(POLL_SECONDS)
        else:
            self._parts.health.fault("loop", None)

    def _guarded(self, part: str, turn: Callable[[], None]) -> None:
        """What trips over a message or over the time is told, and keeps nobody out: a retained one comes back."""
        try:
            turn()
        except Exception as error:  # nothing swallowed: it is a fault and an alarm of the fleet's
            self._parts.health.internal(part, error)
        else:
            self._parts.health.fault(part, None)

    def _read(self, frame: Frame) -> None:
        began = time.monotonic_ns()
        codes = self._reader.watch(frame.luma)
        read_ns = time.monotonic_ns()
        self._parts.health.frame(frame.captured_ns, (read_ns - began) / 1e6)
        at = self._now()
        decision = self._gate.scan([_symbol_of(code) for code in codes], at)
        if codes:
            self._answer(decision, frame, codes, at, read_ns)
        else:
            self._apply(decision, at)
        self._watch.set_light(frame, picked(codes).corners if codes else (), time.monotonic())  # after the door

    def _answer(self, decision: Decision, frame: Frame, codes: list[Code], at: float, read_ns: int) -> None:
        """Journal, then strike, then lights and screen, then the sisters: in this order and no other."""
        shown = picked(codes)
        if decision.code == Reason.NOT_A_PASS and any(looks_like_pass(code.text or "") for code in codes):
            return  # a pass unchanged in view for long is ignored until it leaves: nothing to say to anybody
        timeline = [(0.0, "frame"), mark(frame, read_ns, "read"), mark(frame, time.monotonic_ns(), "verified")]
        written = self._apply(decision, at)
        if written is None and decision.strike:
            decision = Decision(Reason.STAFF_CONFIRM, asks=("journal",))
        strike_ns = None
        if written is not None:
            timeline.append(mark(frame, written.at_ns, "journal"))
            strike_ns = self._let_in(decision) if decision.strike and written.entries else None
        if strike_ns is not None:
            timeline.append(mark(frame, strike_ns, "strike"))
        fresh = self.porch.show(decision, shown.text or "", offline=self._is_offline())
        if written is not None and decision.seen is not None:
            self._tell_sisters(decision.seen, at)
        if fresh:
            self._publish(decision, written, at, strike_ns, shot_of(frame, shown, timeline))
        if decision.staff is not None:
            self._staff_came(decision.staff, at)

    def carry_out(self, decision: Decision, at: float, text: str = "") -> Decision:
        """What was decided with no camera (a tablet, a hand scanner), in the same order; JOURNAL where unwritten.

        text: what was scanned, so that the same refusal is not flashed twice.
        """
        written = self._apply(decision, at)
        if written is None and (decision.strike or decision.is_staffs):
            decision = Decision(HandCode.JOURNAL)
        strike_ns = self._let_in(decision) if decision.strike and written and written.entries else None
        fresh = self.porch.show(decision, text, offline=self._is_offline())
        if decision.seen is not None:
            self._tell_sisters(decision.seen, at)
        if fresh or decision.is_staffs:
            self._publish(decision, written, at, strike_ns, {})
        if decision.staff is not None:
            self._staff_came(decision.staff, at)
        return decision

    def _let_in(self, decision: Decision) -> int | None:
        holder = next((draft.detail.get(Detail.HOLDER) for draft in decision.events), None)
        return self.doorway.let_in(holder, by_staff=decision.code == Reason.CONFIRMED)

    def _turn_door(self) -> None:
        self.doorway.turn(self._mode)
        if self.doorway.heard:
            self.porch.sound(self.doorway.heard)
            self.doorway.heard.clear()

    def _is_open(self) -> bool:
        return self._hours.contain(self._now())

    def _tell_health_soon(self) -> None:
        if self._parts.broker is not None:
            self._parts.broker.tell_health_soon()

    # --- ledger -------------------------------------------------------------------------------------------------

    def _apply(self, decision: Decision, at: float) -> Written | None:
        """Write a decision's events and changes in one commit; None where that failed (and then nothing happened)."""
        for alarm in decision.alarms:
            self._parts.health.count(f"alarm_{alarm}")
        was_ok = self._ledger.ok
        written = self._ledger.write(decision, at)
        if was_ok and not self._ledger.ok:
            self._gate.journal(False, at)
        if written is None and (decision.strike or decision.is_staffs):
            self._undo()
        if written is not None and decision.acts:
            self._gate.tablet.wrote(decision, [(self._parts.journal.epoch, one.seq) for one in written.entries], at)
        if written is not None and written.entries and self._parts.broker is not None:
            self._parts.broker.wake()
        return written

    def write(self, drafts: tuple[Draft, ...], changes: tuple[Change, ...] = ()) -> bool:
        """Write events and rows of saved state in one commit; whether they are on the disk."""
        return self._apply(Decision(Reason.OK, events=drafts, changes=changes), self._now()) is not None

    def cry(self, alarm: str) -> None:
        """Count something of which the fleet shall hear."""
        self._parts.health.count(f"alarm_{alarm}")
        self._tell_health_soon()

    def tell(self, code: str, at: float, *, alarm: bool = False) -> None:
        """Record a code of the gate's own condition, as an alarm where it is one; at most 6 a minute go to the disk."""
        if alarm:
            self._parts.health.count(f"alarm_{code}")
            self._tell_health_soon()
        self._record_health({Detail.DOCUMENT: code}, at)

    @property
    def writes(self) -> bool:
        """Whether the journal takes what is written, so that nothing waits for it."""
        return self._ledger.ok

    def row(self, table: str, key: bytes) -> bytes | None:
        """Return a row of saved state as the disk has it."""
        return self._ledger.row(table, key)

    def _undo(self) -> None:
        """A strike that could not be written is undone in memory too: the phone asks staff, and is not 'as before'."""
        at = self._now()
        self._gate = self._new_gate()
        self._gate.journal(self._ledger.ok, at)
        self._gate.bus(self._bus_up, at)

    def _mend_journal(self, at: float) -> None:
        if self._ledger.mend():
            self._gate.journal(True, at)
            self.write((self._ledger.gap(),))

    # --- telling others -----------------------------------------------------------------------------------------

    def _is_offline(self) -> bool:
        return self._parts.broker is not None and not self._parts.broker.up

    def _tell_sisters(self, seen: tuple[bytes, int, tuple[tuple[int, int], ...]], at: float) -> None:
        if self._parts.broker is None:
            return
        thumb, iat, acts = seen
        for note in in_notes(Note(self._config.gate.gate, thumb, iat, int(at * 1000), acts)):
            self._parts.broker.tell_sisters(build_note(self._key, note))

    def _publish(self, decision: Decision, written: Written | None, at: float, struck: int | None, shot: Json) -> None:
        """One line of /stream: no names, for there are none on a gate. shot: what the camera adds to it."""
        seq = written.entries[0].seq if written and written.entries else None
        place = (self._config.gate.gate, self._parts.journal.epoch, seq)
        self._parts.board.decided(line_of(decision, place, at, struck) | shot)

    # --- what is heard ------------------------------------------------------------------------------------------

    def _hear(self, heard: Heard) -> None:
        at = self._now()
        if heard.what == "seen":
            self._apply(self._gate.note(heard.payload, at), at)
        elif heard.what == "bus":
            self._bus_up = heard.up
            self._apply(self._gate.bus(heard.up, at), at)
        elif heard.what == "receipt":
            if not self._gate.roster.told_time(heard.at, at):
                self._parts.health.count("alarm_RECEIPT_FUTURE")
        elif heard.what in _DOCUMENTS:
            self._take_document(_DOCUMENTS[heard.what], heard.payload, at)
        elif heard.what in self._handlers:
            self._handlers[heard.what](heard.payload, at)
        else:
            self._parts.health.count(f"not_taken_{heard.what}")

    def _take_document(self, kind: DocumentKind, data: bytes, at: float) -> None:
        decision = self._gate.document(kind, data, at)
        self._apply(decision, at)
        self._unvouched.pop(kind, None)
        if decision.alarms:
            if decision.code.endswith(_MAY_BE_GOOD_LATER):
                self._unvouched[kind] = data
            self._record_health({Detail.DOCUMENT: str(decision.code)}, at)
            return
        self._mode = self._gate.roster.mode(at)  # its event is the document's own
        if self._parts.broker is not None:
            self._parts.broker.announce()
        if kind is DocumentKind.KK1:
            self._try_again(at)

    def _try_again(self, at: float) -> None:
        """A new trust list, or the right time: what only lacked that is judged again (a retained one comes once)."""
        waiting, self._unvouched = self._unvouched, {}
        for kind, data in waiting.items():
            self._take_document(kind, data, at)

    def _record_health(self, detail: dict, at: float) -> None:
        """At most 6 records a minute (P-3): rubbish must not wear out the disk."""
        recent = self._health_events
        if len(recent) == recent.maxlen and time.monotonic() - recent[0] < 60:
            return
        recent.append(time.monotonic())
        self._apply(Decision(Reason.OK, events=(Draft(Kind.HEALTH, detail),)), at)

    # --- now and then -------------------------------------------------------------------------------------------

    def _keep_house(self, moment: float) -> None:
        at = self._now()
        self._ledger.look()
        if not self._ledger.ok:
            self._mend_journal(at)
        self._tell_gaps(at)
        if self._parts.clock.state != self._gate.roster.clock:
            self._apply(self._gate.clock(self._parts.clock.state, at), at)
            self._try_again(at)
        self._close_day(at)
        if self.last_frame is None or time.monotonic_ns() - self.last_frame.captured_ns > HOUSEKEEPING_SECONDS * 1e9:
            self._apply(self._gate.scan((), at), at)  # nothing is in view: what was shown has left
        if moment >= self._due.counts:
            self._due.counts = moment + COUNTS_SECONDS
            if counts := self._gate.take_counts():
                self._record_health({Detail.COUNTS: {str(code): n for code, n in counts.items()}}, at)
        if moment >= self._due.purge and self._ledger.ok:
            self._due.purge = moment + PURGE_SECONDS
            try:
                self._parts.journal.purge(int(at) if self._gate.roster.clock == "ntp" else None)
            except JournalFailed as failed:
                self._journal_fails(failed, at)

    def _tell_gaps(self, at: float) -> None:
        """What is missing in the ledger, told by a journal that works: one that cannot be read fails, and is mended."""
        try:
            gaps = self._ledger.gaps() if self._ledger.ok else None
        except JournalFailed as failed:
            self._journal_fails(failed, at)
        else:
            if gaps is not None and self._apply(gaps, at) is not None:
                self._ledger.told(gaps)

    def _journal_fails(self, failed: JournalFailed, at: float) -> None:
        self._ledger.fails(failed)
        self._gate.journal(False, at)

    def _end_what_ended(self) -> None:
        """The site's mode and the unlocked hours end in time, whatever trips over the rest of the house."""
        at = self._now()
        self._mode_may_have_ended(at)
        self.doorway.keep_hours(at, clock_believed=self._gate.roster.clock != "untrusted" and self._ledger.ok)

    def _mode_may_have_ended(self, at: float) -> None:
        """A mode past its end is normal again, and says so; one that a document brings has its own event."""
        mode = self._gate.roster.mode(at)
        if mode is not self._mode:
            self._mode = mode
            self._apply(Decision(Reason.OK, events=(Draft(Kind.MODE, {Detail.MODE: int(mode)}),)), at)
            if self._parts.broker is not None:
                self._parts.broker.announce()

    def _close_day(self, at: float) -> None:
        """When the site's local day has ended, the ledger says so: the cloud then knows that it has everything.

        A day from a clock that ran ahead counts no more once the clock is synchronised.
        """
        if self._gate.roster.clock == "untrusted" or not self._ledger.ok:
            return
        today = self._hours.school_day(at)
        held = self._ledger.row(*_DAY)
        last = date.fromordinal(int.from_bytes(held, "big")) if held else None
        if last is not None and (today == last or today < last and self._gate.roster.clock != "ntp"):
            return
        change: Change = (*_DAY, today.toordinal().to_bytes(4, "big"))
        events = () if last is None or today < last else (Draft(Kind.DAY_CLOSE, {Detail.SCHOOL_DAY: last.isoformat()}),)
        if self._apply(Decision(Reason.OK, events=events, changes=(change,)), at) is None:
            self._ledger.forget(*_DAY)  # without its event the day is not closed: again when the journal writes

    def close(self) -> None:
        self._watch.close()


def _symbol_of(code: Code) -> Symbol:
    """A symbol as the decision core takes it; bytes that are no ASCII become a text that no pass can be (P5)."""
    xs, ys = [x for x, _ in code.corners], [y for _, y in code.corners]
    spot = (sum(xs) / 4, sum(ys) / 4, float(max(max(xs) - min(xs), max(ys) - min(ys))))
    return Symbol(code.text if code.text is not None else code.raw.decode("latin-1"), code.format, spot=spot)
