"""The daemon's log: one timestamp with its zone, or priorities for the journal, which has the time."""

import logging
import os
import re

import pytest

from backfilld.api.cli import logging_config
from backfilld.api.cli.logging_config import JournalFormatter, LineFormatter, error_lines


def record(level: int, message: str) -> logging.LogRecord:
    return logging.LogRecord("backfilld", level, "file", 1, message, None, None)


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, 7), (logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3), (logging.CRITICAL, 2)],
)
def test_the_journal_gets_the_priority_of_every_line_and_no_second_time(level: int, priority: int) -> None:
    text = JournalFormatter().format(record(level, "first\nsecond"))
    assert text == f"<{priority}>backfilld: first\n<{priority}>second"


def test_a_line_has_one_time_in_utc() -> None:
    line = LineFormatter().format(record(logging.WARNING, "it rains"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ WARNING backfilld: it rains", line)


def test_only_a_stderr_that_is_the_journal_gets_priorities() -> None:
    facts = os.fstat(2)
    journal = {"JOURNAL_STREAM": f"{facts.st_dev}:{facts.st_ino}"}
    assert isinstance(logging_config.handler(journal).formatter, JournalFormatter)
    # Such as a terminal, or a file into which the service's output is redirected
    assert isinstance(logging_config.handler({"JOURNAL_STREAM": "8:1"}).formatter, LineFormatter)
    assert isinstance(logging_config.handler({}).formatter, LineFormatter)


def test_what_ends_the_command_is_an_error_in_the_journal_and_plain_elsewhere() -> None:
    facts = os.fstat(2)
    journal = {"JOURNAL_STREAM": f"{facts.st_dev}:{facts.st_ino}"}
    assert (
        error_lines("backfilld: a.toml: first\nsecond", journal) == "<3>backfilld: a.toml: first\n<3>second"
    )
    assert error_lines("backfilld: a.toml: first\nsecond", {}) == "backfilld: a.toml: first\nsecond"


def test_no_token_reaches_the_journal() -> None:
    token = "bfd_" + "a" * 43
    assert token not in JournalFormatter().format(record(logging.INFO, f"Bearer {token}"))
