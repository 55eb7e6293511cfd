"""What both warehouses make of the platform's run history, in which nothing may be taken at its word."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.judge import judge
from backfilld.state.rules.verdict import Verdict
from tests.factories import about, day, expectation, phase, processor
from tests.integration.warehouses import (
    DAY,
    HISTORY,
    START,
    BigQueryHouse,
    House,
    LakeHouse,
    Row,
    closed,
    entry,
)

NAME = "BoxProcessor"
PIPELINE = phase(
    "raw",
    processor(
        "box", date_column="game_date", history_names=[NAME, "OldBox"], expect={"rows_per": {"games": [2, 2]}}
    ),
    processor("other", date_column="game_date"),
)
BEFORE = DAY - dt.timedelta(days=30)
NOW = (START + dt.timedelta(hours=3)).timestamp()
"""Three hours after the first run; open runs are stale after four."""


def evidence(house: House, history: Sequence[Row], *, rows: int = 0, **keys: Any) -> Evidence:
    """The evidence of `box`, with this history and this many rows of ten."""
    put_boxes(house, rows)
    if history:
        house.put(HISTORY, history, by="data_date")
    return house.open(PIPELINE, **keys).evidence({"box": [DAY]}, purpose="gate")["box", DAY]


def put_boxes(house: House, rows: int) -> None:
    """The table, on another date at least; and a history that knows another processor at least."""
    house.put("nba.box", [{"game_date": BEFORE}, *([{"game_date": DAY}] * rows)])
    house.put("nba.other", [{"game_date": BEFORE}])
    house.put(HISTORY, [entry("SomebodyElse", "x1", "success")], by="data_date", types={"errors": "STRING"})


def verdict(found: Evidence) -> Verdict:
    """What it means on a day of five games."""
    return judge(found, expectation(rows_per={"games": [2, 2]}), day(games=5), about(now=NOW)).verdict


Case = tuple[list[Row], int, Verdict]


def cases(name: str, old: str) -> dict[str, Case]:
    """Histories of a processor known as `name` and as `old`, how many of ten rows it has, the verdict."""
    running = entry(name, "r1", "running")
    late: dict[str, Any] = {"hours": 1}
    return {
        "two rows per run": ([running, entry(name, "r1", "failed")], 0, Verdict.FAILED),
        "no row": ([], 0, Verdict.NEVER_RAN),
        "no row and data present": ([], 10, Verdict.COMPLETE),
        "a run that goes on": ([running], 0, Verdict.RUNNING),
        "a history that lags: the rows are there, the final row is not": ([running], 10, Verdict.COMPLETE),
        "a run that goes on beside a few rows": ([running], 3, Verdict.RUNNING),
        "a running row that never closes": ([entry(name, "r1", "running", hours=-9)], 0, Verdict.NEVER_RAN),
        "a running row that never closes, and data present": (
            [entry(name, "r1", "running", hours=-9)],
            10,
            Verdict.COMPLETE,
        ),
        "success without rows": (closed(name, "r1", "success"), 0, Verdict.NO_DATA),
        "success with rows": (closed(name, "r1", "success"), 10, Verdict.COMPLETE),
        "success with 0 records and data present": (
            closed(name, "r1", "success", records_processed=0),
            10,
            Verdict.COMPLETE,
        ),
        "success with 0 records, skipped early in the season": (
            closed(name, "r1", "success", records_processed=0, skip_reason="early_season"),
            0,
            Verdict.NO_DATA,
        ),
        "skipped as a duplicate of a run that wrote": (
            closed(name, "r1", "success") + closed(name, "r2", "skipped", records_processed=0, **late),
            10,
            Verdict.COMPLETE,
        ),
        "locked out by the platform's own circuit breaker": (
            closed(name, "r1", "failed") + closed(name, "r2", "failed", records_processed=0, **late),
            0,
            Verdict.FAILED,
        ),
        "failed with data present": (closed(name, "r1", "failed"), 10, Verdict.COMPLETE),
        "failed with too few rows": (closed(name, "r1", "failed"), 4, Verdict.PARTIAL),
        "failed": (closed(name, "r1", "failed"), 0, Verdict.FAILED),
        "partial": (closed(name, "r1", "partial"), 0, Verdict.FAILED),
        "skipped": (closed(name, "r1", "skipped"), 0, Verdict.NO_DATA),
        "a status that nobody knows": (closed(name, "r1", "aborted?"), 0, Verdict.FAILED),
        "a run without a status": ([entry(name, "r1", None)], 0, Verdict.FAILED),
        "status in capitals": (closed(name, "r1", "SUCCESS"), 0, Verdict.NO_DATA),
        "the final row alone": ([entry(name, "r1", "success")], 0, Verdict.NO_DATA),
        "failed, then success": (
            closed(name, "r1", "failed") + closed(name, "r2", "success", **late),
            0,
            Verdict.NO_DATA,
        ),
        "success, then failed": (
            closed(name, "r1", "success") + closed(name, "r2", "failed", **late),
            0,
            Verdict.FAILED,
        ),
        "the later run was written first": (
            closed(name, "r2", "failed", **late) + closed(name, "r1", "success"),
            0,
            Verdict.FAILED,
        ),
        "failed, and a new run goes on": (
            [*closed(name, "r1", "failed"), entry(name, "r2", "running", **late)],
            0,
            Verdict.RUNNING,
        ),
        "a run that never closed, and a later success": (
            [entry(name, "r0", "running", hours=-20), *closed(name, "r1", "success")],
            0,
            Verdict.NO_DATA,
        ),
        "another name of the same processor": (
            closed(old, "r1", "failed") + closed(name, "r2", "success", hours=-1),
            0,
            Verdict.FAILED,
        ),
        "another processor": (closed(f"{name}Later", "r1", "failed"), 0, Verdict.NEVER_RAN),
        "another date": (closed(name, "r1", "failed", day=DAY - dt.timedelta(days=1)), 0, Verdict.NEVER_RAN),
        "a phase spelt as nobody expects": (closed(name, "r1", "failed", phase="Phase 2"), 0, Verdict.FAILED),
        "rows of a run written twice": (closed(name, "r1", "failed") * 2, 0, Verdict.FAILED),
        "runs without ids": (
            [entry(name, None, "failed"), entry(name, None, "success", **late)],
            0,
            Verdict.NO_DATA,
        ),
    }


CASES = tuple(cases("", ""))


@pytest.fixture(scope="module", params=["lake", "bigquery"])
def every_case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Evidence]]:
    """The evidence of all cases, of a processor each that is known under two names, from one warehouse."""
    folder = tmp_path_factory.mktemp("history")
    house: LakeHouse | BigQueryHouse = LakeHouse(folder)
    if request.param == "bigquery":
        house = BigQueryHouse(request.getfixturevalue("bigquery_endpoint"), folder)
    processors, history, counts = [], [], set()
    for number, case in enumerate(CASES):
        name, names = f"case_{number}", [f"Case{number}Processor", f"OldCase{number}"]
        runs, count, _ = cases(*names)[case]
        history += runs
        counts.add(count)
        processors.append(
            processor(name, table=f"nba.boxes_{count}", date_column="game_date", history_names=names)
        )
    for count in counts:
        boxes = [{"game_date": DAY if number < count else BEFORE} for number in range(11)]
        house.put(f"nba.boxes_{count}", boxes)
    house.put(HISTORY, history, by="data_date", types={"errors": "STRING"})
    wanted = {one["name"]: [DAY] for one in processors}
    answers = house.open(phase("raw", *processors)).evidence(wanted, purpose="gate")
    assert len(house.queries) == 2
    yield {case: answers[f"case_{number}", DAY] for number, case in enumerate(CASES)}
    house.close()


@pytest.mark.parametrize("case", CASES)
def test_rows_beat_history_and_history_explains_absence(
    every_case: Mapping[str, Evidence], case: str
) -> None:
    _, rows, meant = cases("", "")[case]
    assert (every_case[case].rows, verdict(every_case[case])) == (rows, meant)


def test_a_running_row_is_an_open_run_until_its_run_has_a_final_row(house: House) -> None:
    # Given one run that ended and a later one that did not
    history = [*closed(NAME, "r1", "success"), entry(NAME, "r2", "running", hours=2)]

    # When
    found = evidence(house, history)

    # Then times are epoch seconds, in UTC
    assert found.closed is not None
    assert found.open is not None
    assert found.closed.started_at == START.timestamp()
    assert found.closed.ended_at == START.timestamp() + 1800
    assert found.open.started_at == START.timestamp() + 7200
    assert found.open.ended_at is None


def test_a_final_row_may_start_later_than_its_running_row(house: House) -> None:
    """The platform's timer once accumulated over dates: a run started when its first row says so."""
    late = entry(NAME, "r1", "success", hours=2)
    found = evidence(house, [entry(NAME, "r1", "running"), late])
    assert found.open is None
    assert found.closed is not None
    assert found.closed.started_at == START.timestamp()


