"""A whole Portillon on this machine, each part a process of its own: database, broker, cloud, gates.

Responsible for: making one in a directory (keys with the root apart, tables, a made-up district, gate.toml
files, phones), starting it, finding it again, starting one part again with the same data, taking it down.
Not for: what is played on it (morning.py, outage.py, demo.py), nor how one part starts (parts.py).
Obeys INTERFACES.md, "stack", and PROTOCOL.md section 1: no process is given a key that it does not need.
"""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
from nacl.signing import SigningKey

from protocols.limits import BOOT_SECONDS
from simulators.broker import RunningBroker
from simulators.clock import now
from simulators.database import RunningDatabase, start_database
from simulators.district import Json, gate_numbers, make_district
from simulators.lens import Lens, idle_view
from simulators.parts import (
    HEALTH_PAUSE_SECONDS,
    HEALTHY,
    READY_SECONDS_MAX,
    Part,
    clean_environment,
    command_path,
    health_code,
)
from simulators.phone import Phone, http_client, load_phones, make_phone, save_phones
from simulators.processes import WorldFault, end, free_port, identify, setting, tail, wait_until
from simulators.secured import Secured, with_certificates
from simulators.wishes import Wishes, gate_toml

DATABASE = "portillon"
STATE_FILE = "stack.json"
PAIRING_THREADS = 4
COMMAND_SECONDS_MAX = 120.0
LINKS_SECONDS = 20 * 3_600  # demo links live 24 h: seeding again makes new ones
ROLES = {  # which secret keys each process of the cloud is given
    "web": ("issuer",),
    "ingest": ("receipt",),
    "worker": ("issuer", "policy", "registry", "control", "command"),
}
STOP_ORDER = ("lens", "gate", "warden", "worker", "ingest", "web", "broker", "database")

Tell = Callable[[str], None]


