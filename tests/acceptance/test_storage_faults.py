"""The disk, the file and its neighbours fail the real daemon: a clear word, nothing lost, on by itself."""

import contextlib
import datetime as dt
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import requests

from tests.acceptance import audit
from tests.acceptance.daemon import ONE_OF_EACH, daemon
from tests.timeouts import PATIENCE

DATE, NEXT = dt.date(2021, 10, 19), dt.date(2021, 10, 20)

LOCKER = """
import sqlite3, sys
sqlite3.connect(sys.argv[1], isolation_level=None, timeout=600).execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


def all_is_well(one, number, *dates):
    """The backfill ends, and lake and database are as if nothing had been."""
    one.finish(number)
    one.wait_for(lambda: one.ready() == "ok\n", "well again")
    assert one.signal(signal.SIGTERM) == 0
    assert audit.wrong_partitions(one.lake, dates or [DATE]) == []
    assert audit.overlaps(one.lake) == []
    assert audit.repeated(one.lake) == {}
    assert audit.wrong_rows(one.database, one.lake) == []


def running(one):
    return one.client.get("/v1/attempts", status="running")["items"]


class SmallDisk:
    """A file system of a few megabytes for the state, where this process may mount one."""

    words = "the disk is full; make room"

    def __init__(self, one):
        self._filler = one.state / "filler"
        one.state.mkdir(mode=0o700)
        mount = ["mount", "-t", "tmpfs", "-o", "size=6m,mode=0700", "backfilld-test", str(one.state)]
        subprocess.run(mount, check=True, capture_output=True)
        self._close = ["umount", "--lazy", str(one.state)]
        # The logs of jobs are elsewhere: a job that cannot write its own log is another fault.
        (one.folder / "logs").mkdir()
        (one.state / "attempts").symlink_to(one.folder / "logs")

    def fill(self):
        with contextlib.suppress(OSError), self._filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)

    def make_room(self):
        self._filler.unlink()

    def close(self):
        subprocess.run(self._close, check=True)


class SizeLimit:
    """Files that must not grow any further: the nearest to a full disk where nothing can be mounted."""

    words = "its disk does not read or write as it should"

    def __init__(self, one):
        self._one = one

    def fill(self):
        size = (self._one.state / "state.db-wal").stat().st_size
        resource.prlimit(self._one.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def make_room(self):
        limits = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(self._one.process.pid, resource.RLIMIT_FSIZE, limits)

    def close(self):
        """Nothing is left of it."""


def small_disk(one):
    try:
        return SmallDisk(one)
    except subprocess.CalledProcessError:
        return SizeLimit(one)


def test_a_full_disk_stops_nothing_for_good_and_a_kill_meanwhile_loses_nothing(tmp_path):
    with (
        daemon(tmp_path / "d", pace="0.3", processors=ONE_OF_EACH, start=False) as one,
        contextlib.closing(small_disk(one)) as disk,
    ):
        # Given a daemon at work
        one.start()
        number = one.enqueue(DATE.isoformat(), DATE.isoformat())
        one.wait_for(lambda: running(one), "running")
        # When its disk is full
        disk.fill()
        one.wait_for(lambda: disk.words in one.ready(), "reporting the full disk")
        # Then it says so wherever one looks, and still answers
        assert disk.words in one.log()
        progress = requests.get(f"{one.client.url}/v1/progress", timeout=PATIENCE).json()
        assert any(disk.words in problem for problem in progress["problems"])
        refused = requests.post(f"{one.client.url}/v1/pause", json={}, timeout=PATIENCE)
        assert (refused.status_code, disk.words in refused.json()["detail"]) == (503, True)
        assert "Traceback" not in one.log()
        # And it goes on by itself as soon as there is room
        disk.make_room()
        one.finish(number)
        one.wait_for(lambda: "the engine worker has recovered" in one.log(), "recovered")
        # When it is killed while the disk is full again, the next one loses nothing
        number = one.enqueue(NEXT.isoformat(), NEXT.isoformat())
        one.wait_for(lambda: running(one), "running")
        disk.fill()
        one.wait_for(lambda: disk.words in one.ready(), "reporting the full disk")
        one.signal(signal.SIGKILL)
        if isinstance(disk, SmallDisk):
            disk.make_room()
        one.start()
        all_is_well(one, number, DATE, NEXT)


def test_the_daemon_waits_for_a_lock_of_another_process(tmp_path):
    with daemon(tmp_path / "d", pace="0.3", processors=ONE_OF_EACH) as one:
        number = one.enqueue(DATE.isoformat(), DATE.isoformat())
        one.wait_for(lambda: audit.run_log.runs(one.lake), "at work")
        words = [sys.executable, "-c", LOCKER, str(one.state / "state.db")]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as locker:
            assert locker.stdout.readline() == b"locked\n"
            # Reading goes on; a job ends meanwhile, which cannot be recorded
            one.wait_for(lambda: any(run.ended for run in audit.run_log.runs(one.lake)), "a job that ended")
            assert one.client.get("/v1/progress")
            locker.communicate()
        all_is_well(one, number)
        assert "ERROR" not in one.log()


def page_damaged(one):
    """A page in the middle is overwritten, which nothing notices before it is read."""
    with (one.state / "state.db").open("r+b") as file:
        file.seek(3 * 4096)
        file.write(os.urandom(4096))


def gone(one):
    (one.state / "state.db").unlink()


DAMAGES = {
    page_damaged: "damaged",
    gone: "state.db is missing or empty, but backups and attempts beside it are not: restore",
}
"""More of them are in tests/integration/test_damaged_database.py."""


def test_an_unusable_database_is_refused_at_start_and_repaired_as_the_manual_says(tmp_path):
    with daemon(tmp_path / "d", processors=ONE_OF_EACH) as one:
        # Given a daemon that has worked, made a backup, and ended
        number = one.enqueue(DATE.isoformat(), DATE.isoformat())
        one.finish(number)
        back_up(one)
        one.signal(signal.SIGTERM)
        for damage, refusal in DAMAGES.items():
            # When its database is damaged, it refuses to start and says what to do
            damage(one)
            assert refusal in one.refusal(), damage.__name__
            # And what the manual says repairs it
            follow_the_manual(one)
            assert audit.wrong_rows(one.database, one.lake) == [], damage.__name__
        one.start()
        all_is_well(one, number)


def back_up(one):
    words = [sys.executable, "-m", "backfilld", "backup", "--state-dir", str(one.state)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=one.environment)
    assert "checked" in done.stdout
    return Path(done.stdout.rpartition(": ")[0])


def follow_the_manual(one):
    """Do what docs/operations.md says of a restore, in a shell as an operator would."""
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    block = text.partition("<!-- restore -->")[2].partition("```console\n")[2].partition("```")[0]
    steps = [line.removeprefix("# ").partition("  #")[0].strip() for line in block.splitlines()]
    steps = [step for step in steps if "systemctl" not in step]
    assert len(steps) >= 3
    script = "\n".join(steps).replace("/var/lib/backfilld/nba", str(one.state))
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], check=True)


def test_backups_are_made_on_schedule_while_jobs_run_and_the_latest_are_kept(tmp_path):
    backups = ("--backup-every", "0.5s", "--backup-keep", "2")
    with daemon(tmp_path / "d", pace="1", processors=ONE_OF_EACH, options=backups) as one:
        number = one.enqueue(DATE.isoformat(), DATE.isoformat())
        folder = one.state / "backups"
        first = set()
        one.wait_for(lambda: first.update(folder.glob("*.db")) or len(first) >= 4, "four backups made")
        assert len(list(folder.glob("state-*.db"))) <= 3
        one.finish(number)
        assert "backfilld_last_backup_timestamp_seconds 1" in one.client.text("/metrics")[0]
        one.signal(signal.SIGTERM)
        kept = sorted(folder.glob("*"))
        assert len(kept) == 2
        for path in kept:
            assert path.stat().st_mode & 0o077 == 0
            with contextlib.closing(sqlite3.connect(path)) as db:
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_directory_that_cannot_be_written_is_refused_with_the_remedy(tmp_path):
    with daemon(tmp_path / "d", start=False) as one:
        one.state.mkdir(mode=0o500)
        # Root heeds no rights of files, unless it goes without that privilege
        bound = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
        refusal = one.refusal(*bound)
        assert f"the state directory {one.state} cannot be written; check its owner and rights" in refusal
