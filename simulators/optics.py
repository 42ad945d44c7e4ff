"""A pass as a camera sees it: one picture of a phone's screen, spoiled in the ways a morning spoils it.

Responsible for: drawing a QR code (from a text, by segno) or a screenshot on a phone, and photographing it: geometry,
glass, lens, light, sensor, each distortion a field of one frozen `View`, everything repeatable from a seed; presets
named after the distortion; whole folders of labelled frames. Films of arrivals are made of such frames by films.py.
Not responsible for: what the text means (simulators/phones) and reading it back (edge/reader.py, never imported here).

Frames are 1280 x 720 luma, uint8. Lengths ending in `_px` are pixels of the frame; the distance of the phone is
`module_px`, the width of one QR module in the frame (a pass is version 12: 65 modules, issue 3's frontier is 2.3-3.5).
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import segno
from numpy.typing import NDArray

from simulators import glass

Luma = NDArray[np.uint8]
Plane = NDArray[np.float32]

FRAME_WIDTH_PX = 1280
FRAME_HEIGHT_PX = 720
FOCAL_PX = 1100.0  # a 60 degree lens on 1280 px, the Camera Module 3 class
SUPERSAMPLING = 2  # the scene is projected at twice the frame's size, then averaged as photosites do
SCREENSHOT_MODULES = 84.0  # how many modules of a pass fit across the screen when its picture is given
BASE45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
FRAMES_MAX = 100_000  # a folder of frames is finite


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One look at one phone. The defaults are a good morning: near, straight, sharp, well lit."""

    # where the phone is
    module_px: float = 4.5
    rotation_deg: float = 0.0
    tilt_x_deg: float = 0.0
    tilt_y_deg: float = 0.0
    offset_x_px: float = 0.0
    offset_y_px: float = 0.0
    mirrored: bool = False
    # what its screen shows
    level: str = "M"
    quiet_zone_modules: float = 4.0
    dark_mode: bool = False  # a dark page around the card
    inverted: bool = False  # light modules on a dark card
    brightness: float = 1.0  # of the screen's white; 0.3 is a dim screen
    flare: float = 0.0  # light the glass reflects everywhere: lifts the black
    # its glass, and what covers it
    cracks: int = 0
    finger: float = 0.0  # share of the symbol's width that a finger covers, from one side
    glare: float = 0.0  # 0 none, 1 a lamp's full reflection
    glare_radius_modules: float = 9.0
    moire: float = 0.0  # amplitude of the screen grid's beat with the sensor
    moire_px: float = 9.0  # its wavelength
    grid: float = 0.0  # the screen's own dark grid, where the camera is near enough to see it
    # the camera
    softness_px: float = 0.6  # standard deviation of what a good lens and demosaicing blur even in focus
    defocus_px: float = 0.0  # radius of the disc of confusion
    motion_px: float = 0.0  # length of the smear
    motion_deg: float = 0.0
    light: float = 1.0  # exposure; under 1 too little light, over 1 too much
    noise: float = 1.5  # standard deviation of the sensor's noise at mid grey, in luma steps
    bands: float = 0.0  # depth of the bands that a dimmed screen's PWM leaves on a rolling shutter
    bands_px: float = 60.0


def view_of(
    source: str | Luma,
    view: View,
    seed: int,
    *,
    aim: tuple[float, float] | None = None,
    screenshot_modules: float = SCREENSHOT_MODULES,
) -> Luma:
    """Return the frame a gate's camera takes of `source`: a text drawn as a QR code, or a screenshot in luma.

    aim: the point of the screenshot that is held to the middle (default: its centre). screenshot_modules: its width
    in modules of the code it shows, so that `module_px` keeps its meaning.
    """
    chance = random.Random(f"{seed}:view")
    grain = np.random.default_rng(abs(hash_of(seed)))
    if isinstance(source, str):
        phone, per_module, centre = _phone_with_code(source, view)
    else:
        phone, per_module, centre = _phone_with_screenshot(source, screenshot_modules, aim)
    screen = _on_the_glass(phone, view, per_module, centre, chance)
    scene, phone_is = _project(screen, view, per_module, centre, _surroundings(grain))
    _flicker(scene, phone_is, view, chance)
    return _develop(_through_the_lens(scene, view), view, grain)


