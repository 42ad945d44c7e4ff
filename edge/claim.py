"""The claim: a gate without a name makes its keys, shows a code, and becomes the gate that an operator says it is.

Responsible for: keys made here and never elsewhere, one claim after the other until an operator approves, every file of
a gate written so that gate.toml comes last. Not responsible for: the screen (claim_page.py), the certificate's form
(certificate.py), running the gate. Obeys: PROTOCOL P-6; HOSTILE P17 (what comes from outside is read as settings are),
P36. The one thing of a gate that speaks HTTPS, and only until it has its name.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import ssl
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nacl.signing import SigningKey

from edge.certificate import CertificateRefused, judge, new_key, request_for, require_authorities
from edge.claim_words import words_for
from edge.config import ConfigProblems, load_config
from edge.settings import ID_MAX, Wrong, a_broker_url, a_district, a_timezone, an_integer, is_loopback, one_of
from protocols.claims import CLAIM_SECONDS, CODE_WORDS, claim_statement, fingerprint
from protocols.topics import client_id

ANSWER_BYTES_MAX = 256 * 1024  # a trust list and some certificates
ASK_SECONDS = 2.0  # how often the cloud is asked whether the operator has approved
AGAIN_SECONDS = 5.0  # after no answer
HTTP_SECONDS = 10.0
NOT_WAITING = ("refused", "expired")
BEGIN_ANEW = ("CLAIM_CODE_TAKEN", "CLAIM_KEY_TAKEN", "GATE_KEY_TAKEN", "CLAIM_UNKNOWN")
FITTINGS = ("camera", "door", "web", "clock")  # sections of gate.toml that say what hangs on this wall
LANGUAGES = ("fr", "en", "ru", "kk", "vi")


class ClaimFailed(Exception):
    """The claim cannot go on until somebody changes something here. The message says what, and what to type."""


class _NoAnswer(Exception):
    """The cloud did not answer, or with something that is no answer of ours; told, and asked again."""


class _Refused(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Where:
    """Of claim.toml: which cloud, whose gate. ca: PEM file of the cloud's own authority; root: pinned, or empty."""

    cloud: str
    district: str
    ca: Path | None = None
    root: str = ""


@dataclass(frozen=True)
class Shown:
    """What the screen shows. state: asking, waiting, signing, done, or the code of what went wrong."""

    state: str
    code: str = ""
    fingerprint: str = ""
    address: str = ""


@dataclass(frozen=True)
class Keys:
    """What this gate has made for itself. tls: P-256, PEM; request: its certificate request, DER."""

    seed: bytes
    tls: bytes
    request: bytes
    code: str

    @property
    def public(self) -> bytes:
        return bytes(SigningKey(self.seed).verify_key)


def read_where(file: Path) -> Where:
    """Return what claim.toml says. Raises ClaimFailed."""
    try:
        told = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ClaimFailed(f'{file} cannot be used ({error}): cloud = "https://..." and district = "..."') from error
    strangers = set(told) - {"cloud", "district", "ca", "root"}
    if strangers:
        raise ClaimFailed(f"{file}: {sorted(strangers)} are no settings of a claim: cloud, district, ca, root")
    ca = told.get("ca", "")
    where = Where(
        told.get("cloud", ""), told.get("district", ""), file.parent / ca if ca else None, told.get("root", "")
    )
    return check_where(where)


def check_where(where: Where) -> Where:
    """Return it, or raise ClaimFailed: without TLS only this machine itself is asked."""
    parts = urlsplit(where.cloud if isinstance(where.cloud, str) else "")
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.path not in ("", "/") or parts.username:
        raise ClaimFailed('the cloud\'s address is not usable: cloud = "https://school.example"')
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ClaimFailed("a claim without TLS leaves this machine: https://")
    try:
        a_district(where.district)
    except Wrong as wrong:
        raise ClaimFailed(f"district: {wrong.what}: {wrong.what_to_type}") from wrong
    if where.root and not _is_hex_key(where.root):
        raise ClaimFailed("root is not the root's public key: 64 hexadecimal characters")
    return replace(where, cloud=where.cloud.rstrip("/"))


