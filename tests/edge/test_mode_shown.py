"""The mode of the site stands on the gate's screen while nobody is there, and goes when the mode goes."""

import json
from pathlib import Path

import pytest

from edge.feedback import RESTING
from edge.screen import SENTENCES
from protocols import topics
from protocols.documents import Mode
from tests.edge.household import RunningGate, Site
from tests.edge.line import until

pytestmark = pytest.mark.serial


def test_the_screen_says_lockdown_and_open_doors_until_the_mode_is_normal_again(tmp_path: Path) -> None:
    site = Site()
    gate = RunningGate(tmp_path, site)

    def shown() -> str:
        return json.loads(gate.appliance.board._face)["words"]

    for version, mode in enumerate((Mode.LOCKDOWN, Mode.EVACUATE, Mode.FREE), start=1):
        gate.take((topics.MODE, site.mode(mode, version)))
        until(lambda mode=mode: shown() == RESTING[mode].words)
        assert gate.appliance.status()["mode"] == mode.name.lower()
    gate.take((topics.MODE, site.mode(Mode.NORMAL, 4)))
    until(lambda: shown() == "show_code")
    gate.take((topics.MODE, site.mode(Mode.FREE, 3)))  # recorded, and replayed (P48)
    until(lambda: gate.appliance.health.counters.get("alarm_MODE_ROLLBACK"))
    assert shown() == "show_code"
    gate.stop()


def test_every_mode_that_is_shown_has_its_sentence_in_five_languages() -> None:
    for language in ("fr", "en", "ru", "kk", "vi"):
        assert len({SENTENCES[language][feedback.words] for feedback in RESTING.values()}) == len(RESTING)
