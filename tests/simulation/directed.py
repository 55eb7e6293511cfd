"""Directed worlds: written by hand, each for a pattern that random worlds show too seldom."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

from backfilld.state.records import Mark
from tests.factories import Table, phase, processor
from tests.simulation.scenario import (
    AT_REST,
    OPENER,
    SPARE,
    START,
    ExternalEvent,
    InitialRows,
    JobFault,
    PipelineFile,
    Scenario,
)

DAY = dt.timedelta(days=1)
SEED = 5
"""Gives durations of jobs, and whether they keep a history."""
TWO_PER_GAME: Table = {"rows_per": {"games": [2]}}
JOBS: Table = {
    "slots": 8,
    "backoff": "60s",
    "max_attempts": 3,
    "timeout": "120s",
    "confirm_after": "120s",
    "no_data_attempts": 1,
}
ENGINE: Table = {"max_evidence_age": "10s", "recheck_interval": "60s", "revalidate_within": "10m"}


def _file(*phases: Table, **jobs: Any) -> PipelineFile:
    source = {"kind": "lake", "path": "lake"}
    history = {"table": "nba_reference.processor_run_history"}
    settings: Table = {"jobs": {**JOBS, **jobs}, "engine": ENGINE, "warehouse": source, "history": history}
    return PipelineFile(phases=phases, settings=settings, bootstrap_days=0)


def _event(at: float, verb: str, *, point: str = AT_REST, **args: Any) -> ExternalEvent:
    return ExternalEvent(at=at, skip=0, verb=verb, args=args, point=point)


def _enqueue(at: float = 1.0, **options: Any) -> ExternalEvent:
    return _event(at, "enqueue", start=OPENER, end=OPENER, **options)


def _edit(at: float) -> ExternalEvent:
    return _event(at, "kill", for_seconds=0.0, edits=True)


def _fault(name: str, kind: str, nth: int = 0) -> JobFault:
    return JobFault(processor=name, date=OPENER, nth=nth, kind=kind)


def _world(*files: PipelineFile, events: tuple[ExternalEvent, ...], **keys: Any) -> Scenario:
    plain: dict[str, Any] = {"initial_rows": (), "job_faults": (), "aftermath": ()}
    return Scenario(
        seed=SEED,
        start=START,
        files=files if len(files) > 1 else files * 2,
        games={OPENER: 1},
        query_seconds=0.7,
        external_events=events,
        **{**plain, **keys},
    )


def executor_leaves_the_file_while_its_job_runs() -> Scenario:
    """An edit removes an executor, whose job no other one can find."""
    without = _file(phase("raw", processor("box")))
    with_it = _file(phase("raw", processor("box", executor="dask")))
    return _world(
        replace(with_it, settings={**with_it.settings, "executor": SPARE}),
        without,
        events=(_enqueue(), _edit(10.0)),
        job_faults=(_fault("box", "hangs"),),
    )


def table_changes_before_a_failure_is_confirmed() -> Scenario:
    """A job writes nothing, and the file names another table before the date would fail for it."""
    return _world(
        _file(phase("raw", processor("box"))),
        _file(phase("raw", processor("box", table="nba.box_2"))),
        events=(_enqueue(), _edit(70.0)),
        job_faults=(_fault("box", "lies"),),
    )


def table_breaks_during_a_sweep() -> Scenario:
    """A table cannot be queried while done dates are validated again."""
    sweep = (_event(1000.0, "broken", processor="box", for_seconds=120.0), _event(1001.0, "sweep"))
    return _world(_file(phase("raw", processor("box"))), events=(_enqueue(), *sweep))


def reference_is_partial() -> Scenario:
    """An output is compared with one that has half of its rows, and that another writer completes."""
    compared = processor("lines", after=["box"], expect={"ratio": {"of": "box", "min": 0.5}})
    return _world(
        _file(phase("raw", processor("box", expect={"rows": [4, 6]}), compared)),
        events=(_enqueue(), _event(60.0, "damage", processor="box", date=OPENER, share=1)),
        initial_rows=(
            InitialRows(processor="box", date=OPENER, share=0.5),
            InitialRows(processor="lines", date=OPENER, share=1.0),
        ),
        job_faults=(_fault("box", "fails"),),
    )


def forced_job_fails_after_writing() -> Scenario:
    """A forced job writes its rows and exits with 1."""
    return _world(
        _file(phase("raw", processor("box"))),
        events=(_enqueue(), _enqueue(200.0, force=True)),
        job_faults=(_fault("box", "fails after writing", 1),),
    )


def calendar_gains_games_beside_a_complete_output() -> Scenario:
    """The calendar gains a game while one output is complete and another job of its state runs."""
    two = (processor(name, expect=TWO_PER_GAME) for name in ("box", "lines"))
    return _world(
        _file(phase("raw", *two)),
        events=(_enqueue(), _event(75.0, "calendar", date=OPENER, games=2)),
        job_faults=(_fault("lines", "takes long"),),
    )


def edit_wants_more_rows_of_a_passed_state() -> Scenario:
    """The file wants more rows of a state that a date has passed, while its next job waits for a retry."""
    before, after = (
        _file(phase("raw", processor("box", expect={"rows": [n, 9]})), phase("derived", processor("team")))
        for n in (4, 6)
    )
    return _world(before, after, events=(_enqueue(), _edit(120.0)), job_faults=(_fault("team", "fails"),))


def calendar_loses_the_game_of_a_failed_date() -> Scenario:
    """A date fails by the counts of a calendar that then loses its game."""
    return _world(
        _file(phase("raw", processor("box", expect=TWO_PER_GAME)), max_attempts=1),
        events=(_enqueue(), _event(200.0, "calendar", date=OPENER, games=0)),
        job_faults=(_fault("box", "fails"),),
    )


def stale_input_of_a_new_date() -> Scenario:
    """A source is lost and repaired, so that a summary is stale; then a new date is computed from it."""
    world = _world(
        _file(
            phase("raw", processor("box")),
            phase("marts", processor("team")),
            phase("steps", processor("zones"), order="sequential", lookback=2),
        ),
        events=(
            _enqueue(),
            _event(300.0, "damage", processor="box", date=OPENER, share=0),
            _event(310.0, "retry_date", date=OPENER),
            _event(600.0, "enqueue", start=OPENER + DAY, end=OPENER + DAY),
        ),
    )
    return replace(world, games={OPENER: 1, OPENER + DAY: 1})


def two_ranges_of_a_week_and_one_attempt_a_day() -> Scenario:
    """A date within a week is complete, so that two attempts take the others; one of them may start a day."""
    weekly = processor("totals", period="week", command=["true", "{start}", "{end}"], writers=2)
    world = _world(
        _file(phase("raw", processor("box")), phase("weeks", {**weekly, "daily_attempts": 1})),
        events=(_event(1.0, "enqueue", start=OPENER, end=OPENER + 2 * DAY),),
        initial_rows=(InitialRows(processor="totals", date=OPENER + DAY, share=1.0),),
    )
    return replace(world, games={OPENER + n * DAY: 1 for n in range(3)})


def source_is_written_before_the_first_sweep() -> Scenario:
    """Another writer puts the rows of a source there once more, after its date is done."""
    sweep = _event(1000.0, "sweep")
    return _world(
        _file(phase("raw", processor("box")), phase("marts", processor("team"))),
        events=(_enqueue(), _event(300.0, "rewrite", processor="box", date=OPENER), sweep),
    )


def two_processors_of_one_table() -> Scenario:
    """A table has too many rows for one of its processors, whose job leaves too few for the other one."""
    two = (
        processor("box", table="nba.box", expect={"rows": [4, 9]}),
        processor("lines", table="nba.box", expect={"rows": [6, 20]}),
    )
    file = _file(phase("raw", *two), phase("marts", processor("team")))
    return _world(
        replace(file, settings={**file.settings, "engine": {**ENGINE, "max_evidence_age": "5m"}}),
        events=(_enqueue(),),
        initial_rows=(InitialRows(processor="lines", date=OPENER, share=2.0),),
    )


def stale_dates_are_retried() -> Scenario:
    """What is stale of two dates is computed again, beside sources that are complete."""
    world = stale_input_of_a_new_date()
    retry = _event(900.0, "retry_marked", mark=Mark.STALE, start=OPENER, end=OPENER + DAY)
    return replace(world, external_events=(*world.external_events, retry))
