"""The daemon's own log: lines with a timestamp, or records with a priority for systemd's journal."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from backfilld.api.auth.token_redaction import redacted
from backfilld.state.formatting import format_utc

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


def handler(environment: Mapping[str, str] = os.environ) -> logging.Handler:
    """A handler for stderr, whose lines the journal stores with their priority if stderr is the journal."""
    made = logging.StreamHandler()
    made.setFormatter(JournalFormatter() if _is_journal(environment) else LineFormatter())
    return made


def error_lines(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """A text for stderr, with the priority of an error before each line if stderr is the journal."""
    return _with_priority(text, logging.ERROR) if _is_journal(environment) else text


class LineFormatter(logging.Formatter):
    """Lines with a timestamp in UTC. Tokens are removed."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """The time of the record, such as `2021-10-19T12:00:00Z`."""
        return format_utc(record.created)

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, or more with a traceback."""
        return redacted(super().format(record))


class JournalFormatter(logging.Formatter):
    """Lines that begin with a priority (sd-daemon(3)). The journal has the time. Tokens are removed."""

    def __init__(self) -> None:
        super().__init__("%(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The record with its priority before each line, as the journal takes each for an entry."""
        return _with_priority(redacted(super().format(record)), record.levelno)


def _with_priority(text: str, level: int) -> str:
    priority = next((number for least, number in _PRIORITIES if level >= least), 7)
    return "\n".join(f"<{priority}>{line}" for line in text.splitlines())


def _is_journal(environment: Mapping[str, str]) -> bool:
    """Whether JOURNAL_STREAM, which has device and inode, names this process's stderr."""
    facts = os.fstat(2)
    return environment.get("JOURNAL_STREAM") == f"{facts.st_dev}:{facts.st_ino}"
