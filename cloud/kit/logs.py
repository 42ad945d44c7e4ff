"""What the cloud's processes write to standard error: one JSON object a line, whatever a message holds.

Responsible for: that a newline, an escape sequence or a right-to-left mark in a logged value never makes a line of
its own nor moves a terminal (HOSTILE P18, P20). Not responsible for: what may be logged: codes and numbers, no names.
"""

import json
import logging
import sys


class JsonLines(logging.Formatter):
    """One record, one line of ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        told = {"at": round(record.created, 3), "level": record.levelname, "name": record.name}
        told["message"] = record.getMessage()
        if record.exc_info:
            told["trace"] = self.formatException(record.exc_info)
        return json.dumps(told)


def begin_logging() -> None:
    """Send everything from INFO up to standard error."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[lines])
