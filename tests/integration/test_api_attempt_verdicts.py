"""Each attempt says how its process ended and what the warehouse held afterwards."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
from sqlalchemy import update

from backfilld.api.formatting import format_attempt_result
from backfilld.api.notifications import messages
from backfilld.daemon.executors.adapter import Job
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store.attempt_verdicts import AttemptVerdict, describe, worst
from backfilld.state.store.schema import attempt_dates
from tests.factories import phase, pipeline, processor
from tests.integration.api_world import GAMES, Api, make_api
from tests.simulation.world import Work, World

DATE = dt.date(2021, 10, 19)


def team_table(**keys: object) -> Pipeline:
    return pipeline(
        phase("phase2", processor("box", expect={"rows": [14, 14]}, **keys)), jobs={"confirm_after": "20s"}
    )


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return make_api(tmp_path, made=team_table)


def writes(api: Api, *rows: int, code: int = 0) -> None:
    """Let the first jobs write so many rows for each of their dates, and all later ones 14."""
    left = list(rows)

    def script(job: Job) -> Work:
        written = left.pop(0) if left else 14
        covered = map(dt.date.fromisoformat, job.env["BACKFILLD_DATES"].split(","))
        return Work(
            code=code, effect=lambda: [api.world.fill("box", date, written) for date in covered] and None
        )

    api.world.script = script


def results(api: Api, date: dt.date = DATE) -> list[str]:
    """The attempts of a date, oldest first, as people see them."""
    attempts = api.get(f"/v1/dates/{date}")["attempts"]
    keys = ("status", "exit_code", "verdict", "verdict_reason")
    return [format_attempt_result(*(attempt[key] for key in keys)) for attempt in attempts]


def test_a_job_that_exits_0_with_2_of_14_rows_is_shown_with_what_it_left(api: Api) -> None:
    writes(api, 2)
    api.enqueue(str(DATE))
    api.world.run()
    assert results(api) == ["exit 0 · 2 of 14 rows", "exit 0 · 14 rows"]
    first, second = api.get(f"/v1/dates/{DATE}")["attempts"]
    assert (first["status"], first["exit_code"], first["verdict"]) == ("exited", 0, "partial")
    assert (second["verdict"], api.get("/v1/attempts/1")["verdict_reason"]) == ("complete", "2 of 14 rows")


_SHOWN = re.compile(r'class="verdict result (\S+)"><i aria-hidden="true">(.)</i> ([^<]+)<')
"""Class, symbol and words of an attempt in a table of a page."""
_PARTIAL = ("v-partial", "⚠", "exit 0 · 2 of 14 rows")


@pytest.mark.parametrize("path", [f"/dates/{DATE}", "/attempts"])
@pytest.mark.parametrize(
    ("rows", "code", "expected"),
    [
        (2, 0, _PARTIAL),
        (0, 0, ("v-no_data", "○", "exit 0 · no rows")),
        (14, 1, ("v-complete", "✓", "exit 1 · 14 rows")),
        (20, 0, ("v-excess", "⚠", "exit 0 · 20 rows, at most 14 for 3 games")),
    ],
)
def test_the_tables_of_attempts_colour_what_a_job_left_and_not_its_exit_code(
    api: Api, path: str, rows: int, code: int, expected: tuple[str, str, str]
) -> None:
    writes(api, rows, code=code)
    api.enqueue(str(DATE))
    api.world.run()
    shown = _SHOWN.findall(api.client.get(path).text)
    assert expected in shown
    assert all((class_ == "v-complete") == (symbol == "✓") for class_, symbol, _ in shown)


def test_a_job_that_exits_1_after_writing_everything_left_everything(api: Api) -> None:
    writes(api, 14, code=1)
    api.enqueue(str(DATE))
    api.world.run()
    assert results(api) == ["exit 1 · 14 rows"]


@pytest.mark.parametrize(
    ("verdict", "rows", "reason", "said"),
    [
        ("complete", 8160, "", "8,160 rows"),
        (
            "complete",
            8160,
            "volume not judged: 3 complete dates",
            "8,160 rows; volume not judged: 3 complete dates",
        ),
        ("complete", 1, "rewrite not provable here", "1 row; rewrite not provable here"),
        ("complete", 0, "no rows, and the partition exists", "no rows, and the partition exists"),
        ("partial", 2, "2 of 14 rows", "2 of 14 rows"),
    ],
)
def test_rows_that_are_as_they_should_be_are_counted_before_any_remark(
    verdict: str, rows: int, reason: str, said: str
) -> None:
    assert describe(Verdict(verdict), rows, reason) == said


def test_an_attempt_has_no_verdict_before_the_warehouse_was_queried(api: Api) -> None:
    api.enqueue(str(DATE))
    api.world.settle()
    assert results(api) == ["running"]
    assert api.get("/v1/attempts/1")["verdict"] is None


def test_rows_that_appear_after_the_job_ended_replace_its_verdict(api: Api) -> None:
    # Given a job that exits 0, and whose rows are not there when it ends
    writes(api, *[0] * 9)
    api.enqueue(str(DATE))
    api.world.step()
    api.world.step()
    assert results(api)[0] == "exit 0 · no rows"
    # When they appear before the next attempt
    api.world.fill("box", DATE, 14)
    api.world.run()
    # Then the verdict of the attempt is the one that let the date pass
    assert results(api) == ["exit 0 · 14 rows"]


def test_rows_that_are_lost_later_do_not_change_the_verdict_of_an_old_attempt(api: Api) -> None:
    writes(api, 14)
    api.enqueue(str(DATE))
    api.world.run()
    api.world.fill("box", DATE, 2)
    api.enqueue(str(DATE))
    api.world.run()
    assert results(api) == ["exit 0 · 14 rows", "exit 0 · 14 rows"]


def test_a_batch_shows_its_worst_date_and_each_date_its_own(tmp_path: Path) -> None:
    # Given one job for three dates that fills two of them
    api = Api(World(team_table(batch=3, command=["job", "{start}", "{end}"]), GAMES, tmp_path))
    dates = [DATE + dt.timedelta(days=n) for n in range(3)]

    def script(job: Job) -> Work:
        rows = iter((14, 2, 14)) if job.env["BACKFILLD_DATES"].count(",") == 2 else iter((14,))
        covered = list(map(dt.date.fromisoformat, job.env["BACKFILLD_DATES"].split(",")))
        return Work(effect=lambda: [api.world.fill("box", date, next(rows)) for date in covered] and None)

    api.world.script = script
    api.enqueue(str(dates[0]), str(dates[-1]))
    api.world.run()
    # Then the attempt has the worst verdict
    attempt = api.get("/v1/attempts/1")
    assert (attempt["verdict"], attempt["verdict_reason"]) == (
        "partial",
        "1 of 3 dates partial: 2 of 14 rows",
    )


def test_dates_of_a_batch_that_wait_for_their_check_are_not_counted_as_those_that_are_wrong() -> None:
    reasons = {Verdict.PARTIAL: "2 of 3 rows", Verdict.UNKNOWN: "its check command has not run"}
    of_dates = [Verdict.COMPLETE, Verdict.UNKNOWN, Verdict.PARTIAL, Verdict.UNKNOWN]
    verdicts = {
        DATE + dt.timedelta(days=n): AttemptVerdict(verdict, reasons.get(verdict, ""))
        for n, verdict in enumerate(of_dates)
    }
    assert worst(verdicts) == (Verdict.PARTIAL, "1 of 4 dates partial, 2 unknown: 2 of 3 rows")


def test_an_attempt_whose_output_is_not_known_yet_has_not_failed(api: Api) -> None:
    writes(api, 14)
    api.enqueue(str(DATE))
    api.world.run()
    with api.world.db.write() as tx:
        tx.execute(update(attempt_dates).values(verdict="unknown"))
    assert api.get("/v1/attempts?failed=true")["items"] == []
    assert [row["id"] for row in api.get("/v1/attempts?verdict=unknown")["items"]] == [1]


def test_attempts_are_found_by_verdict_and_by_reason(api: Api) -> None:
    writes(api, 2)
    api.enqueue(str(DATE), str(DATE + dt.timedelta(days=1)))
    api.world.run()
    assert [row["id"] for row in api.get("/v1/attempts?verdict=partial,excess")["items"]] == [1]
    assert [row["id"] for row in api.get("/v1/attempts?failed=true")["items"]] == [1]
    assert [row["id"] for row in api.get("/v1/attempts?failed=false")["items"]] == [3, 2]
    assert [row["id"] for row in api.get("/v1/attempts?reason=2%20OF%2014")["items"]] == [1]
    assert api.get("/v1/attempts?reason=2_of")["items"] == []
    assert len(api.get("/v1/attempts?verdict=complete")["items"]) == 2


def test_the_message_of_a_finished_backfill_counts_what_jobs_left_although_they_exited_with_0(
    api: Api,
) -> None:
    writes(api, 2)
    api.enqueue(str(DATE))
    api.world.run()
    with api.world.db.read() as tx:
        (digest,) = messages.due(tx, api.world.context)
    assert "1 attempt exited with 0 and left something wrong: 1 partial" in digest.text


@pytest.mark.parametrize(
    ("verdict", "reason", "told"),
    [
        ("no_data", "the latest run succeeded (exit 0), but there are no rows", "exit 0 · no rows"),
        (
            "no_data",
            "1 of 4 dates no data: the latest run succeeded (exit 0), but there are no rows",
            "exit 0 · 1 of 4 dates no data",
        ),
        (
            "failed",
            "2 of 3 dates failed, 1 partial: no rows, the latest run failed",
            "exit 0 · 2 of 3 dates failed, 1 partial",
        ),
        ("partial", "1 of 91 dates partial: 2 of 14 rows", "exit 0 · 1 of 91 dates partial: 2 of 14 rows"),
    ],
)
def test_an_attempt_for_several_dates_says_of_how_many_it_left_nothing(
    verdict: str, reason: str, told: str
) -> None:
    assert format_attempt_result("exited", 0, verdict, reason) == told
