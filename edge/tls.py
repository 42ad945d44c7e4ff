"""The gate's side of mutual TLS: one context for the client's whole life, whose files may be read again meanwhile.

Responsible for: reading ca, cert and key of [broker], and reading them again after a renewal: the next connection
shows the new certificate and believes the authorities of the file as it is then, no others; what an error of a
connection says of the certificates. Not responsible for: when (renewal.py), the connection (broker.py).
"""

from __future__ import annotations

import ssl
from typing import Any

from edge.config import BrokerSettings


class CertificatesUnusable(Exception):
    """The PEM files of [broker] are no certificates, or do not belong together."""


class Line(ssl.SSLContext):
    """What paho holds: it takes a context once. Each connection is made with what was read last."""

    in_force: ssl.SSLContext

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        return self.in_force.wrap_socket(*args, **options)


def context_of(settings: BrokerSettings) -> Line:
    """Return the context of a line by mqtts. Raises CertificatesUnusable."""
    line = Line(ssl.PROTOCOL_TLS_CLIENT)
    read_again(line, settings)
    return line


def read_again(line: Line, settings: BrokerSettings) -> None:
    """Have the next connection use the files as they are now. Raises CertificatesUnusable: then nothing has changed."""
    fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    fresh.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        fresh.load_verify_locations(str(settings.ca))
        fresh.load_cert_chain(str(settings.cert), str(settings.key))
    except (OSError, ValueError) as error:
        raise CertificatesUnusable(
            f"the broker's certificates cannot be used ({error}): ca, cert and key of [broker] as PEM files,"
            " the key belonging to the certificate"
        ) from error
    line.in_force = fresh


def is_refusal(error: BaseException | None) -> bool:
    """Whether a connection failed because one end does not believe the other's certificate, and not for the way."""
    alert = isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")
    return alert or isinstance(error, ssl.SSLCertVerificationError)
