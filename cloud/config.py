"""Every setting of the cloud, read once from the environment into a frozen object.

Responsible for: names, defaults, meanings and checks of `PORTILLON_…`; all problems are listed at once.
Not responsible for: anything that a setting points at being alive (that is `doctor` and `/health`).
Only the entry points (`cloud/cli.py`, tests) hand the environment in; nobody else reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

POOL_SIZE_MAX = 200  # PostgreSQL's default max_connections is 100; two web processes at most share more.
SECRET_BYTES = 32  # HMAC-SHA-256 gains nothing from a longer key.


@dataclass(frozen=True)
class Setting:
    """One line of `portillon-cloud doctor --settings`."""

    name: str
    default: str
    meaning: str


SETTINGS = (
    Setting("PORTILLON_DATABASE_URL", "", "PostgreSQL as the role portillon_app (row security applies to it)"),
    Setting("PORTILLON_DATABASE_OWNER_URL", "", "PostgreSQL as a role that may create tables; `migrate` only"),
    Setting("PORTILLON_BROKER_URL", "mqtt://127.0.0.1:1883", "MQTT 5 broker: mqtt://host:port or mqtts://host:port"),
    Setting("PORTILLON_BROKER_CA", "", "PEM file of the broker's authority; with mqtts and a certificate of our own"),
    Setting("PORTILLON_BROKER_CERT", "", "PEM file of this process's certificate and its key, for the broker"),
    Setting("PORTILLON_GATES_BROKER_URL", "", "the broker's address as gates reach it: mqtts://host:port"),
    Setting("PORTILLON_CA_DIR", "", "folder of the gates' authorities; their keys only where certificates are signed"),
    Setting("PORTILLON_KEYS_DIR", "", "folder of <role>.key, trust.kk1 and root.pub; give each process its roles only"),
    Setting("PORTILLON_PUBLIC_URL", "http://127.0.0.1:8080", "address that people type; origin of forms and links"),
    Setting("PORTILLON_LISTEN", "127.0.0.1:8080", "address and port that `serve` binds"),
    Setting("PORTILLON_SECRET_FILE", "", "file of 64 hex digits: HMAC key of codes that people type"),
    Setting("PORTILLON_DEMO", "0", "1: demonstration; sign-in links last 24 h and may be opened again"),
    Setting("PORTILLON_DEMO_ORIGIN", "", "origin that may frame the pages, with PORTILLON_DEMO=1 only"),
    Setting("PORTILLON_TRUSTED_PROXIES", "127.0.0.1,::1",
            "addresses or networks of proxies in front whose X-Forwarded-For is believed, by commas; none: nobody's"),
    Setting("PORTILLON_SMTP_URL", "",
            "mail server: smtp://user@host:587 (STARTTLS) or smtps://user@host:465; empty: no mail is sent"),
    Setting("PORTILLON_SMTP_PASSWORD_FILE", "", "file of the password of the user in PORTILLON_SMTP_URL"),
    Setting("PORTILLON_SMTP_CA", "", "PEM file of the mail server's authority, where it is not a public one"),
    Setting("PORTILLON_MAIL_FROM", "", "address that mail comes from; with PORTILLON_SMTP_URL"),
    Setting("PORTILLON_TABLETS", "", "addresses of tablets' pages by site, by commas: 101=https://192.168.1.20:8443"),
    Setting("PORTILLON_POOL_SIZE", "10", f"database connections of one process, 1 to {POOL_SIZE_MAX}"),
)


@dataclass(frozen=True)
class Settings:
    """What the processes of the cloud are told. Empty text and None mean: not given."""

    database_url: str = ""
    database_owner_url: str = ""
    broker_url: str = "mqtt://127.0.0.1:1883"
    broker_ca: Path | None = None
    broker_cert: Path | None = None
    gates_broker_url: str = ""
    ca_dir: Path | None = None
    keys_dir: Path | None = None
    public_url: str = "http://127.0.0.1:8080"
    listen_host: str = "127.0.0.1"
    listen_port: int = 8080
    secret: bytes = b""
    demo: bool = False
    demo_origin: str = ""
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    smtp_url: str = ""
    smtp_password: str = field(default="", repr=False)
    smtp_ca: Path | None = None
    mail_from: str = ""
    tablets: tuple[tuple[int, str], ...] = ()  # (site, origin): where names for a tablet may go
    pool_size: int = 10

    def require(self, *fields: str) -> "Settings":
        """Return self, or raise SettingsRefused naming each of the fields that this command needs and lacks."""
        missing = [field for field in fields if not getattr(self, field)]
        if missing:
            raise SettingsRefused([f"{_variable(field)} is not set: {_meaning(_variable(field))}" for field in missing])
        return self


class SettingsRefused(Exception):
    """The environment cannot be used. `problems` lists every one of them, in words."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Turn the environment into Settings. Raises SettingsRefused with all problems at once."""
    problems: list[str] = []
    text = {setting.name: environment.get(setting.name, "") or setting.default for setting in SETTINGS}
    problems += _unknown_names(environment)
    host, port = _address(text["PORTILLON_LISTEN"], problems)
    demo = _flag("PORTILLON_DEMO", text["PORTILLON_DEMO"], problems)
    settings = Settings(
        database_url=_url("PORTILLON_DATABASE_URL", text, ("postgresql", "postgres"), problems),
        database_owner_url=_url("PORTILLON_DATABASE_OWNER_URL", text, ("postgresql", "postgres"), problems),
        broker_url=_url("PORTILLON_BROKER_URL", text, ("mqtt", "mqtts"), problems),
        broker_ca=_file("PORTILLON_BROKER_CA", text["PORTILLON_BROKER_CA"], problems),
        broker_cert=_file("PORTILLON_BROKER_CERT", text["PORTILLON_BROKER_CERT"], problems),
        gates_broker_url=_url("PORTILLON_GATES_BROKER_URL", text, ("mqtts", "mqtt"), problems),
        ca_dir=_folder("PORTILLON_CA_DIR", text["PORTILLON_CA_DIR"], problems, "gate ca init"),
        keys_dir=_folder("PORTILLON_KEYS_DIR", text["PORTILLON_KEYS_DIR"], problems),
        public_url=_url("PORTILLON_PUBLIC_URL", text, ("http", "https"), problems).rstrip("/"),
        listen_host=host,
        listen_port=port,
        secret=_secret(text["PORTILLON_SECRET_FILE"], problems),
        demo=demo,
        demo_origin=_url("PORTILLON_DEMO_ORIGIN", text, ("http", "https"), problems).rstrip("/"),
        trusted_proxies=_addresses("PORTILLON_TRUSTED_PROXIES", text["PORTILLON_TRUSTED_PROXIES"], problems),
        smtp_url=_mail_server(text, problems),
        smtp_password=_password("PORTILLON_SMTP_PASSWORD_FILE", text["PORTILLON_SMTP_PASSWORD_FILE"], problems),
        smtp_ca=_file("PORTILLON_SMTP_CA", text["PORTILLON_SMTP_CA"], problems, "take it from the mail server"),
        mail_from=text["PORTILLON_MAIL_FROM"],
        tablets=_tablets(text["PORTILLON_TABLETS"], problems),
        pool_size=_number("PORTILLON_POOL_SIZE", text["PORTILLON_POOL_SIZE"], 1, POOL_SIZE_MAX, problems),
    )
    if settings.demo_origin and not demo:
        problems.append("PORTILLON_DEMO_ORIGIN is set without PORTILLON_DEMO=1: only a demonstration may be framed")
    if problems:
        raise SettingsRefused(problems)
    return settings


