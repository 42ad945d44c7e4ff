"""What stands beside the door while a gate has no name: a code to scan, the same in words, a fingerprint to compare.

Responsible for: one page at /screen and its state at /claim.json, on this machine's own address; the page asks again
every two seconds by itself, without a script. Not responsible for: the claim (claim.py), the screen of a gate (web/).
"""

from __future__ import annotations

import html
import json
import threading
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import zxingcpp

from edge.claim import Shown
from edge.screen import claim_words

REFRESH_SECONDS = 2
PAGE = """<!doctype html>
<html lang="{language}"><meta charset="utf-8"><meta http-equiv="refresh" content="{refresh}">
<title>Portillon</title>
<style>
body {{ margin: 0; width: 800px; height: 480px; display: flex; align-items: center; gap: 32px; box-sizing: border-box;
  padding: 24px; font: 22px/1.3 sans-serif; color: #1a1a1a; background: #fff; }}
svg {{ width: 330px; height: 330px; flex: none; }}
b {{ display: block; font-size: 34px; line-height: 1.15; margin: 8px 0 16px; }}
code {{ display: block; font: 26px/1.4 monospace; margin-top: 8px; }}
p {{ margin: 0 0 8px; }}
</style>
{code}<main><p>{scan}</p><b>{words}</b><p>{compare}</p><code>{fingerprint}</code><p role="status">{state}</p></main>
"""


class ClaimPage:
    """The page of one claim; `show` changes what it says. Port 0 takes a free one."""

    def __init__(self, host: str, port: int, language: str = "en") -> None:
        self._language = language
        self._shown = Shown("asking")
        self._server = ThreadingHTTPServer((host, port), _handler_of(self))
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="claim-page", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def show(self, shown: Shown) -> None:
        self._shown = shown

    def as_json(self) -> bytes:
        return json.dumps(asdict(self._shown)).encode()

    def as_html(self) -> bytes:
        shown, words = self._shown, claim_words(self._language)
        state = words.states.get(shown.state, shown.state)
        fingerprint = shown.fingerprint
        half = len(fingerprint) // 2
        return PAGE.format(
            language=self._language,
            refresh=REFRESH_SECONDS,
            code=_symbol(shown.address) if shown.state in ("waiting", "signing") else "",
            scan=words.scan,
            words=html.escape(shown.code.replace("-", " ")),
            compare=words.compare,
            fingerprint=f"{html.escape(fingerprint[:half])}<br>{html.escape(fingerprint[half:])}",
            state=html.escape(state),
        ).encode()


def _symbol(text: str) -> str:
    """Return the QR code as SVG with its quiet zone, without the XML heading."""
    made = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode).to_svg()
    return made[made.index("<svg") :].replace("<svg ", '<svg role="img" aria-label="QR" viewBox="0 0 {0} {0}" '.format(
        made.split('width="', 1)[1].split('"', 1)[0]
    ), 1)  # fmt: skip


def _handler_of(page: ClaimPage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            bodies = {
                "/screen": ("text/html; charset=utf-8", page.as_html),
                "/claim.json": ("application/json", page.as_json),
            }
            found = bodies.get(self.path)
            self.send_response(200 if found else 404)
            body = found[1]() if found else b""
            self.send_header("content-type", found[0] if found else "text/plain")
            self.send_header("content-length", str(len(body)))
            self.send_header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'")
            self.send_header("cache-control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            del format, args  # a screen that asks every two seconds would fill the log

    return Handler
