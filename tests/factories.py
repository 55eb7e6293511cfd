"""Builders of pipelines, days and evidence: say what matters to a test, the rest is ordinary.

pipeline(phase("phase2", processor("box")), phase("phase4", processor("zones"), order="sequential"))
judge(seen(rows=2), expectation(rows_per={"games": [2, 2]}), day(games=8), about())
"""

import datetime as dt
from pathlib import Path
from typing import Any

from backfilld.daemon.adapters import parse_pipeline
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.evidence import Evidence, HistoryRun
from backfilld.state.rules.expectation_suite import Expectation
from backfilld.state.rules.judge import JudgeContext
from backfilld.state.rules.season_calendar import Calendar, Day, Season

NOW = dt.datetime(2025, 12, 1, 12, tzinfo=dt.UTC).timestamp()
HOUR = 3600.0
SEASON = Season(name="2021-22", opens=dt.date(2021, 10, 19), closes=dt.date(2022, 6, 16))
CALENDAR = Calendar([SEASON], counted=True)

Table = dict[str, Any]
"""A table of a pipeline file, as TOML gives it."""


def processor(name: str, **keys: Any) -> Table:
    """One processor; `expect` is a table of its own: `expect={"rows": [30, 30]}`."""
    return {"name": name, "table": f"nba.{name}", "command": ["true", "{date}"], **keys}


def phase(name: str, *processors: Table, **keys: Any) -> Table:
    """A phase, parallel unless told otherwise."""
    return {"name": name, "processor": list(processors), **keys}


def pipeline_data(*phases: Table, **keys: Any) -> Table:
    """A pipeline file on a lake with the season 2021-22, as TOML gives it."""
    season = {"name": SEASON.name, "opens": SEASON.opens, "closes": SEASON.closes}
    return {
        "name": "nba",
        "warehouse": {"kind": "lake", "path": "lake"},
        "history": {"table": "nba_reference.processor_run_history"},
        "calendar": {"file": "calendar.csv", "bootstrap_days": 7, "season": [season]},
        "phase": list(phases),
        **keys,
    }


def pipeline(*phases: Table, at: Path = Path("pipeline.toml"), **keys: Any) -> Pipeline:
    """A checked pipeline; `at` is where its file would lie."""
    return parse_pipeline(pipeline_data(*phases, **keys), at)


def nba(at: Path = Path("pipeline.toml"), **keys: Any) -> Pipeline:
    """The first user's shape in small: two sources, two parallel processors, two strict steps."""
    two_per_game = {"rows_per": {"games": [2, 2]}}
    return pipeline(
        phase(
            "phase2",
            processor("nbac_team_boxscore", expect=two_per_game),
            processor(
                "bigdataball_play_by_play", priority="fallback", expect={"rows_per": {"games": [400, 600]}}
            ),
        ),
        phase(
            "phase3",
            processor("team_offense_game_summary", expect=two_per_game),
            processor("player_game_summary", expect={"rows_per": {"games": [16, 28]}}),
        ),
        phase(
            "phase4",
            processor("team_defense_zone_analysis", expect={"rows": [30, 30]}),
            processor("player_daily_cache", expect={"ratio": {"of": "player_game_summary", "min": 0.7}}),
            order="sequential",
            skip_bootstrap=True,
        ),
        at=at,
        **keys,
    )


def expectation(**rules: Any) -> Expectation:
    """An expectation by the keys of the file: `rows_per={"games": [2, 2]}`."""
    return Expectation.model_validate(rules)


def day(date: str = "2021-10-26", games: int | None = 5) -> Day:
    """A date of the season 2021-22, which opened on 2021-10-19; None: the calendar does not count."""
    return CALENDAR.day(dt.date.fromisoformat(date), None if games is None else {"games": games})


def seen(rows: int = 0, **figures: Any) -> Evidence:
    """What the warehouse says: `seen(rows=16, distinct={"game_id": 8}, closed=run())`."""
    return Evidence(rows=rows, **figures)


def run(
    *, succeeded: bool = True, hours_ago: float = 1.0, lasted: float = 60.0, detail: str = ""
) -> HistoryRun:
    """A run that ended `lasted` seconds after it started."""
    started = NOW - hours_ago * HOUR
    return HistoryRun(succeeded=succeeded, started_at=started, ended_at=started + lasted, detail=detail)


def open_run(*, hours_ago: float = 1.0, detail: str = "") -> HistoryRun:
    """A run that has not ended, or never will."""
    return HistoryRun(succeeded=False, started_at=NOW - hours_ago * HOUR, detail=detail)


def about(
    *,
    last_attempt: HistoryRun | None = None,
    previous_attempts: tuple[HistoryRun, ...] = (),
    bootstrap_days: int = 0,
    now: float = NOW,
    **rewrite: Any,
) -> JudgeContext:
    """The context of a judgement; open runs are stale after 4 hours."""
    return JudgeContext(
        now=now,
        stale_after=4 * HOUR,
        bootstrap_days=bootstrap_days,
        last_attempt=last_attempt,
        previous_attempts=previous_attempts,
        **rewrite,
    )
