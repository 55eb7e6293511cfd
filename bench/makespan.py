"""How long four seasons take: the real engine under a simulated clock, with the platform's own durations.

python -m bench.makespan [--dates 28 213 845] [--gate S] [--start S] [--batch N] [--writers N] [--slots N]
python -m bench.makespan --vary [--dates 28]

The second shows what each of these buys, turned one at a time.

The bound is what no order of work can beat: the shortest way of the first date into phase 4, then all of its
steps, one after another. `phases` is the operators' way: all of phase 2, then all of phase 3, then phase 4.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import datetime as dt
import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from backfilld.daemon.adapters import parse_pipeline
from backfilld.daemon.executors.adapter import Job
from backfilld.daemon.warehouses.adapter import Answers, Wanted
from backfilld.state.pipeline.pipeline import Pipeline
from bench.options_and_machine_load import conditions, parser
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
    """How long a warehouse query takes; the simulated clock stops for everything else."""
    start: float = 0.0
    """What each job needs before it begins to work: part of the durations above, once per attempt."""
    batch: int = 1
    writers: int = 1
    slots: int = 8

    def __str__(self) -> str:
        turned = (f for f in dataclasses.fields(self) if getattr(self, f.name) != f.default)
        return ", ".join(f"{f.name} {getattr(self, f.name):g}" for f in turned) or "as it is"


VARIED = (
    Setting(),
    Setting(slots=4),
    Setting(slots=2),
    Setting(writers=2),
    Setting(gate=2.0),
    Setting(start=5.0, batch=7),
    Setting(start=5.0, batch=30),
    Setting(start=20.0, batch=7),
)


class Run(NamedTuple):
    """How it went."""

    seconds: float
    """Of the simulated clock, until the last date was done."""
    worked: float
    """Seconds of all jobs together."""
    jobs: int


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
            "batch": setting.batch,
            "timeout": "12h",
            "idle_timeout": "12h",
        }
        processors = [processor(job, writers=1 if sequential else setting.writers, **keys) for job in jobs]
        order = {"order": "sequential", "skip_bootstrap": True, "lookback": "season"} if sequential else {}
        phases.append(phase(name, *processors, **order))
    file = {"file": "calendar.csv", "bootstrap_days": BOOTSTRAP_DAYS, "season": seasons}
    return parse_pipeline(
        pipeline_data(*phases, calendar=file, jobs={"slots": setting.slots}), Path("bench.toml")
    )


class _World(World):
    """A world whose jobs take as long as the platform's, and whose warehouse takes its time."""

    setting = Setting()
    worked = 0.0

    def well(self, job: Job) -> Work:
        """A job that writes what is expected, after its start-up and the work of every date."""
        name, text = job.env["BACKFILLD_PROCESSOR"], job.env["BACKFILLD_DATES"]
        start = min(self.setting.start, OF[name])
        seconds = start + (OF[name] - start) * len(text.split(","))
        self.worked += seconds
        return Work(seconds=seconds, effect=super().well(job).effect)


@contextlib.contextmanager
def in_memory() -> Iterator[Path]:
    """A folder in memory if possible: with simulated time, waiting for a disk measures nothing."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@contextlib.contextmanager
def paced(days: Sequence[tuple[dt.date, int, str]], setting: Setting, folder: Path) -> Iterator[_World]:
    """A world over the days, whose warehouse thinks for a while."""
    games = {date: count for date, count, _ in days}
    world = _World(pipeline(days, setting), games, folder)
    world.setting = setting
    ask = world.warehouse.evidence

    def slow(wanted: Wanted, *, purpose: str, stamps: Wanted | None = None) -> Answers:
        world.time += setting.gate
        return ask(wanted, purpose=purpose, stamps=stamps)

    world.warehouse.evidence = slow  # type: ignore[method-assign]
    try:
        yield world
    finally:
        world.db.close()


def makespan(days: Sequence[tuple[dt.date, int, str]], setting: Setting) -> Run:
    """Do all dates of the days."""
    with in_memory() as folder, paced(days, setting, folder) as world:
        begun = world.time
        world.enqueue(days[0][0], days[-1][0])
        world.run(limit=10_000_000)
        left = world.live()
        ended = max(row.ended_at or 0.0 for row in world.dates().values())
    if left:
        raise RuntimeError(f"{len(left)} dates did not end, the first waits: {left[0]}")
    return Run(ended - begun, world.worked, len(world.executor.launched))


def expected_steps(days: Sequence[tuple[dt.date, int, str]]) -> list[dt.date]:
    """The dates that phase 4 is due on."""
    opens: dict[str, dt.date] = {}
    for date, _, season in days:
        opens.setdefault(season, date)
    return [date for date, _, season in days if (date - opens[season]).days >= BOOTSTRAP_DAYS]


def bound(days: Sequence[tuple[dt.date, int, str]]) -> float:
    """What no order can beat, with one writer per table and one attempt at a time in phase 4.

    The first date of phase 4 depends on its season, so the slowest table of phase 3 must reach it first.
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
    options = parser(__doc__)
    options.add_argument("--dates", nargs="+", type=int)
    options.add_argument("--gate", type=float, default=0.0)
    options.add_argument("--start", type=float, default=0.0)
    options.add_argument("--batch", type=int, default=1)
    options.add_argument("--writers", type=int, default=1)
    options.add_argument("--slots", type=int, default=8)
    options.add_argument("--vary", action="store_true")
    chosen = vars(options.parse_args())
    numbers, vary = chosen.pop("dates") or ([28] if chosen["vary"] else [28, 213, 845]), chosen.pop("vary")
    settings = VARIED if vary else (Setting(**chosen),)
    print(f"{conditions()}; hours")
    print(f"  dates  {'':<20}     bound  backfilld  of bound    phases  of bound   of jobs    jobs  took, s")
    for number, setting in itertools.product(numbers, settings):
        days = calendar()[:number]
        began = time.perf_counter()
        run, least, other = makespan(days, setting), bound(days), phases(days)
        took = time.perf_counter() - began
        print(
            f"{number:>7}  {setting!s:<20} {least / 3600:>9.2f} {run.seconds / 3600:>10.2f}"
            f" {run.seconds / least:>9.3f} {other / 3600:>9.2f} {other / least:>9.3f}"
            f" {run.worked / 3600:>9.2f} {run.jobs:>7} {took:>8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
