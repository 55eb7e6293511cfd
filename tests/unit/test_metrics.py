"""Metrics: complete from the start, fed by events, read from the database at scrape, never in the way."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from backfilld import __version__
from backfilld.api.metrics import DURATIONS, GATE_RESULTS, INCIDENTS, PURPOSES, RESULTS, Metrics
from backfilld.daemon.event_types import (
    AttemptEnded,
    AttemptStarted,
    DateMoved,
    ForeignWrites,
    GateEvaluated,
    GateResult,
    Incident,
    IncidentKind,
)
from backfilld.daemon.executors.adapter import Job
from backfilld.daemon.warehouses.adapter import Purpose
from backfilld.state.records import AttemptStatus
from backfilld.state.rules.state_machine import Trigger
from backfilld.state.store import transitions
from backfilld.state.store.database_errors import DatabaseUnavailable
from tests.factories import nba, phase, pipeline, processor
from tests.integration.api_world import Api, make_api
from tests.simulation.fakes import Script, Work

DATE = dt.date(2021, 10, 19)


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return make_api(tmp_path)


def test_every_series_exists_before_anything_happens(api: Api) -> None:
    # Given a daemon that has done nothing
    samples = api.scrape()
    # Then every combination of labels is there, at 0
    for name in (
        'backfilld_dates{state="phase4-step-2"}',
        'backfilld_ended_dates{outcome="bootstrap"}',
        'backfilld_processor_dates{phase="phase2",processor="box",verdict="no_data"}',
        'backfilld_attempts_total{processor="cache",result="timed_out"}',
        'backfilld_attempt_duration_seconds_count{processor="zones"}',
        'backfilld_attempts_running{phase="phase4"}',
        'backfilld_gate_evaluations_total{phase="phase4",result="fail"}',
        'backfilld_transitions_total{to="phase4-step-1"}',
        'backfilld_warehouse_queries_total{purpose="gate"}',
        'backfilld_warehouse_billed_bytes_total{purpose="calendar"}',
        "backfilld_warehouse_errors_total",
        "backfilld_last_progress_timestamp_seconds",
        "backfilld_regressed_dates",
        "backfilld_stale_dates",
        "backfilld_paused",
        'backfilld_waiting_dates{reason="earlier_date"}',
        'backfilld_processor_paused{by="engine",processor="box"}',
        'backfilld_processor_paused{by="operator",processor="box"}',
        'backfilld_holds{by="engine",kind="warehouse"}',
        'backfilld_holds{by="operator",kind="table"}',
        'backfilld_incidents_total{kind="breaker"}',
        'backfilld_foreign_writes_total{processor="box"}',
        'backfilld_processor_dates{phase="phase2",processor="box",verdict="untouched"}',
        "backfilld_collector_errors_total",
    ):
        assert samples[name] == 0, name
    assert samples['backfilld_phase_progress_ratio{phase="phase2"}'] == 1
    assert samples[f'backfilld_build_info{{version="{__version__}"}}'] == 1
    assert samples['backfilld_healthy{check="engine"}'] == 1
    assert math.isnan(samples["backfilld_eta_timestamp_seconds"])
    assert not [name for name in samples if "_created" in name]


def test_gauges_say_what_stands_in_the_database(api: Api) -> None:
    # Given four dates, of which nothing is expected on one, while jobs run
    api.enqueue("2021-10-18", "2021-10-21")
    api.world.settle()
    samples = api.scrape()
    assert samples['backfilld_dates{state="phase2"}'] == 3
    assert samples['backfilld_dates{state="done"}'] == 1
    assert samples['backfilld_ended_dates{outcome="not_expected"}'] == 1
    assert samples['backfilld_attempts_running{phase="phase2"}'] == 2
    assert samples["backfilld_oldest_running_start_timestamp_seconds"] == api.world.clock()
    assert samples['backfilld_processor_dates{phase="phase2",processor="box",verdict="never_ran"}'] == 3
    assert samples['backfilld_phase_progress_ratio{phase="phase2"}'] == 0
    waiting = {name: n for name, n in samples.items() if name.startswith("backfilld_waiting_dates") and n}
    assert sum(waiting.values()) == 3
    # When all have ended
    api.world.run()
    samples = api.scrape()
    # Then the gauges follow
    assert samples['backfilld_dates{state="done"}'] == 4
    assert samples['backfilld_phase_progress_ratio{phase="phase4"}'] == 1
    assert samples["backfilld_last_progress_timestamp_seconds"] == api.world.clock()
    assert math.isnan(samples["backfilld_eta_timestamp_seconds"])


def test_counters_hear_what_the_engine_does(api: Api) -> None:
    # Given two dates, one of which fails
    def half(job: Job) -> Work:
        return Work(code=1) if job.env["BACKFILLD_DATE"] == "2021-10-20" else api.world.well(job)

    api.world.script = half
    api.enqueue("2021-10-19", "2021-10-20")
    api.world.run()
    # Then attempts, gates and moves are counted
    samples = api.scrape()
    assert samples['backfilld_attempts_total{processor="zones",result="exited_0"}'] == 1
    assert samples['backfilld_attempts_total{processor="box",result="exited_nonzero"}'] == 3
    assert samples['backfilld_attempt_duration_seconds_count{processor="box"}'] == 4
    assert samples['backfilld_attempt_duration_seconds_sum{processor="box"}'] == pytest.approx(40)
    assert samples['backfilld_attempt_duration_seconds_bucket{le="15.0",processor="box"}'] == 4
    assert samples['backfilld_transitions_total{to="phase2"}'] == 2
    assert samples['backfilld_transitions_total{to="failed"}'] == 1
    assert samples['backfilld_gate_evaluations_total{phase="phase2",result="fail"}'] == 1
    assert samples['backfilld_gate_evaluations_total{phase="phase4",result="advance"}'] == 2


def test_jobs_that_start_are_counted_as_run_and_no_series_appears_later(api: Api) -> None:
    # Given a daemon that has done nothing
    before = api.scrape().keys()

    # When a date becomes complete, one fails, and one is cancelled while its jobs run
    def half(job: Job) -> Work:
        return Work(code=1) if job.env["BACKFILLD_DATE"] == "2021-10-20" else api.world.well(job)

    api.world.script = half
    api.enqueue("2021-10-19", "2021-10-20")
    api.world.run()
    api.enqueue("2021-10-21", "2021-10-21")
    api.world.settle()
    api.post("/v1/backfills/2/cancel")
    api.world.run()
    # Then starts are counted under the documented word
    samples = api.scrape()
    assert samples['backfilld_gate_evaluations_total{phase="phase2",result="run"}'] >= 3
    # And every value that a label has taken was there from the start
    assert samples.keys() == before


def test_the_documented_values_of_labels_are_those_of_the_events() -> None:
    assert set(GATE_RESULTS) == set(get_args(GateResult))
    assert set(INCIDENTS) == set(get_args(IncidentKind))
    assert set(PURPOSES) == set(get_args(Purpose))
    ended = {status.value for status in AttemptStatus} - {"running", "exited"}
    assert set(RESULTS) == {"exited_0", "exited_nonzero"} | ended


def test_durations_from_a_tenth_of_a_second_to_an_hour_have_narrow_buckets() -> None:
    assert DURATIONS[0] <= 0.1
    assert DURATIONS[-1] >= 3600
    assert all(after <= 2.5 * before for before, after in pairwise(DURATIONS))
    # A quantile lies between the bounds of its bucket
    lower, upper = next(pair for pair in pairwise(DURATIONS) if pair[0] < 1.6 <= pair[1])
    assert 1 <= lower < upper <= 2.5


def test_moves_that_people_ask_for_are_counted_as_the_engine_s_are(api: Api) -> None:
    # Given dates that fail, or on which nothing is expected
    well = api.world.script

    def ask(path: str, body: dict[str, object], script: Script) -> None:
        api.world.script = script
        api.post(path, body)
        api.world.run()

    ask("/v1/backfills", {"start": "2021-10-17", "end": "2021-10-19"}, lambda job: Work(code=1))
    # When they are retried, forced and accepted
    ask("/v1/dates/2021-10-19/retry", {}, well)
    ask(
        "/v1/backfills",
        {"start": "2021-10-19", "force": True},
        lambda job: Work(code=1, effect=api.world.warehouse.rows.clear),
    )
    ask("/v1/backfills/2/retry", {}, lambda job: Work(code=1))
    ask("/v1/dates/2021-10-19/accept", {"processor": "box", "reason": "lost"}, well)
    # Then there are as many moves as the dates' histories have
    with api.world.db.read() as tx:
        moves = [move.target for date in api.world.dates() for move in transitions.history(tx, date)]
    samples = api.scrape()
    assert {to: samples[f'backfilld_transitions_total{{to="{to}"}}'] for to in set(moves)} == Counter(moves)


def test_the_eta_of_the_metrics_is_that_of_the_progress(api: Api) -> None:
    # Given work that has gone on for a while
    api.enqueue("2021-10-19", "2021-11-20")
    for _ in range(200):
        api.world.step()
        if api.get("/v1/progress")["eta"]:
            break
    # Then both say the same
    eta = dt.datetime.fromisoformat(api.get("/v1/progress")["eta"]).timestamp()
    assert api.scrape()["backfilld_eta_timestamp_seconds"] == pytest.approx(eta, abs=0.01)


def test_pauses_and_holds_are_shown(api: Api) -> None:
    # Given everything paused, and a processor that failed too often in the same way
    api.world.script = lambda job: Work(code=1)
    api.enqueue("2021-10-19", "2021-10-24")
    api.world.run()
    api.post("/v1/pause")
    # Then the metrics show both
    samples = api.scrape()
    assert samples["backfilld_paused"] == 1
    assert samples['backfilld_processor_paused{by="engine",processor="box"}'] == 1
    assert samples['backfilld_holds{by="operator",kind="all"}'] == 1
    assert samples['backfilld_incidents_total{kind="breaker"}'] >= 1


def test_what_an_operator_holds_is_told_from_what_the_engine_holds(api: Api) -> None:
    # Given a processor that the breaker holds
    api.world.script = lambda job: Work(code=1)
    api.enqueue("2021-10-19", "2021-10-24")
    api.world.run()
    # When an operator holds it too, with the warehouse
    for hold in ({"kind": "processor", "key": "box"}, {"kind": "warehouse"}):
        api.post("/v1/holds", {**hold, "reason": "under repair"})
    # Then the hold is the operator's, and no fault is left to alert on
    samples = api.scrape()
    assert samples['backfilld_processor_paused{by="operator",processor="box"}'] == 1
    assert samples['backfilld_processor_paused{by="engine",processor="box"}'] == 0
    assert samples['backfilld_holds{by="operator",kind="processor"}'] == 1
    assert samples['backfilld_holds{by="operator",kind="warehouse"}'] == 1
    assert samples['backfilld_holds{by="engine",kind="warehouse"}'] == 0


def test_questions_are_counted_by_what_they_were_for() -> None:
    metrics = Metrics()
    metrics.on_query("gate", 7)
    metrics.on_query("quality", 10)
    metrics.on_error()
    text = metrics.exposition("")[0].decode()
    assert 'backfilld_warehouse_queries_total{purpose="gate"} 1.0' in text
    assert 'backfilld_warehouse_billed_bytes_total{purpose="quality"} 10.0' in text
    assert "backfilld_warehouse_errors_total 1.0" in text


def test_every_event_is_counted_once() -> None:
    metrics = Metrics()
    moved = {"date": DATE, "source": "pending", "trigger": Trigger.ADMIT, "reason": "", "actor": "engine"}
    metrics.emit(DateMoved(target="phase2", **moved))  # type: ignore[arg-type]
    metrics.emit(GateEvaluated(phase="phase2", result="run"))
    metrics.emit(AttemptStarted(attempt=1, processor="box", dates=(DATE,)))
    ended = {"attempt": 1, "processor": "box", "phase": "phase2", "seconds": 61}
    for status, code in ((AttemptStatus.IDLE, 143), (AttemptStatus.EXITED, 0), (AttemptStatus.EXITED, 2)):
        metrics.emit(AttemptEnded(status=status, exit_code=code, **ended))  # type: ignore[arg-type]
    metrics.emit(Incident(kind="clock", text="the clock was set back"))
    metrics.emit(ForeignWrites(processor="box", dates=(DATE, DATE + dt.timedelta(days=1)), suspect="none"))
    text = metrics.exposition("")[0].decode()
    assert 'backfilld_transitions_total{to="phase2"} 1.0' in text
    assert 'backfilld_gate_evaluations_total{phase="phase2",result="run"} 1.0' in text
    for result in ("idle", "exited_0", "exited_nonzero"):
        assert f'backfilld_attempts_total{{processor="box",result="{result}"}} 1.0' in text
    assert 'backfilld_incidents_total{kind="clock"} 1.0' in text
    assert 'backfilld_foreign_writes_total{processor="box"} 2.0' in text


def test_a_database_that_cannot_be_read_does_not_break_the_scrape(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a database that cannot be read
    def locked() -> None:
        raise DatabaseUnavailable("state.db: another process has locked it")

    monkeypatch.setattr(api.behind.context.db, "read", locked)
    # When it is scraped, twice
    api.scrape()
    samples = api.scrape()
    # Then the counters are still there, and say that the gauges are not
    assert samples["backfilld_collector_errors_total"] >= 1
    assert samples['backfilld_transitions_total{to="done"}'] == 0
    assert "backfilld_paused" not in samples


def test_names_and_labels_follow_the_conventions(api: Api) -> None:
    # Given all metrics
    families = list(text_string_to_metric_families(api.client.get("/metrics").text))
    # Then names have one prefix, figures have units, and no label grows with time
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert re.fullmatch(r"backfilld_[a-z_]+", family.name)
        assert family.documentation.endswith(".")
        assert not set(next(iter(family.samples)).labels) & {
            "date",
            "attempt",
            "backfill",
            "backfill_id",
            "id",
        }


def test_a_pool_shows_its_slots_and_how_many_are_taken(tmp_path: Path) -> None:
    # Given two processors of one pool that has a single slot
    sources = [processor(name, pool="vendor_api") for name in ("box", "odds")]
    api = make_api(
        tmp_path,
        made=lambda: pipeline(phase("raw", *sources), pool=[{"name": "vendor_api", "size": 1}]),
    )
    assert api.scrape()['backfilld_pool_slots_used{pool="vendor_api"}'] == 0
    # When both are to run
    api.enqueue("2021-10-19", "2021-10-19")
    api.world.settle()
    # Then the one that runs takes it
    samples = api.scrape()
    assert samples['backfilld_pool_slots{pool="vendor_api"}'] == 1
    assert samples['backfilld_pool_slots_used{pool="vendor_api"}'] == 1


def test_the_platforms_real_shape_makes_some_hundred_series(tmp_path: Path) -> None:
    api = make_api(tmp_path, made=nba)
    assert len(api.scrape()) < 400


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "text/plain"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
        ("*/*", "text/plain"),
        ("application/openmetrics-text; version=x", "application/openmetrics-text"),
        ("text/plain; version=zz; escaping=no", "text/plain"),
        ("text/plain; version=9.9.9; escaping=\u00fc", "text/plain"),
        (
            "application/openmetrics-text; version=1.0.0.0.0.99999999999999999999",
            "application/openmetrics-text",
        ),
    ],
)
def test_the_format_is_the_one_that_was_asked_for(api: Api, accept: str, media_type: str) -> None:
    response = api.client.get("/metrics", headers={"Accept": accept.encode().decode("latin-1")})
    assert response.status_code == 200
    assert response.content_type.startswith(media_type)
    if media_type == "application/openmetrics-text":
        assert response.text.endswith("# EOF\n")
