"""BigQuery beside the lake: what a job writes to the lake it also writes to an emulator, where one is named.

Environment: DEMO_BIGQUERY is the emulator's address, such as http://127.0.0.1:9050. Jobs go on reading their
inputs from the lake; whoever judges them can look at either. A date's rows are replaced in the way of the
real platform, a DELETE and then a load, and a server that is away fails the job. Nothing is tried again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import duckdb
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

PROJECT = "nba-demo"
SECONDS = 120.0
"""How long one request may take."""

_TYPES: Mapping[str, str] = {
    "BIGINT": "INTEGER",
    "INTEGER": "INTEGER",
    "DOUBLE": "FLOAT",
    "DECIMAL": "FLOAT",
    "VARCHAR": "STRING",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP",
}


def connect(endpoint: str) -> bigquery.Client:
    """A client of the emulator at an address; it wants no credentials."""
    return bigquery.Client(
        project=PROJECT,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": endpoint},
    )


def create_table(
    client: bigquery.Client, table: str, date_column: str, rows: duckdb.DuckDBPyRelation
) -> None:
    """Make an empty table for such rows, partitioned by their date, which need not be a column of theirs."""
    client.create_dataset(table.partition(".")[0], exists_ok=True)
    columns = {name: _kind(str(kind)) for name, kind in zip(rows.columns, rows.types, strict=True)}
    schema = [bigquery.SchemaField(name, kind) for name, kind in {**columns, date_column: "DATE"}.items()]
    made = bigquery.Table(f"{PROJECT}.{table}", schema=schema)
    made.time_partitioning = bigquery.TimePartitioning(field=date_column)
    client.create_table(made)


def publish(client: bigquery.Client, file: Path, *, replacing: bool) -> None:
    """Copy a file of a lake's partition to the table of the same name.

    `replacing` whatever the table holds of the file's date, else beside it.

    Raises google.api_core's errors, or requests', when the emulator does not do it.
    """
    column, _, day = file.parent.name.partition("=")
    table = f"{file.parents[2].name}.{file.parents[1].name}"
    if replacing:
        which = [bigquery.ScalarQueryParameter("day", "DATE", date.fromisoformat(day))]
        client.query_and_wait(
            f"DELETE FROM `{table}` WHERE `{column}` = @day",  # noqa: S608 - the lake's own names
            job_config=bigquery.QueryJobConfig(query_parameters=which),
            retry=None,  # type: ignore[arg-type]
            job_retry=None,  # type: ignore[arg-type]
            wait_timeout=SECONDS,
        )
    whole = file.with_name(f".{file.name}.bigquery.{os.getpid()}")
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.from_parquet(str(file), hive_partitioning=True).write_parquet(str(whole))
    try:
        _load(client, table, whole)
    finally:
        whole.unlink()


def _load(client: bigquery.Client, table: str, file: Path) -> None:
    how = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_APPEND")
    with file.open("rb") as rows:
        job = client.load_table_from_file(
            rows, f"{PROJECT}.{table}", job_config=how, num_retries=0, timeout=SECONDS
        )
    job.result(retry=None, timeout=SECONDS)


def _kind(duckdb_type: str) -> str:
    return _TYPES[duckdb_type.partition("(")[0]]
