"""The next certificate: asked for at 60 % of the life of the one in use, tried, and put back where it does not serve.

Responsible for: the files of `certificate/` (gate.pem: certificate and key in one, so that they change at once; ca.pem;
next.key and next.csr while an answer is awaited; gate.pem.before and ca.pem.before during the trial, which lasts until
the broker has let us in or refused us: a line that is down says nothing of a certificate), asking by up/req with
patience, the days that are left in the gate's health. Not responsible for: what a good answer is (certificate.py), the
connection (broker.py). Used by the loop's thread alone; a gate whose certificate was put there by hand in two files is
left to it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

from edge.broker import Broker
from edge.certificate import (
    CertificateRefused,
    Held,
    Renewed,
    judge_answer,
    new_key,
    read_held,
    renewal,
    request_for,
    until,
)
from edge.config import BrokerSettings, Place
from edge.health import Health
from edge.loop import Loop
from edge.tls import CertificatesUnusable
from protocols import topics
from protocols.trust import Role, Trust

ASK_EXPIRY_SECONDS = 60  # P-6 up/req
AGAIN_SECONDS = (60.0, 3_600.0)  # an answer may wait for an operator with the authority's key on a stick
TRIAL_SECONDS = 60.0  # for at least so long a broker may refuse the new certificate: it may know of it a little later
WARN_DAYS = 30


class Renewal:
    """Of one gate. `wanted` asks before the time has come, as an operator may order."""

    def __init__(
        self, settings: BrokerSettings, place: Place, broker: Broker, loop: Loop, health: Health,
        trust: Callable[[], Trust],
    ) -> None:  # fmt: skip
        assert settings.cert and settings.ca
        self._settings, self._place, self._broker, self._health, self._trust = settings, place, broker, health, trust
        self._line, self._authorities = settings.cert, settings.ca
        self._name = topics.client_id(place.site, place.gate)
        self._held: Held | None = read_held(self._line.read_bytes())
        self._wanted = False
        self._ask_at, self._wait = 0.0, AGAIN_SECONDS[0]
        self._trial_ends: float | None = time.monotonic() + TRIAL_SECONDS if self._before.exists() else None
        loop.on(topics.RESPONSE, self.hear)
        loop.each_second(self.turn)

    def wanted(self) -> None:
        """Ask for the next certificate now."""
        self._wanted, self._ask_at, self._wait = True, 0.0, AGAIN_SECONDS[0]

    def turn(self, at: float) -> None:
        """Look at the days that are left, at a trial, at what is due. at: UTC seconds."""
        moment = time.monotonic()
        if self._trial_ends is not None:
            self._judge_trial(moment)
        if self._held is None:
            return
        days = self._held.days_left(at)
        self._health.certificate_days = days
        if days < WARN_DAYS and self._health.fault_of("certificate") is None:
            self._health.fault("certificate", f"ends on {until(self._held)}")
        is_due = self._wanted or at >= self._held.renew_at()
        if is_due and self._trial_ends is None and self._broker.up and moment >= self._ask_at:
            self._ask_at, self._wait = moment + self._wait, min(self._wait * 2, AGAIN_SECONDS[1])
            self._ask()

    def hear(self, payload: bytes, at: float) -> None:
        """Something came on dn/rsp: take it if it answers our request."""
        if not self._next_key.exists() or self._trial_ends is not None:
            return
        key, request = self._next_key.read_bytes(), self._next_request.read_bytes()
        try:
            renewed = judge_answer(payload, key, request, self._name, partial(self._is_registrys, at), at)
        except CertificateRefused as refused:
            self._health.count(f"alarm_{refused.code}")
            self._health.fault("certificate", refused.code)
            if refused.code.startswith("RENEWAL_"):
                self._forget_request()  # a new key next time: this one is spent
            return
        if renewed is not None:
            self._use(renewed)

    # --- asking -----------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        if not (self._next_key.exists() and self._next_request.exists()):
            key = new_key()
            _write(self._next_request, request_for(key, self._name))
            _write(self._next_key, key)
        body = renewal(self._line.read_bytes(), self._name, self._next_request.read_bytes())
        self._broker.say(topics.REQUEST, body, expiry=ASK_EXPIRY_SECONDS)

    def _is_registrys(self, at: float, signature: bytes, statement: bytes) -> bool:
        """Return whether a key of the registry, by the trust list in force, signed this."""
        for key in self._trust().keys.values():
            if key.role is Role.REGISTRY and key.covers(at) and key.serves(self._place.site):
                try:
                    VerifyKey(key.public).verify(statement, signature)
                except (CryptoError, ValueError):
                    continue
                return True
        return False

    # --- changing ---------------------------------------------------------------------------------------------------

    def _use(self, renewed: Renewed) -> None:
        """Put the new files in place, the old ones beside, and connect with them."""
        _write(self._authorities_before, self._authorities.read_bytes())
        _write(self._before, self._line.read_bytes())
        _write(self._authorities, renewed.authorities)
        _write(self._line, renewed.line)
        self._held, self._trial_ends = renewed.held, time.monotonic() + TRIAL_SECONDS
        if not self._connect_anew():
            self._put_back()

    def _judge_trial(self, moment: float) -> None:
        """A broker that lets us in by the new certificate ends the trial well; one that refuses it, by the old one."""
        if self._broker.up:
            self._trial_ends, self._wanted, self._wait = None, False, AGAIN_SECONDS[0]
            self._before.unlink(missing_ok=True)
            self._authorities_before.unlink(missing_ok=True)
            self._forget_request()
            self._health.fault("certificate", None)
        elif self._trial_ends is not None and moment > self._trial_ends and self._broker.refused:
            self._put_back()
            self._health.fault("certificate", "the broker does not take the new certificate: the old one is back")
            self._connect_anew()

    def _put_back(self) -> None:
        """Have the files of before again; gate.pem.before goes last: while it is there, a start goes on trying."""
        self._trial_ends = None
        if self._authorities_before.exists():  # the power may go between these two lines
            os.replace(self._authorities_before, self._authorities)
        os.replace(self._before, self._line)
        self._held = read_held(self._line.read_bytes())
        self._forget_request()

    def _connect_anew(self) -> bool:
        """Connect with the files as they are; False where they are of no use, and the line stays as it was."""
        try:
            self._broker.use_certificate()
        except CertificatesUnusable as unusable:
            self._health.fault("certificate", str(unusable))
            return False
        return True

    def _forget_request(self) -> None:
        self._next_key.unlink(missing_ok=True)
        self._next_request.unlink(missing_ok=True)

    @property
    def _before(self) -> Path:
        return self._line.with_name(self._line.name + ".before")

    @property
    def _authorities_before(self) -> Path:
        return self._authorities.with_name(self._authorities.name + ".before")

    @property
    def _next_key(self) -> Path:
        return self._line.with_name("next.key")

    @property
    def _next_request(self) -> Path:
        return self._line.with_name("next.csr")


def is_renewable(settings: BrokerSettings) -> bool:
    """Return whether certificate and key are one file, as the claim writes them."""
    return settings.tls and settings.cert is not None and settings.cert == settings.key


def _write(file: Path, data: bytes) -> None:
    """Replace a file whole, on the disk before it has its name: after a power cut it is the old one or the new."""
    beside = file.with_name(f".{file.name}.new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(beside, file)
