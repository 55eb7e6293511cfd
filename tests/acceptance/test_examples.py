"""The examples run for three months of dates: each planted fault is caught with the sentence of its page."""

import datetime as dt
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfilld.daemon.event_types import AttemptStarted, ForeignWrites
from backfilld.state.records import Mark
from tests.acceptance import dbt
from tests.acceptance.example_platform import ExamplePlatform, faults
from tests.scratch_duckdb import scratch

QUARTER = ("2024-01-01", "2024-03-31")


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ExamplePlatform]:
    platform = ExamplePlatform(request.param, tmp_path)
    yield platform
    platform.close()


@pytest.mark.parametrize("example", ["shops"], indirect=True)
def test_the_shops_show_each_of_their_faults(example: ExamplePlatform) -> None:
    planted, late = faults(example.page), {"2024-02-12": "computed before returns of 2024-02-12 changed"}
    assert len(planted) == 8
    assert late.items() <= planted.items()
    # The first run finds what the sources have wrong
    assert example.enqueue(*QUARTER).outcomes == {"enqueued": 91}
    failed = {str(date) for date, row in example.dates().items() if row.state == "failed"}
    assert failed == {"2024-01-17", "2024-02-08", "2024-02-20", "2024-03-11", "2024-03-31"}
    assert {date: example.sentences()[date] for date in failed} == {date: planted[date] for date in failed}
    # With the sources repaired, a balance fails, and the next one does not pass it
    example.python("make_data.py", "repaired")
    assert {str(date) for date in example.retry(*QUARTER)} == failed
    assert example.sentences() == {date: planted[date] for date in ("2024-02-29", "2024-03-29")}
    corrections = example.folder / "source" / "corrections.csv"
    corrections.write_text(corrections.read_text().replace("1O0", "100"))
    example.retry("2024-02-29")
    assert example.sentences() == {}
    # A late return makes stale what was computed without it, and nothing else
    with (example.folder / "source" / "returns.csv").open("a") as returns:
        returns.write("2024-02-12,3,30\n")
    example.retry("2024-02-12", processors=("returns",))
    from_it = "computed from net_sales of 2024-02-12, which is stale"
    assert f"`{from_it}`" in example.page
    late |= dict.fromkeys(("2024-02-19", "2024-02-29", "2024-03-29"), from_it)
    assert example.sentences() == late
    before = len(example.events)
    assert {str(date) for date in example.retry(*QUARTER, mark=Mark.STALE)} == late.keys()
    started = [event for event in example.events[before:] if isinstance(event, AttemptStarted)]
    assert {(event.processor, str(date)) for event in started for date in event.dates} == {
        ("net_sales", "2024-02-12"),
        ("weekly", "2024-02-12"),
        ("weekly", "2024-02-19"),
        ("monthly", "2024-02-29"),
        ("balance", "2024-02-29"),
        ("balance", "2024-03-29"),
    }
    assert {row.outcome for row in example.dates().values()} == {"complete"}


@pytest.mark.parametrize("example", ["events"], indirect=True)
def test_the_events_show_each_of_their_faults(example: ExamplePlatform) -> None:
    planted = faults(example.page)
    erased = {date: sentence for date, sentence in planted.items() if sentence.startswith("computed before")}
    # The first run finds what the export has wrong, and what waits for it
    example.enqueue(*QUARTER)
    assert example.sentences() == {date: planted[date] for date in planted if date not in erased}
    example.python("make_data.py", "complete")
    example.retry(*QUARTER)
    assert example.sentences() == {}
    # An erasure beside the daemon shows by the write stamps of the sweep
    example.sweep()
    assert 5 in users(example)
    example.python("erase.py", "5", "2024-03-10", "2024-03-12")
    example.sweep()
    assert example.sentences() == erased
    assert [event.dates for event in example.events if isinstance(event, ForeignWrites)] == [
        tuple(dt.date(2024, 3, day) for day in (10, 11, 12))
    ]
    assert {str(date) for date in example.retry(*QUARTER, mark=Mark.STALE)} == erased.keys()
    assert example.sentences() == {}
    assert 5 not in users(example)


def users(example: ExamplePlatform) -> set[int]:
    """The users of the sessions that end on 2024-03-12."""
    file = example.folder / "lake/derived/sessions/date=2024-03-12/part-0.parquet"
    with scratch() as connection:
        return {user for (user,) in connection.read_parquet(str(file)).project("user_id").fetchall()}


@pytest.mark.packages
def test_the_dbt_project_shows_each_of_its_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{dbt.installed()}{os.pathsep}{os.environ['PATH']}")
    example = ExamplePlatform("dbt", tmp_path, "dbt", "run", "--empty")
    example.enqueue(*QUARTER)
    # dbt's lines begin with the time of day, and a helper process of it may end a moment after it
    left = "; 1 process that it left behind was ended"
    said = {
        date: re.sub(r"\d\d:\d\d:\d\d", "12:00:00", text).replace(left, "")
        for date, text in example.sentences().items()
    }
    assert said == faults(example.page)
    assert sum(row.outcome == "complete" for row in example.dates().values()) == 87
    example.close()