def _unknown_names(environment: Mapping[str, str]) -> list[str]:
    known = {setting.name for setting in SETTINGS}
    strangers = sorted(
        name for name in environment if name.startswith("PORTILLON_") and name not in known
        and not name.startswith("PORTILLON_TEST_")
    )
    return [f"{name} is not a setting: see `portillon-cloud doctor --settings`" for name in strangers]


def _url(name: str, text: Mapping[str, str], schemes: tuple[str, ...], problems: list[str]) -> str:
    value = text[name]
    if value and urlsplit(value).scheme not in schemes:
        problems.append(f"{name} must start with {' or '.join(s + '://' for s in schemes)}")
    return value


def _tablets(value: str, problems: list[str]) -> tuple[tuple[int, str], ...]:
    """Read (site, origin): names go to these and nowhere else, so each is https and an origin alone."""
    found = []
    for part in filter(None, (one.strip() for one in value.split(","))):
        site, _, origin = part.partition("=")
        parts = urlsplit(origin)
        good = site.isdecimal() and parts.scheme == "https" and parts.hostname and "@" not in parts.netloc
        if not good or origin != f"https://{parts.netloc}":
            problems.append(f"PORTILLON_TABLETS must be SITE=https://host:port, by commas, not {part!r}")
        else:
            found.append((int(site), origin))
    return tuple(found)


