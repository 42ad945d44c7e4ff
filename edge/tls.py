"""The gate's side of mutual TLS: one context, whose certificate may be changed while it is in use.

Responsible for: reading ca, cert and key of [broker] into a context, and reading them again after a renewal: the next
connection shows the new one. Not responsible for: when (renewal.py), the connection (broker.py).
"""

from __future__ import annotations

import ssl

from edge.config import BrokerSettings


class CertificatesUnusable(Exception):
    """The PEM files of [broker] are no certificates, or do not belong together."""


def context_of(settings: BrokerSettings) -> ssl.SSLContext:
    """Return the context of a line by mqtts. Raises CertificatesUnusable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    read_again(context, settings)
    return context


def read_again(context: ssl.SSLContext, settings: BrokerSettings) -> None:
    """Have the next connection use the files as they are now. Raises CertificatesUnusable.

    An authority that is no longer in the file stays believed until the program begins anew.
    """
    try:
        context.load_verify_locations(str(settings.ca))
        context.load_cert_chain(str(settings.cert), str(settings.key))
    except (OSError, ValueError) as error:
        raise CertificatesUnusable(
            f"the broker's certificates cannot be used ({error}): ca, cert and key of [broker] as PEM files,"
            " the key belonging to the certificate"
        ) from error
