"""A mail server for tests: it speaks real SMTP, and keeps what it took in."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope


class Mailbox:
    """What a server of the test took in."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Envelope, address: str, options: Any) -> str:
        if address.startswith("nobody"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        self.taken.append(envelope)
        return "250 OK"

    def text(self) -> str:
        [envelope] = self.taken
        assert isinstance(envelope.content, bytes)
        return message_from_bytes(envelope.content, policy=default).get_content().replace("\r\n", "\n")


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def a_server(certificate: Path | None = None, host: str = "127.0.0.1", **more: Any) -> Iterator[tuple[Mailbox, str]]:
    """Run a mail server; yield its mailbox and host:port. With a certificate it wants STARTTLS."""
    box = Mailbox()
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        more |= {"tls_context": context, "require_starttls": True}
    port = a_free_port()
    controller = Controller(box, hostname=host, port=port, **more)
    controller.start()
    try:
        yield box, f"{host}:{port}"
    finally:
        controller.stop()
