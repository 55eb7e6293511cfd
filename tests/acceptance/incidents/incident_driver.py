"""What the tests of incidents ask of the product, and what they spoil."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable

from backfilld.daemon.adapters import load_pipeline
from backfilld.daemon.preflight.checklist import Preflight, preflight
from backfilld.daemon.reports.data_completeness import ProcessorReport, Validation, validation
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.judge import Judgement, judge
from tests.checkout import END, NBA, START, Checkout, Tables
from tests.factories import NOW, about, run, seen
from tests.fake_warehouse import FakeWarehouse
from tests.scratch_duckdb import scratch
from tests.simulation.world import Work, World

PIPELINE = load_pipeline(NBA)
OFFENSE, DEFENSE, PLAYERS = "team_offense_game_summary", "team_defense_game_summary", "player_game_summary"
CONTEXT, TEAM_CONTEXT, FACTORS = (
    "upcoming_player_game_context",
    "upcoming_team_game_context",
    "player_composite_factors",
)
OPENER = dt.date(2021, 10, 19)
DAY = dt.date(2021, 12, 6)
"""A date late enough in the season for every expectation to be strict."""
NO_DATA = "{}: no data: the latest run succeeded (exit 0), but there are no rows"
GAMES = {START + dt.timedelta(days=n): 8 for n in range(10)}


def judged(name: str, evidence: Evidence, date: dt.date = DAY, games: int = 8) -> Judgement:
    """What the platform's own pipeline file makes of it."""
    day = PIPELINE.seasons.day(date, {"games": games})
    return judge(evidence, PIPELINE.processors[name].expect, day, about())


def verdict(name: str, evidence: Evidence, **keys: int) -> tuple[str, str]:
    found = judged(name, evidence, **keys)  # type: ignore[arg-type]
    return found.verdict.value, found.reason


def players(*groups: tuple[int, str, str]) -> Evidence:
    """Rows of the players' table, in groups: a count, minutes_played, usage_rate.

    The quality predicate of the platform's own pipeline file is evaluated on them.
    """
    quality = PIPELINE.processors[PLAYERS].expect.quality
    assert quality
    table = " UNION ALL ".join(
        f"SELECT FALSE AS is_dnp, {minutes} AS minutes_played, {usage} AS usage_rate FROM range({count})"
        for count, minutes, usage in groups
    )
    with scratch() as connection:
        query = f"SELECT count(*), count(*) FILTER (WHERE {quality.where}) FROM ({table})"
        ((rows, passing),) = connection.execute(query).fetchall()
    return seen(rows=rows, distinct={"game_id": 8}, passing_rows=passing, closed=run())


def validated(facts: FakeWarehouse) -> Validation:
    return validation(PIPELINE, facts, min(facts.calendar), max(facts.calendar), now=NOW)


def report_of(told: Validation, name: str) -> ProcessorReport:
    return next(one for each in told.phases for one in each.processors if one.processor == name)


def asked(
    checkout: Checkout, *, facts: FakeWarehouse | None = None, tables: Tables | None = None
) -> Preflight:
    """What preflight says; the warehouse is whole unless the test says otherwise."""
    if facts is None:
        facts = FakeWarehouse(checkout.pipeline, calendar=GAMES)
        facts.fill(checkout.pipeline.processors, GAMES)
    opened = (facts, tables or Tables(checkout.pipeline))
    return preflight(checkout.path, now=NOW, start=START, end=END, quick=True, opened=opened)


def failures(told: Preflight, check: str) -> list[str]:
    found = next(one.findings for one in told.results if one.check == check)
    return [finding.line for finding in found if finding.status.value == "fail"]


def well(world: World) -> World:
    """Let every job write two rows for each of the eight games."""
    world.script = lambda job: Work(
        effect=lambda: world.fill(
            job.env["BACKFILLD_PROCESSOR"], dt.date.fromisoformat(job.env["BACKFILLD_DATE"]), 16
        )
    )
    return world


def spoil(world: World, name: str, work: Callable[[dt.date], Work]) -> None:
    """Let the jobs of one processor do something else."""
    good = world.script
    world.script = lambda job: (
        work(dt.date.fromisoformat(job.env["BACKFILLD_DATE"]))
        if job.env["BACKFILLD_PROCESSOR"] == name
        else good(job)
    )


def launched(world: World) -> Counter[str]:
    return Counter(job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched)


def ends(world: World, date: dt.date = OPENER) -> tuple[str, str]:
    """The outcome and the reason of a date that was asked for."""
    world.enqueue(date, date)
    world.run()
    row = world.dates()[date]
    return row.outcome, row.reason
