"""`backfilld logs` of logs that are larger than any part in which they are handled."""

import tracemalloc

import pytest

from backfilld.api.cli import standard_streams
from backfilld.api.cli.commands import logs
from backfilld.daemon.executors.attempt_files import FileLog
from tests.integration.api_world import listening
from tests.integration.command_line import CommandLine


@pytest.fixture
def command(api, monkeypatch, capsys):
    with listening(api.app) as url:
        monkeypatch.setenv("BACKFILLD_URL", url)
        yield CommandLine(monkeypatch, capsys)


@pytest.fixture
def long_log(command, api, monkeypatch, tmp_path):
    """The log of attempt 1, which has ended: a megabyte, and the command line asks for a tenth at a time."""
    log = tmp_path / "1.log"
    log.write_bytes(b"".join(b"line %06d\n" % number for number in range(90_000)))
    monkeypatch.setattr(api.world.executor, "log", lambda number: FileLog(log))
    monkeypatch.setattr(logs, "PART_BYTES", 100_000)
    command("enqueue", "2021-10-27")
    api.world.run()
    return log


@pytest.mark.parametrize(
    ("words", "lines"),
    [([], 90_000), (["--follow"], 90_000), (["--tail", "50000"], 50_000), (["--tail", "0"], 0)],
)
def test_a_log_larger_than_any_part_of_it_is_printed_byte_by_byte(command, long_log, words, lines):
    printed = command("logs", "1", *words)
    assert printed.out == "".join(long_log.read_text().splitlines(keepends=True)[90_000 - lines :])


def test_a_log_is_followed_however_much_is_written_at_once(command, api, monkeypatch, long_log):
    # Given a job that writes much more while an operator follows it
    api.enqueue("2021-10-28")
    api.world.settle()
    (running,) = [one["id"] for one in api.get("/v1/attempts?status=running&processor=box")["items"]]

    def write_on(seconds):
        with long_log.open("ab") as log:
            log.write(b"more\n" * 50_000)
        api.world.run()

    monkeypatch.setattr(standard_streams.time, "sleep", write_on)
    # Then all of it is printed, once
    assert command("logs", str(running), "--follow").out == long_log.read_text()


def test_a_log_is_never_held_whole(command, monkeypatch, long_log):
    # Given a log of 24 MB
    with long_log.open("ab") as log:
        log.truncate(24 << 20)
    monkeypatch.setattr(logs, "PART_BYTES", 1 << 20)
    printed = []
    monkeypatch.setattr(logs, "_log_writer", lambda: lambda part: printed.append(len(part)))
    # When it is printed by a command line and a daemon in this one process
    tracemalloc.start()
    command("logs", "1")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Then little of it was in memory at any time
    assert sum(printed) == 24 << 20
    assert most < 8 << 20


def test_a_log_of_a_misspelt_processor_names_the_nearest_one(command, api):
    api.enqueue("2021-10-19")
    api.world.run()
    assert (
        "boxx has no attempt for 2021-10-19; did you mean 'box'?" in command("logs", "2021-10-19", "boxx").err
    )
