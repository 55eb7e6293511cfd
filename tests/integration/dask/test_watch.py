"""The thread that asks Dask: what one job or this machine lacks keeps no other from being seen."""

from pathlib import Path

import pytest

from daemon import worker
from daemon.executors import Exit, dask_link
from daemon.executors.dask_link import Link
from tests.integration.dask_cluster import WAITS, dask_hand, free_address
from tests.integration.hand import Hand
from tests.integration.real_jobs import lives, until


def test_the_watch_goes_on_after_an_error_that_nobody_foresaw(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a job that runs
    hand.shell(WAITS)
    until(lambda: hand.output() == "begun\n", "the first output")
    monkeypatch.setattr(worker, "FAULT_PAUSE_SECONDS", 0.05)
    # When looking at it fails in a way of its own
    with monkeypatch.context() as odd:
        odd.setattr(Link, "look", lambda *_: {}["odd"])
        told = "the watch of Dask meets an error: KeyError: 'odd'"
        until(lambda: (seen := hand.seen()) is not None and seen.remark == told, told)
    # Then it is seen to its end nonetheless
    (hand.cwd / "end").touch()
    assert hand.exit().code == 7


def full(file: Path) -> None:
    """Have the file be on a disk that is full. The executor makes its folder when it first sees the job."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    there = file.with_name("full")
    there.symlink_to("/dev/full")
    there.replace(file)


def test_a_full_disk_of_the_daemon_hides_no_job_and_keeps_its_end(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = []
    look = Link.look

    def noted(link: Link, written: object, stops: object) -> object:
        links.append(link)
        return look(link, written, stops)  # type: ignore[arg-type]

    monkeypatch.setattr(Link, "look", noted)
    # Given a job that writes, and room neither for its output nor for its end
    hand.shell(f"(while sleep 0.1; do echo more; done) & {WAITS}")
    hand.pid("leader")
    log = hand.executor.log(1)
    full(log)
    full(log.with_suffix(".new"))
    # When it is looked at, it is seen, over one connection
    before = len(links)
    until(lambda: len(links) > before + 2, "some looks")
    seen = hand.seen()
    assert seen is not None
    assert (seen.elsewhere, hand.executor.obstacle, len(set(links))) == ("", "", 1)
    # When it has ended, its end waits for room
    (hand.cwd / "end").touch()
    why = "its end cannot be noted: No space left on device"
    until(lambda: (seen := hand.seen()) and (seen.remark, seen.elsewhere) == (why, ""), why)
    log.with_suffix(".new").unlink()
    assert hand.exit().code == 7


def test_an_end_that_another_version_tells_holds_up_nobody(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Older(Exit):
        """As a daemon has it that knows less."""

        def __init__(self, *, code: int | None, ended_at: float, detail: str = "") -> None:
            super().__init__(code=code, ended_at=ended_at, detail=detail)

    monkeypatch.setattr(dask_link, "Exit", Older)
    hand.shell("true")
    hand.shell(WAITS, attempt=2)
    hand.pid("leader")
    told = hand.exit().detail
    assert told.startswith("lost: its worker has another version of backfilld: ")
    assert told.endswith("unexpected keyword argument 'max_rss_bytes'")
    # When the other is to be ended, it hears of it
    hand.executor.stop(2, grace=0)
    until(lambda: not lives(hand.pid("leader")), "the other's end")


@pytest.mark.parametrize(
    "note", ["", "[]", "{}", '{"key": "k", "exit": {"code": 0, "of": "another version"}}']
)
def test_a_note_of_an_end_that_cannot_be_read_keeps_no_daemon_from_its_start(
    tmp_path: Path, note: str
) -> None:
    hand = dask_hand(tmp_path, tmp_path, address := free_address())
    log = hand.executor.log(1)
    log.parent.mkdir()
    log.with_suffix(".exit").write_text(note)
    hand.executor.recover({1: '{"key": "k", "scheduler": "s"}'})
    (seen,) = hand.executor.poll()
    assert (seen.exit, seen.elsewhere) == (None, address)
    hand.executor.close()