def hash_of(seed: int) -> int:
    """A seed for numpy that differs from its neighbours' in every bit."""
    return (seed * 0x9E3779B97F4A7C15 + 0x1234567) & 0x7FFF_FFFF_FFFF_FFFF


# What is on the screen ---------------------------------------------------------------------------------------------


def _phone_with_code(text: str, view: View) -> tuple[Plane, float, tuple[float, float]]:
    """A phone's front: dark body, page, white card, code. Returns it with pixels a module and the code's centre."""
    code = segno.make(text, error=view.level, boost_error=False, micro=False)
    modules = np.array([[1.0 - bit for bit in row] for row in code.matrix], np.float32)
    if view.inverted:
        modules = 1.0 - modules
    per_module = int(min(16, max(4, math.ceil(view.module_px * SUPERSAMPLING))))
    size = modules.shape[0]
    card = size + 2.0 * view.quiet_zone_modules
    width, height = round((max(card, size + 4) + 6) * per_module), round((size + 8) * 1.9 * per_module)
    page = 0.07 if view.dark_mode else 0.86
    ink, paper = (0.95, 0.04) if view.inverted else (0.04, 1.0)
    phone = np.full((height, width), 0.03, np.float32)
    rim = max(1, round(1.5 * per_module))
    phone[rim * 2 : -rim * 2, rim:-rim] = page
    left, top = (width - size * per_module) // 2, (height - size * per_module) // 2
    quiet = round(view.quiet_zone_modules * per_module)
    phone[top - quiet : top + size * per_module + quiet, left - quiet : left + size * per_module + quiet] = paper
    drawn = np.repeat(np.repeat(modules, per_module, 0), per_module, 1)
    drawn = drawn * (1.0 - 0.04) + 0.04 if view.inverted else drawn * (paper - ink) + ink
    phone[top : top + size * per_module, left : left + size * per_module] = drawn
    glass.write_words(phone, top - quiet, per_module, page)
    return phone, float(per_module), (width / 2.0, height / 2.0)


def _phone_with_screenshot(
    picture: Luma, across: float, aim: tuple[float, float] | None
) -> tuple[Plane, float, tuple[float, float]]:
    """A screenshot inside a dark body; its pixels stay as they are."""
    rim = max(2, round(picture.shape[1] * 0.03))
    phone = np.full((picture.shape[0] + 2 * rim, picture.shape[1] + 2 * rim), 0.03, np.float32)
    phone[rim:-rim, rim:-rim] = picture.astype(np.float32) / 255.0
    x, y = aim or (picture.shape[1] / 2.0, picture.shape[0] / 2.0)
    return phone, picture.shape[1] / across, (x + rim, y + rim)


def _on_the_glass(
    phone: Plane, view: View, per_module: float, centre: tuple[float, float], chance: random.Random
) -> Plane:
    """The screen's brightness and grid, then cracks, a finger and reflections, all fixed to the phone."""
    screen = phone * view.brightness
    if view.grid > 0:
        rows, columns = (np.arange(n, dtype=np.float32) for n in screen.shape)
        pitch = max(2.0, per_module / 3.0)  # near enough to see three screen pixels a module
        screen *= 1.0 - view.grid * ((columns % pitch) < pitch * 0.3)[None, :]
        screen *= 1.0 - view.grid * ((rows % pitch) < pitch * 0.3)[:, None]
    for _ in range(view.cracks):
        glass.crack(screen, per_module, centre, chance)
    if view.finger > 0:
        glass.finger(screen, view.finger, per_module, centre, chance)
    if view.glare > 0:
        glass.glare(screen, view.glare, view.glare_radius_modules, per_module, centre, chance)
    return screen + view.flare if view.flare > 0 else screen


# Where the phone is ------------------------------------------------------------------------------------------------


def _surroundings(grain: np.random.Generator) -> Plane:
    """A blurred school entrance behind the phone: big soft shapes and a few hard edges."""
    coarse = grain.uniform(0.12, 0.75, (6, 10)).astype(np.float32)
    back = cv2.resize(coarse, (FRAME_WIDTH_PX, FRAME_HEIGHT_PX), interpolation=cv2.INTER_LINEAR)
    for _ in range(5):
        x, y = int(grain.integers(0, FRAME_WIDTH_PX)), int(grain.integers(0, FRAME_HEIGHT_PX))
        w, h = int(grain.integers(10, 200)), int(grain.integers(10, 300))
        cv2.rectangle(back, (x, y), (x + w, y + h), float(grain.uniform(0.1, 0.8)), -1)
    return np.asarray(cv2.blur(back, (5, 5)), np.float32)


