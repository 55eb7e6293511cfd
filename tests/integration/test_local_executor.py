"""The local executor runs real processes: keeps what they say and hides what is not theirs."""

import os
import resource
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from backfilld.daemon.executors.adapter import Executor, Handle, Job
from backfilld.daemon.executors.local import launcher
from backfilld.daemon.executors.local.executor import LocalExecutor
from tests.integration.real_jobs import Bench, held, lives, until


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    bench = Bench(tmp_path / "attempts", cwd)
    yield bench
    bench.clean()


def test_local_is_an_executor(bench: Bench) -> None:
    executor: Executor = bench.local
    assert executor.poll() == []


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", 0),
        ("exit 3", 3),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("exec no-such-command", 127),
    ],
)
def test_the_exit_code_is_kept(bench: Bench, script: str, code: int) -> None:
    assert bench.run("sh", "-c", script).code == code


def test_a_missing_command_is_127_and_the_log_names_it(bench: Bench) -> None:
    assert bench.run("no-such-command").code == 127
    assert "no-such-command" in bench.output()


def test_output_of_both_streams_is_kept_in_order_byte_by_byte(bench: Bench) -> None:
    bench.run("sh", "-c", r"printf 'one\0\377\n'; printf 'two\n' >&2; printf '\351'")
    assert bench.local.log(1).read_bytes() == b"one\x00\xff\ntwo\n\xe9"


def test_a_job_reads_nothing_from_standard_input(bench: Bench) -> None:
    assert bench.run("cat").code == 0
    assert bench.output() == ""


def test_no_shell_parses_a_word_of_the_job(bench: Bench) -> None:
    bench.run("printf", "%s|", "$(touch a)", "; touch b", "`touch c`", "*", "", "two words")
    assert bench.output() == "$(touch a)|; touch b|`touch c`|*||two words|"
    assert list(bench.cwd.iterdir()) == []


@pytest.mark.parametrize(
    "argv", [("eval", "touch here"), ("exit", "5"), (".", "./here"), ("trap", "", "TERM")]
)
def test_a_builtin_of_the_shell_is_not_a_command(bench: Bench, argv: tuple[str, ...]) -> None:
    assert bench.run(*argv).code in {126, 127}
    assert list(bench.cwd.iterdir()) == []


