"""A stuck backfill of thousands of dates is explained by reading one date of those that wait for the same."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from pathlib import Path

import pytest

from backfilld.daemon.reports import wait_causes
from backfilld.daemon.reports.wait_causes import CauseReader, causes_of_all
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.store import checks, dates, holds
from tests.factories import phase, pipeline, processor
from tests.integration.api_world import Api, make_api
from tests.integration.page.page_driver import failing

FAILING = {"2021-10-20", "2021-10-27"}


def averages() -> Pipeline:
    """A phase whose dates need the four dates before."""
    return pipeline(
        phase("raw", processor("box")), phase("derived", processor("zones"), order="sequential", lookback=4)
    )


@pytest.fixture
def api(tmp_path: Path) -> Api:
    """Two failed dates, each with four dates behind it."""
    api = make_api(tmp_path, made=averages)
    api.world.script = lambda job: (
        failing(job) if job.env["BACKFILLD_DATE"] in FAILING else api.world.well(job)
    )
    api.enqueue("2021-10-19", "2021-10-31")
    api.world.run()
    return api


def test_all_causes_are_those_of_each_date_and_few_dates_are_read(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, read = api.world.context, []
    for_dates = checks.for_dates

    def counted(tx: object, wanted: Collection[dt.date]) -> object:
        read.append(len(wanted))
        return for_dates(tx, wanted)  # type: ignore[arg-type]

    with context.db.read() as tx:
        rows, active = dates.wanted_by(tx, 1), holds.all_holds(tx)
        reader = CauseReader(tx, context, active, rows)
        each = [reader.cause(row) for row in rows]
        monkeypatch.setattr(wait_causes.checks, "for_dates", counted)
        together = list(causes_of_all(tx, context, active, rows))
    assert together == each
    assert all("which failed" in cause.text for cause in each)
    assert len(rows) == 8
    assert sum(read) == 4  # the first date behind each failed one, and that one