def _project(
    screen: Plane, view: View, per_module: float, centre: tuple[float, float], back: Plane
) -> tuple[Plane, Plane]:
    """Turn, tilt and place the phone in space before the surroundings; return the scene and where the phone is."""
    matrix = _homography(view, per_module, centre)
    height, width = screen.shape
    rim = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float64)
    outline = cv2.perspectiveTransform(rim, matrix)[0]
    left, top = np.clip(np.floor(outline.min(0)) - 2, 0, (FRAME_WIDTH_PX, FRAME_HEIGHT_PX)).astype(int)
    right, bottom = np.clip(np.ceil(outline.max(0)) + 2, 0, (FRAME_WIDTH_PX, FRAME_HEIGHT_PX)).astype(int)
    mask = np.zeros((FRAME_HEIGHT_PX, FRAME_WIDTH_PX), np.float32)
    if right - left < 2 or bottom - top < 2:
        return back, mask  # the phone is out of the picture
    cv2.fillConvexPoly(mask, np.round(outline * 16).astype(np.int32), 1.0, cv2.LINE_AA, 4)
    up = np.diag([SUPERSAMPLING, SUPERSAMPLING, 1.0]) @ np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1.0]])
    big = (int(right - left) * SUPERSAMPLING, int(bottom - top) * SUPERSAMPLING)
    warped = cv2.warpPerspective(screen, up @ matrix, big, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    small = cv2.resize(warped, (int(right - left), int(bottom - top)), interpolation=cv2.INTER_AREA)
    there = mask[top:bottom, left:right]
    back[top:bottom, left:right] += there * (small - back[top:bottom, left:right])
    return back, mask


def _homography(view: View, per_module: float, centre: tuple[float, float]) -> NDArray[np.float64]:
    """Pixels of the screen's picture to pixels of the frame: turn, tilt, place, then a pinhole."""
    turn, over, aside = (math.radians(a) for a in (view.rotation_deg, view.tilt_x_deg, view.tilt_y_deg))
    roll = np.array([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    pitch = np.array([[1, 0, 0], [0, math.cos(over), -math.sin(over)], [0, math.sin(over), math.cos(over)]])
    yaw = np.array([[math.cos(aside), 0, math.sin(aside)], [0, 1, 0], [-math.sin(aside), 0, math.cos(aside)]])
    spun = pitch @ yaw @ roll
    flip = -1.0 if view.mirrored else 1.0
    across = np.array([flip / per_module, 0, -flip * centre[0] / per_module])
    down = np.array([0, 1 / per_module, -centre[1] / per_module])
    plane = np.stack((across, down, np.array([0.0, 0.0, 1.0])))
    distance = FOCAL_PX / view.module_px
    place = np.column_stack((spun[:, 0], spun[:, 1], np.array([0, 0, distance])))
    middle = (FRAME_WIDTH_PX / 2 + view.offset_x_px, FRAME_HEIGHT_PX / 2 + view.offset_y_px)
    camera = np.array([[FOCAL_PX, 0, middle[0]], [0, FOCAL_PX, middle[1]], [0, 0, 1]])
    return camera @ place @ plane


# Lens, light, sensor -----------------------------------------------------------------------------------------------


def _flicker(scene: Plane, phone_is: Plane, view: View, chance: random.Random) -> None:
    """What only the screen's own light does: beat with the sensor's grid, and pulse while the shutter rolls."""
    if view.moire > 0:
        scene *= 1.0 - phone_is * (1.0 - _beat(view, chance))
    if view.bands > 0:
        rows = np.arange(FRAME_HEIGHT_PX, dtype=np.float32)
        wave = np.clip(1.6 * np.sin(2 * math.pi * rows / view.bands_px + chance.uniform(0, 6.28)), -1, 1)
        scene *= 1.0 - phone_is * (view.bands * (0.5 + 0.5 * wave))[:, None]


def _through_the_lens(scene: Plane, view: View) -> Plane:
    """The lens at its best, defocus, then the smear of a moving hand."""
    if view.softness_px > 0:
        scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), view.softness_px), np.float32)
    if view.defocus_px > 0.3:
        scene = np.asarray(cv2.filter2D(scene, -1, _disc(view.defocus_px)), np.float32)
    if view.motion_px > 0.7:
        scene = np.asarray(cv2.filter2D(scene, -1, _smear(view.motion_px, view.motion_deg)), np.float32)
    return scene


