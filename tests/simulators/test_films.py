"""Films of arrivals: blurred at first, still at last, labelled frame by frame, and named in the order of time."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from simulators.films import stream, write_films
from simulators.optics import FRAME_HEIGHT_PX, FRAME_WIDTH_PX, View, made_up_text

TEXT = made_up_text(1)


def test_a_phone_enters_blurred_settles_and_shakes() -> None:
    film = list(stream(TEXT, 5, frame_count=20, settled=View(defocus_px=0.2)))
    views = [view for view, _ in film]
    assert views[0].defocus_px > 4 * views[-1].defocus_px
    assert views[0].motion_px > 4 * views[-1].motion_px
    assert abs(views[-1].offset_x_px) < 8
    assert all(before.offset_x_px != after.offset_x_px for before, after in zip(views[10:], views[11:], strict=False))
    assert all(frame.shape == (FRAME_HEIGHT_PX, FRAME_WIDTH_PX) for _, frame in film)


def test_the_same_seed_gives_the_same_film_and_another_seed_another() -> None:
    first, again, other = (next(iter(stream(TEXT, seed)))[1] for seed in (6, 6, 7))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_folder_of_films_has_a_label_for_each_frame_in_the_order_of_time(tmp_path: Path) -> None:
    assert write_films(tmp_path, 2, 7, ["glare", "dim_screen"], frame_count=2) == 4
    labels = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert [label["file"] for label in labels] == sorted(path.name for path in tmp_path.glob("*.png"))
    assert [(one["arrival"], one["frame"], one["seconds"]) for one in labels] == [
        (0, 0, 0.0), (0, 1, 0.1), (1, 0, 0.0), (1, 1, 0.1),
    ]  # fmt: skip
    assert [one["distortion"] for one in labels] == ["glare", "glare", "dim_screen", "dim_screen"]
    assert len({one["text"] for one in labels}) == 2
    picture = cv2.imread(str(tmp_path / labels[0]["file"]), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    assert picture.shape == (FRAME_HEIGHT_PX, FRAME_WIDTH_PX)


def test_a_distortion_nobody_knows_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such distortion: fog"):
        write_films(tmp_path / "films", 1, 7, ["fog"])
    assert not (tmp_path / "films").exists()
