"""The light that a camera is told to take: from the code in view, seldom, never stuck with what one phone needed."""

from __future__ import annotations

import numpy as np

from edge.exposure import EXPOSURE_MICROSECONDS_MAX, GAIN_MAX, Meter, Setting
from simulators.optics import View, made_up_text, view_of

CODE = [(540, 260), (740, 260), (740, 460), (540, 460)]


def a_view(luma: int) -> np.ndarray:
    return np.full((720, 1280), luma, np.uint8)


def started(at: float = 0.0) -> Meter:
    meter = Meter()
    assert meter.look(a_view(120), (), at) == Setting()
    return meter


def test_a_camera_is_told_at_its_opening_where_to_start() -> None:
    assert started().setting == Setting()


def test_the_camera_is_told_at_most_four_times_a_second() -> None:
    meter = started()
    told = [meter.look(a_view(10), CODE, 0.25 + n / 60) for n in range(60)]
    assert sum(setting is not None for setting in told) <= 4


def test_what_is_around_a_code_does_not_count() -> None:
    bright_door = a_view(255)
    bright_door[260:460, 540:740] = 190
    assert started().look(bright_door, CODE, 1.0) is None


def test_a_code_in_good_light_is_left_alone() -> None:
    assert started().look(view_of(made_up_text(1), View(light=0.85), 1), CODE, 1.0) is None


def test_the_setting_for_a_code_stays_for_a_second_after_it_has_left() -> None:
    meter = started()
    assert meter.look(a_view(255), CODE, 1.0) is not None
    assert meter.look(a_view(20), (), 1.9) is None


def test_after_a_bright_screen_a_dark_view_is_lit_again() -> None:
    meter = started()
    for n in range(4):
        meter.look(a_view(255), CODE, 1.0 + n)
    dimmed = meter.setting
    for n in range(12):
        meter.look(a_view(20), (), 10.0 + n)
    assert dimmed.light < Setting().light / 4
    assert (meter.setting.exposure_us, meter.setting.gain) == (EXPOSURE_MICROSECONDS_MAX, GAIN_MAX)


def test_corners_outside_the_frame_or_in_one_point_are_no_fault() -> None:
    for corners in ([(-50, -50), (40, -50), (40, 40), (-50, 40)], [(9, 9)] * 4, [(5000, 5000)] * 4):
        meter = started()
        meter.look(a_view(10), corners, 1.0)
        meter.look(np.zeros((8, 8), np.uint8), (), 9.0)
