"""One record is one line, whatever is logged (HOSTILE P18, P20)."""

import io
import json
import logging

import pytest

from cloud.kit.logs import JsonLines


@pytest.fixture
def log() -> tuple[logging.Logger, io.StringIO]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines())
    logger = logging.Logger("portillon.test")
    logger.addHandler(handler)
    return logger, written


@pytest.mark.parametrize(
    "value", ['x\n{"level": "ERROR", "message": "forged"}', "\x1b[2Jowned", "Ann\u202egnp.exe", '"}, {"', "\u2028", "é"]
)
def test_p18_p20_a_logged_value_is_one_line_of_json_and_moves_no_terminal(
    log: tuple[logging.Logger, io.StringIO], value: str
) -> None:
    logger, written = log
    logger.warning("rule broken: %s", value)
    [line] = written.getvalue().splitlines()
    assert json.loads(line)["message"] == f"rule broken: {value}"
    assert line.isascii() and line.isprintable()


def test_p18_a_fault_with_its_trace_is_one_line_too(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logger.exception("it broke")
    [line] = written.getvalue().splitlines()
    assert "two\nlines" in json.loads(line)["trace"]
