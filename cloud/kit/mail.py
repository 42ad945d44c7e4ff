"""Mail to one person: a plain text, over TLS, to the district's own mail server.

Responsible for: one message at a time, within ten seconds, never in the clear over a network (a server on this very
machine may be spoken to without TLS). Not responsible for: what it says, when it is sent, trying again.
The address and the text stand in no log.
"""

import smtplib
import ssl
from dataclasses import dataclass
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cloud.config import Settings

SECONDS_MAX = 10.0  # a person waits for the page; a mail server answers within one
PORTS = {"smtp": 587, "smtps": 465}
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class MailRefused(Exception):
    """The message was not taken. The text says by whom and why, for the log: no address, no word of the message."""


@dataclass(frozen=True)
class Mail:
    """What is sent. to: one address."""

    to: str
    subject: str
    text: str


def send(settings: Settings, mail: Mail) -> None:
    """Hand a message to the mail server. Raises MailRefused; then nothing was sent, as far as can be known."""
    server = urlsplit(settings.smtp_url)
    host, port = server.hostname or "", server.port or PORTS[server.scheme]
    try:
        message = _message(settings, mail)
        with _connected(server.scheme, host, port, settings.smtp_ca) as line:
            if server.username:
                line.login(unquote(server.username), settings.smtp_password)
            line.send_message(message)
    except (OSError, smtplib.SMTPException, MessageError, ValueError) as error:
        code = getattr(error, "smtp_code", "")
        raise MailRefused(f"{host}:{port} {type(error).__name__} {code}".strip()) from None


def _connected(scheme: str, host: str, port: int, authority: Path | None) -> smtplib.SMTP:
    trust = ssl.create_default_context(cafile=str(authority) if authority else None)
    if scheme == "smtps":
        return smtplib.SMTP_SSL(host, port, timeout=SECONDS_MAX, context=trust)
    line = smtplib.SMTP(host, port, timeout=SECONDS_MAX)
    try:
        line.ehlo()
        if line.has_extn("starttls") or host not in LOOPBACK:
            line.starttls(context=trust)  # Raises where the server does not offer it: a stripped offer sends nothing.
            line.ehlo()
    except (OSError, smtplib.SMTPException):
        line.close()
        raise
    return line


def _message(settings: Settings, mail: Mail) -> EmailMessage:
    message = EmailMessage(policy=SMTP.clone(utf8=False))
    message["From"], message["To"], message["Subject"] = settings.mail_from, mail.to, mail.subject
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday note comes back.
    message.set_content(mail.text, cte="base64")
    return message
