"""A job puts something else in the place of its log: the daemon neither hangs nor shows another file."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from backfilld.api import job_log
from backfilld.daemon.executors.attempt_files import FileLog, OpenLog, create
from backfilld.daemon.executors.local.plugin import ADAPTER
from tests.factories import phase, pipeline, processor
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.local_jobs import local_driver
from tests.integration.real_jobs import until

SECRET = "bfd_secret\n"
REPLACED = {
    "a FIFO": "mkfifo $LOG",
    "a symbolic link": "ln -s $SECRET $LOG",
    "a file that has another name too (a hard link)": "ln $SECRET $LOG",
    "a directory": "mkdir $LOG",
    "a socket": f"{sys.executable} -c 'import os, socket; socket.socket(1).bind(os.environ[\"LOG\"])'",
}


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[ExecutorDriver]:
    driver = local_driver(tmp_path / "attempts", tmp_path)
    yield driver
    driver.stop_all()


def run(driver: ExecutorDriver, tmp_path: Path, script: str) -> None:
    """Run a job that knows the paths of its log and of a secret, until it waits to be ended."""
    secret = tmp_path / "tokens"
    secret.write_text(SECRET)
    env = {
        "LOG": str(driver.log_file()),
        "SECRET": str(secret),
        "EXIT": str(driver.log_file().with_suffix(".exit")),
    }
    go, ends = (f"until test -e {name}; do sleep 0.01; done" for name in ("go", "end"))
    driver.shell(f"echo first; {script}; echo last; touch there; {go}; echo more; {ends}", env=env)
    until((tmp_path / "there").exists, "the job")


def end(tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    (tmp_path / "end").touch()


@pytest.mark.parametrize(("kind", "script"), REPLACED.items())
def test_what_a_job_puts_in_the_place_of_its_log_becomes_a_sentence(
    driver: ExecutorDriver, tmp_path: Path, kind: str, script: str
) -> None:
    run(driver, tmp_path, f"rm $LOG; {script}")
    # While the job runs, and until its end is recorded, its own output is shown
    assert driver.output() == "first\nlast\n"
    end(tmp_path)
    assert driver.result().code == 0
    assert driver.output() == "first\nlast\nmore\n"
    driver.executor.poll()
    # Then the sentence
    with pytest.raises(OSError) as raised:
        job_log.read(driver.executor.log(1), tail=5)
    assert raised.value.strerror == f"000/1.log is {kind} now and is not read: a job may have put it there"
    assert job_log.last_line(driver.executor.log(1)) == ""


def test_a_linked_folder_of_logs_is_not_followed(driver: ExecutorDriver, tmp_path: Path) -> None:
    run(driver, tmp_path, "mkdir else; cp $SECRET else/1.log; mv ${LOG%/*} gone; ln -s $PWD/else ${LOG%/*}")
    end(tmp_path)
    driver.result()
    driver.executor.poll()
    with pytest.raises(OSError, match="attempts/000 is a symbolic link now"):
        driver.executor.log(1).read(0, 100)


def test_a_log_that_vanished_is_none_once_its_job_has_ended(driver: ExecutorDriver, tmp_path: Path) -> None:
    run(driver, tmp_path, "rm $LOG")
    assert driver.output() == "first\nlast\n"
    end(tmp_path)
    driver.result()
    driver.executor.poll()
    assert job_log.read(driver.executor.log(1)) is None


@pytest.mark.parametrize("away", ["rm $LOG", "mv $LOG elsewhere", "rm $LOG; mkfifo $LOG"])
def test_a_job_that_moves_or_removes_its_log_is_not_silent_while_it_writes(
    driver: ExecutorDriver, tmp_path: Path, away: str
) -> None:
    run(driver, tmp_path, away)
    os.utime(f"/proc/{os.getpid()}/fd/{_descriptor_of_log()}", (1, 1))
    status = driver.status()
    assert status is not None
    assert status.output_at == 1
    (tmp_path / "go").touch()
    until(lambda: (status := driver.status()) is not None and status.output_at > 1, "the output")
    end(tmp_path)


def test_a_job_that_puts_a_fifo_in_the_place_of_its_exit_file_ends(
    driver: ExecutorDriver, tmp_path: Path
) -> None:
    run(driver, tmp_path, "rm $EXIT; mkfifo $EXIT")
    end(tmp_path)
    assert driver.result().code == 0


@pytest.mark.parametrize("trap", ["ln -s $PWD/precious", "ln $PWD/precious", "mkfifo"])
def test_what_an_earlier_job_prepared_for_the_next_log_is_replaced(
    driver: ExecutorDriver, tmp_path: Path, trap: str
) -> None:
    (tmp_path / "precious").write_text("precious")
    driver.shell(f"for kind in log exit; do {trap} {driver.log_file(2).parent}/2.$kind; done")
    assert driver.result().code == 0
    driver.shell("echo second; exit 4", attempt=2)
    assert driver.result().code == 4
    assert driver.output(2) == "second\n"
    assert (tmp_path / "precious").read_text() == "precious"


# ---- bytes


def test_a_log_that_grows_too_long_loses_its_middle_and_says_so(tmp_path: Path) -> None:
    fd = create(tmp_path / "000" / "1.log")
    log = OpenLog(fd)
    os.write(fd, b"begin " + b"x" * 10_000 + b" end\n")
    log.shorten(4_000)
    os.write(fd, b"more\n")
    text = FileLog(tmp_path / "000" / "1.log").read(0, 100_000).decode()
    assert text.startswith("begin xxx")
    assert "[backfilld: 8011 bytes were dropped here: max_log_bytes is 4000]" in text
    assert text.endswith(" end\nmore\n")
    assert len(text) < 4_000
    log.close()


def test_a_log_within_its_limit_is_left_alone(tmp_path: Path) -> None:
    fd = create(tmp_path / "000" / "1.log")
    log = OpenLog(fd)
    os.write(fd, b"x" * 4_000)
    log.shorten(4_000)
    assert log.read(0, 9_999) == b"x" * 4_000
    log.close()


def test_the_last_line_of_a_log_without_line_breaks_is_bounded_in_bytes(tmp_path: Path) -> None:
    with (tmp_path / "1.log").open("wb") as file:
        file.truncate(1_500_000_000)
    part = job_log.read(FileLog(tmp_path / "1.log"), tail=1)
    assert part is not None
    assert part.length == job_log.TAIL_BYTES


def _descriptor_of_log() -> str:
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            continue
        if target.removesuffix(" (deleted)").endswith(("/000/1.log", "/elsewhere")):
            return fd
    raise AssertionError("the log is not open")


@pytest.mark.parametrize(
    "script", ["rm $LOG; mkfifo $LOG", "rm $LOG; ln -s $SECRET $LOG", "rm $EXIT; mkfifo $EXIT"]
)
def test_a_daemon_that_starts_anew_neither_hangs_at_such_a_file_nor_shows_it(
    driver: ExecutorDriver, tmp_path: Path, script: str
) -> None:
    run(driver, tmp_path, script)
    driver.executor.close()
    # When another daemon adopts the job, it can see and stop it
    driver.restart().recover({1: driver.handles[1]})
    status = driver.status()
    assert status is not None
    assert (status.result, status.unreachable_at) == (None, "")
    with suppress(OSError):
        assert SECRET not in driver.output()
    driver.executor.stop(1, grace=0)
    assert driver.result().code != 0


def test_the_log_of_a_job_is_bounded_by_the_pipeline_file_while_it_runs_and_after(tmp_path: Path) -> None:
    made = pipeline(phase("raw", processor("box")), engine={"max_log_bytes": "4KB"})
    root = tmp_path / "attempts"
    driver = ExecutorDriver(tmp_path, lambda on_end: ADAPTER.open(made, "local", root, on_end))
    flood = "head -c 100000 /dev/zero | tr '\\0' x"
    driver.shell(
        f"echo first; {flood}; echo $$ >there; until test -e end; do sleep 0.01; done; {flood}; echo last"
    )
    driver.pid("there")
    driver.executor.poll()
    assert driver.log_file().stat().st_size < 4200
    (tmp_path / "end").touch()
    assert driver.result().code == 0
    text = driver.output()
    assert len(text) < 4200
    assert text.startswith("first\nxxx")
    assert "bytes were dropped here: max_log_bytes is 4000]" in text
    assert text.endswith("xxxlast\n")
    driver.stop_all()