def _address(value: str, problems: list[str]) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
        problems.append(f"PORTILLON_LISTEN must be host:port with a port of 0 to 65535, not {value!r}")
        return "127.0.0.1", 8080
    return host.strip("[]"), int(port)


def _flag(name: str, value: str, problems: list[str]) -> bool:
    if value not in ("0", "1"):
        problems.append(f"{name} must be 0 or 1, not {value!r}")
    return value == "1"


def _number(name: str, value: str, least: int, most: int, problems: list[str]) -> int:
    if not value.isdecimal() or not least <= int(value) <= most:
        problems.append(f"{name} must be a whole number from {least} to {most}, not {value!r}")
        return least
    return int(value)


def _folder(name: str, value: str, problems: list[str], made_by: str = "keys init") -> Path | None:
    if not value:
        return None
    if not Path(value).is_dir():
        problems.append(f"{name}: {value} is not a folder: make it with `portillon-cloud {made_by}`")
    return Path(value)


def _file(
    name: str, value: str, problems: list[str], from_where: str = "make it with `portillon-cloud gate ca services`"
) -> Path | None:
    if not value:
        return None
    if not Path(value).is_file():
        problems.append(f"{name}: {value} is not a file: {from_where}")
    return Path(value)


def _addresses(name: str, value: str, problems: list[str]) -> tuple[str, ...]:
    """Read addresses and networks. A name would have to be asked of somebody, and `*` would believe everybody."""
    found = tuple(one.strip() for one in value.split(",")) if value != "none" else ()
    for one in found:
        try:
            ip_network(one)
        except ValueError:
            problems.append(f"{name}: {one!r} is neither an address as 10.0.0.7 nor a network as 10.0.0.0/24")
    return found


def _mail_server(text: Mapping[str, str], problems: list[str]) -> str:
    value = _url("PORTILLON_SMTP_URL", text, ("smtp", "smtps"), problems)
    if not value:
        return value
    server, sender = urlsplit(value), text["PORTILLON_MAIL_FROM"]
    if not server.hostname or server.password:
        problems.append("PORTILLON_SMTP_URL must name a host and no password: PORTILLON_SMTP_PASSWORD_FILE holds it")
    if "@" not in sender or not sender.isprintable():
        problems.append("PORTILLON_MAIL_FROM must be an address, as school@example.org, where there is a mail server")
    if server.username and not text["PORTILLON_SMTP_PASSWORD_FILE"]:
        problems.append("PORTILLON_SMTP_PASSWORD_FILE is not set, and PORTILLON_SMTP_URL names a user")
    return value


def _password(name: str, value: str, problems: list[str]) -> str:
    if not value:
        return ""
    try:
        return Path(value).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        problems.append(f"{name}: {value} cannot be read ({type(error).__name__})")
        return ""


def _secret(value: str, problems: list[str]) -> bytes:
    if not value:
        return b""
    try:
        secret = bytes.fromhex(Path(value).read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        problems.append(f"PORTILLON_SECRET_FILE: {value} cannot be read as hex digits ({type(error).__name__})")
        return b""
    if len(secret) != SECRET_BYTES:
        problems.append(f"PORTILLON_SECRET_FILE: {value} must hold {SECRET_BYTES * 2} hex digits")
    return secret


def _variable(field: str) -> str:
    return {"secret": "PORTILLON_SECRET_FILE"}.get(field, f"PORTILLON_{field.upper()}")


def _meaning(name: str) -> str:
    return next(setting.meaning for setting in SETTINGS if setting.name == name)
