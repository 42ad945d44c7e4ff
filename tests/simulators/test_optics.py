"""Pictures of passes: repeatable from a seed, labelled, and spoiled as told and not otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.reader import Reader
from simulators.optics import (
    DISTORTIONS,
    FRAME_HEIGHT_PX,
    FRAME_WIDTH_PX,
    View,
    frames,
    made_up_text,
    preset,
    view_of,
    write_frames,
)

TEXT = made_up_text(1)


def test_the_same_seed_gives_the_same_frame_and_another_seed_another() -> None:
    view = preset("glare", 3)
    assert np.array_equal(view_of(TEXT, view, 3), view_of(TEXT, view, 3))
    assert not np.array_equal(view_of(TEXT, view, 3), view_of(TEXT, view, 4))
    assert preset("glare", 3) == view
    assert preset("glare", 4) != view


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_every_distortion_makes_a_frame_of_the_cameras_size(distortion: str) -> None:
    frame = view_of(TEXT, preset(distortion, 1), 1)
    assert (frame.shape, frame.dtype) == ((FRAME_HEIGHT_PX, FRAME_WIDTH_PX), np.uint8)
    assert frame.std() > 1


def test_a_good_view_is_readable() -> None:
    assert [code.text for code in Reader().read(view_of(TEXT, View(), 1))] == [TEXT]


def test_a_module_in_the_frame_is_as_wide_as_the_view_says() -> None:
    (code,) = Reader().read(view_of(TEXT, View(module_px=5.0), 1))
    (left, top), (right, _), _, (_, bottom) = code.corners
    assert abs((right - left) / 65 - 5.0) < 0.1
    assert abs((bottom - top) / 65 - 5.0) < 0.1


def test_a_phone_out_of_sight_leaves_the_surroundings() -> None:
    nowhere = view_of(TEXT, View(offset_x_px=5_000), 1)
    assert Reader().read(nowhere) == []
    assert nowhere.std() > 5


def test_a_screenshot_is_photographed_as_it_is_with_its_code_held_to_the_middle() -> None:
    screen = np.full((844, 390), 250, np.uint8)
    symbol = cv2.QRCodeEncoder.create().encode("KG1:SCREENSHOT")
    code = np.kron(symbol, np.ones((8, 8), np.uint8))
    screen[100 : 100 + code.shape[0], 80 : 80 + code.shape[1]] = code
    middle = (80 + code.shape[1] / 2, 100 + code.shape[0] / 2)
    frame = view_of(screen, View(rotation_deg=5, module_px=6), 1, aim=middle, screenshot_modules=390 / 8)
    (found,) = Reader().read(frame)
    assert found.text == "KG1:SCREENSHOT"
    x, y = np.array(found.corners).mean(0)
    assert abs(x - FRAME_WIDTH_PX / 2) < 12
    assert abs(y - FRAME_HEIGHT_PX / 2) < 12


def test_frames_take_the_distortions_and_the_texts_in_turn() -> None:
    made = list(frames(4, 1, distortions=["clean", "tilt"], texts=["KG1:A", "KG1:B"]))
    assert [(text, kind) for text, _, kind, _ in made] == [
        ("KG1:A", "clean"),
        ("KG1:B", "tilt"),
        ("KG1:A", "clean"),
        ("KG1:B", "tilt"),
    ]


def test_a_folder_of_frames_has_a_label_for_each_picture(tmp_path: Path) -> None:
    assert write_frames(tmp_path / "frames", 3, 7, ["cracks"]) == 3
    labels = [json.loads(line) for line in (tmp_path / "frames" / "labels.jsonl").read_text().splitlines()]
    assert sorted(label["file"] for label in labels) == sorted(
        path.name for path in (tmp_path / "frames").glob("*.png")
    )
    for label in labels:
        picture = cv2.imread(str(tmp_path / "frames" / label["file"]), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        assert np.array_equal(
            picture, view_of(label["text"], View(**label["view"]), 7 * 1_000_003 + labels.index(label))
        )


def test_a_distortion_nobody_knows_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such distortion: fog; one of clean"):
        write_frames(tmp_path / "frames", 3, 7, ["clean", "fog"])
    assert not (tmp_path / "frames").exists()