class Stack:
    """The stack of one directory. Its state is in `stack.json` there, so any process can find it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.parts: dict[str, Part] = {}
        self.site_of: dict[int, int] = {}
        self._database: RunningDatabase | None = None
        self._state: Json = {}
        if (self.directory / STATE_FILE).exists():
            self._load()

    def is_made(self) -> bool:
        """Return whether the stack was once healthy as a whole; a half-made one is begun anew."""
        return bool(self._state.get("made"))

    def forget(self) -> None:
        """Know nothing of a stack whose directory was emptied."""
        self.parts, self._state, self._database = {}, {}, None

    # ------------------------------------------------------------------------------- what others ask

    @property
    def web_url(self) -> str:
        return self.parts["web"].url

    @property
    def demo_origin(self) -> str:
        """Return the origin that may frame the cloud's pages."""
        return self._state.get("demo_origin", "")

    @property
    def database_url(self) -> str:
        """Return the address of the database as the application's role."""
        return self._state["database_url"]

    @property
    def secured(self) -> Secured | None:
        """Return the certificates of a stack that was made with them."""
        ports = self._state.get("mtls")
        return Secured(self.directory, *ports) if ports else None

    @property
    def gates(self) -> list[Part]:
        return [part for part in self.parts.values() if part.kind == "gate"]

    @property
    def seeded(self) -> Json:
        """Return what `portillon-cloud seed` answered: district, pairing codes, links."""
        return self._read("seeded.json")

    @property
    def district(self) -> Json:
        return self._read("district.json")

    def phones(self) -> list[Phone]:
        return load_phones(self.directory / "phones.json")

    def camera(self, gate: int) -> Path:
        return self.directory / "gates" / str(gate) / "camera.frames"

    def gate_number(self, part: Part) -> int:
        return int(part.name.removeprefix("gate-"))

    def describe(self) -> Json:
        return {"dir": str(self.directory), "parts": [part.describe() for part in self.parts.values()]}

    # ------------------------------------------------------------------------------------ up and down

    def up(self, wishes: Wishes, tell: Tell = lambda _step: None) -> None:
        """Make what is not there yet, start all and return when all is well. Raises WorldFault.

        tell: called with the name of each step as it begins: database, keys, data, cloud, gates, phones.
        """
        fresh = not self.is_made()
        if not fresh and len(self.gates) != wishes.sizes.gates:
            what = f"{self.directory} holds a stack of {len(self.gates)} gates, not {wishes.sizes.gates}."
            raise WorldFault(what, "Ask for as many as there are, or make another in a new --dir.")
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if fresh:
            self._clear_half_made()
        tell("database")
        self._start_database(wishes.database)
        tell("keys")
        if fresh:
            self._make_keys(wishes)
            self._plan(wishes)
        tell("data")
        self._fill(fresh)
        tell("cloud")
        self._launch("web", "ingest", "worker")
        if not fresh:
            self._renew_tables()
            self._launch("web", "ingest", "worker")  # what ended because tables of a newer Portillon were missing
        self._wait("web", "ingest", "worker")
        tell("gates")
        self._wait("gate")
        self._launch("lens")
        tell("phones")
        if fresh:
            self._pair_phones()
            self._wait_for_memory()
        self._state["made"] = True
        self._save()

    def down(self) -> list[str]:
        """Stop every part and return the names of those that ran."""
        stopped: list[str] = []
        self.find_database()
        for kind in STOP_ORDER:
            running = [part for part in self.parts.values() if part.kind == kind and part.is_alive()]
            with ThreadPoolExecutor(max_workers=8) as pool:
                list(pool.map(_stop, running))
            stopped += [part.name for part in running]
        return stopped

    def start(self, name: str, *, wait: bool = True) -> Part:
        """Start one part again with the same data; returns when it is well, or at once where nobody waits."""
        part = self.parts.get(name)
        if part is None:
            raise WorldFault(f"There is no part {name!r}.", f"Parts: {', '.join(self.parts)}.")
        if part.kind == "database":
            self._start_database("auto")
        elif part.kind == "broker" and not part.is_alive():
            self._launch_broker(part)
        else:
            part.launch()
        if wait and part.kind != "database":
            part.wait_ready()
        self._save()
        return part

    def find_database(self) -> None:
        """Learn the pid of a database that was started again by somebody else."""
        part = self.parts.get("database")
        lock = self.directory / "database" / "cluster" / "data" / "postmaster.pid"
        if part is not None and not part.is_alive() and lock.exists():
            first = lock.read_text().split("\n", 1)[0]
            process = identify(int(first)) if first.isdigit() else None
            if process is not None:
                part.pid, part.began = process.pid, process.began

    # ------------------------------------------------------------------------------------- its making

    def _clear_half_made(self) -> None:
        """Stop and remove what a making that was interrupted left, so that the next one begins clean."""
        self.down()
        self.forget()
        for name in ("gates", "keys", "root", "broker", "logs", "seeded.json", "district.json", "phones.json"):
            path = self.directory / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def _fill(self, fresh: bool) -> None:
        """Have tables and people; on a later start everything comes up side by side with the migrations."""
        broker = self.parts["broker"]
        if fresh and self.secured:
            self._secure(self.secured)
        if not broker.is_alive():
            self._launch_broker(broker)
        self._launch("gate", "warden")  # a gate with no memory refuses codes of its first ten seconds: let them pass
        if fresh and not self.secured:
            self._cloud("migrate")
            self._seed()
        if fresh:
            return
        self._launch("web", "ingest", "worker")
        if now() - float(self._state.get("seeded_at", 0)) > LINKS_SECONDS:
            self._seed()

    def _secure(self, secured: Secured) -> None:
        """Have people, the broker's rights and a certificate in every gate, before broker and gates start."""
        self._cloud("migrate")
        self._seed()
        self._launch("warden")
        secured.enrol(self.cloud, {self.gate_number(part): Path(part.config).parent for part in self.gates})
        secured.wait_written()

    def _renew_tables(self) -> None:
        """Migrate where this Portillon is newer than the one that made the tables: /health tells."""
        if self._first_health() != HEALTHY:
            self._cloud("migrate")

    def _first_health(self) -> int:
        web = self.web_url
        return wait_until(
            lambda: health_code(web), READY_SECONDS_MAX, "web does not answer", pause=HEALTH_PAUSE_SECONDS
        )

    def _start_database(self, kind: str) -> None:
        configured = setting("PORTILLON_DATABASE_URL")
        if configured and "database" not in self.parts:
            self._state["database_url"] = configured
            self._state["owner_url"] = setting("PORTILLON_DATABASE_OWNER_URL") or configured
            return
        self._database = start_database(self.directory / "database", kind)
        self._make_database(self._database)
        process = identify(self._database.pid)
        assert process is not None, "the database has just answered"
        part = self.parts.setdefault("database", Part("database", "database"))
        part.pid, part.began = process.pid, process.began
        part.url, part.log = self._database.database_url(DATABASE), str(self._database.log)
        self._state["database_url"] = self._database.app_url(DATABASE)
        self._state["owner_url"] = part.url

    def _make_database(self, database: RunningDatabase) -> None:
        with psycopg.connect(database.url, autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if found and not self.is_made():
                connection.execute(f'DROP DATABASE "{DATABASE}" WITH (FORCE)'.encode())
                found = None
            if not found:
                connection.execute(f'CREATE DATABASE "{DATABASE}"'.encode())

    def _make_keys(self, wishes: Wishes) -> None:
        keys, root = self.directory / "keys" / "all", self.directory / "root"
        self._cloud("keys", "init", "--root-dir", str(root), "--keys-dir", str(keys))
        for process, roles in ROLES.items():
            folder = self.directory / "keys" / process
            folder.mkdir(mode=0o700)
            for name in ("trust.kk1", "root.pub", *(f"{role}.key" for role in roles)):
                if (keys / name).exists():
                    shutil.copy2(keys / name, folder / name)
        _write_secret(self.directory / "keys" / "secret", secrets.token_hex(32))
        public_keys = {gate: self._make_gate_key(gate) for _, gate in gate_numbers(wishes.sizes.gates)}
        district = make_district(wishes.seed, wishes.sizes, public_keys)
        (self.directory / "district.json").write_text(json.dumps(district, ensure_ascii=False, indent=1))
        if wishes.mtls:
            self._state["mtls"] = [free_port(), free_port()]
            Secured(self.directory, *self._state["mtls"]).make(self.cloud)

    def _make_gate_key(self, gate: int) -> str:
        folder = self.directory / "gates" / str(gate)
        folder.mkdir(parents=True, mode=0o700)
        key = SigningKey.generate()
        _write_secret(folder / "gate.key", bytes(key).hex())
        for name in ("trust.kk1", "root.pub"):
            shutil.copy2(self.directory / "keys" / "all" / name, folder / name)
        return bytes(key.verify_key).hex()

    def _plan(self, wishes: Wishes) -> None:
        """Choose ports and write down every part but the database."""
        secured = self.secured
        kind, port = ("mosquitto", secured.gates_port) if secured else (wishes.broker, wishes.broker_port)
        broker = RunningBroker(self.directory / "broker", kind, port)
        url = secured.gates_url if secured else broker.url
        self._add(Part("broker", "broker", log=str(broker.log), port=broker.port, url=url))
        self._state["broker_kind"] = broker.kind
        port = wishes.web_port or free_port()
        self._state["public_url"] = f"http://127.0.0.1:{port}"
        self._state["demo_origin"] = wishes.demo_origin
        for name, command in (("web", "serve"), ("ingest", "ingest"), ("worker", "work")):
            self._add(self._cloud_part(name, command, port if name == "web" else 0))
        at_site: dict[int, int] = {}
        for site, _ in gate_numbers(wishes.sizes.gates):
            at_site[site] = at_site.get(site, 0) + 1
        for site, gate in gate_numbers(wishes.sizes.gates):
            self._add(self._gate_part(wishes, site, gate, at_site[site], url))
        cameras = [str(self.camera(gate)) for _, gate in gate_numbers(wishes.sizes.gates)]
        command = [sys.executable, "-m", "simulators.lens", *cameras]
        self._add(Part("lens", "lens", command, log=self._log("lens")))
        if secured:
            self._add(secured.warden(self._settings("warden"), self._log("warden")))
        for part in self.parts.values():
            if wishes.prepare is not None:
                wishes.prepare(part)

    def _add(self, part: Part) -> None:
        self.parts[part.name] = part

    def _log(self, name: str) -> str:
        return str(self.directory / "logs" / f"{name}.log")

    def _cloud_part(self, name: str, command: str, port: int) -> Part:
        argv = [command_path("portillon-cloud"), command]
        if name == "worker":
            argv = [sys.executable, "-m", "simulators.supervise", *argv]
        url = self._state["public_url"] if name == "web" else ""
        return Part(name, name, argv, self._settings(name), self._log(name), port=port, url=url)

    def _settings(self, process: str) -> dict[str, str]:
        """Return the environment of one process of the cloud."""
        public = self._state.get("public_url", "http://127.0.0.1:8080")
        keys = self.directory / "keys"
        settings = {
            "PORTILLON_DATABASE_URL": self._state["database_url"],
            "PORTILLON_BROKER_URL": self.parts["broker"].url if "broker" in self.parts else "",
            "PORTILLON_KEYS_DIR": str(keys / process),
            "PORTILLON_PUBLIC_URL": public,
            "PORTILLON_LISTEN": public.removeprefix("http://"),
            "PORTILLON_SECRET_FILE": str(keys / "secret"),
            "PORTILLON_DEMO": "1",
            "PORTILLON_DEMO_ORIGIN": self._state.get("demo_origin", ""),
        }
        if self.secured:
            settings |= self.secured.settings(process)
        if process == "warden":
            settings["PORTILLON_KEYS_DIR"] = ""
        return {name: value for name, value in settings.items() if value}

    def _gate_part(self, wishes: Wishes, site: int, gate: int, at_site: int, broker_url: str) -> Part:
        folder = self.directory / "gates" / str(gate)
        port = free_port()
        config = folder / "gate.toml"
        told = gate_toml(wishes, site, gate, at_site, broker_url, port)
        config.write_text(with_certificates(told) if wishes.mtls else told)
        Lens(self.camera(gate)).show(idle_view(gate))
        argv = [command_path("portillon-gate"), "run", "--config", str(config)]
        return Part(
            f"gate-{gate}",
            "gate",
            argv,
            log=self._log(f"gate-{gate}"),
            port=port,
            url=f"http://127.0.0.1:{port}",
            config=str(config),
        )

    def _seed(self) -> None:
        answer = self._cloud("seed", str(self.directory / "district.json"))
        _write_secret(self.directory / "seeded.json", answer)
        self._state["seeded_at"] = now()

    def _pair_phones(self) -> None:
        """Pair the first adult of every family: their codes live for ten minutes only."""
        codes: dict[str, str] = self.seeded["pairing"]
        firsts = _first_guardians(self.district)
        phones = [make_phone(key) for key in firsts if key in codes]
        with http_client(self.web_url) as client, ThreadPoolExecutor(PAIRING_THREADS) as pool:
            list(pool.map(lambda phone: phone.pair(client, codes[phone.holder], now()), phones))
        save_phones(self.directory / "phones.json", phones)

    def _wait_for_memory(self) -> None:
        """Return when no code of now can be refused for a new gate's lack of memory (P-3, boot)."""
        journals = [Path(part.config).parent / "data" for part in self.gates]
        booted_at = max(journal.stat().st_mtime for journal in journals)  # its files were made then
        time.sleep(max(0.0, booted_at + BOOT_SECONDS + 1.5 - now()))

    # -------------------------------------------------------------------------------------- its parts

    def _launch_broker(self, part: Part) -> None:
        settings = self.secured.broker_settings() if self.secured else ""
        broker = RunningBroker(self.directory / "broker", self._state["broker_kind"], part.port, settings=settings)
        broker.start()
        process = identify(broker.pid)
        assert process is not None, "the broker has just answered"
        part.pid, part.began = process.pid, process.began
        self._save()

    def _launch(self, *kinds: str) -> None:
        for part in self.parts.values():
            if part.kind in kinds:
                part.launch()
        self._save()

    def _wait(self, *kinds: str) -> None:
        for part in self.parts.values():
            if part.kind in kinds:
                part.wait_ready()

    def _cloud(self, *arguments: str) -> str:
        """Run one command of the cloud and return its standard output. Raises WorldFault with its words."""
        settings = self._settings("all")
        settings["PORTILLON_DATABASE_OWNER_URL"] = self._state["owner_url"]
        if not (self.directory / "keys" / "secret").exists():
            settings = {}
        return run_cloud(settings, self.directory / "logs" / "commands.log", *arguments)

    def cloud(self, *arguments: str) -> str:
        """Run one command of the cloud on this stack: `stack.cloud("events", "export", "--json")`."""
        return self._cloud(*arguments)

    # -------------------------------------------------------------------------------------- its state

    def _load(self) -> None:
        state = self._read(STATE_FILE)
        self.parts = {row["name"]: Part(**row) for row in state.pop("parts")}
        self._state = state
        self.find_database()

    def _save(self) -> None:
        rows = [part.to_json() for part in self.parts.values()]
        _write_secret(self.directory / STATE_FILE, json.dumps({**self._state, "parts": rows}, indent=1))

    def _read(self, name: str) -> Json:
        try:
            return json.loads((self.directory / name).read_text())
        except FileNotFoundError:
            raise WorldFault(
                f"{self.directory} holds no stack.", f"Run `portillon-sim stack up --gates 2 --dir {self.directory}`."
            ) from None


@contextmanager
def running_stack(directory: Path, wishes: Wishes) -> Iterator[Stack]:
    """Have a stack for the length of a block: taken down at its end, whatever happened."""
    stack = Stack(directory)
    try:
        stack.up(wishes)
        yield stack
    finally:
        stack.down()


def run_cloud(settings: dict[str, str], log: Path, *arguments: str) -> str:
    """Run `portillon-cloud` with these settings; return its standard output. Raises WorldFault."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as errors:
        done = subprocess.run(
            [command_path("portillon-cloud"), *arguments],
            env=clean_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
    if done.returncode:
        what = f"`portillon-cloud {' '.join(arguments[:2])}` ended with {done.returncode}"
        said = done.stdout.decode(errors="replace").strip()
        raise WorldFault(f"{what}:\n{said or tail(log)}\n", f"Read {log}.")
    return done.stdout.decode()


def _stop(part: Part) -> None:
    end(part.process, polite=signal.SIGINT if part.kind == "database" else signal.SIGTERM, seconds=5.0)


def _first_guardians(district: Json) -> list[str]:
    """Return one guardian a family: the first who was entered for each first child."""
    firsts: dict[str, str] = {}
    for guardian in district["guardians"]:
        if guardian["wants"] == "phone":
            firsts.setdefault(guardian["children"][0]["child"], guardian["key"])
    return list(firsts.values())


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