class Claim:
    """One gate's way to a name: `run` returns the path of its gate.toml."""

    def __init__(
        self, where: Where, data: Path, fittings: Path, show: Callable[[Shown], None], now: Callable[[], float]
    ) -> None:
        self._where, self._data, self._fittings, self._show, self._now = where, data, fittings, show, now
        self._tls = _context(where)
        self._shown = Shown("asking")

    def run(self, stopped: Callable[[], bool] = lambda: False) -> Path | None:
        """Claim until an operator approves; None where it was told to stop. Raises ClaimFailed."""
        if (self._data / "gate.toml").exists():
            raise ClaimFailed(f"{self._data} has a gate.toml: this gate has its name; remove it to claim anew")
        fittings = _read_fittings(self._fittings)
        self._try(fittings)
        while not stopped():
            keys = _new_keys()
            answer = self._one(keys, stopped)
            if answer is not None:
                path = self._become(keys, answer, fittings)
                self._tell(state="done")
                return path
        return None

    def _one(self, keys: Keys, stopped: Callable[[], bool]) -> dict[str, Any] | None:
        """One code from its beginning to its end: the approval, or None when another has to be shown."""
        ends = time.monotonic() + CLAIM_SECONDS
        address = f"{self._where.cloud}/fleet/claim?code={keys.code}"
        self._shown = Shown("asking", keys.code, fingerprint(keys.public, keys.request), address)
        made: dict[str, Any] | None = None
        while not stopped() and time.monotonic() < ends:
            try:
                if made is None:
                    made = self._claim(keys)
                    self._tell(state="waiting")
                answer = self._ask(made)
                if answer.get("state") == "approved":
                    return answer
                if answer.get("state") in NOT_WAITING:
                    return None
                self._tell(state="signing" if answer.get("state") == "signing" else "waiting")
                if answer.get("state") == "signing":
                    ends = time.monotonic() + CLAIM_SECONDS  # approved: only the authority's key is awaited
            except _Refused as refused:
                self._tell(state=refused.code)
                if refused.code in BEGIN_ANEW:
                    return None
                time.sleep(AGAIN_SECONDS)
            except _NoAnswer:
                self._tell(state="no_answer")
                time.sleep(AGAIN_SECONDS)
            time.sleep(ASK_SECONDS)
        return None

    def _tell(self, state: str) -> None:
        shown = replace(self._shown, state=state)
        if shown != self._shown:
            self._shown = shown
            self._show(shown)

    # --- HTTPS ------------------------------------------------------------------------------------------------------

    def _claim(self, keys: Keys) -> dict[str, Any]:
        statement = claim_statement(self._where.district, keys.code, keys.request)
        said = {
            "v": 1, "code": keys.code, "public_key": keys.public.hex(), "request": keys.request.hex(),
            "proof": SigningKey(keys.seed).sign(statement).signature.hex(),
        }  # fmt: skip
        made = self._http(f"/api/gates/{self._where.district}/claims", said)
        if not isinstance(made.get("claim"), str) or not isinstance(made.get("token"), str):
            raise _NoAnswer
        return made

    def _ask(self, made: dict[str, Any]) -> dict[str, Any]:
        return self._http(f"/api/gates/{self._where.district}/claims/{made['claim']}", None, made["token"])

    def _http(self, path: str, said: dict[str, Any] | None, token: str = "") -> dict[str, Any]:
        headers = {"accept": "application/json", "content-type": "application/json"}
        headers |= {"authorization": f"Bearer {token}"} if token else {}
        body = None if said is None else json.dumps(said).encode()
        try:
            asked = urllib.request.Request(self._where.cloud + path, body, headers)
            with urllib.request.urlopen(asked, timeout=HTTP_SECONDS, context=self._tls) as answer:
                return _object(answer.read(ANSWER_BYTES_MAX + 1))
        except urllib.error.HTTPError as error:
            code = _object(error.read(ANSWER_BYTES_MAX + 1)).get("code")
            raise _Refused(code if isinstance(code, str) and code.isascii() else "CLAIM") from error
        except (OSError, ValueError) as error:
            raise _NoAnswer from error

    # --- becoming a gate ---------------------------------------------------------------------------------------------

    def _try(self, fittings: str) -> None:
        """Raise ClaimFailed where no gate could start with these fittings: an approval must not be spent on a typo."""
        beside = self._beside()
        seed = secrets.token_bytes(32)
        place = _Place(self._where.district, 1, 1, "UTC", "en", 1, "mqtts://broker.example")
        for name in ("certificate/gate.pem", "certificate/ca.pem"):
            _write(beside / name, b"")
        _write(beside / "gate.key", seed.hex().encode())
        _write(beside / "root.pub", bytes(SigningKey(seed).verify_key).hex().encode())
        _write(beside / "gate.toml", place.gate_toml(False, fittings).encode())
        try:
            load_config(beside / "gate.toml")
        except ConfigProblems as problems:
            raise ClaimFailed(f"no gate can start with {self._fittings}:\n{problems}") from problems
        finally:
            shutil.rmtree(beside)

    def _become(self, keys: Keys, answer: dict[str, Any], fittings: str) -> Path:
        """Write every file of a gate beside its place, try them, and move them: gate.toml last. Raises ClaimFailed."""
        beside = self._beside()
        self._write(beside, keys, answer, fittings)
        try:
            load_config(beside / "gate.toml")
        except ConfigProblems as problems:
            raise ClaimFailed(f"what was approved makes no gate.toml:\n{problems}") from problems
        (self._data / "certificate").mkdir(mode=0o700, exist_ok=True)
        for name in ("certificate/gate.pem", "certificate/ca.pem", "gate.key", "root.pub", "trust.kk1", "gate.toml"):
            if (beside / name).exists():
                os.replace(beside / name, self._data / name)
        _sync(self._data)
        shutil.rmtree(beside)
        return self._data / "gate.toml"

    def _beside(self) -> Path:
        """Return an empty folder on the same disk for the files of a gate."""
        beside = self._data / "claiming"
        shutil.rmtree(beside, ignore_errors=True)
        (beside / "certificate").mkdir(parents=True, mode=0o700)
        return beside

    def _write(self, folder: Path, keys: Keys, answer: dict[str, Any], fittings: str) -> None:
        try:
            place = _Place.read(answer, self._where)
            certificate, authorities = answer["certificate"].encode(), answer["ca"].encode()
            judge(certificate, keys.tls, client_id(place.site, place.gate), self._now())
            require_authorities(authorities)
            root, trust = answer["root"], bytes.fromhex(answer["trust"])
            if not _is_hex_key(root) or self._where.root and root.lower() != self._where.root.lower():
                raise ClaimFailed("the cloud names another root than claim.toml: ask the operator")
        except (Wrong, CertificateRefused, KeyError, ValueError, TypeError, AttributeError) as error:
            raise ClaimFailed(f"the cloud's answer makes no gate: {error}") from error
        _write(folder / "certificate" / "gate.pem", certificate + keys.tls)
        _write(folder / "certificate" / "ca.pem", authorities)
        _write(folder / "gate.key", keys.seed.hex().encode())
        _write(folder / "root.pub", root.encode())
        if trust:
            _write(folder / "trust.kk1", trust)
        _write(folder / "gate.toml", place.gate_toml(bool(trust), fittings).encode())


