"""One gate's computer a test process."""

from collections.abc import Iterator

import pytest

from tests.firmware.target import Target, a_target


@pytest.fixture(scope="session")
def target() -> Iterator[Target]:
    with a_target() as made:
        yield made
