"""A camera that cannot see is noticed within ten seconds, and one that can is left alone (hostile case P39)."""

import numpy as np
import pytest

from edge.exposure import EXPOSURE_MICROSECONDS_MAX, GAIN_MAX, Setting, advise
from edge.frames import coarse_view
from edge.lookout import BLACK, COVERED, FROZEN, SATURATED, Lookout
from simulators.optics import View, made_up_text, view_of

NIGHT = np.random.default_rng(1)


def watched(frames: list[np.ndarray], seconds: float = 0.5) -> list[str | None]:
    lookout = Lookout()
    return [lookout.look(coarse_view(frame), n * seconds) for n, frame in enumerate(frames)]


def noisy(level: int, spread: float, count: int) -> list[np.ndarray]:
    return [np.clip(NIGHT.normal(level, spread, (720, 1280)), 0, 255).astype(np.uint8) for _ in range(count)]


@pytest.mark.parametrize(
    ("level", "spread", "state"), [(3, 1.5, BLACK), (255, 0.5, SATURATED), (40, 1.5, COVERED), (120, 2.0, COVERED)]
)
def test_p39_a_blind_view_is_named_after_ten_seconds_and_not_before(level: int, spread: float, state: str) -> None:
    states = watched(noisy(level, spread, 25))
    assert states[:20] == [None] * 20
    assert set(states[20:]) == {state}


def test_p39_a_picture_that_repeats_to_the_pixel_is_frozen() -> None:
    frame = view_of(made_up_text(1), View(), 1)
    assert watched([frame] * 25)[-1] == FROZEN


def test_a_quiet_entrance_with_sensor_noise_is_seen_for_an_hour() -> None:
    scenes = [view_of(made_up_text(1), View(offset_x_px=5000.0, light=0.5, noise=2.0), seed) for seed in (1, 2, 3)]
    assert set(watched([scenes[n % 3] for n in range(240)], seconds=15.0)) == {None}


def test_a_view_that_clears_is_forgiven_at_once() -> None:
    lookout = Lookout()
    for n, frame in enumerate(noisy(3, 1.5, 25)):
        lookout.look(coarse_view(frame), n * 0.5)
    assert lookout.look(coarse_view(view_of(made_up_text(1), View(), 1)), 13.0) is None


@pytest.mark.parametrize("light", [0.15, 0.4, 1.0, 1.8])
def test_a_few_steps_bring_the_code_to_a_light_that_reads(light: float) -> None:
    """The scene's light is fixed; what the sensor collects follows exposure and gain."""
    setting = Setting()
    collected = 0.0
    for _ in range(5):
        collected = light * setting.light / Setting().light
        frame = view_of(made_up_text(1), View(light=collected), 1)[260:460, 540:740]
        setting = advise(frame, setting).setting
    assert 0.5 <= collected <= 1.3


def test_time_is_bounded_by_a_hands_smear_and_gain_by_noise() -> None:
    setting = Setting()
    for _ in range(20):
        setting = advise(np.full((100, 100), 5, np.uint8), setting).setting
    assert (setting.exposure_us, setting.gain) == (EXPOSURE_MICROSECONDS_MAX, GAIN_MAX)


def test_a_blurred_code_hints_at_its_distance_and_a_sharp_one_at_nothing() -> None:
    sharp = view_of(made_up_text(1), View(), 1)[260:460, 540:740]
    blurred = view_of(made_up_text(1), View(defocus_px=6.0), 1)[260:460, 540:740]
    assert advise(sharp, Setting()).hint is None
    assert advise(blurred, Setting()).hint == "closer_or_farther"
