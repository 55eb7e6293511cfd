"""BigQuery beside the lake: jobs also write their output to an emulator, if one is configured.

Environment: DEMO_BIGQUERY is the address of the emulator, such as http://127.0.0.1:9050. Jobs still read
their inputs from the lake; the daemon can verify either. Rows of a date are replaced as on the real platform,
by a DELETE and then a load. If the server is unavailable, the job fails without a retry.
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
REQUEST_SECONDS = 120.0
"""The time limit of a request."""

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
    """A client of the emulator at an address, without credentials."""
    return bigquery.Client(
        project=PROJECT,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": endpoint},
    )


def create_table(
    client: bigquery.Client, table: str, date_column: str, rows: duckdb.DuckDBPyRelation
) -> None:
    """Create an empty table for such rows, partitioned by their date (a new column if they have none)."""
    client.create_dataset(table.partition(".")[0], exists_ok=True)
    columns = {name: _field_type(str(kind)) for name, kind in zip(rows.columns, rows.types, strict=True)}
    schema = [bigquery.SchemaField(name, kind) for name, kind in {**columns, date_column: "DATE"}.items()]
    definition = bigquery.Table(f"{PROJECT}.{table}", schema=schema)
    definition.time_partitioning = bigquery.TimePartitioning(field=date_column)
    client.create_table(definition)


def publish(client: bigquery.Client, file: Path, *, replacing: bool) -> None:
    """Copy a file of a lake partition to the table of the same name.

    With `replacing`, delete the rows of its date first.

    Raises the errors of google.api_core or requests if the emulator fails.
    """
    column, _, day = file.parent.name.partition("=")
    table = f"{file.parents[2].name}.{file.parents[1].name}"
    if replacing:
        parameters = [bigquery.ScalarQueryParameter("day", "DATE", date.fromisoformat(day))]
        client.query_and_wait(
            f"DELETE FROM `{table}` WHERE `{column}` = @day",  # noqa: S608 - names of the lake
            job_config=bigquery.QueryJobConfig(query_parameters=parameters),
            retry=None,  # type: ignore[arg-type]
            job_retry=None,  # type: ignore[arg-type]
            wait_timeout=REQUEST_SECONDS,
        )
    with duckdb.connect(config={"threads": 1}) as connection:
        rows = connection.from_parquet(str(file), hive_partitioning=True)
        load(client, table, rows, file.with_name(f".{file.name}.bigquery.{os.getpid()}"))


def load(client: bigquery.Client, table: str, rows: duckdb.DuckDBPyRelation, scratch: Path) -> None:
    """Append rows to a table by the file `scratch`, which is removed.

    Raises the errors of google.api_core or requests if the emulator fails.
    """
    config = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_APPEND")
    rows.write_parquet(str(scratch))
    try:
        with scratch.open("rb") as file:
            job = client.load_table_from_file(
                file, f"{PROJECT}.{table}", job_config=config, num_retries=0, timeout=REQUEST_SECONDS
            )
    finally:
        scratch.unlink()
    job.result(retry=None, timeout=REQUEST_SECONDS)


def _field_type(duckdb_type: str) -> str:
    return _TYPES[duckdb_type.partition("(")[0]]
