"""A plan is a promise about the engine: it runs what was planned, no more and no less, and in that order."""

import datetime as dt
import random
from collections import Counter
from pathlib import Path

import pytest

from backfilld.daemon.reports import state_lookup
from backfilld.daemon.reports.data_completeness import validation
from backfilld.daemon.reports.plan.plan import Plan, plan
from backfilld.daemon.reports.plan.selection_and_force_options import RequestOptions
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import Sources
from backfilld.state.rules.evidence import HistoryRun
from backfilld.state.store import attempts, checks
from tests.factories import phase, pipeline, processor
from tests.simulation.world import World

GAMES = {dt.date(2021, 10, 19) + dt.timedelta(days=n): (n * 5) % 7 for n in range(9)}


def platform(folder: Path, lookback: str | int = "season") -> Pipeline:
    strict = {"order": "sequential", "skip_bootstrap": True, "lookback": lookback}
    return pipeline(
        phase(
            "phase2",
            processor("gamebook", fallbacks=["bdl"]),
            processor("box"),
            processor("props", priority="important"),
            processor("bdl", priority="fallback"),
        ),
        phase("phase3", processor("players", after=["offense"]), processor("offense"), processor("context")),
        phase("phase4", processor("zones"), processor("cache"), **strict),
        at=folder / "pipeline.toml",
        calendar={
            "file": "calendar.csv",
            "bootstrap_days": 3,
            "season": [{"name": "s", "opens": min(GAMES), "closes": dt.date(2022, 6, 16)}],
        },
    )


def scatter(world: World, rng: random.Random) -> None:
    """Some rows here and there, runs that failed or found nothing, and dates before the range."""
    for name in world.pipeline.processors:
        for date in GAMES:
            chance = rng.random()
            if chance < 0.5:
                world.fill(name, date)
            elif chance < 0.6:
                ended = HistoryRun(
                    succeeded=chance < 0.55, started_at=world.time - 9000, ended_at=world.time - 8000
                )
                world.warehouse.closed[name, date] = ended


def attempted(world: World) -> set[tuple[dt.date, str]]:
    return {(date, name) for date in world.dates() for name, _ in world.attempts(date)}


def stale_outputs(world: World) -> set[tuple[dt.date, str]]:
    with world.db.read() as tx:
        known = checks.for_dates(tx, list(GAMES))
    return {
        (date, name) for date, by_name in known.items() for name, check in by_name.items() if check.stale_at
    }


def promised(made: Plan) -> set[tuple[dt.date, str]]:
    return {(date, step.processor) for step in made.steps for date in step.dates}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sources", Sources)
def test_the_engine_runs_what_was_planned(tmp_path: Path, seed: int, sources: Sources) -> None:
    # Given a warehouse in disorder, and a plan for the later part of it
    lookback = ("season", 3, 0)[seed]
    world = World(platform(tmp_path, lookback), GAMES, tmp_path, seed=seed)
    scatter(world, random.Random(seed))
    start, end = sorted(GAMES)[seed + 1], max(GAMES)
    report = validation(world.pipeline, world.warehouse, start, end, now=world.time)
    made = plan(report, world.pipeline, options=RequestOptions(sources=sources))
    # When the engine gets the same dates, and every job does what it should
    world.enqueue(start, end, sources=sources)
    world.run()
    # Then it has run what was planned
    assert attempted(world) == promised(made)
    # And the dates that the plan sees at their end are at their end
    stopped = {date for one in made.cannot_run for date in one.dates}
    assert {date for date, row in world.dates().items() if row.state == "done"} == {
        date for date in report.snapshot.days if date >= start and date not in stopped
    }


@pytest.mark.parametrize(
    ("seed", "options"),
    [
        (0, RequestOptions(selection=("box", "players"), force=True)),
        (1, RequestOptions(selection=("offense", "zones", "cache"))),
    ],
)
def test_the_engine_runs_what_was_planned_of_a_selection(
    tmp_path: Path, seed: int, options: RequestOptions
) -> None:
    world = World(platform(tmp_path, (0, 3, "season")[seed]), GAMES, tmp_path, seed=seed)
    start, end = sorted(GAMES)[seed + 1], max(GAMES)
    for name in world.pipeline.processors:
        for date in GAMES:
            missing = options.selects(name) and date == end
            world.fill(name, date, rows=0 if missing else 1)
    report = validation(world.pipeline, world.warehouse, start, end, now=world.time)
    made = plan(report, world.pipeline, options=options)
    assert made.steps
    world.enqueue(start, end, selection=options.selection, force=options.force)
    world.run(limit=2000)
    assert attempted(world) == promised(made)
    # And exactly the outputs that it counts become stale
    assert Counter(name for _, name in stale_outputs(world)) == made.becomes_stale