def _beat(view: View, chance: random.Random) -> Plane:
    """Moire: the screen's grid beating with the sensor's, two crossed waves a little curved."""
    rows = np.arange(FRAME_HEIGHT_PX, dtype=np.float32)[:, None]
    columns = np.arange(FRAME_WIDTH_PX, dtype=np.float32)[None, :]
    angle, wave = chance.uniform(0, math.pi), 2 * math.pi / view.moire_px
    along = columns * math.cos(angle) + rows * math.sin(angle)
    across = rows * math.cos(angle) - columns * math.sin(angle)
    bend = 0.0004 * chance.uniform(-1, 1) * across * across / view.moire_px
    waves = np.sin(wave * along + bend) + 0.6 * np.sin(wave * 0.83 * across)
    return (1.0 - view.moire * (0.5 + 0.31 * waves)).astype(np.float32)


def _disc(radius: float) -> Plane:
    """A disc of confusion with a soft edge."""
    half = math.ceil(radius)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return kernel / kernel.sum()


def _smear(length: float, degrees: float) -> Plane:
    """A straight smear of that length, antialiased."""
    half = math.ceil(length / 2) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    steps = max(3, round(length * 8))
    angle = math.radians(degrees)
    for i in range(steps):
        t = (i / (steps - 1) - 0.5) * length
        x, y = half + t * math.cos(angle), half + t * math.sin(angle)
        x0, y0 = math.floor(x), math.floor(y)
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            kernel[y0 + dy, x0 + dx] += (1 - abs(x - x0 - dx)) * (1 - abs(y - y0 - dy))
    return kernel / kernel.sum()


def _develop(scene: Plane, view: View, grain: np.random.Generator) -> Luma:
    """Exposure, bloom, noise (more of it where there is more light) and the sensor's eight bits."""
    exposed = scene * np.float32(view.light)
    if view.light > 1.2:
        excess = np.clip(exposed - 1.0, 0, None)
        exposed += 0.5 * np.asarray(cv2.GaussianBlur(excess, (0, 0), 6.0))
    exposed = np.clip(exposed, 0, 1) * np.float32(235.0) + np.float32(8.0)
    if view.noise > 0:
        spread = np.float32(view.noise) * np.sqrt(0.4 + exposed * np.float32(1 / 220.0))
        exposed += spread * grain.standard_normal(exposed.shape, dtype=np.float32)
    return np.clip(exposed, 0, 255).astype(np.uint8)


# Presets -----------------------------------------------------------------------------------------------------------


def held(chance: random.Random) -> View:
    """How people hold a phone to a camera: near enough, hardly straight, a little out of the middle."""
    return View(
        module_px=chance.uniform(3.6, 5.4),
        rotation_deg=chance.gauss(0, 7),
        tilt_x_deg=chance.gauss(0, 7),
        tilt_y_deg=chance.gauss(0, 7),
        offset_x_px=chance.uniform(-180, 180),
        offset_y_px=chance.uniform(-90, 90),
        defocus_px=chance.uniform(0.0, 0.8),
        motion_px=chance.uniform(0.0, 1.2),
        motion_deg=chance.uniform(0, 180),
        noise=chance.uniform(1, 4),
        brightness=chance.uniform(0.7, 1.0),
        dark_mode=chance.random() < 0.3,
    )


