"""The gate's decision: what is in view, now, and what the gate remembers -> one Decision.

PURE: no clock, no file, no network; `at` (UTC seconds) is an argument. Who may come and go is for `protocols.rules`,
which the cloud asks as well; here stands what only a gate knows: its view, its clock, replays, who waits, its door.
The caller journals a decision's events and changes in one commit before it touches the door. Obeys P-3.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from edge.alarms import Alarms
from edge.decision import NEWS, Answers, Decision, Draft, GateSettings, StaffAnswer, draft_of
from edge.memory import Acceptance, Memory, Saved
from edge.roster import NTP, UNTRUSTED, Roster
from edge.settling import powers_needed, revoked_since, settled_codes, who_passes
from edge.sight import Sight
from edge.tablet import Act, Hand, HandCode, Tablet, waiting_rows
from edge.view import Symbol, View
from edge.waiting import Waiting, WaitingRoom
from protocols import passes, rules
from protocols.cose import kid_of
from protocols.documents import Mode
from protocols.envelope import DocumentRefused
from protocols.events import Detail, Kind, Note, load_note
from protocols.limits import (
    BOOT_SECONDS,
    FURTHER_PULSE_SECONDS,
    NOTE_AHEAD_SECONDS_MAX,
    SAME_PRESENTATION_SECONDS,
    SAME_REQUEST_SECONDS,
    THUMB_BYTES,
)
from protocols.passes import CARD, IN, OUT, STAFF, PassRefused
from protocols.reasons import DOUBLE_USE, WAITING, DocumentCode, DocumentKind, Reason
from protocols.rules import Verdict

_NO_PHONE = bytes(THUMB_BYTES)  # a card, in notes to sisters
_NOTE_SECONDS_MAX = 3_600  # a note from another hour is a replay, or a sister's clock that nobody should believe (P15)
_NO_CHILD = 0  # whom the head's alert of a staff pass is about


class Gate:
    """One gate's mind. Every public method takes what happened and when, and returns a Decision."""

    def __init__(self, settings: GateSettings, roster: Roster, *, saved: Saved | None = None, boot_at: float) -> None:
        self.settings, self.roster = settings, roster
        self._view, self._waiting, self._alarms = View(), WaitingRoom(), Alarms()
        self._answers, self._staff_answers, self._unsigned_answers = Answers(), Answers(), Answers()
        self._memory = Memory(saved)
        self.tablet = Tablet(self._memory)
        self._bus_up = self._journal_ok = True
        self._boot_changes: dict[tuple[str, bytes], bytes | None] = {}
        lost_until = (saved or {}).get(("gate", b"lost_until"))
        self.state_lost = lost_until is None
        self._lost_until = int(boot_at) + BOOT_SECONDS if lost_until is None else int.from_bytes(lost_until, "big")

    # --- what happens -------------------------------------------------------------------------------------------

    def boot(self, at: float, firmware: str = "") -> Decision:
        """A booting gate writes one event, and how long phones must have redrawn since."""
        detail = {Detail.FIRMWARE: firmware, Detail.STATE_LOST: self.state_lost}
        self._boot_changes["gate", b"lost_until"] = max(0, self._lost_until).to_bytes(8, "big")
        return self._told(Reason.OK, at, (Draft(Kind.BOOT, detail),))

    def scan(self, symbols: Iterable[Symbol], at: float) -> Decision:
        """Judge what is in view."""
        self._clock_may_be_before_boot(at)
        picked = self._view.pick(symbols, at)
        if isinstance(picked, Reason):
            return self._unread(picked, at)
        try:
            text = passes.read(picked.text)
            place = self.roster.place(at)
            key = passes.check_issuer(text, place)
        except PassRefused as refused:
            return self._unread(refused.reason, at)
        if self._view.strobes(text.credential.payload, picked, at):
            return self._unread(Reason.SHOW_ONE_CODE, at)
        sight = Sight(fallback=text.credential.payload)
        try:
            sight = replace(sight, credential=(credential := passes.read_credential(text, key)))
            passes.check_credential(credential, key, place)
            if credential.kind == CARD:
                return self._card(sight, at)
            presentation = passes.check_presentation(text, credential, place)
        except PassRefused as refused:
            return self._refuse_unsigned(text.signed_fields, sight, refused, at)
        return self._phone(replace(sight, presentation=presentation), place)

    def _clock_may_be_before_boot(self, at: float) -> None:
        """A clock set back past the boot: phones redraw once from now, and are not kept out until that day comes."""
        if at + BOOT_SECONDS < self._lost_until:
            self._lost_until = max(0, int(at)) + BOOT_SECONDS
            self._boot_changes["gate", b"lost_until"] = self._lost_until.to_bytes(8, "big")

    def staff(self, answer: StaffAnswer, at: float) -> Decision:
        """The tablet answers the newest request that waits, or the one it names."""
        request = self._waiting.find(answer.key, at) if answer.key else self._waiting.newest(at)
        if request is None:
            return self._told(Reason.NOTHING_WAITS, at)
        return self._settle(request, answer, at)

    def waiting(self, at: float) -> tuple[Waiting, ...]:
        """What waits for staff now, with its codes."""
        return self._waiting.all(at)

    def by_hand(self, act: Act, by: Hand, at: float) -> Decision:
        """Staff enter a fact on the tablet: taken in, handed over, taken back. None of it without the ledger."""
        if not self._journal_ok:
            return Decision(HandCode.JOURNAL)
        return self._finished(self.tablet.decide(act, by, self._known(at), self._day(at)), at)

    def on_tablet(self, at: float) -> dict[str, Any]:
        """What the tablet shows of this gate now: numbers and codes, no name."""
        day = self._day(at)
        return {
            "waiting": waiting_rows(self._waiting.all(at), self._known(at)),
            "present": self.tablet.present(day),
            "facts": self.tablet.facts(at),
            "mode": int(self.roster.mode(at)),
            "clock": self.roster.clock,
            "journal": self._journal_ok,
        }

    def document(self, kind: DocumentKind, data: bytes, at: float) -> Decision:
        """A document came: LIST_OK and the like, or why the last good one is kept (a fleet alarm)."""
        before = self.roster.mode(at)
        code = self.roster.apply(kind, data, at)
        mode = self.roster.mode(at)
        events = (Draft(Kind.MODE, {Detail.MODE: int(mode)}),) if mode != before else ()
        return self._told(code, at, events, () if code.endswith(f"_{DocumentCode.OK}") else (code,))

    def note(self, data: bytes, at: float) -> Decision:
        """A sister's signed note came. A bad one is ignored, and cried (hostile case P15)."""
        try:
            note, kid = load_note(data, lambda kid: self.roster.sister_key(kid, at))
        except DocumentRefused as refused:
            return self._told(Reason.OK, at, alarms=(refused.code,))
        gates = self.roster.gates
        if gates is None or note.gate not in gates.gates or kid_of(gates.gates[note.gate].public) != kid:
            return self._told(Reason.OK, at, alarms=("BUS_KEY",))
        if self.roster.clock != UNTRUSTED and abs(at - note.at_ms / 1000) > _NOTE_SECONDS_MAX:
            return self._told(Reason.OK, at, alarms=("BUS_STALE",))  # yesterday's would set today's presence
        return self.seen(note, at)

    def seen(self, note: Note, at: float) -> Decision:
        """What a sister accepted: its presence counts; its iat does, unless it is far ahead."""
        if note.gate == self.settings.gate:
            return self._told(Reason.OK, at)
        events: tuple[Draft, ...] = ()
        alarms: tuple[str, ...] = ()
        if note.thumb != _NO_PHONE:
            events = self._double_use(note)
            alarms = (DOUBLE_USE,) if events else ()
            if note.iat <= at + NOTE_AHEAD_SECONDS_MAX:
                self._memory.note(note.thumb, note.iat)
            elif self.roster.clock != UNTRUSTED:
                alarms += ("BUS_FUTURE",)
        self._move_by_note(note, at)
        return self._told(Reason.OK, at, events, alarms)

    def _move_by_note(self, note: Note, at: float) -> None:
        """A note that comes late says where a child was then: it never overwrites what is known since."""
        dated = note.at_ms > 0 and self.roster.clock != UNTRUSTED
        moment = min(note.at_ms / 1000, at) if dated else at
        for child, direction in note.acts:
            if not dated or not self._memory.moved_after(child, int(moment * 1000)):
                self._memory.move(child, direction, self._day(moment), int(moment * 1000))

    def bus(self, up: bool, at: float) -> Decision:
        """Whether any sister can be heard."""
        self._bus_up = up
        return self._told(Reason.OK, at)

    def journal(self, ok: bool, at: float) -> Decision:
        """Whether events can be committed; while they cannot, passes ask staff both ways."""
        self._journal_ok = ok
        return self._told(Reason.OK, at)

    def clock(self, state: str, at: float) -> Decision:
        """The clock's state: ntp, holdover or untrusted."""
        changed = state != self.roster.clock
        self.roster.set_clock(state, at)
        return self._told(Reason.OK, at, (Draft(Kind.CLOCK_SET, {Detail.CLOCK: state}),) if changed else ())

    def mode(self, mode: Mode, at: float) -> Decision:
        """The site's mode, set with no document: for replays of scenarios."""
        self.roster.set_mode(mode)
        return self._told(Reason.OK, at)

    def take_counts(self) -> dict[str, int]:
        """What was counted and not recorded since the last call, by code."""
        return self._alarms.take_counts()

    # --- phones and cards ---------------------------------------------------------------------------------------

    def _phone(self, sight: Sight, place: passes.Place) -> Decision:
        """A presentation that its phone signed: the same as a moment ago, of this moment, or replayed (P-3 d)."""
        assert sight.presentation and sight.credential
        at, phone = place.at, self._memory.phone(sight.thumb)
        accepted = phone.acceptance
        if accepted and accepted.digest == sight.digest and accepted.is_within(SAME_PRESENTATION_SECONDS, at):
            return self._told(Reason.SAME_AS_BEFORE, at)
        repeated = self._answers.within(sight.digest, SAME_PRESENTATION_SECONDS, at)
        if repeated:
            return repeated
        try:
            passes.check_time_window(sight.presentation, place)
            if place.clock != UNTRUSTED and sight.iat < self._lost_until:
                raise PassRefused(Reason.STALE)
            if place.clock == NTP:
                phone = self._memory.forget_beyond(sight.thumb, int(at) + NOTE_AHEAD_SECONDS_MAX)
            if sight.iat <= max(phone.consumed, phone.noted):
                raise PassRefused(Reason.REPLAY)
        except PassRefused as refused:
            return self._refuse(sight, refused, at)
        self._memory.consume(sight.thumb, sight.iat)
        if sight.credential.kind == STAFF:
            shown = sight.credential if place.clock != UNTRUSTED else None
            return replace(self._staff_pass(sight, at), staff=shown)
        sight = sight.asking(sight.presentation.direction)
        return self._family(sight, at, self._memory.before(accepted, sight.ids, sight.direction, at))

    def _card(self, sight: Sight, at: float) -> Decision:
        """A card has no direction of its own: presence says, until staff choose on the tablet."""
        accepted = self._memory.card(sight.name)
        if accepted:
            again = sight.asking(accepted.direction)
            before = self._memory.before(accepted, again.ids, accepted.direction, at)
            if before.accepted and self._judge(again, at, before).code == Reason.SAME_AS_BEFORE:
                return self._told(Reason.SAME_AS_BEFORE, at)
        sight = sight.asking(IN)
        inside = [self._memory.presence(child, self._day(at)) == IN for child in sight.ids]
        return self._family(sight.asking(OUT) if all(inside) else sight, at, rules.NOBODY_BEFORE)

    def _judge(self, sight: Sight, at: float, before: rules.Before) -> Verdict:
        request = rules.Request(sight.holder, sight.direction, sight.children, sight.is_card)
        return rules.judge(request, self._known(at), before)

    def _family(self, sight: Sight, at: float, before: rules.Before) -> Decision:
        verdict = self._judge(sight, at, before)
        if verdict.code == Reason.SAME_AS_BEFORE:
            return self._same_again(sight, at)
        if verdict.code in WAITING:
            return self._wait(sight, verdict, at)
        self._waiting.remove(sight.key)
        if verdict.code == Reason.OPEN:
            return self._let_through(sight, Reason.OPEN, verdict.allowed, verdict.refused, at)
        return self._answer(sight, Decision(verdict.code, refused=verdict.refused), at)

    def _let_through(
        self,
        sight: Sight,
        code: Reason,
        taken: tuple[int, ...],
        refused: tuple[tuple[int, Reason], ...],
        at: float,
        staff: int | None = None,
    ) -> Decision:
        """Move the children, remember what this phone or card was accepted for, and open."""
        before = self._memory.stands(taken, self._day(at))
        for child in taken:
            self._memory.move(child, sight.direction, self._day(at), max(0, int(at * 1000)))
        stamps = self._memory.stamps(taken)
        accepted = Acceptance(sight.digest, sight.iat, int(at * 1000), sight.direction, sight.ids, taken, stamps)
        if sight.is_card:
            self._memory.accept_card(sight.name, accepted)
        else:
            self._memory.accept_phone(sight.thumb, accepted)
        acts = tuple((child, sight.direction) for child in taken)
        seen = (sight.thumb or _NO_PHONE, sight.iat, acts)
        flags = rules.flags_of(self._known(at))
        return self._answer(sight, Decision(code, True, acts, refused, flags, seen=seen, before=before), at, staff)

    def _same_again(self, sight: Sight, at: float) -> Decision:
        """Green stays; a phone's strike may pulse once more, which is a door event and no attendance."""
        accepted = self._memory.phone(sight.thumb).acceptance
        assert accepted
        if accepted.pulsed_again or at * 1000 - accepted.at_ms < FURTHER_PULSE_SECONDS * 1000:
            decision = Decision(Reason.SAME_AS_BEFORE)
        else:
            self._memory.accept_phone(sight.thumb, replace(accepted, pulsed_again=True))
            decision = Decision(Reason.SAME_AS_BEFORE, strike=True, events=(Draft(Kind.DOOR, sight.detail()),))
        self._answers.give(sight.digest, decision, at)
        return self._finished(decision, at)

    # --- staff --------------------------------------------------------------------------------------------------

    def _wait(self, sight: Sight, verdict: Verdict, at: float) -> Decision:
        """The request begins to wait, or goes on waiting through its redraws: no event, no alarm."""
        decision = Decision(verdict.code, refused=verdict.refused, asks=verdict.asks)
        if self._waiting.was_declined(sight.key, at):
            decision = Decision(Reason.DECLINED)
        else:
            request = self._waiting.find(sight.key, at)
            if request is None or request.code != verdict.code:
                self._waiting.add(Waiting(verdict.code, sight, verdict.refused, at))
                return self._answer(sight, decision, at)
            self._waiting.redraw(request, sight)
        self._answers.give(sight.digest, decision, at)
        return self._finished(decision, at)

    def _staff_pass(self, sight: Sight, at: float) -> Decision:
        """A staff pass confirms the one request that waits, or opens for its holder; it meets mode and clock alone."""
        assert sight.presentation
        confirms = sight.presentation.intent == passes.INTENT_CONFIRM
        repeated = self._staff_answers.within(sight.thumb, SAME_REQUEST_SECONDS, at) if confirms else None
        if repeated:
            return self._finished(repeated, at)
        if self.roster.mode(at) == Mode.LOCKDOWN:
            return self._answer(sight, Decision(Reason.LOCKDOWN), at)
        if not confirms:
            return self._enter(sight, at)
        decision = self._confirm_by_pass(sight, at)
        self._staff_answers.give(sight.thumb, decision, at)
        return decision

    def _enter(self, sight: Sight, at: float) -> Decision:
        assert sight.credential
        if not sight.credential.powers & passes.POWER_ENTER:
            return self._answer(sight, Decision(Reason.NOT_ALLOWED), at)
        accepted = self._memory.phone(sight.thumb).acceptance
        if accepted and accepted.direction == 0 and accepted.is_within(SAME_REQUEST_SECONDS, at):
            return self._same_again(sight, at)
        if self.roster.clock == UNTRUSTED:
            return self._wait(sight, Verdict(Reason.STAFF_CONFIRM, asks=("clock",)), at)
        return self._let_through(sight, Reason.OPEN, (), (), at)

    def _confirm_by_pass(self, sight: Sight, at: float) -> Decision:
        assert sight.credential
        if self.roster.clock == UNTRUSTED:
            return self._answer(sight, Decision(Reason.STAFF_CONFIRM, asks=("clock",)), at)
        if not sight.credential.powers & passes.POWER_CONFIRM:
            return self._answer(sight, Decision(Reason.NOT_ALLOWED), at)
        request = self._waiting.for_staff_pass(at)
        if request is None:
            return self._answer(sight, Decision(Reason.NOTHING_WAITS), at)
        return self._settle(request, StaffAnswer(True, sight.holder, powers=sight.credential.powers), at)

    def _settle(self, request: Waiting, answer: StaffAnswer, at: float) -> Decision:
        """Staff decided, by name. Revocations, custody and presence are checked again before the door."""
        sight = request.sight
        if sight.is_card and answer.direction:
            sight = replace(sight, direction=answer.direction)
        needed = powers_needed(answer.confirm, sight.direction)
        if answer.powers & needed != needed:
            return self._answer(replace(sight, presentation=None), Decision(Reason.NOT_ALLOWED), at, answer.staff)
        if not answer.confirm:
            self._waiting.decline(request.key, at)
            return self._answer(sight, Decision(Reason.DECLINED), at, answer.staff)
        self._waiting.remove(request.key)
        codes = settled_codes(request, sight, self._known(at), revoked_since(sight, self.roster.revocations))
        taken = who_passes(codes, sight.direction)
        if codes and not taken:
            worst = next((code for _, code in codes if code == Reason.CUSTODY), codes[0][1])
            denied = tuple((child, code) for child, code in codes if code != Reason.OPEN)
            return self._answer(sight, Decision(worst, refused=denied), at, answer.staff)
        left = tuple((child, code) for child, code in codes if child not in taken)
        return self._let_through(sight, Reason.CONFIRMED, taken, left, at, answer.staff)

    # --- notes --------------------------------------------------------------------------------------------------

    def _double_use(self, note: Note) -> tuple[Draft, ...]:
        """One presentation at two gates: iat equal to our own last acceptance, told by a sister (P-6)."""
        accepted = self._memory.phone(note.thumb).acceptance
        if accepted is None or accepted.iat != note.iat or accepted.double_used:
            return ()
        self._memory.accept_phone(note.thumb, replace(accepted, double_used=True))
        detail = {Detail.THUMB: note.thumb, Detail.PRESENTATION_IAT: note.iat, Detail.SISTER: note.gate}
        return (Draft(Kind.DOUBLE_USE, detail),)

    # --- answers ------------------------------------------------------------------------------------------------

    def _unread(self, reason: Reason, at: float) -> Decision:
        """Nothing in it is believed: a counter, and at most one alert an hour and code."""
        alarms = () if reason == Reason.NOT_A_PASS else self._alarms.unread(reason, at)
        return Decision(reason, alarms=alarms)

    def _refuse(self, sight: Sight, refused: PassRefused, at: float) -> Decision:
        return self._answer(sight, Decision(refused.reason, by=refused.by), at)

    def _refuse_unsigned(self, fields: bytes, sight: Sight, refused: PassRefused, at: float) -> Decision:
        """Refuse what failed before its phone's signature was good; the same again repeats its code, and no more."""
        repeated = self._unsigned_answers.within(fields, SAME_PRESENTATION_SECONDS, at)
        if repeated and repeated.code == refused.reason:
            return repeated
        decision = self._refuse(sight, refused, at)
        self._unsigned_answers.give(fields, decision, at)
        return decision

    def _answer(self, sight: Sight, decision: Decision, at: float, staff: int | None = None) -> Decision:
        """Add to a decision its one event and its alarms, remember it for repeats, and finish it."""
        code = Reason(decision.code)
        concerned = decision.refused or [(child, code) for child in sight.all_ids or (_NO_CHILD,)]
        alarms = self._alarms.for_head(concerned, sight.holder, at)
        accepted = decision.code in (Reason.OPEN, Reason.CONFIRMED)
        events: tuple[Draft, ...] = ()
        if accepted or self._alarms.may_record(sight.name, decision.code, at):
            policy = self.roster.policy
            events = (draft_of(sight, decision, staff, policy.version if policy else None),)
            alarms = self._alarms.refused(code, at) + alarms
        decision = replace(decision, alarms=alarms, events=events)
        self._answers.give(sight.digest, decision, at)
        return self._finished(decision, at)

    def _told(self, code: str, at: float, events: tuple[Draft, ...] = (), alarms: tuple[str, ...] = ()) -> Decision:
        return self._finished(Decision(code, events=events, alarms=alarms), at)

    def _finished(self, decision: Decision, at: float) -> Decision:
        """Add what must be kept; a journal that fails keeps nothing, and the gate's own news for later."""
        if decision.events and self._journal_ok:
            self.roster.persist_time(at)
        boot = tuple((table, key, value) for (table, key), value in self._boot_changes.items())
        self._boot_changes.clear()
        changes = boot + self._memory.take_changes() + self.roster.take_changes()
        if self._journal_ok:
            return replace(decision, changes=changes)
        later = () if decision.strike else tuple(draft for draft in decision.events if draft.kind in NEWS)
        return replace(decision, changes=changes, events=(), later=later)

    # --- what is known ------------------------------------------------------------------------------------------

    def _known(self, at: float) -> rules.Circumstances:
        day = self._day(at)
        return rules.Circumstances(
            at=at,
            hours=self.settings.hours,
            presence=lambda child: self._memory.presence(child, day),
            policy=self.roster.policy,
            clock=self.roster.clock,
            mode=self.roster.mode(at),
            departures=self.settings.departures,
            gates_at_site=self.settings.gates_at_site,
            bus_up=self._bus_up,
            journal_ok=self._journal_ok,
        )

    def _day(self, at: float) -> int:
        return self.settings.hours.school_day(at).toordinal()
