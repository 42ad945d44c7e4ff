"""Our own style sheets, modules and icons, read once and served from memory.

Responsible for: one hash for the whole folder, so that relative imports keep working under `/static/<hash>/…` and a
browser may keep every file for a year; comments left out of .js and .css on the wire (UX.md: pages of 20 KB);
gzip done once. Not responsible for: what the files say. A changed file is served after a restart.
"""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

STATIC = Path(__file__).parent.parent / "static"
STATIC_SECONDS = 365 * 24 * 3600  # A year: the address changes when the content does.
GZIP_BYTES_MIN = 600  # Below this the compressed answer is not smaller in packets.
TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class StaticFile:
    """One file as it is sent. packed: gzip of body, or b'' where that gains nothing."""

    media_type: str
    body: bytes
    packed: bytes


def static_hash() -> str:
    """Return the hash of everything that is served."""
    return _shelf()[0]


def static_url(path: str) -> str:
    """Return the address of a static file: `static("css/pass.css")`."""
    return f"/static/{static_hash()}/{path}"


async def serve_static(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer `/static/<hash>/<path>`. An older hash gets today's file, which is then not kept by the browser."""
    asked = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
    version, _, path = asked.partition("/")
    file = _shelf()[1].get(path)
    if file is None or scope["method"] not in ("GET", "HEAD"):
        await PlainTextResponse("Not found", 404)(scope, receive, send)
        return
    kept = f"public, max-age={STATIC_SECONDS}, immutable" if version == static_hash() else "no-cache"
    headers = {"cache-control": kept, "vary": "accept-encoding"}
    accepted = dict(scope["headers"]).get(b"accept-encoding", b"")
    packed = bool(file.packed) and b"gzip" in accepted
    if packed:
        headers["content-encoding"] = "gzip"
    body = file.packed if packed else file.body
    await Response(body, media_type=file.media_type, headers=headers)(scope, receive, send)


@lru_cache(maxsize=1)
def _shelf() -> tuple[str, dict[str, StaticFile]]:
    """Return the hash and all files by their path. Only what lies in the folder has a path, so none leads out."""
    whole, files = hashlib.sha256(), {}
    for file in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        path = file.relative_to(STATIC).as_posix()
        body = file.read_bytes()
        if file.suffix in (".js", ".css"):
            body = without_comments(body.decode("utf-8")).encode()
        packed = gzip.compress(body, mtime=0) if len(body) >= GZIP_BYTES_MIN and file.suffix != ".png" else b""
        media_type = TYPES.get(file.suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"
        files[path] = StaticFile(media_type, body, packed)
        whole.update(path.encode() + b"\0" + hashlib.sha256(body).digest())
    return whole.hexdigest()[:12], files


def without_comments(text: str) -> str:
    """Leave out blank lines, lines that begin with `//`, and blocks from a line's first `/*` to a line's last `*/`."""
    kept: list[str] = []
    inside = False
    for line in text.splitlines():
        bare = line.strip()
        if inside:
            inside = not bare.endswith("*/")
        elif bare.startswith("/*") and bare.find("*/") in (-1, len(bare) - 2):
            inside = "*/" not in bare
        elif bare and not bare.startswith("//"):
            kept.append(line)
    return "\n".join(kept) + "\n"
