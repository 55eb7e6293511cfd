"""The platform's fourteen processors in small, under the calendar of the brief or under the real one."""

import datetime as dt
from typing import Any

from backfilld.state.pipeline.pipeline import Pipeline
from tests.factories import phase, pipeline, processor

SOURCES = (
    "nbac_gamebook_player_stats",
    "nbac_team_boxscore",
    "bettingpros_player_points_props",
    "bigdataball_play_by_play",
    "bdl_player_boxscores",
)
ANALYTICS = (
    "player_game_summary",
    "team_defense_game_summary",
    "team_offense_game_summary",
    "upcoming_player_game_context",
    "upcoming_team_game_context",
)
PRECOMPUTE = (
    "team_defense_zone_analysis",
    "player_shot_zone_analysis",
    "player_composite_factors",
    "player_daily_cache",
)

# Games of the opening days of 2021-22 and of the test window, by the schedule.
OPENING = dict(
    zip(
        (dt.date(2021, 10, 19) + dt.timedelta(days=n) for n in range(10)),
        (2, 11, 3, 10, 8, 6, 9, 5, 10, 6),
        strict=True,
    )
)
WINDOW = dict(
    zip(
        (dt.date(2024, 1, 15) + dt.timedelta(days=n) for n in range(14)),
        (11, 3, 9, 5, 7, 8, 6, 8, 5, 8, 7, 8, 10, 5),
        strict=True,
    )
)

# What the tables held on some dates of November 2021, and the games of each: the state that an incident left.
NOVEMBER_TABLES = (
    "player_game_summary",
    "upcoming_player_game_context",
    "upcoming_team_game_context",
    "team_offense_game_summary",
    "team_defense_game_summary",
    "player_shot_zone_analysis",
    "team_defense_zone_analysis",
    "player_composite_factors",
    "player_daily_cache",
)
NOVEMBER_2021 = {
    15: (11, (241, 389, 22, 88, 88, 272, 30, 389, 202)),
    16: (3, (0, 105, 6, 0, 0, 272, 30, 0, 54)),
    17: (11, (232, 382, 22, 0, 0, 280, 30, 382, 207)),
    18: (6, (0, 212, 12, 0, 0, 280, 30, 212, 110)),
    19: (9, (190, 314, 18, 0, 0, 289, 30, 314, 177)),
    24: (13, (276, 450, 26, 0, 0, 313, 30, 450, 276)),
    25: (0, (0, 0, 0, 0, 0, 313, 30, 0, 0)),
    26: (12, (269, 418, 24, 0, 0, 316, 30, 418, 253)),
    29: (9, (201, 325, 18, 0, 0, 325, 29, 0, 0)),
    30: (5, (0, 179, 10, 0, 0, 325, 29, 0, 0)),
}


def platform(calendar: dict[str, Any], **keys: Any) -> Pipeline:
    """Five sources, five analytics processors side by side, four strict steps; one row is enough."""
    return pipeline(
        phase("phase2", *(processor(name) for name in SOURCES)),
        phase("phase3", *(processor(name) for name in ANALYTICS)),
        phase("phase4", *(processor(name) for name in PRECOMPUTE), order="sequential", skip_bootstrap=True),
        calendar=calendar,
        **keys,
    )


def season(opens: str, closes: str) -> dict[str, Any]:
    """A season of the years it opens and closes in."""
    first, last = dt.date.fromisoformat(opens), dt.date.fromisoformat(closes)
    return {"name": f"{first.year}-{last.year % 100}", "opens": first, "closes": last}


def as_the_brief_saw_it() -> Pipeline:
    """Every day of a season is expected, and the first season opens on 2021-10-15."""
    seasons = [season("2021-10-15", "2022-06-16"), season("2023-10-24", "2024-06-17")]
    return platform({"bootstrap_days": 7, "season": seasons})


def as_it_was(**keys: Any) -> Pipeline:
    """The schedule says what is expected, and the first season opened on 2021-10-19."""
    seasons = [season("2021-10-19", "2022-06-16"), season("2023-10-24", "2024-06-17")]
    return platform({"file": "calendar.csv", "bootstrap_days": 7, "season": seasons}, **keys)
