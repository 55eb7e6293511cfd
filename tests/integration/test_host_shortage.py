"""What the daemon's own host lacks is no attempt of a date: nothing starts now, and the wait says why."""

import errno
import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfilld.daemon import host_shortage, open_file_limit
from backfilld.daemon.executors.local import launcher
from backfilld.daemon.preflight.open_file_and_process_limits import slot_warnings
from tests.factories import phase, pipeline, processor
from tests.integration.command_line import CommandLine
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.local_jobs import local_driver

FILES = resource.RLIMIT_NOFILE


FILE = """
name = "p"
warehouse = { kind = "lake", path = "lake" }
jobs.slots = 700
[[phase]]
name = "raw"
[[phase.processor]]
name = "box"
table = "nba.box"
command = ["true", "{date}"]
expect.rows = [1, 9]
"""


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[ExecutorDriver]:
    driver = local_driver(tmp_path / "attempts", tmp_path)
    yield driver
    driver.stop_all()


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """The limits of open files, restored at the end.

    The jobs of this process have those that it had when they were first asked for: before they change here.
    """
    open_file_limit.inherited_open_files()
    before = resource.getrlimit(FILES)
    yield before
    resource.setrlimit(FILES, before)


def test_without_free_descriptors_no_attempt_is_used_up_and_no_further_job_starts(
    driver: ExecutorDriver, limits: tuple[int, int]
) -> None:
    used = set(map(int, os.listdir("/proc/self/fd")))
    twelfth_free = [fd for fd in range(limits[1]) if fd not in used][11]
    resource.setrlimit(FILES, (twelfth_free + 1, limits[1]))
    driver.executor.launch([driver.job("true", attempt=n) for n in range(1, 31)], driver.record)
    resource.setrlimit(FILES, limits)
    results = {status.attempt: status.result for status in driver.ended(30)}
    lacking = [result for result in results.values() if result and result.code is None]
    assert 0 < len(lacking) < 30
    assert not any(result.began or result.counts_as_attempt for result in lacking)
    assert lacking[0].detail.startswith(
        "lost: never started: the daemon has too many open files; raise LimitNOFILE="
    )
    assert driver.executor.unavailable_reason.startswith(
        "no slot now, because the daemon has too many open files"
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EAGAIN, "no more processes"), (errno.ENOMEM, "out of memory"), (errno.ENOSPC, "disk")],
)
def test_without_processes_memory_or_disk_none_is_used_up_either(
    driver: ExecutorDriver, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(launcher.subprocess, "Popen", fails)
    end = driver.run("true")
    assert (end.began, end.counts_as_attempt) == (False, False)
    assert words in driver.executor.unavailable_reason


def test_a_shortage_is_over_after_some_seconds() -> None:
    now = [100.0]
    shortage = host_shortage.Shortage(lambda: now[0])
    assert shortage.explain(FileNotFoundError(errno.ENOENT, "no such file")) == ""
    assert shortage.reason == ""
    shortage.explain(OSError(errno.EMFILE, "too many"))
    assert shortage.reason
    now[0] += 6
    assert shortage.reason == ""


def test_the_soft_limit_is_raised_for_the_daemon_and_not_for_its_jobs(
    driver: ExecutorDriver, limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    soft = limits[1] - 1
    monkeypatch.setattr(open_file_limit, "inherited_open_files", lambda: (soft, limits[1]))
    resource.setrlimit(FILES, (soft, limits[1]))
    open_file_limit.raise_open_files()
    assert resource.getrlimit(FILES) == (limits[1], limits[1])
    driver.shell("ulimit -Sn; ulimit -Hn")
    driver.result()
    assert driver.output() == f"{soft}\n{limits[1]}\n"


@pytest.mark.parametrize(
    ("slots", "hard", "found"),
    [
        (700, 1024, ["[jobs] slots = 700 needs about 2200 open files, and this host allows 1024;"]),
        (8, 1024, []),
        (700, resource.RLIM_INFINITY, []),
    ],
)
def test_more_slots_than_the_host_has_files_for_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, slots: int, hard: int, found: list[str]
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda number: (hard, hard if number == FILES else -1))
    made = pipeline(phase("raw", processor("box")), jobs={"slots": slots})
    warnings = list(slot_warnings(made))
    assert [warning.partition(" raise ")[0] for warning in warnings] == found


def test_pipeline_check_compares_slots_with_the_limits_of_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "p.toml"
    file.write_text(FILE)
    monkeypatch.setattr(resource, "getrlimit", lambda number: (1024, 1024))
    ended = CommandLine(monkeypatch, capsys)("pipeline", "check", "--pipeline", str(file), "--json")
    assert any("or lower slots to 308" in warning for warning in json.loads(ended.out)["warnings"])