@dataclass(frozen=True)
class _Place:
    """What an operator made of this gate, read as settings are read."""

    district: str
    site: int
    gate: int
    timezone: str
    language: str
    gates_at_site: int
    broker: str

    @classmethod
    def read(cls, answer: dict[str, Any], where: Where) -> _Place:
        number, count = an_integer(1, ID_MAX, 11), an_integer(1, 64, 1)
        return cls(
            where.district, number(answer["site"]), number(answer["gate"]), a_timezone(answer["timezone"]),
            one_of(*LANGUAGES)(answer["language"]), count(answer["gates_at_site"]), a_broker_url(answer["broker"]),
        )  # fmt: skip

    def gate_toml(self, has_trust: bool, fittings: str) -> str:
        return f"""# Written by the claim of this gate. Every setting is explained in firmware_config/gate.toml.
[gate]
district = "{self.district}"
site = {self.site}
gate = {self.gate}
timezone = "{self.timezone}"
gates_at_site = {self.gates_at_site}
language = "{self.language}"

[paths]
data = "."
key = "gate.key"
root = "root.pub"
trust = "{"trust.kk1" if has_trust else ""}"

[broker]
url = "{self.broker}"
ca = "certificate/ca.pem"
cert = "certificate/gate.pem"
key = "certificate/gate.pem"

{fittings}"""


def _new_keys() -> Keys:
    seed, tls = secrets.token_bytes(32), new_key()
    return Keys(seed, tls, request_for(tls, "gate"), words_for(secrets.token_bytes(CODE_WORDS)))


def _read_fittings(file: Path) -> str:
    """Return the sections that the electrician wrote: camera, door, web and clock, as written. Raises ClaimFailed."""
    if not file.exists():
        return ""
    try:
        text = file.read_text(encoding="utf-8")
        strangers = set(tomllib.loads(text)) - set(FITTINGS)
    except (OSError, ValueError, RecursionError) as error:
        raise ClaimFailed(f"{file} is not TOML: {error}") from error
    if strangers:
        raise ClaimFailed(f"{file}: {sorted(strangers)} cannot stand here: only {', '.join(FITTINGS)}")
    return text


def _context(where: Where) -> ssl.SSLContext | None:
    if where.cloud.startswith("http://"):
        return None
    try:
        return ssl.create_default_context(cafile=str(where.ca) if where.ca else None)
    except (OSError, ssl.SSLError) as error:
        raise ClaimFailed(f"{where.ca} is no certificate of the cloud's authority: {error}") from error


def _object(data: bytes) -> dict[str, Any]:
    try:
        told = json.loads(data) if len(data) <= ANSWER_BYTES_MAX else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise _NoAnswer
    return told


def _is_hex_key(text: object) -> bool:
    return isinstance(text, str) and len(text) == 64 and all(letter in "0123456789abcdefABCDEF" for letter in text)


def _write(file: Path, data: bytes) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