def _spoiled(distortion: str, view: View, chance: random.Random) -> View:
    """Put one named distortion into a view, from mild to as hard as a bad morning makes it."""
    hard = chance.random()
    sign = chance.choice((-1, 1))
    match distortion:
        case "clean":
            return view
        case "tilt":
            return replace(view, tilt_x_deg=sign * (20 + 25 * hard), tilt_y_deg=chance.uniform(-35, 35))
        case "rotation":
            return replace(view, rotation_deg=chance.uniform(-180, 180))
        case "motion":
            return replace(view, motion_px=view.module_px * (0.5 + 1.9 * hard))
        case "defocus":
            return replace(view, defocus_px=1.2 + 2.4 * hard)
        case "moire":
            return replace(view, moire=0.25 + 0.5 * hard, moire_px=chance.uniform(3, 24), grid=0.5 * hard)
        case "glare":
            return replace(view, glare=0.5 + 0.7 * hard, glare_radius_modules=chance.uniform(4, 12))
        case "low_light":
            return replace(view, light=0.35 - 0.29 * hard, noise=2.5 + 3.0 * hard)
        case "bands":
            return replace(view, bands=0.4 + 0.5 * hard, bands_px=chance.uniform(16, 140), brightness=0.6)
        case "over_exposed":
            return replace(view, light=1.3 + 1.0 * hard, flare=0.04 + 0.08 * hard)
        case "cracks":
            return replace(view, cracks=1 + round(3 * hard))
        case "finger":
            return replace(view, finger=0.02 + 0.2 * hard)
        case "dark_mode":
            return replace(view, dark_mode=True, quiet_zone_modules=chance.choice((1.0, 2.0, 4.0)), flare=0.1 * hard)
        case "inverted":
            return replace(view, inverted=True, dark_mode=True, quiet_zone_modules=chance.choice((2.0, 4.0)))
        case "quiet_zone":
            return replace(view, quiet_zone_modules=chance.choice((0.0, 0.5, 1.0)), dark_mode=chance.random() < 0.5)
        case "distance":
            return replace(view, module_px=3.2 - 1.7 * hard, defocus_px=0.3, motion_px=0.0)
        case "dim_screen":
            return replace(view, brightness=0.3 - 0.23 * hard, flare=0.02 + 0.13 * hard, noise=3.0)
    raise ValueError(f"no such distortion: {distortion}; one of {', '.join(DISTORTIONS)}")


DISTORTIONS: tuple[str, ...] = (
    "clean", "tilt", "rotation", "motion", "defocus", "moire", "glare", "low_light", "bands",
    "over_exposed", "cracks", "finger", "dark_mode", "inverted", "quiet_zone", "distance", "dim_screen",
)  # fmt: skip


def preset(distortion: str, seed: int) -> View:
    """A hand-held view with one named distortion. Raises ValueError naming the distortions that exist."""
    chance = random.Random(f"{seed}:{distortion}")
    return _spoiled(distortion, held(chance), chance)


def made_up_text(seed: int) -> str:
    """A text shaped like a pass (KG1, base45, 388 to 409 characters), signed by nobody."""
    chance = random.Random(f"{seed}:text")
    return "KG1:" + "".join(chance.choices(BASE45, k=chance.choice((384, 395, 405))))


# Folders -------------------------------------------------------------------------------------------------


def frames(
    count: int, seed: int, distortions: Sequence[str] | None = None, texts: Sequence[str] | None = None
) -> Iterator[tuple[str, View, str, Luma]]:
    """Yield (text, view, distortion, frame): the distortions in turn, the texts in turn, all from one seed."""
    kinds = tuple(distortions or DISTORTIONS)
    for index in range(min(count, FRAMES_MAX)):
        one = seed * 1_000_003 + index
        kind = kinds[index % len(kinds)]
        text = texts[index % len(texts)] if texts else made_up_text(one)
        view = preset(kind, one)
        yield text, view, kind, view_of(text, view, one)


def write_frames(
    directory: Path,
    count: int,
    seed: int,
    distortions: Sequence[str] | None = None,
    texts: Sequence[str] | None = None,
) -> int:
    """Write `count` frames as PNG with `labels.jsonl` beside them (file, text, distortion, view); return how many.

    Raises ValueError for a distortion that does not exist, before anything is written.
    """
    for kind in distortions or ():
        preset(kind, 0)
    directory.mkdir(parents=True, exist_ok=True)
    written = 0
    with (directory / "labels.jsonl").open("w", encoding="utf-8") as labels:
        for text, view, kind, frame in frames(count, seed, distortions, texts):
            name = f"{seed}-{written:05d}-{kind}.png"
            (directory / name).write_bytes(png(frame))
            labels.write(json.dumps({"file": name, "text": text, "distortion": kind, "view": asdict(view)}) + "\n")
            written += 1
    return written


def png(frame: Luma) -> bytes:
    done, coded = cv2.imencode(".png", frame, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done, "a luma frame always fits a PNG"
    return coded.tobytes()
