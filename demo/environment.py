"""Sets the stage for `backfilld demo`: a fresh lake, a copy of the pipeline file, a daemon as a process."""

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

from backfilld.demo import lake
from backfilld.demo.bigquery import PROJECT, connect, create_table, publish
from backfilld.demo.job import rows_of
from backfilld.demo.processors import PROCESSORS, SEASON_OPENS

START, END = date(2021, 10, 15), date(2021, 11, 7)
EXPECTED: Mapping[str, int] = {"not_expected": 4, "bootstrap": 7, "complete": 13}
"""How the dates from START to END end: preseason, the first seven days of the season, and the rest."""

STOP_SECONDS = 60.0
"""How long a daemon may take to stop before it is killed."""

_A_RUN = lake.HistoryRow(
    processor="nbac_team_boxscore", date=SEASON_OPENS, run_id="r", status="running", started_at=0.0
)


def prepare(folder: Path, *, pace: str = "0", bigquery: str = "") -> Path:
    """A fresh stage in `folder`; the pipeline file's path. `pace` is how many seconds each job works.

    `bigquery` is the address of an emulator, which then is the warehouse instead of the lake. Raises
    FileExistsError when the folder holds anything but an earlier stage, which is removed.
    """
    text = (Path(__file__).parent / "pipeline.toml").read_text(encoding="utf-8")
    _clear(folder, known_by=text.splitlines()[0])
    lake.create(folder / "lake")
    text = text.replace('DEMO_SECONDS = "0"', f'DEMO_SECONDS = "{pace}"')
    if bigquery:
        _create_tables(folder / "lake", bigquery)
        text = _on_bigquery(text, bigquery)
    pipeline = folder / "pipeline.toml"
    pipeline.write_text(text, encoding="utf-8")
    return pipeline


def _clear(folder: Path, *, known_by: str) -> None:
    """Make or empty the folder; an earlier stage is known by the first line of its pipeline file."""
    pipeline = folder / "pipeline.toml"
    ours = pipeline.is_file() and pipeline.read_text(encoding="utf-8").startswith(known_by)
    if folder.exists() and any(folder.iterdir()) and not ours:
        raise FileExistsError(f"{folder} holds more than an earlier demo: name another folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _on_bigquery(text: str, endpoint: str) -> str:
    """The pipeline file with the emulator as its warehouse, and jobs that write to it."""
    source = f'kind = "bigquery"\nproject = "{PROJECT}"\nendpoint = "{endpoint}"'
    text = text.replace('kind = "lake"\npath = "lake"', source)
    return text.replace("env = {", f'env = {{ DEMO_BIGQUERY = "{endpoint}",')


def _create_tables(folder: Path, endpoint: str) -> None:
    """Every table of the demo on the emulator: the schedule as the lake has it, the others empty."""
    with contextlib.closing(connect(endpoint)) as client, lake.connect() as connection:
        files = sorted(lake.table_folder(folder, lake.SCHEDULE).glob("*/*.parquet"))
        schedule = connection.from_parquet([str(file) for file in files], hive_partitioning=True)
        create_table(client, lake.SCHEDULE, "game_date", schedule)
        for file in files:
            publish(client, file, replacing=False)
        create_table(client, lake.HISTORY, "data_date", lake.history_rows(_A_RUN, connection))
        for processor in PROCESSORS.values():
            with lake.connect() as scratch:
                rows = rows_of(folder, processor, SEASON_OPENS, scratch)
                create_table(client, processor.table, processor.date_column, rows)


@contextlib.contextmanager
def daemon(pipeline: Path, listen: str) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon for `pipeline`, with its log beside it; ended with the context."""
    folder = pipeline.parent
    words = ["-m", "backfilld", "serve", "--pipeline", str(pipeline), "--state-dir", str(folder / "state")]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BACKFILLD_")}
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: no daemon stays behind
    with (folder / "daemon.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and words
            [sys.executable, *words, "--listen", listen], stdout=log, stderr=log, env=environment
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=STOP_SECONDS)
        process.kill()  # does nothing to what has ended
        process.wait()
        signal.signal(signal.SIGTERM, before)
