"""Each part of a gate tried by itself, for whoever stands in front of it at commissioning.

Responsible for: one short line a part, with what to do where it fails. The strike is not moved.
Not responsible for: a running gate (that is `status`).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

from edge.camera import CameraFault
from edge.capture import open_apart
from edge.config import GateConfig
from edge.health import ask_chrony
from edge.journal import open_journal
from edge.journal_file import JournalFailed, reading, verify_chain
from edge.pins import Pins, PinsFailed
from protocols.envelope import DocumentRefused
from protocols.trust import load_trust_list

CAMERA_SECONDS = 8.0
BROKER_SECONDS = 3.0
NO_GATE = 0  # in the name of the shared memory: a gate that runs after all keeps its own


class Check(NamedTuple):
    name: str
    ok: bool
    what: str


def checks(config: GateConfig) -> Iterator[Check]:
    """Yield the result of each part, one after the other."""
    yield Check("configuration", True, str(config.file))
    yield _trust(config)
    yield _journal(config)
    yield _pins(config)
    yield _camera(config)
    yield _broker(config)
    yield _clock(config)


def _trust(config: GateConfig) -> Check:
    if config.trust_list is None:
        return Check("trust", True, "no trust list provisioned: the first comes by the broker")
    try:
        trust = load_trust_list(config.trust_list, config.root_public, 0, clock_trusted=False)
    except DocumentRefused as refused:
        return Check("trust", False, f"{config.paths.trust} answers {refused.code}: fetch the operator's again")
    return Check("trust", True, f"{len(trust.keys)} keys")


def _journal(config: GateConfig) -> Check:
    try:
        open_journal(config.paths.journal).close()
        with reading(config.paths.journal) as db:
            found = verify_chain(db)
    except JournalFailed as failed:
        return Check("journal", False, f"{failed} (stop the running gate first, or mend the disk)")
    return Check("journal", found.ok, f"{found.events} events" if found.ok else f"seq {found.bad_seq}: {found.why}")


def _pins(config: GateConfig) -> Check:
    try:
        Pins(config.door).close()
    except PinsFailed as failed:
        return Check("pins", False, str(failed))
    return Check("pins", True, f"{config.door.pins}; the strike was not moved")


def _camera(config: GateConfig) -> Check:
    try:
        camera = open_apart(config.camera.source, config.camera.path, NO_GATE)
        try:
            ends = time.monotonic() + CAMERA_SECONDS
            while (frame := camera.latest()) is None and time.monotonic() < ends:
                time.sleep(0.02)
        finally:
            camera.close()
    except CameraFault as fault:
        return Check("camera", False, f"{fault.code}: {fault}")
    if frame is None:
        return Check("camera", False, f"no picture within {CAMERA_SECONDS:.0f} s: look at the cable, or [camera] path")
    return Check("camera", True, f"{frame.luma.shape[1]} x {frame.luma.shape[0]}")


def _broker(config: GateConfig) -> Check:
    if not config.broker.url:
        return Check("broker", True, "none configured: events wait in the journal")
    try:
        socket.create_connection((config.broker.host, config.broker.port), BROKER_SECONDS).close()
    except OSError as error:
        return Check("broker", False, f"{config.broker.url} does not answer ({error}): look at network and address")
    return Check("broker", True, config.broker.url)


def _clock(config: GateConfig) -> Check:
    answer = ask_chrony()
    if answer is None:
        return Check("clock", True, f'chrony cannot be asked: taken as "{config.clock.assume}"')
    return Check("clock", True, f"{answer.state}, {answer.offset_ms} ms off")
