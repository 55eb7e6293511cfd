"""Output that cannot be written, and readers that end: the command as a process, with files and pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backfilld.demo import environment as demo_environment
from tests.integration.api_world import Api, listening
from tests.timeouts import PATIENCE

FULL = "/dev/full"
SENTENCE = b"backfilld: the output cannot be written: No space left on device; write it elsewhere\n"
NEEDS_NO_DAEMON = ["--help", "pipeline diagram"]
NEEDS_A_DAEMON = ["status", "status --json", "list --csv", "watch --once"]


@pytest.fixture(scope="module")
def pipeline_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_environment.prepare(tmp_path_factory.mktemp("stage") / "demo")


@pytest.fixture
def environment(pipeline_file: Path) -> dict[str, str]:
    return {**os.environ, "BACKFILLD_PIPELINE": str(pipeline_file)}


@pytest.fixture
def served(api: Api, environment: dict[str, str]):
    """The environment of commands that reach a daemon with one finished backfill."""
    api.enqueue("2021-10-28")
    api.world.run()
    with listening(api.app) as url:
        yield {**environment, "BACKFILLD_URL": url}


def start(words: str, environment: dict[str, str], output: int, **keys: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "backfilld", *words.split()]
    return subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.PIPE, **keys)


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """The exit code, and what it printed to stderr."""
    _, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, errors


def written_to(path: str, words: str, environment: dict[str, str]) -> tuple[int, bytes]:
    with Path(path).open("wb") as file:
        return ended(start(words, environment, file.fileno()))


def without_reader(words: str, environment: dict[str, str]) -> tuple[int, bytes]:
    """Run a command into a pipe whose reader has ended before the first byte."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return ended(start(words, environment, writer))
    finally:
        os.close(writer)


@pytest.mark.parametrize("words", NEEDS_NO_DAEMON)
def test_a_full_disk_is_one_sentence_for_a_verb_without_a_daemon(environment, words):
    assert written_to(FULL, words, environment) == (1, SENTENCE)


def test_a_full_disk_is_one_sentence_for_every_verb_that_shows_something(served):
    told = {words: written_to(FULL, words, served) for words in NEEDS_A_DAEMON}
    assert told == dict.fromkeys(NEEDS_A_DAEMON, (1, SENTENCE))


def test_errors_that_cannot_be_printed_leave_the_exit_code(environment):
    with Path(FULL).open("wb") as full:
        words = [sys.executable, "-m", "backfilld", "status", "yesterday"]
        done = subprocess.run(words, env=environment, stdout=full, stderr=full, check=False)
    assert done.returncode == 2


@pytest.mark.parametrize("words", ["validate 2021-10-28", "validate 2021-10-01"])
def test_a_verb_without_a_reader_has_the_exit_code_of_its_result(environment, words):
    # Given a report that is good, and one that is not: what a whole reading ends with
    whole = written_to("/dev/null", words, environment)
    assert without_reader(words, environment) == whole


def test_no_verb_says_anything_about_a_pipe_that_nobody_reads(served):
    told = {words: without_reader(words, served) for words in NEEDS_A_DAEMON}
    assert told == dict.fromkeys(NEEDS_A_DAEMON, (0, b""))


@pytest.mark.parametrize("words", ["watch", "watch --json"])
def test_a_verb_that_follows_ends_when_its_reader_does(served, words):
    # Given somebody who reads the first line, while nothing moves and no further line comes
    reader, writer = os.pipe()
    process = start(words, served, writer)
    os.close(writer)
    assert os.read(reader, 1)
    # When they have what they wanted
    os.close(reader)
    # Then it does not wait for another line to be written
    assert ended(process) == (141, b"")


def test_a_sign_that_the_encoding_lacks_is_written_as_its_number(served):
    ascii_only = {**served, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "backfilld", "status", "2021-10-28"],
        env=ascii_only,
        capture_output=True,
        check=True,
    )
    assert b"\\u2713 box" in done.stdout