def test_files_are_for_their_owner_only(bench: Bench) -> None:
    bench.run("true", attempt=1031)
    log = bench.local.log(1031)
    assert log.parts[-2:] == ("001", "1031.log")
    for path in (log.parent.parent, log.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (log, log.with_suffix(".exit")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_environment_is_an_allow_list(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "BACKFILLD_TOKEN",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "WANTED",
    ):
        monkeypatch.setenv(name, "of the daemon")
    monkeypatch.setenv("LC_TIME", "C")
    bench.run("env", env={"HOME": "/job", "BACKFILLD_DATE": "2021-10-19"}, pass_env=("WANTED", "NOT_SET"))
    seen = dict(line.split("=", 1) for line in bench.output().splitlines())
    assert seen["HOME"] == "/job"
    assert seen["WANTED"] == "of the daemon"
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


def test_use_is_told_of_a_job_and_its_children(bench: Bench) -> None:
    # More than this process ever had: what a child inherits of its parent's memory is not told.
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + (100 << 20)
    burn = f"import time; x = bytearray({size})\nwhile time.process_time() < 0.2: pass"
    end = bench.run("sh", "-c", f"{sys.executable} -c '{burn}'; exit 4")
    assert end.code == 4
    assert end.cpu_seconds is not None
    assert end.cpu_seconds >= 0.2
    assert end.max_rss_bytes is not None
    assert size <= end.max_rss_bytes < size + (400 << 20)


def test_the_memory_of_the_daemon_is_not_taken_for_the_jobs(bench: Bench) -> None:
    assert bench.run("true").max_rss_bytes is None


def test_every_poll_reports_what_is_under_way_and_when_it_last_spoke(bench: Bench) -> None:
    before = time.time() - 1
    bench.shell("until test -e go; do sleep 0.01; done; echo spoke; until test -e end; do sleep 0.01; done")
    (first,) = bench.local.poll()
    assert first.exit is None
    assert before < first.output_at < time.time() + 1
    os.utime(bench.local.log(1), (1, 1))
    assert [seen.output_at for seen in bench.local.poll()] == [1.0]
    (bench.cwd / "go").touch()
    until(lambda: bench.local.poll()[0].output_at > before, "the output to be noticed")
    (bench.cwd / "end").touch()
    assert bench.exit().code == 0
    assert bench.local.poll() == []


def test_a_job_never_ends_before_it_began(bench: Bench) -> None:
    before = time.time()
    assert before <= bench.run("true").ended_at <= time.time()


# ---- starting


def test_handles_are_recorded_once_for_all_and_before_any_job_begins(bench: Bench) -> None:
    seen: list[Mapping[int, Handle]] = []

    def record(handles: Mapping[int, Handle]) -> None:
        time.sleep(0.05)  # time enough for a job that was not held
        assert list(bench.cwd.iterdir()) == []
        seen.append(handles)

    bench.local.launch([bench.job("touch", str(n), attempt=n) for n in (1, 2, 3)], record)
    bench.observations(3)
    assert [set(handles) for handles in seen] == [{1, 2, 3}]
    assert {path.name for path in bench.cwd.iterdir()} == {"1", "2", "3"}


def test_no_job_runs_when_the_record_fails(bench: Bench) -> None:
    pids: list[int] = []
    before = held()

    def record(handles: Mapping[int, Handle]) -> None:
        pids.extend(int(handle.split('"pid": ')[1].split(",")[0]) for handle in handles.values())
        raise KeyError("the database is away")

    with pytest.raises(KeyError, match="database is away"):
        bench.local.launch([bench.job("touch", str(n), attempt=n) for n in (1, 2)], record)
    assert len(pids) == 2
    assert not any(lives(pid) for pid in pids)
    assert bench.local.poll() == []
    assert list(bench.cwd.iterdir()) == []
    assert held() == before


def test_a_job_that_cannot_start_is_reported_once_and_the_others_run(bench: Bench) -> None:
    nowhere = Job(attempt=1, argv=("true",), cwd=bench.cwd / "nowhere")
    nothing = bench.job("printf", "\0", attempt=2)
    before = held()
    bench.local.launch([nowhere, nothing, bench.job("true", attempt=3)], bench.record)
    ends = {seen.attempt: seen.exit for seen in bench.observations(3)}
    assert ends[1] is not None
    assert ends[1].code is None
    assert ends[1].detail == f"cannot start: No such file or directory: {bench.cwd}/nowhere"
    assert ends[2] is not None
    assert ends[2].detail == "cannot start: embedded null byte"
    assert ends[3] is not None
    assert ends[3].code == 0
    assert set(bench.handles) == {3}
    assert bench.local.poll() == []
    assert held() == before


def test_a_missing_shell_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "SHELL", "/no/sh")
    end = bench.run("true")
    assert end.detail == "cannot start: No such file or directory: /no/sh"
    assert bench.records == 0


def test_a_root_that_cannot_be_written_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"cannot keep job logs here: Not a directory: .*file/attempts"):
        LocalExecutor(tmp_path / "file" / "attempts")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_root_without_permission_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(PermissionError, match="cannot keep job logs here"):
        LocalExecutor(tmp_path / "closed")


def test_what_an_older_attempt_of_the_same_number_left_is_not_believed(bench: Bench) -> None:
    bench.run("sh", "-c", "echo old; exit 3")
    bench.shell("kill -KILL $PPID")
    end = bench.exit()
    assert (end.code, end.detail) == (None, "killed by signal 9")
    assert "old" not in bench.output()
