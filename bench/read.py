"""The reader against its peers: the same frames, the same run, reads and milliseconds.

Responsible for: generated frames of every distortion (simulators/optics.py, one seed), the photographs in
`../shared/photos` where that folder is beside the checkout, films of arriving phones, an empty view; our reader,
zxing-cpp as it comes and for QR only, pyzbar, OpenCV's two detectors, WeChat's (bench/wechat.py). Every reader has one
thread and the same frame before the next one is shown; a frame counts as its median over three reads. Prints one JSON
document (bench/run.py shows it). Outside the four houses, because it needs two of them.
Not responsible for: what is read from frames of our own making being all there is: see the photographs' row.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from bench import wechat
from edge.reader import IMAGE_BUDGET_MS, Reader
from simulators import films, optics

Luma = NDArray[np.uint8]
Peer = Callable[[Luma], list[str]]

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = ROOT.parent / "shared" / "photos"
OURS = "portillon"
EMPTY_FRAMES = 60
FEW_FRAMES = 5  # of a film: in three of four arrivals a pass is to be read within so many
READS_OF_A_FRAME = 3
LONG_MS = 50.0  # a reader that has spent so long on a frame is not asked again
QR_ONLY = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)


def peers() -> dict[str, Peer]:
    """Every reader that is installed here, ours first."""
    ours = Reader(IMAGE_BUDGET_MS)
    opencv, aruco = cv2.QRCodeDetector(), cv2.QRCodeDetectorAruco()
    found: dict[str, Peer] = {
        OURS: lambda luma: [code.text or code.transcoded for code in ours.read(luma)],
        "zxing QR": lambda luma: _texts(zxingcpp.read_barcodes(luma, formats=QR_ONLY)),
        "zxing all": lambda luma: _texts(zxingcpp.read_barcodes(luma)),
        "OpenCV": lambda luma: list(opencv.detectAndDecodeMulti(luma)[1]),
        "Aruco": lambda luma: list(aruco.detectAndDecodeMulti(luma)[1]),
    }
    try:
        from pyzbar import pyzbar  # here, because its system library may be missing

        only = [pyzbar.ZBarSymbol.QRCODE]
        found["pyzbar"] = lambda luma: [code.data.decode(errors="replace") for code in pyzbar.decode(luma, only)]
    except ImportError:
        print("bench: pyzbar is left out (install the zbar shared library)", file=sys.stderr)
    if (child := wechat.start()) is not None:
        found["WeChat"] = child
    return found


def _texts(symbols: Any) -> list[str]:
    return [symbol.text for symbol in symbols if symbol.valid]


def _generated(seed: int, count: int) -> Iterator[tuple[str, str | None, Luma]]:
    for text, _, distortion, frame in optics.frames(count * len(optics.DISTORTIONS), seed):
        yield distortion, text, frame


def _photographs(folder: Path | None) -> Iterator[tuple[str, str | None, Luma]]:
    if folder is None or not (folder / "labels.jsonl").is_file():
        print(f"bench: no photographs at {folder}: that row is left out", file=sys.stderr)
        return
    for line in (folder / "labels.jsonl").read_text(encoding="utf-8").splitlines():
        label = json.loads(line)
        luma = cv2.imread(str(folder / label["file"]), cv2.IMREAD_GRAYSCALE)
        if luma is not None:
            yield "photographs", label["text"], np.asarray(luma, np.uint8)


class Tally:
    """Reads and milliseconds, by kind of frame and reader."""

    def __init__(self, readers: dict[str, Peer]) -> None:
        self._readers = readers
        self.frames: dict[str, int] = defaultdict(int)
        self.reads: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(readers, 0))
        self.ms: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(readers, 0.0))

    def take(self, kind: str, text: str | None, luma: Luma) -> None:
        self.frames[kind] += 1
        spent: dict[str, list[float]] = {name: [] for name in self._readers}
        for turn in range(READS_OF_A_FRAME):
            for name, read in self._readers.items():
                if sum(spent[name]) > LONG_MS:
                    continue
                texts, ms = _one_read(read, luma)
                spent[name].append(ms)
                if turn == 0:
                    self.reads[kind][name] += any(texts) if text is None else text in texts
        for name, each in spent.items():
            self.ms[kind][name] += float(np.median(each))


def _one_read(read: Peer, luma: Luma) -> tuple[list[str], float]:
    """What one reader says of a frame, and the milliseconds it took (a child's by its own clock)."""
    began = time.perf_counter()
    try:
        texts = read(luma)
    except (cv2.error, UnicodeDecodeError, ValueError):  # a peer that throws has not read
        texts = []
    ms = (time.perf_counter() - began) * 1000.0
    return texts, read.ms if isinstance(read, wechat.WeChat) else ms


def run(photos_dir: Path | None, seed: int, n: int) -> list[list[Any]]:
    """Rows of the table: kind, frames, then for each reader its reads in percent; then means and ratios."""
    return _table(*_measured(photos_dir, seed, n))


def _measured(photos_dir: Path | None, seed: int, n: int) -> tuple[dict[str, Peer], Tally]:
    readers = peers()
    for _, _, luma in _generated(seed + 1, 1):  # caches and lazy tables of every reader
        for read in readers.values():
            _one_read(read, luma)
    tally = Tally(readers)
    for kind, text, luma in _generated(seed, n):
        tally.take(kind, text, luma)
    for kind, text, luma in _photographs(photos_dir):
        tally.take(kind, text, luma)
    return readers, tally


def _table(readers: dict[str, Peer], tally: Tally) -> list[list[Any]]:
    made = [kind for kind in tally.frames if kind != "photographs"]
    rows: list[list[Any]] = []
    for kind in made:
        rows.append([kind, tally.frames[kind], *(_percent(tally, [kind], name) for name in readers)])
    groups = {"generated": made, "photographs": [kind for kind in tally.frames if kind == "photographs"]}
    for title, kinds in groups.items():
        if not kinds:
            continue
        count = sum(tally.frames[kind] for kind in kinds)
        rows.append([f"{title}, %", count, *(_percent(tally, kinds, name) for name in readers)])
        means = {name: sum(tally.ms[kind][name] for kind in kinds) / count for name in readers}
        rows.append([f"{title}, ms", count, *(round(means[name], 2) for name in readers)])
        rows.append([f"{title}, ratio", count, *(round(means[OURS] / means[name], 2) for name in readers)])
    return rows


def _percent(tally: Tally, kinds: list[str], name: str) -> float:
    frames = sum(tally.frames[kind] for kind in kinds)
    return round(100.0 * sum(tally.reads[kind][name] for kind in kinds) / max(1, frames), 1)


def arrivals(seed: int, count: int) -> dict[str, Any]:
    """Arrivals seen as video: in how many frames each pass was read, and what a frame cost."""
    first_read: list[int | None] = []
    spent: list[float] = []
    for one in range(count):
        text, reader, found = optics.made_up_text(seed + one), Reader(), None
        for index, (_, luma) in enumerate(films.stream(text, seed + one), start=1):
            began = time.perf_counter()
            codes = reader.watch(luma)
            spent.append((time.perf_counter() - began) * 1000.0)
            if any(code.text == text for code in codes):
                found = index
                break
        first_read.append(found)
    return {
        "arrivals": count,
        "read_within_5": sum(1 for index in first_read if index is not None and index <= FEW_FRAMES),
        "read_within_16": sum(1 for index in first_read if index is not None),
        "frames_to_read": sorted(index for index in first_read if index is not None),
        "ms_mean": round(float(np.mean(spent)), 2),
        "ms_max": round(max(spent), 2),
    }


def empty_view(seed: int) -> dict[str, float]:
    """A school entrance where nobody stands: what the motion gate saves."""
    grain = np.random.default_rng(seed)
    nobody = optics.View(offset_x_px=4_000.0, noise=0.0)
    scene = optics.view_of(optics.made_up_text(seed), nobody, seed).astype(np.float32)
    seen = [np.clip(scene + grain.normal(0, 2.0, scene.shape), 0, 255).astype(np.uint8) for _ in range(8)]
    reader, plain, gated = Reader(), 0.0, []
    for index in range(EMPTY_FRAMES):
        luma = seen[index % len(seen)]
        began = time.perf_counter()
        zxingcpp.read_barcodes(luma, formats=QR_ONLY)
        middle = time.perf_counter()
        reader.watch(luma)
        plain += middle - began
        gated.append(time.perf_counter() - middle)
    settled = gated[EMPTY_FRAMES // 3 :]
    return {
        "qr_pass_ms": round(1000.0 * plain / EMPTY_FRAMES, 3),
        "gated_ms_median": round(1000.0 * float(np.median(settled)), 4),
        "gated_ms_mean": round(1000.0 * float(np.mean(settled)), 4),
    }


def main() -> int:
    arguments = argparse.ArgumentParser(description="Our reader against its peers, on the same frames.")
    arguments.add_argument("--seed", type=int, default=20_261_121)
    arguments.add_argument("--frames", type=int, default=10, help="generated frames of each distortion")
    arguments.add_argument("--films", type=int, default=40, help="arrivals seen as video")
    arguments.add_argument("--photos", type=Path, default=PHOTOS)
    arguments.add_argument("--json", type=Path, help="write the document here as well")
    chosen = arguments.parse_args()
    began = time.perf_counter()
    readers, tally = _measured(chosen.photos, chosen.seed, chosen.frames)
    film, empty = arrivals(chosen.seed, chosen.films), empty_view(chosen.seed)
    if isinstance(child := readers.get("WeChat"), wechat.WeChat):
        child.close()
    document = {
        "title": "Reading a pass: our reader and its peers",
        "note": (
            "percent read; mean ms; ratio: our time / theirs. "
            f"Films of arrivals: {film['read_within_5']} of {film['arrivals']} read within 5 frames, "
            f"{film['read_within_16']} within 16, {film['ms_mean']} ms a frame. "
            f"Empty view: {empty['gated_ms_median']} ms a frame behind the motion gate, "
            f"{empty['qr_pass_ms']} ms for a QR pass."
        ),
        "columns": ["frames", "n", *readers],
        "rows": _table(readers, tally),
        "films": film,
        "empty_view": empty,
        "seed": chosen.seed,
        "seconds": round(time.perf_counter() - began, 1),
    }
    text = json.dumps(document, indent=2)
    if chosen.json:
        chosen.json.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
