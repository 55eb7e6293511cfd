"""How long four seasons take: the real engine under a simulated clock, with the platform's own durations.

python -m bench.makespan [--dates 28 213 845] [--gate S] [--start S] [--batch N] [--writers N]

The bound is what no order of work can beat: the shortest way of the first date into phase 4, then all of its
steps, one after another. `phases` is the operators' way: all of phase 2, then all of phase 3, then phase 4.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import datetime as dt
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.executors import Job
from daemon.warehouse import Answers, Wanted
from state.pipeline import Pipeline
from state.pipeline_file import parse
from tests.factories import phase, pipeline_data, processor
from tests.simulation.world import Work, World

SECONDS = {
    "phase2": {
        "nbac_gamebook_player_stats": 25.0,
        "nbac_team_boxscore": 28.0,
        "bettingpros_player_points_props": 6.0,
        "bigdataball_play_by_play": 13.0,
        "bdl_player_boxscores": 2.0,
    },
    "phase3": {
        "player_game_summary": 24.0,
        "team_defense_game_summary": 41.0,
        "team_offense_game_summary": 13.0,
        "upcoming_player_game_context": 100.0,
        "upcoming_team_game_context": 40.0,
    },
    "phase4": {
        "team_defense_zone_analysis": 25.0,
        "player_shot_zone_analysis": 45.0,
        "player_composite_factors": 40.0,
        "player_daily_cache": 60.0,
    },
}
"""Seconds per date, as the platform's operators measured them; the sources' from their pace per game."""
OF = {name: seconds for phase_ in SECONDS.values() for name, seconds in phase_.items()}
BOOTSTRAP_DAYS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What may be turned: all in seconds, save the counts."""

    gate: float = 0.0
    """How long the warehouse thinks about a question; everything else stands still meanwhile."""
    start: float = 0.0
    """What each job needs before it begins to work, part of the duration above."""
    batch: int = 1
    writers: int = 1
    slots: int = 8


def calendar() -> list[tuple[dt.date, int, str]]:
    """The real game dates of four seasons: date, games, season."""
    with (Path(__file__).parent / "nba_calendar.csv").open(encoding="utf-8") as file:
        return [
            (dt.date.fromisoformat(r["date"]), int(r["games"]), r["season"]) for r in csv.DictReader(file)
        ]


def pipeline(days: Sequence[tuple[dt.date, int, str]], setting: Setting) -> Pipeline:
    """The 5 + 5 + 4 shape over the seasons of the days."""
    spans = {
        season: [day[0] for day in group] for season, group in itertools.groupby(days, lambda day: day[2])
    }
    seasons = [{"name": name, "opens": span[0], "closes": span[-1]} for name, span in spans.items()]
    command = ["true", "{start}", "{end}"] if setting.batch > 1 else ["true", "{date}"]
    phases = []
    for name, jobs in SECONDS.items():
        sequential = name == "phase4"
        keys = {
            "command": command,
            "batch": 1 if sequential else setting.batch,
            "timeout": "12h",
            "silence": "12h",
        }
        if sequential:
            keys["command"] = ["true", "{date}"]
        own = [processor(job, writers=1 if sequential else setting.writers, **keys) for job in jobs]
        order = {"order": "sequential", "skip_bootstrap": True, "lookback": "season"} if sequential else {}
        phases.append(phase(name, *own, **order))
    file = {"file": "calendar.csv", "bootstrap_days": BOOTSTRAP_DAYS, "season": seasons}
    return parse(pipeline_data(*phases, calendar=file, jobs={"slots": setting.slots}), Path("bench.toml"))


class _World(World):
    """A world whose jobs take as long as the platform's, and whose warehouse takes its time."""

    setting = Setting()

    def well(self, job: Job) -> Work:
        """A job that writes what is expected, after its start-up and the work of every date."""
        name, text = job.env["BACKFILLD_PROCESSOR"], job.env["BACKFILLD_DATES"]
        per_date = OF[name] - self.setting.start
        work = super().well(job)
        return Work(seconds=self.setting.start + per_date * len(text.split(",")), effect=work.effect)


@contextlib.contextmanager
def paced(days: Sequence[tuple[dt.date, int, str]], setting: Setting, folder: Path) -> Iterator[World]:
    """A world over the days, whose warehouse thinks for a while."""
    games = {date: count for date, count, _ in days}
    world = _World(pipeline(days, setting), games, folder)
    world.setting = setting
    ask = world.warehouse.evidence

    def slow(wanted: Wanted, *, purpose: str) -> Answers:
        world.time += setting.gate
        return ask(wanted, purpose=purpose)

    world.warehouse.evidence = slow  # type: ignore[method-assign]
    try:
        yield world
    finally:
        world.db.close()


def makespan(days: Sequence[tuple[dt.date, int, str]], setting: Setting) -> float:
    """Seconds of the simulated clock until the last date is done."""
    with tempfile.TemporaryDirectory() as folder, paced(days, setting, Path(folder)) as world:
        begun = world.time
        world.enqueue(days[0][0], days[-1][0])
        world.run(limit=10_000_000)
        left = world.live()
        ended = max(row.ended_at or 0.0 for row in world.dates().values())
    if left:
        raise RuntimeError(f"{len(left)} dates did not end, the first waits: {left[0]}")
    return ended - begun


def expected_steps(days: Sequence[tuple[dt.date, int, str]]) -> list[dt.date]:
    """The dates that phase 4 is due on."""
    opens: dict[str, dt.date] = {}
    for date, _, season in days:
        opens.setdefault(season, date)
    return [date for date, _, season in days if (date - opens[season]).days >= BOOTSTRAP_DAYS]


def bound(days: Sequence[tuple[dt.date, int, str]]) -> float:
    """What no order can beat, with one writer per table and one attempt at a time in phase 4.

    The first date of phase 4 looks back on its season, so the slowest table of phase 3 must come up to it.
    """
    due = expected_steps(days)
    before = [date for date, _, _ in days].index(due[0]) + 1
    reach = max(SECONDS["phase2"].values()) + before * max(SECONDS["phase3"].values())
    busiest = max(*SECONDS["phase2"].values(), *SECONDS["phase3"].values()) * len(days)
    return max(reach + len(due) * sum(SECONDS["phase4"].values()), busiest)


def phases(days: Sequence[tuple[dt.date, int, str]]) -> float:
    """Phase by phase, each table one date after another, all tables of a phase side by side."""
    parallel = [max(SECONDS[name].values()) * len(days) for name in ("phase2", "phase3")]
    return sum(parallel) + len(expected_steps(days)) * sum(SECONDS["phase4"].values())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dates", nargs="+", type=int, default=[28, 213, 845])
    parser.add_argument("--gate", type=float, default=0.0)
    parser.add_argument("--start", type=float, default=0.0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--writers", type=int, default=1)
    parser.add_argument("--slots", type=int, default=8)
    chosen = vars(parser.parse_args())
    numbers = chosen.pop("dates")
    setting = Setting(**chosen)
    print(f"Python {sys.version.split()[0]}; {setting}; hours")
    print("  dates     bound  backfilld   of bound    phases   of bound  took, s")
    for number in numbers:
        days = calendar()[:number]
        began = time.perf_counter()
        told, least, other = makespan(days, setting), bound(days), phases(days)
        took = time.perf_counter() - began
        print(
            f"{number:>7} {least / 3600:>9.2f} {told / 3600:>10.2f} {told / least:>10.3f}"
            f" {other / 3600:>9.2f} {other / least:>10.3f} {took:>8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
