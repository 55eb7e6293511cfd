"""Attempts and their logs over HTTP: paged, cut, followed, whatever their size."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from backfilld.daemon.executors.adapter import Job
from backfilld.daemon.executors.attempt_files import FileLog
from tests.integration.api_world import Api, make_api, refused
from tests.simulation.world import Work


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Api:
    """An API whose first attempt's log is `tmp_path/1.log`."""
    api = make_api(tmp_path)
    monkeypatch.setattr(api.world.executor, "log", lambda number: FileLog(tmp_path / f"{number}.log"))
    api.enqueue("2021-10-19", "2021-10-20")
    return api


def log_of(api: Api, query: str = "") -> TestResponse:
    """The first attempt's log, read to its end and closed as a server does."""
    return api.client.get(f"/v1/attempts/1/log{query}", buffered=True)


def test_attempts_are_paged_newest_first_and_filtered(api: Api) -> None:
    # Given attempts under way, and then all of them over
    api.world.settle()
    running = api.get("/v1/attempts?status=running")["items"]
    assert {item["processor"] for item in running} == {"box", "extra"}
    assert all(item["ended_at"] is None and item["duration_seconds"] is None for item in running)
    api.world.run()
    # Then they are listed from the newest on
    pages = api.pages("/v1/attempts", 3)
    assert [len(page) for page in pages] == [3, 3, 2]
    assert [item["id"] for page in pages for item in page] == list(range(8, 0, -1))
    assert api.get("/v1/attempts?status=running")["items"] == []
    assert len(api.get("/v1/attempts?processor=zones&status=exited")["items"]) == 2


def test_one_attempt_says_how_it_went(api: Api) -> None:
    api.world.run()
    told = api.get("/v1/attempts/1")
    assert told["status"] == "exited"
    assert told["exit_code"] == 0
    assert told["dates"] == ["2021-10-19"]
    _, message = refused(api.client.get("/v1/attempts/99"), 404)
    assert message == "there is no attempt 99; backfilld status DATE lists those of a date"


def test_an_attempt_out_of_sight_is_declared_lost_with_a_reason_and_no_other_one_is(api: Api) -> None:
    api.world.script = lambda job: Work(seconds=10**6)
    api.enqueue("2021-10-19")
    api.world.settle()
    path = "/v1/attempts/1/mark-lost"
    assert api.client.post(path, json={}).status_code == 422
    assert "is not out of sight" in api.client.post(path, json={"reason": "gone"}).json["detail"]
    assert api.client.post(path, json={"reason": "gone"}).status_code == 409
    assert api.client.post("/v1/attempts/77/mark-lost", json={"reason": "gone"}).status_code == 404
    api.behind.context.unreachable[1] = "tcp://10.0.0.5:4000"
    assert api.post(path, {"reason": "gone"})["id"] == 1
    assert api.get("/v1/audit?action=mark_lost")["items"][0]["target"] == "attempt 1"


def test_a_log_is_read_whole_by_its_last_lines_or_from_a_byte_on(api: Api, tmp_path: Path) -> None:
    # Given a job's log
    api.world.settle()
    (tmp_path / "1.log").write_bytes("one\ntwo ✓\nthree\n".encode())
    # Then parts of it can be read
    for query, text in (
        ("", "one\ntwo ✓\nthree\n"),
        ("?tail=2", "two ✓\nthree\n"),
        ("?tail=0", ""),
        ("?tail=100", "one\ntwo ✓\nthree\n"),
        ("?offset=0", "one\ntwo ✓\nthree\n"),
        ("?offset=12", "three\n"),
        ("?offset=18", ""),
        ("?offset=9223372036854775807", ""),
    ):
        response = log_of(api, f"{query}")
        assert response.text == text, query
        assert response.content_type == "text/plain; charset=utf-8"
        assert response.headers["X-Log-Size"] == "18"
        assert response.headers["X-Attempt-Status"] == "running"
        assert response.content_length == len(text.encode())


def test_a_part_of_a_log_is_as_long_as_was_asked_for_and_says_where_it_ends(api: Api, tmp_path: Path) -> None:
    api.world.settle()
    (tmp_path / "1.log").write_bytes(b"one\ntwo\nthree\n")
    for query, text, end in (
        ("?limit=4", "one\n", "4"),
        ("?limit=4&offset=4", "two\n", "8"),
        ("?limit=4&tail=1", "thre", "12"),
        ("?limit=100&offset=12", "e\n", "14"),
        ("?limit=0", "", "0"),
        ("", "one\ntwo\nthree\n", "14"),
    ):
        part = log_of(api, query)
        assert (part.text, part.headers["X-Log-End"], part.headers["X-Log-Size"]) == (text, end, "14"), query
        assert part.content_length == len(text)


def test_a_log_is_followed_until_its_attempt_has_ended(api: Api, tmp_path: Path) -> None:
    # Given a job that has not written yet
    api.world.settle()
    first = log_of(api, "?tail=10")
    assert (first.text, first.headers["X-Log-Size"]) == ("", "0")
    # When it writes, in the middle of a line, and ends
    seen = ""
    offset = first.headers["X-Log-Size"]
    for written in ("be", "gun\n", "done\n"):
        with (tmp_path / "1.log").open("a") as log:
            log.write(written)
        part = log_of(api, f"?offset={offset}")
        seen += part.text
        offset = part.headers["X-Log-Size"]
    api.world.run()
    # Then whoever followed has read every byte once, and knows that there is no more
    assert seen == "begun\ndone\n"
    assert log_of(api, f"?offset={offset}").headers["X-Attempt-Status"] == "exited"


