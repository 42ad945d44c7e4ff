"""A repository of releases that tests sign themselves, and a web server that may lie about it."""

from __future__ import annotations

import http.server
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cloud.fleet.releases import packed
from cloud.fleet.repository import Repository, new_key, sign
from protocols.releases import DESCRIPTION, START, Release, describe

NOW = datetime.now(UTC).replace(microsecond=0)
KEYS = ("a", "b", "c", "d", "targets", "snapshot", "timestamp", "stranger")


def a_release(version: str, **files: bytes) -> bytes:
    """Return the archive of a small program: it prints its version."""
    plain = {DESCRIPTION: describe(Release(version, (3, 11))), START: b"print(%r)\n" % version}
    more = {f"edge/{name}.py": data for name, data in files.items()}
    return packed({**plain, "edge/__init__.py": b"", "edge/web/page.html": b"<p>", **more})


@dataclass
class Operator:
    """Whoever holds the keys. Root: a, b, c, two of three."""

    folder: Path
    keys: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.repository = Repository(self.folder / "repository")
        for name in KEYS:
            self.keys[name] = self.folder / f"{name}.key"
            new_key(self.keys[name])

    def public(self, name: str) -> Path:
        return self.keys[name].with_name(f"{name}.key.pub")

    def root(self, holders: str = "abc", *, signed_by: str = "ab", now: datetime = NOW, **others: str) -> None:
        """Propose a root, have it signed and published."""
        online = ("targets", "snapshot", "timestamp")
        targets, snapshot, stamp = (self.public(others.get(role, role)) for role in online)
        waiting = self.repository.propose_root([self.public(name) for name in holders], targets, snapshot, stamp, now)
        for name in signed_by:
            sign(waiting, self.keys[name])
        self.publish(now)

    def publish(self, now: datetime = NOW) -> None:
        self.repository.publish(self.keys["snapshot"], self.keys["timestamp"], now)

    def stamp(self, now: datetime = NOW) -> None:
        self.repository.stamp(self.keys["snapshot"], self.keys["timestamp"], now)

    def release(self, version: str, archive: bytes | None = None, now: datetime = NOW) -> bytes:
        data = archive or a_release(version)
        file = self.folder / "archive"
        file.write_bytes(data)
        sign(self.repository.add(file, version, now), self.keys["targets"])
        self.publish(now)
        return data


def an_operator(folder: Path) -> Operator:
    """Return one with a root and the releases 0.2.0 and 0.3.0."""
    operator = Operator(folder)
    operator.root()
    operator.release("0.2.0")
    operator.release("0.3.0")
    return operator


LONG_AGO = NOW - timedelta(days=400)


@dataclass
class Mirror:
    """Serves the repository; `lies` answers first. breaks_after: bytes of an archive, then the line is cut."""

    folder: Path
    lies: dict[str, bytes] = field(default_factory=dict)
    breaks_after: int | None = None
    knows_ranges: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                mirror._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        path, wanted = request.path.lstrip("/"), request.headers.get("Range", "")
        self.asked.append((path, wanted))
        file = self.folder / path
        data = self.lies.get(path) or (file.read_bytes() if file.is_file() else None)
        request.close_connection = True
        if data is None:
            request.send_response(404)
            request.send_header("Content-Length", "0")
            request.send_header("Connection", "close")
            request.end_headers()
            return
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.knows_ranges else 0
        request.send_response(206 if begin else 200)
        if begin:
            request.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        request.send_header("Content-Length", str(len(data) - begin))
        request.send_header("Connection", "close")
        request.end_headers()
        rest = data[begin:]
        cut = self.breaks_after if path.startswith("targets/") else None
        request.wfile.write(rest[:cut])
