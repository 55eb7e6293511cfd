"""What it costs to query a whole season once, by kind of warehouse: 250 dates and 14 processors.

python -m bench.query_cpu_by_warehouse [lake delta iceberg duckdb postgresql bigquery] [--rows 100]

Each table has `--rows` rows on each date, in one file per date if it consists of files. The columns are the
queries for all evidence with write stamps, and the seconds of processor time of this process and of the
server. `first` is of a warehouse that was just opened; the others are medians of three runs with it.
PostgreSQL needs Debian's package. BigQuery is an emulator: its time says nothing about BigQuery's, and it has
no write stamps, which are one more query there.
"""

from __future__ import annotations

import datetime as dt
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import psutil
from deltalake import write_deltalake

from bench.options_and_machine_load import conditions, parser
from tests.factories import phase, processor
from tests.integration import emulator
from tests.integration.duckdb_house import DuckDBHouse
from tests.integration.iceberg_house import IcebergHouse
from tests.integration.postgresql_house import PostgresqlHouse
from tests.integration.warehouses import DUCKDB_DATES, BigQueryHouse, LakeHouse
from tests.postgresql import running as postgresql

TABLES = [f"table_{number}" for number in range(14)]
SEASON = [dt.date(2021, 10, 19) + dt.timedelta(days=number) for number in range(250)]
RULES = {
    "distinct": [{"column": "game_id", "per": "games"}],
    "quality": {"where": "pct > 95"},
    "filled": {"columns": ["pct"]},
}
ROUNDS = 3
SELECT = "SELECT day AS game_date, 'g' AS game_id, 97.5 AS pct FROM {{dates}}, {series}"
FILES = {"lake": LakeHouse, "iceberg": IcebergHouse, "duckdb": DuckDBHouse}


class DeltaHouse(LakeHouse):
    """A lake of Delta tables, each of one commit."""

    def fill(self, table: str, select: str, *, by: str = "game_date") -> None:
        """Write a table."""
        with duckdb.connect() as connection:
            rows = connection.sql(select.format(dates=DUCKDB_DATES, double="DOUBLE")).to_arrow_table()
        write_deltalake(self.root.joinpath(*table.split(".")), rows, partition_by=[by])


@contextmanager
def house_of(kind: str, folder: Path) -> Iterator[tuple[Any, int | None]]:
    """A warehouse without tables, and the process of its server."""
    if kind == "postgresql":
        with postgresql() as server:
            pid = int((server._data / "postmaster.pid").read_text().split()[0])
            yield PostgresqlHouse(server.empty(), folder), pid
    elif kind == "bigquery":
        with emulator.running(folder) as started:
            server = next(child for child in psutil.Process().children() if "bqemulator" in child.cmdline())
            yield BigQueryHouse(started, folder), server.pid
    else:
        yield {**FILES, "delta": DeltaHouse}[kind](folder), None


def spent(server: int | None) -> tuple[float, float]:
    """The processor seconds of this process and of a server with its processes, ended ones included."""
    if server is None:
        return time.process_time(), 0.0
    process = psutil.Process(server)
    times = [process.cpu_times(), *(child.cpu_times() for child in process.children(recursive=True))]
    of_server = sum(t.user + t.system + t.children_user + t.children_system for t in times)
    return time.process_time(), of_server


def measured(kind: str, rows: int) -> str:
    """One line of the table."""
    series = "UNNEST(GENERATE_ARRAY(1, {})) AS n" if kind == "bigquery" else "generate_series(1, {}) AS r (n)"
    with tempfile.TemporaryDirectory() as folder, house_of(kind, Path(folder)) as (house, server):
        for table in TABLES:
            house.fill(f"nba.{table}", SELECT.format(series=series.format(rows)))
        processors = [processor(name, date_column="game_date", expect=RULES) for name in TABLES]
        wanted = dict.fromkeys(TABLES, SEASON)
        stamps = None if kind == "bigquery" else wanted
        figures: list[tuple[int, float, float]] = []
        with closing(house):
            warehouse = house.open(phase("raw", *processors), history=None)
            for _ in range(1 + ROUNDS):
                queries, before = len(house.queries), spent(server)
                answers = warehouse.evidence(wanted, purpose="validation", stamps=stamps)
                assert all(found.rows == rows for found in answers.values())
                of_daemon, of_server = (now - then for now, then in zip(spent(server), before, strict=True))
                figures.append((len(house.queries) - queries, of_daemon, of_server))
    (_, first, _), *again = figures
    sent, of_daemon, of_server = (statistics.median(column) for column in zip(*again, strict=True))
    return f"  {kind:<12} {sent:>8.0f} {first:>9.2f} {of_daemon:>9.2f} {of_server:>9.2f}  {conditions()}"


def main() -> None:
    """Print the table."""
    options = parser(__doc__)
    kinds = ("lake", "delta", "iceberg", "duckdb", "postgresql", "bigquery")
    options.add_argument("kinds", nargs="*", default=kinds, metavar="KIND")
    options.add_argument("--rows", type=int, default=100)
    chosen = options.parse_args()
    print(f"  {'CPU seconds':<12} {'queries':>8} {'first':>9} {'again':>9} {'server':>9}")
    for kind in chosen.kinds:
        print(measured(kind, chosen.rows), flush=True)


if __name__ == "__main__":
    main()