@pytest.mark.parametrize("lost", ["box", "players", "zones"])
def test_a_plan_without_a_selection_counts_what_becomes_stale_by_what_was_missing(
    tmp_path: Path, lost: str
) -> None:
    # Given complete dates, of which one has lost the rows of one output
    world = World(platform(tmp_path, 3), GAMES, tmp_path)
    start, end = min(GAMES), max(GAMES)
    for name in world.pipeline.processors:
        for date in GAMES:
            world.fill(name, date)
    world.fill(lost, sorted(GAMES)[-3], rows=0)
    report = validation(world.pipeline, world.warehouse, start, end, now=world.time)
    made = plan(report, world.pipeline)
    assert made.steps
    world.enqueue(start, end)
    world.run(limit=2000)
    assert attempted(world) == promised(made)
    assert made.becomes_stale
    assert Counter(name for _, name in stale_outputs(world)) == made.becomes_stale


@pytest.mark.parametrize("seed", range(3))
def test_every_step_stands_after_what_it_needs(tmp_path: Path, seed: int) -> None:
    world = World(platform(tmp_path), GAMES, tmp_path, seed=seed)
    scatter(world, random.Random(seed))
    start, end = min(GAMES), max(GAMES)
    report = validation(world.pipeline, world.warehouse, start, end, now=world.time)
    made = plan(report, world.pipeline)
    there = {
        (check.date, check.processor)
        for checks in report.snapshot.checks.values()
        for check in checks.values()
        if check.satisfied
    }
    stage_of = world.pipeline.stage_of
    for step in made.steps:
        assert all(need < step.number for need in step.needs)
        planned_later = promised(made) - there
        for date in step.dates:
            needed = {
                other
                for day, other in planned_later
                if day == date and stage_of[other].index < stage_of[step.processor].index
            }
            assert not needed, f"{step.processor} of {date} stands before {needed}"
        there |= {(date, step.processor) for date in step.dates}


def test_behind_weeks_as_many_jobs_run_as_were_planned(tmp_path: Path) -> None:
    ranged = ["true", "{start}", "{end}"]
    made = pipeline(
        phase("raw", processor("box")),
        phase("weekly", processor("statement", period="week", command=ranged)),
        phase(
            "last", processor("board", batch=10, command=ranged), processor("chart", batch=2, command=ranged)
        ),
        calendar={"query": "SELECT 1"},
        history=None,
    )
    days = {dt.date(2024, 1, 1) + dt.timedelta(days=n): 1 for n in range(25)}
    world = World(made, days, tmp_path)
    # Given that one week is complete
    for date in sorted(days)[7:14]:
        world.fill("box", date)
        world.fill("statement", date)
    report = validation(made, world.warehouse, min(days), max(days), now=world.time)
    steps = Counter(step.processor for step in plan(report, made).steps)
    world.enqueue(min(days), max(days))
    world.run()
    with world.db.read() as tx:
        ran = {(row.id, row.processor) for date in days for row in attempts.for_date(tx, date)}
    assert Counter(name for _, name in ran) == steps
    assert steps["board"] == 4


def test_a_date_that_a_request_finds_already_done_keeps_nothing_back_in_the_plan(tmp_path: Path) -> None:
    # Given done dates, a source of the middle one that was lost since, and a selection without it
    first, lost, last, new = (dt.date(2021, 10, 19) + dt.timedelta(days=n) for n in range(4))
    of = pipeline(phase("raw", processor("box")), phase("derived", processor("team"), lookback=1))
    world = World(of, dict.fromkeys((first, lost, last, new), 5), tmp_path)
    world.enqueue(first, last)
    world.run()
    world.fill("box", lost, 0)

    def plans(end: dt.date, selection: tuple[str, ...] | None) -> Plan:
        options = RequestOptions(selection=selection)
        report = validation(of, world.warehouse, first, end, now=world.time)
        return plan(report, of, options=options, done=state_lookup.done_dates(world.db, first, end))

    # Then neither the plan nor the request has anything to do
    made = plans(last, ("team",))
    assert (made.cannot_run, made.steps, made.done_dates) == ([], [], 3)
    outcomes = [(d.outcome, d.reason) for d in world.enqueue(first, last, selection=("team",)).details]
    assert outcomes == [
        ("already_done", ""),
        ("already_done", "not selected: box no_data"),
        ("already_done", ""),
    ]
    # But a new date behind it waits, and a request for all of it runs the source
    (cannot,) = plans(new, ("team",)).cannot_run
    assert list(cannot.dates) == [new]
    assert [(step.processor, list(step.dates)) for step in plans(last, None).steps] == [("box", [lost])]
