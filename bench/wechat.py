"""WeChat's reader as a peer, in a process and a virtual environment of its own.

It comes with opencv-contrib-python-headless only, which puts the same `cv2` into the same place as the
opencv-python-headless that a gate has: both in one environment overwrite each other. So the bench makes a small one
inside `.venv` (once; it goes with it), and frames go to a child that has nothing else.
Responsible for: that environment, the child, its answers and the milliseconds it took by its own clock. Where it
cannot be installed the bench says so and goes on. The other interpreter runs this file too: standard library only.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ENVIRONMENT = Path(__file__).resolve().parent.parent / ".venv" / "wechat"
PACKAGES = ("opencv-contrib-python-headless==5.0.0.93", "numpy>=2")
INSTALL_SECONDS_MAX = 300
HEADER = struct.Struct("<II")  # height, width; then as many bytes of luma


class WeChat:
    """A child that reads frames. ms: what the last one took it."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self.ms = 0.0

    def __call__(self, luma: Any) -> list[str]:
        """luma: a contiguous array of bytes, height by width. Raises ValueError where the child has died."""
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write(HEADER.pack(*luma.shape) + luma.tobytes())
        self._child.stdin.flush()
        answer = self._child.stdout.readline()
        if not answer:
            raise ValueError("WeChat's reader has died")
        told = json.loads(answer)
        self.ms = told["ms"]
        return told["texts"]

    def close(self) -> None:
        """End the child, which ends with its input."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait(10)


def start() -> WeChat | None:
    """The peer, or None (with the reason on standard error) where it cannot be installed here."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / "installed").exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True, timeout=60)
            install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
            subprocess.run(install, check=True, timeout=INSTALL_SECONDS_MAX, stdout=sys.stderr)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"bench: WeChat's reader is left out, {PACKAGES[0]} was not installed: {error}", file=sys.stderr)
            return None
        (ENVIRONMENT / "installed").touch()
    child = subprocess.Popen([str(python), __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return WeChat(child)


def main() -> int:
    """The child: frames in, one JSON line each out."""
    import cv2  # here, for the parent has another one
    import numpy as np

    cv2.setNumThreads(1)
    contrib: Any = cv2
    reader = contrib.wechat_qrcode.WeChatQRCode()
    while len(head := sys.stdin.buffer.read(HEADER.size)) == HEADER.size:
        height, width = HEADER.unpack(head)
        luma = np.frombuffer(sys.stdin.buffer.read(height * width), np.uint8).reshape(height, width)
        began = time.perf_counter()
        try:
            texts = list(reader.detectAndDecode(luma)[0])
        except (cv2.error, UnicodeDecodeError):
            texts = []
        print(json.dumps({"texts": texts, "ms": (time.perf_counter() - began) * 1000.0}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
