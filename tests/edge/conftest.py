"""What the gate's tests may ask for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.line import Mosquitto


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker of its own, gone with the test."""
    broker = Mosquitto(tmp_path)
    yield broker
    broker.kill()
