"""The environment of `backfilld demo`: a fresh lake, a copy of the pipeline file, a daemon process."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

from backfilld.demo import faults, lake
from backfilld.demo.bigquery_publisher import PROJECT, connect, create_table, load
from backfilld.demo.job import rows_of
from backfilld.demo.processor_definitions import PROCESSORS, SEASON_OPENS

START, END = date(2021, 10, 15), date(2021, 11, 7)
EXPECTED: Mapping[str, int] = {"not_expected": 4, "bootstrap": 7, "complete": 13}
"""The outcomes of the dates from START to END: preseason, the first seven days of the season, the rest."""

STOP_SECONDS = 60.0
"""Time limit for a daemon to stop; then it is killed."""

_A_RUN = lake.HistoryRow(
    processor="nbac_team_boxscore", date=SEASON_OPENS, run_id="r", status="running", started_at=0.0
)


def prepare(folder: Path, *, pace: str = "0", bigquery: str = "", faulty: bool = False) -> Path:
    """Prepare a fresh demo in `folder`, and return the path of its pipeline file.

    `pace` is the seconds that each job takes. `bigquery` is the address of an emulator that is the warehouse
    instead of the lake. `faulty` switches on the faults that the demo shows. An earlier demo in the folder is
    removed. Raises FileExistsError if the folder contains anything else.
    """
    text = (Path(__file__).parent / "pipeline.toml").read_text(encoding="utf-8")
    _clear(folder, known_by=text.splitlines()[0])
    lake.create(folder / "lake")
    text = text.replace('DEMO_SECONDS = "0"', f'DEMO_SECONDS = "{pace}"')
    if bigquery:
        _create_tables(folder / "lake", bigquery)
        text = _on_bigquery(text, bigquery)
    if faulty:
        text = faults.require_props(text)
        for fault in (faults.PARTIAL, faults.NO_DATA):
            fault.switch_on(folder / "lake")
    pipeline = folder / "pipeline.toml"
    pipeline.write_text(text, encoding="utf-8")
    return pipeline


def _clear(folder: Path, *, known_by: str) -> None:
    """Create or empty the folder. An earlier demo is recognised by the first line of its pipeline file."""
    pipeline = folder / "pipeline.toml"
    earlier_demo = pipeline.is_file() and pipeline.read_text(encoding="utf-8").startswith(known_by)
    if folder.exists() and any(folder.iterdir()) and not earlier_demo:
        raise FileExistsError(f"{folder} contains more than an earlier demo: choose another folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _on_bigquery(text: str, endpoint: str) -> str:
    """The pipeline file with the emulator as its warehouse and as the target of the jobs."""
    source = f'kind = "bigquery"\nproject = "{PROJECT}"\nendpoint = "{endpoint}"'
    text = text.replace('kind = "lake"\npath = "lake"', source)
    return text.replace("env = {", f'env = {{ DEMO_BIGQUERY = "{endpoint}",')


def _create_tables(folder: Path, endpoint: str) -> None:
    """Create every table of the demo on the emulator: the schedule with its rows, the others empty."""
    with contextlib.closing(connect(endpoint)) as client, lake.connect() as connection:
        files = sorted(lake.table_folder(folder, lake.SCHEDULE).glob("*/*.parquet"))
        schedule = connection.from_parquet([str(file) for file in files], hive_partitioning=True)
        create_table(client, lake.SCHEDULE, "game_date", schedule)
        load(client, lake.SCHEDULE, schedule, folder / ".schedule.parquet")
        create_table(client, lake.HISTORY, "data_date", lake.history_rows(_A_RUN, connection))
        for processor in PROCESSORS.values():
            with lake.connect() as scratch:
                rows = rows_of(folder, processor, SEASON_OPENS, scratch)
                create_table(client, processor.table, processor.date_column, rows)


@contextlib.contextmanager
def daemon(pipeline: Path, listen: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a daemon for `pipeline`, with its log beside it, until the context ends."""
    folder = pipeline.parent
    command = ["-m", "backfilld", "serve", "--pipeline", str(pipeline), "--state-dir", str(folder / "state")]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BACKFILLD_")}
    before = signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # as Ctrl-C, so that the daemon is stopped too
    with (folder / "daemon.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - this interpreter and fixed arguments
            [sys.executable, *command, "--listen", listen], stdout=log, stderr=log, env=environment
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=STOP_SECONDS)
        process.kill()  # no effect on a process that has ended
        process.wait()
        signal.signal(signal.SIGTERM, before)