def test_one_run_of_several_dates_counts_for_each(house: House) -> None:
    # Given a batch that closed one of its two dates
    later = DAY + dt.timedelta(days=1)
    put_boxes(house, 0)
    house.put(
        HISTORY, [*closed(NAME, "r1", "failed"), entry(NAME, "r1", "running", day=later)], by="data_date"
    )

    # When
    answers = house.open(PIPELINE).evidence({"box": [DAY, later], "other": [DAY]}, purpose="gate")

    # Then
    assert answers["box", DAY].closed is not None
    assert answers["box", DAY].open is None
    assert answers["box", later].closed is None
    assert answers["box", later].open is not None
    assert answers["other", DAY] == Evidence()


TEXTS = {
    "text": ("STRING", "no  games\nfound", "no games found"),
    "list in a text": ("STRING", '["no games", "no players"]', "no games; no players"),
    "list of tables in a text": ("STRING", '[{"type": "ValueError", "message": "bad row"}]', "bad row"),
    "empty list in a text": ("STRING", "[]", ""),
    "JSON": ("JSON", {"error": "upstream", "code": 5}, "upstream"),
    "JSON list": ("JSON", ["a", {"code": 5}], 'a; {"code": 5}'),
    "JSON text": ("JSON", "plain", "plain"),
    "nothing": ("STRING", None, ""),
}


