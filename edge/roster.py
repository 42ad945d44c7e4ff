"""What the gate knows with no network: keys, lists, mode, and how far its clock is believed.

PURE. Applies signed documents: a good one replaces its kind, a bad one answers its code and the last good one stays.
Not here: phones, cards and presence (`memory`). Obeys P-3 (Clock) and P-4.
"""

from collections.abc import Callable, Mapping
from typing import Any

from protocols import documents
from protocols.cose import kid_of
from protocols.documents import GateList, Mode, PolicyList, SiteMode
from protocols.envelope import DocumentRefused, Held, code_of
from protocols.limits import DOCUMENT_AHEAD_SECONDS_MAX, FLOOR_MARGIN_SECONDS
from protocols.passes import Place, Revocations
from protocols.reasons import DocumentCode, DocumentKind
from protocols.trust import Trust, load_trust_list

NTP, HOLDOVER, UNTRUSTED = "ntp", "holdover", "untrusted"  # clock states, P-3

_LOADERS: dict[DocumentKind, Callable[[bytes, documents.Reader], Any]] = {
    DocumentKind.KR1: documents.load_policy_list,
    DocumentKind.KL1: documents.load_gate_list,
    DocumentKind.KM1: documents.load_site_mode,
}


class Roster:
    """Documents by kind, the clock's state and its floor (UTC seconds)."""

    def __init__(
        self,
        site: int,
        gate: int,
        *,
        trust: Trust | None = None,
        root_public: bytes | None = None,
        clock: str = HOLDOVER,
        floor: float = 0,
        saved: Mapping[tuple[str, bytes], bytes] | None = None,
    ) -> None:
        self.site, self.gate, self.clock, self.floor = site, gate, clock, floor
        self.trust = trust or Trust()
        self._root_public = root_public
        self._held: dict[DocumentKind, Any] = {}
        self._saved: dict[tuple[str, bytes], bytes] = {}
        self._restore(saved or {})

    def _restore(self, saved: Mapping[tuple[str, bytes], bytes]) -> None:
        """Load what was held before the restart: trust first, since it vouches for the others."""
        for kind in (DocumentKind.KK1, *_LOADERS):
            data = saved.get(("document", kind.name.encode()))
            if data is not None:
                self.apply(kind, data, at=0, stored=True)
        floor = saved.get(("clock", b"floor"))
        if floor is not None:
            self.floor = max(self.floor, int.from_bytes(floor, "big"))
        self._saved.clear()

    # --- documents ----------------------------------------------------------------------------------------------

    @property
    def policy(self) -> PolicyList | None:
        return self._held.get(DocumentKind.KR1)

    @property
    def gates(self) -> GateList | None:
        return self._held.get(DocumentKind.KL1)

    @property
    def revocations(self) -> Revocations:
        return self.policy.revocations if self.policy else Revocations()

    def versions(self) -> dict[str, int]:
        """Version of each document held, by domain, for the birth message."""
        held = {kind.name: document.version for kind, document in list(self._held.items())}  # other threads ask
        return held | ({"KK1": self.trust.held.version} if self.trust.held else {})

    def apply(self, kind: DocumentKind, data: bytes, at: float, *, stored: bool = False) -> str:
        """Return LIST_OK and the like, or the code of why the last good one is kept. stored: from our own disk."""
        timely = self.clock != UNTRUSTED and not stored
        try:
            document = self._load(kind, data, at, timely)
        except DocumentRefused as refused:
            return refused.code
        if kind == DocumentKind.KK1:
            self.trust = document
        else:
            self._held[kind] = document
        self._saved["document", kind.name.encode()] = data
        self.raise_floor(document.iat - FLOOR_MARGIN_SECONDS, at)
        return code_of(kind, DocumentCode.OK)

    def _load(self, kind: DocumentKind, data: bytes, at: float, timely: bool) -> Any:
        if kind == DocumentKind.KK1:
            if self._root_public is None:
                raise DocumentRefused(kind, DocumentCode.KEY)
            return load_trust_list(data, self._root_public, at, self.trust.held, clock_trusted=timely)
        held: Held | None = self._held[kind].held if kind in self._held else None
        return _LOADERS[kind](data, documents.Reader(self.trust, self.site, at, held, timely, self.gate))

    def reader(self, at: float) -> documents.Reader:
        """What a document to this gate alone (KF1, KX1) is judged against; what is held of it: the caller's."""
        return documents.Reader(self.trust, self.site, at, None, self.clock != UNTRUSTED, self.gate)

    # --- mode ---------------------------------------------------------------------------------------------------

    def mode(self, at: float) -> Mode:
        """The site's mode now; past its end it is normal again."""
        held: SiteMode | None = self._held.get(DocumentKind.KM1)
        if held is None or self.clock != UNTRUSTED and at >= held.exp:
            return Mode.NORMAL
        return held.mode

    def set_mode(self, mode: Mode) -> None:
        """Set the mode with no document: for replays of scenarios alone."""
        self._held[DocumentKind.KM1] = SiteMode(self.site, 0, mode, 0, 0, 2**32 - 1)

    # --- clock --------------------------------------------------------------------------------------------------

    def set_clock(self, clock: str, at: float) -> None:
        self.clock = clock
        self.raise_floor(0, at)

    def raise_floor(self, to: float, at: float) -> None:
        """The floor only rises, but never past a synchronised clock."""
        floor = max(self.floor, to)
        if self.clock == NTP and at:
            floor = min(floor, at)
        if int(floor) != int(self.floor):
            self._saved["clock", b"floor"] = int(floor).to_bytes(8, "big")
        self.floor = floor

    def told_time(self, said: int, at: float) -> bool:
        """A receipt said the time. One over a minute ahead is the server's clock, and locks no site out (P47)."""
        if self.clock != UNTRUSTED and said > at + DOCUMENT_AHEAD_SECONDS_MAX:
            return False
        self.raise_floor(said - FLOOR_MARGIN_SECONDS, at)
        return True

    def persist_time(self, at: float) -> None:
        """The time of a commit is a time that has been: the clock must not fall under it again."""
        if self.clock != UNTRUSTED:
            self.raise_floor(at, at)

    # --- for the gate -------------------------------------------------------------------------------------------

    def place(self, at: float) -> Place:
        """Where and when a pass is judged."""
        return Place(self.site, at, self.trust, self.revocations, self.gate, self.clock, self.floor)

    def sister_key(self, kid: bytes | None, at: float) -> bytes | None:
        """The key of a gate of this site by its number; its own is no sister's."""
        for key in self.gates.gates.values() if self.gates else ():
            if kid_of(key.public) == kid and (self.clock == UNTRUSTED or key.not_before <= at <= key.not_after):
                return key.public
        return None

    def take_changes(self) -> tuple[tuple[str, bytes, bytes | None], ...]:
        changes = tuple((table, key, value) for (table, key), value in self._saved.items())
        self._saved.clear()
        return changes