@pytest.mark.parametrize(
    ("content", "lines", "tail"),
    [
        (b"", 5, b""),
        (b"\n", 1, b"\n"),
        (b"\n\n\n", 2, b"\n\n"),
        (b"a\nb", 1, b"b"),
        (b"a\nb", 2, b"a\nb"),
        (b"\xff\xfe\n\x00\n", 1, b"\x00\n"),
        (b"x" * 200_000 + b"\ny\n", 1, b"y\n"),
        (b"x" * 200_000 + b"\ny\n", 2, b"x" * 200_000 + b"\ny\n"),
        (b"z\n" * 65_536, 65_535, b"z\n" * 65_535),
        (b"z\n" * 32_768, 32_768, b"z\n" * 32_768),
        (b"ab\n" * 65_536, 3, b"ab\n" * 3),
    ],
)
def test_the_last_lines_are_found_whatever_the_log_holds(
    api: Api, tmp_path: Path, content: bytes, lines: int, tail: bytes
) -> None:
    api.world.settle()
    (tmp_path / "1.log").write_bytes(content)
    assert log_of(api, f"?tail={lines}").data == tail


def test_a_huge_log_is_never_held_in_memory(api: Api, tmp_path: Path) -> None:
    # Given a log of a gigabyte
    api.world.settle()
    with (tmp_path / "1.log").open("wb") as log:
        log.truncate(1 << 30)
        log.seek(1 << 30)
        log.write(b"\nlast\n")
    # When its end is asked for, and its whole is read piece by piece
    tracemalloc.start()
    assert log_of(api, "?tail=1").text == "last\n"
    response = api.client.get("/v1/attempts/1/log")
    for _, piece in zip(range(100), response.iter_encoded(), strict=False):
        assert len(piece) <= 1 << 16
    response.close()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Then little of it was in memory at any time
    assert most < 4 << 20


def test_the_last_line_of_a_job_that_breaks_none_is_what_it_wrote_last(api: Api, tmp_path: Path) -> None:
    # Given a progress bar of a gigabyte
    api.world.settle()
    with (tmp_path / "1.log").open("wb") as log:
        log.truncate(1 << 30)
        log.seek(1 << 30)
        log.write("\r80 %\r90 % größer".encode())
    # Then its last state is told
    (line,) = [one["last_line"] for one in api.get("/v1/activity")["running"] if one["id"] == 1]
    assert line == "90 % größer"


def test_a_log_that_is_not_kept_any_more_is_not_found(api: Api) -> None:
    api.world.run()
    _, message = refused(log_of(api, ""), 404)
    assert message == "the log of attempt 1 was deleted or never started"


def test_the_head_of_a_log_leaves_no_file_open(api: Api, tmp_path: Path) -> None:
    api.world.settle()
    (tmp_path / "1.log").write_text("text\n")
    response = api.client.head("/v1/attempts/1/log", buffered=True)
    assert response.headers["X-Log-Size"] == "5"
    assert response.data == b""


def test_attempts_of_several_statuses_are_asked_for_at_once(api: Api) -> None:
    # Given a job that failed among others that did not
    api.world.script = lambda job: Work(code=1) if job.attempt == 1 else api.world.well(job)
    api.world.run()
    # Then statuses are one or several, and an unknown one is refused
    assert api.get("/v1/attempts?status=idle,lost")["items"] == []
    assert len(api.get("/v1/attempts?status=exited,idle&limit=100")["items"]) > 8
    field, _ = refused(api.client.get("/v1/attempts?status=exited,odd"), 422)
    assert field.startswith("status")


def test_failed_attempts_are_those_that_did_not_exit_with_0(api: Api) -> None:
    # Given a job that exits with 2, one that is lost, one that is cancelled while it runs, and others
    def mixed(job: Job) -> Work:
        return Work(code={1: 2, 2: None}[job.attempt]) if job.attempt < 3 else api.world.well(job)

    api.world.script = mixed
    api.world.run()
    number = api.enqueue("2021-10-26")
    api.world.settle()
    cancelled = api.get("/v1/attempts?status=running")["items"][0]["id"]
    api.post(f"/v1/backfills/{number}/cancel")
    api.world.run()
    # Then a filter tells them apart, whatever their status, and a cancelled one has not failed
    failed = api.get("/v1/attempts?failed=true&limit=1000")["items"]
    assert [(item["id"], item["status"], item["exit_code"]) for item in failed] == [
        (2, "lost", None),
        (1, "exited", 2),
    ]
    others = api.get("/v1/attempts?failed=false&limit=1000")["items"]
    assert cancelled in [item["id"] for item in others]
    assert {item["status"] for item in others} == {"exited", "cancelled"}
    assert [item["id"] for item in api.get("/v1/attempts?failed=true&status=lost")["items"]] == [2]
    field, message = refused(api.client.get("/v1/attempts?failed=yes"), 422)
    assert (field, message) == ("failed", "is neither true nor false")