@pytest.mark.parametrize("text", TEXTS)
def test_the_error_is_told_as_a_person_would_read_it(house: House, text: str) -> None:
    kind, errors, told = TEXTS[text]
    house.put(HISTORY, closed(NAME, "r1", "failed", errors=errors), by="data_date", types={"errors": kind})
    house.put("nba.box", [{"game_date": BEFORE}])
    found = house.open(PIPELINE).evidence({"box": [DAY]}, purpose="gate")["box", DAY]
    assert found.closed is not None
    assert found.closed.detail == told


def test_a_long_error_is_cut(house: House) -> None:
    found = evidence(house, closed(NAME, "r1", "failed", errors="é" * 5000))
    assert found.closed is not None
    assert found.closed.detail == "é" * 299 + "…"


def test_an_uncommon_status_is_told(house: House) -> None:
    found = evidence(house, closed(NAME, "r1", "partial", errors="3 of 5 games"))
    assert found.closed is not None
    assert found.closed.detail == "partial: 3 of 5 games"


def test_the_history_may_have_other_columns_and_words(house: House) -> None:
    # Given
    row = {
        "job": NAME,
        "day": DAY,
        "id": 7,
        "state": "Working",
        "began": START,
        "until": None,
        "why": None,
        "by_whom": "the nightly run",
    }
    house.put("nba.runs", [row], by="day", types={"until": "TIMESTAMP"})
    put_boxes(house, 0)
    columns = {
        "table": "nba.runs",
        "processor": "job",
        "date": "day",
        "run_id": "id",
        "status": "state",
        "started_at": "began",
        "ended_at": "until",
        "detail": "why",
        "controller": "by_whom",
        "running": ["working"],
        "succeeded": ["DONE"],
    }

    # When
    found = house.open(PIPELINE, history=columns).evidence({"box": [DAY]}, purpose="gate")["box", DAY]

    # Then
    assert found.open is not None
    assert found.open.detail == "started by the nightly run"


@pytest.mark.parametrize(
    "lacking", [["errors"], ["processed_at", "errors"], ["run_id", "errors", "processed_at"]]
)
def test_columns_that_the_history_does_not_have_are_done_without(house: House, lacking: list[str]) -> None:
    # Given
    rows = [
        {name: value for name, value in row.items() if name not in lacking}
        for row in closed(NAME, "r1", "failed")
    ]
    house.put(HISTORY, rows, by="data_date")
    house.put("nba.box", [{"game_date": BEFORE}])
    warehouse = house.open(PIPELINE)

    # When
    found = warehouse.evidence({"box": [DAY]}, purpose="gate")["box", DAY]
    sent = len(house.queries)
    warehouse.evidence({"box": [DAY]}, purpose="gate")

    # Then, and what was learnt of a table is not learnt again; other files of a lake may have the column
    assert verdict(found) is Verdict.FAILED
    assert found.closed is not None
    assert found.closed.ended_at is not None
    assert found.open is None
    assert len(house.queries) - sent == (sent if house.kind == "lake" else 2)


def test_a_history_that_cannot_be_asked_leaves_absence_unexplained_and_rows_judged(house: House) -> None:
    # Given a history without the column that names who ran
    house.put(HISTORY, [{"data_date": DAY, "status": "failed"}], by="data_date")
    house.put("nba.box", [{"game_date": DAY}])
    house.put("nba.other", [{"game_date": DAY - dt.timedelta(days=1)}])

    # When
    answers = house.open(PIPELINE).evidence({"box": [DAY], "other": [DAY]}, purpose="gate")

    # Then
    assert answers["box", DAY] == Evidence(rows=1)
    assert answers["other", DAY].error.startswith("run history could not be read: ")


def test_without_a_history_there_is_one_question_and_no_run(house: House) -> None:
    house.put("nba.box", [{"game_date": DAY}])
    found = house.open(PIPELINE, history=None).evidence({"box": [DAY]}, purpose="gate")
    assert found["box", DAY] == Evidence(rows=1)
    assert len(house.queries) == 1
