"""A lake with the demo's pipeline beside it, for tests that run the jobs as real processes."""

import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import duckdb

import backfilld.demo
from backfilld.daemon.adapters import load_pipeline
from backfilld.demo import lake as lakes
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.aggregate_types import GroupCounts
from backfilld.state.rules.expectations.rows_each import RowsEach
from backfilld.state.rules.judge import JudgeContext, judge
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict

PIPELINE = load_pipeline(Path(backfilld.demo.__file__).parent / "pipeline.toml")
DAY = date(2021, 10, 26)  # five games, the first date after bootstrap
GAMES = lakes.calendar()

Run = subprocess.CompletedProcess[str]


class Platform:
    """A copy of the pipeline file with a lake beside it, as an operator would have it."""

    def __init__(self, folder: Path, *games: date) -> None:
        self.folder = folder
        self.lake = folder / "lake"
        self.connection = lakes.connect()
        if games:
            lakes.create(self.lake, games={day: GAMES[day] for day in games})

    def argv(self, name: str, day: date = DAY) -> list[str]:
        dates_file = self.folder / "dates.txt"
        dates_file.write_text(f"{day}\n")
        known = {"python": sys.executable, "date": str(day), "dates_file": str(dates_file)}
        return [word.format(**known) for word in PIPELINE.processors[name].command]

    def run(self, name: str, day: date = DAY, **env: str) -> Run:
        return self.execute(self.argv(name, day), **env)

    def execute(self, argv: list[str], **env: str) -> Run:
        """Run with next to no environment, so that nothing of ours helps the job along."""
        environment = {**PIPELINE.jobs.env, **env}
        return subprocess.run(
            argv, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def rows(self, name: str, day: date = DAY) -> duckdb.DuckDBPyRelation | None:
        files = list(lakes.processor_partition(self.lake, name, day).glob("*.parquet"))
        return self.connection.from_parquet([str(file) for file in files]) if files else None

    def count(self, name: str, day: date = DAY) -> int:
        rows = self.rows(name, day)
        return 0 if rows is None else rows.shape[0]

    def history(self, day: date = DAY) -> list[tuple[str, int | None]]:
        files = lakes.partition(self.lake, lakes.HISTORY, "data_date", day) / "*.parquet"
        if not files.parent.is_dir():
            return []
        rows = self.connection.from_parquet(str(files))
        return rows.order("processed_at NULLS FIRST").project("status, records_processed").fetchall()

    def verdict(self, name: str, day: date = DAY) -> Verdict:
        processor = PIPELINE.processors[name]
        about = JudgeContext(
            now=time.time(), stale_after=30, bootstrap_days=PIPELINE.bootstrap_days(processor)
        )
        return judge(self.evidence(name, day), processor.expect, season_day(day), about).verdict

    def evidence(self, name: str, day: date) -> Evidence:
        expect, rows = PIPELINE.processors[name].expect, self.rows(name, day)
        if rows is None:
            return Evidence()
        counts = ["count(*)"]
        distinct = expect.distinct.column_names() if expect.distinct else ()
        counts += [f"count(DISTINCT {column})" for column in distinct]
        counts.append(f"count(*) FILTER ({expect.quality.where})" if expect.quality else "NULL")
        columns = expect.filled.columns if expect.filled else ()
        counts += [f"count(*) FILTER (coalesce({column}, 0) = 0)" for column in columns]
        found, *figures = rows.aggregate(", ".join(counts)).fetchall()[0]
        values, (good, *empty_counts) = figures[: len(distinct)], figures[len(distinct) :]
        keys = ", ".join(expect.unique.columns) if expect.unique else ""
        found_keys = rows.aggregate(f"count(DISTINCT ({keys}))").fetchall()[0][0] if keys else None
        reference = self.count(expect.ratio.of, day) if expect.ratio else None
        return Evidence(
            rows=found,
            distinct=dict(zip(distinct, values, strict=True)),
            distinct_keys=found_keys,
            groups=_groups(rows, expect.rows_each) if expect.rows_each else None,
            passing_rows=good,
            empty_counts=dict(zip(columns, empty_counts, strict=True)),
            reference=reference,
        )


def _groups(rows: duckdb.DuckDBPyRelation, rule: RowsEach) -> GroupCounts:
    by = ", ".join(rule.group_by)
    sizes = [size for (size,) in rows.aggregate("count(*) AS size", by).fetchall()]
    least, most = rule.rows
    return GroupCounts(
        groups=len(sizes),
        too_small=sum(size < least for size in sizes),
        too_large=sum(most is not None and size > most for size in sizes),
        smallest=min(sizes),
        largest=max(sizes),
    )


def season_day(day: date) -> Day:
    return PIPELINE.seasons.day(day, {"games": GAMES[day]})
