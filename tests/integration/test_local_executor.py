"""The local executor runs real processes: keeps what they say and hides what is not theirs."""

import os
import resource
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from backfilld.daemon.executors.adapter import Handle, Job
from backfilld.daemon.executors.local import launcher
from backfilld.daemon.executors.local.executor import LocalExecutor
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.local_jobs import local_driver, open_resources
from tests.integration.real_jobs import lives, until


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[ExecutorDriver]:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    driver = local_driver(tmp_path / "attempts", cwd)
    yield driver
    driver.stop_all()


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("exec no-such-command", 127),
    ],
)
def test_the_exit_code_is_kept(driver: ExecutorDriver, script: str, code: int) -> None:
    assert driver.run("sh", "-c", script).code == code


def test_a_missing_command_is_127_and_the_log_names_it(driver: ExecutorDriver) -> None:
    assert driver.run("no-such-command").code == 127
    assert "no-such-command" in driver.output()


def test_output_of_both_streams_is_kept_in_order_byte_by_byte(driver: ExecutorDriver) -> None:
    driver.run("sh", "-c", r"printf 'one\0\377\n'; printf 'two\n' >&2; printf '\351'")
    assert driver.log_file(1).read_bytes() == b"one\x00\xff\ntwo\n\xe9"


def test_a_job_reads_nothing_from_standard_input(driver: ExecutorDriver) -> None:
    assert driver.run("cat").code == 0
    assert driver.output() == ""


@pytest.mark.parametrize(
    "argv", [("eval", "touch here"), ("exit", "5"), (".", "./here"), ("trap", "", "TERM")]
)
def test_a_builtin_of_the_shell_is_not_a_command(driver: ExecutorDriver, argv: tuple[str, ...]) -> None:
    assert driver.run(*argv).code in {126, 127}
    assert list(driver.cwd.iterdir()) == []


def test_files_are_for_their_owner_only(driver: ExecutorDriver) -> None:
    driver.run("true", attempt=1031)
    log = driver.log_file(1031)
    assert log.parts[-2:] == ("001", "1031.log")
    for path in (log.parent.parent, log.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (log, log.with_suffix(".exit")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_environment_is_an_allow_list(driver: ExecutorDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "BACKFILLD_TOKEN",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "WANTED",
    ):
        monkeypatch.setenv(name, "of the daemon")
    monkeypatch.setenv("LC_TIME", "C")
    driver.restart()
    driver.run("env", env={"HOME": "/job", "BACKFILLD_DATE": "2021-10-19"}, pass_env=("WANTED", "NOT_SET"))
    seen = dict(line.split("=", 1) for line in driver.output().splitlines())
    assert seen["HOME"] == "/job"
    assert seen["WANTED"] == "of the daemon"
    assert seen["LC_TIME"] == "C"
    assert seen["BACKFILLD_DATE"] == "2021-10-19"
    assert seen["BACKFILLD_ATTEMPT"] == "1"
    allowed = {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "LC_TIME",
        "LC_ALL",
    }
    ours = {"WANTED", "BACKFILLD_DATE", "BACKFILLD_ATTEMPT", "BACKFILLD_RUN"}
    assert set(seen) <= allowed | ours | {"PWD"}  # the shell's own, kept by some


def test_use_is_told_of_a_job_and_its_children(driver: ExecutorDriver) -> None:
    # More than this process ever had: what a child inherits of its parent's memory is not told.
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + (100 << 20)
    burn = f"import time; x = bytearray({size})\nwhile time.process_time() < 0.2: pass"
    end = driver.run("sh", "-c", f"{sys.executable} -c '{burn}'; exit 4")
    assert end.code == 4
    assert end.cpu_seconds is not None
    assert end.cpu_seconds >= 0.2
    assert end.max_rss_bytes is not None
    assert size <= end.max_rss_bytes < size + (400 << 20)


def test_the_memory_of_the_daemon_is_not_taken_for_the_jobs(driver: ExecutorDriver) -> None:
    assert driver.run("true").max_rss_bytes is None


def test_every_poll_reports_what_is_under_way_and_when_it_last_spoke(driver: ExecutorDriver) -> None:
    before = time.time() - 1
    driver.shell("until test -e go; do sleep 0.01; done; echo spoke; until test -e end; do sleep 0.01; done")
    (first,) = driver.executor.poll()
    assert first.result is None
    assert before < first.output_at < time.time() + 1
    os.utime(driver.log_file(1), (1, 1))
    assert [status.output_at for status in driver.executor.poll()] == [1.0]
    (driver.cwd / "go").touch()
    until(lambda: driver.executor.poll()[0].output_at > before, "the output to be noticed")
    (driver.cwd / "end").touch()
    assert driver.result().code == 0
    assert driver.executor.poll() == []


def test_a_job_never_ends_before_it_began(driver: ExecutorDriver) -> None:
    before = time.time()
    assert before <= driver.run("true").ended_at <= time.time()


# ---- starting


def test_no_job_runs_when_the_record_fails(driver: ExecutorDriver) -> None:
    pids: list[int] = []
    before = open_resources()

    def record(handles: Mapping[int, Handle]) -> None:
        pids.extend(int(handle.split('"pid": ')[1].split(",")[0]) for handle in handles.values())
        raise KeyError("the database is away")

    with pytest.raises(KeyError, match="database is away"):
        driver.executor.launch([driver.job("touch", str(n), attempt=n) for n in (1, 2)], record)
    assert len(pids) == 2
    assert not any(lives(pid) for pid in pids)
    assert driver.executor.poll() == []
    assert list(driver.cwd.iterdir()) == []
    assert open_resources() == before


def test_a_job_that_cannot_start_is_reported_once_and_the_others_run(driver: ExecutorDriver) -> None:
    nowhere = Job(attempt=1, argv=("true",), cwd=driver.cwd / "nowhere")
    nothing = driver.job("printf", "\0", attempt=2)
    before = open_resources()
    driver.executor.launch([nowhere, nothing, driver.job("true", attempt=3)], driver.record)
    ends = {status.attempt: status.result for status in driver.ended(3)}
    assert ends[1] is not None
    assert ends[1].code is None
    assert ends[1].detail == f"cannot start: No such file or directory: {driver.cwd}/nowhere"
    assert ends[2] is not None
    assert ends[2].detail == "cannot start: embedded null byte"
    assert ends[3] is not None
    assert ends[3].code == 0
    assert set(driver.handles) == {3}
    assert driver.executor.poll() == []
    assert open_resources() == before


def test_a_missing_shell_is_told(driver: ExecutorDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "SHELL", "/no/sh")
    end = driver.run("true")
    assert end.detail == "cannot start: No such file or directory: /no/sh"
    assert driver.records == 0


def test_a_root_that_cannot_be_written_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"cannot keep job logs here: Not a directory: .*file/attempts"):
        LocalExecutor(tmp_path / "file" / "attempts")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_root_without_permission_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(PermissionError, match="cannot keep job logs here"):
        LocalExecutor(tmp_path / "closed")


def test_what_an_older_attempt_of_the_same_number_left_is_not_believed(driver: ExecutorDriver) -> None:
    driver.run("sh", "-c", "echo old; exit 3")
    driver.shell("kill -KILL $PPID; exec sleep 300")
    end = driver.result()
    assert (end.code, end.detail) == (None, "killed by signal 9; 1 process that it left behind was ended")
    assert "old" not in driver.output()
