"""BigQuery by Google's client, with limits on time, bytes and retries.

The client's defaults wait without limit for an answer, and ten minutes for a server that is not there.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import queue
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.api_core.retry import Retry, if_exception_type
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.oauth2 import service_account

from backfilld.daemon.google_error_causes import FAILURES
from backfilld.daemon.warehouses.adapter import Purpose, QueryError, QueryHooks, WarehouseError
from backfilld.daemon.warehouses.bigquery.errors import translate_error
from backfilld.daemon.warehouses.bigquery.settings import BigQuerySettings
from backfilld.daemon.warehouses.billing_budget import DailyBudget
from backfilld.daemon.warehouses.sql.backend_interface import Row, require_dates
from backfilld.daemon.warehouses.sql.date_predicates import Param
from backfilld.daemon.warehouses.sql.evidence_queries import Query

DIALECT = "bigquery"

LEAST_BILLED = 10 * 1024 * 1024
"""Bytes that BigQuery bills at the least for each table that a query reads."""

HTTP_TIMEOUT = 20.0
"""Seconds for one request."""

RETRY = Retry(
    predicate=if_exception_type(
        exceptions.InternalServerError,
        exceptions.BadGateway,
        exceptions.ServiceUnavailable,
        requests.ConnectionError,
    ),
    initial=0.2,
    maximum=1.0,
    timeout=3.0,
)
"""For errors that pass in a moment; one that lasts longer is raised."""
_READ = re.compile(r"\b(?:FROM|JOIN)\s+[`\w]", re.IGNORECASE)


class BigQuery:
    """The backend over BigQuery's API. Safe to call from several threads."""

    def __init__(self, settings: BigQuerySettings, *, name: str, directory: Path, hooks: QueryHooks) -> None:
        self._settings = settings
        self._directory = directory
        self._hooks = hooks
        self._labels = {"app": "backfilld", "pipeline": _label(name)}
        self._budget = DailyBudget(settings.daily_bytes, hooks.ledger, hooks.now, hooks.quota_zone)
        self._clients: queue.LifoQueue[bigquery.Client] = queue.LifoQueue()
        self.http_timeout = min(HTTP_TIMEOUT, settings.query_timeout)

    def query(self, query: Query, *, purpose: Purpose) -> list[Row]:
        """The rows of the answer, within `warehouse.query_timeout` or not at all.

        Raises:
            QueryError: BigQuery refuses this query, or does not answer it in time.
            WarehouseError: BigQuery cannot be reached, denies the account, or a quota is spent.
        """
        self._budget.check()
        with self._translated_errors() as client:
            return self._run(client, query, purpose)

    def estimate_bytes(self, query: Query) -> int:
        """Bytes that would be billed, by a dry run; each table counts at least the minimum.

        Raises:
            QueryError: BigQuery refuses this query.
            WarehouseError: BigQuery answers no query now.
        """
        config = self._config(query, "price")
        config.dry_run = True
        with self._translated_errors() as client:
            job = self._send(client, query, config)
        return max(job.total_bytes_processed or 0, LEAST_BILLED * _tables(query))

    def check(self, query: Query) -> None:
        """Check the query by a dry run, which is not billed.

        Raises:
            QueryError: BigQuery refuses this query.
            WarehouseError: BigQuery answers no query now.
        """
        self.estimate_bytes(query)

    def now(self) -> float:
        """Epoch seconds."""
        return self._hooks.now()

    def close(self) -> None:
        """Close the idle clients. Idempotent."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._clients.get_nowait().close()  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[bigquery.Client]:
        """A client; its errors are counted, and raised as those of this package."""
        try:
            with self.client() as client:
                yield client
        except FAILURES as error:
            self._hooks.on_error()
            raise translate_error(error, self._hooks.now()) from error

    def _run(self, client: bigquery.Client, query: Query, purpose: Purpose) -> list[Row]:
        """The rows; the query is counted however it ends, with what it was billed."""
        billed = 0
        try:
            job = self._send(client, query, self._config(query, purpose))
            try:
                return self._rows(job)
            finally:
                billed = job.total_bytes_billed or 0
        finally:
            self._budget.spend(billed)
            self._hooks.on_query(purpose, billed)

    def _send(
        self, client: bigquery.Client, query: Query, config: bigquery.QueryJobConfig
    ) -> bigquery.QueryJob:
        return client.query(
            query.sql(DIALECT),
            job_config=config,
            job_id_prefix="backfilld-",
            retry=RETRY,
            job_retry=None,
            timeout=self.http_timeout,
        )

    def _rows(self, job: bigquery.QueryJob) -> list[Row]:
        """The job's rows. A job that gives none is cancelled."""
        ended = False
        try:
            self._wait(job)
            ended = True
            rows = job.result(retry=RETRY, job_retry=None, timeout=self.http_timeout)
            for column in rows.schema:
                if column.name == "date":
                    require_dates(column.field_type)
            return [dict(row.items()) for row in rows]
        finally:
            if not ended:
                # Best effort: the server ends it too, by job_timeout_ms.
                with contextlib.suppress(*FAILURES):
                    job.cancel(retry=None, timeout=self.http_timeout)

    def _wait(self, job: bigquery.QueryJob) -> None:
        """Wait until the job has ended.

        Raises:
            QueryError: the time is up, by this machine's clock.
        """
        deadline = time.monotonic() + self._settings.query_timeout
        pause = 0.05
        while not job.done(retry=RETRY, timeout=self.http_timeout):
            if time.monotonic() + pause > deadline:
                self._hooks.on_error()
                raise QueryError(
                    f"BigQuery did not answer within {self._settings.query_timeout:g} s", inaccessible=True
                )
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    def _config(self, query: Query, purpose: str) -> bigquery.QueryJobConfig:
        return bigquery.QueryJobConfig(
            query_parameters=[_param(name, value) for name, value in query.params.items()],
            labels={**self._labels, "purpose": _label(purpose)},
            maximum_bytes_billed=self._settings.bytes_per_table * _tables(query),
            job_timeout_ms=int(self._settings.query_timeout * 1000),
            use_query_cache=True,
            use_legacy_sql=False,
        )

    @contextlib.contextmanager
    def client(self) -> Iterator[bigquery.Client]:
        """A client that no other thread uses meanwhile: Google does not say that threads may share one."""
        client: bigquery.Client | None = None
        with contextlib.suppress(queue.Empty):
            client = self._clients.get_nowait()
        if client is None:
            client = self._new_client()
        try:
            yield client
        finally:
            self._clients.put(client)

    def _new_client(self) -> bigquery.Client:
        return bigquery.Client(
            project=self._settings.project,
            location=self._settings.location,
            credentials=self._credentials(),
            client_options=ClientOptions(api_endpoint=self._settings.endpoint),
        )

    def _credentials(self) -> Any:
        """Those of the file, none for an emulator; else None, and Google's libraries find them."""
        if self._settings.credentials_file:
            path = self._directory / self._settings.credentials_file
            try:
                return service_account.Credentials.from_service_account_file(str(path))  # type: ignore[no-untyped-call]
            except (OSError, ValueError) as error:
                self._hooks.on_error()
                raise WarehouseError(f"warehouse.credentials_file {path}: {error}") from error
        return AnonymousCredentials() if self._settings.endpoint else None  # type: ignore[no-untyped-call]


def _param(name: str, value: Param) -> bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter:
    if isinstance(value, dt.datetime):  # before dates: each is one
        return bigquery.ScalarQueryParameter(name, "TIMESTAMP" if value.tzinfo else "DATETIME", value)
    if isinstance(value, dt.date):
        return bigquery.ScalarQueryParameter(name, "DATE", value)
    if isinstance(value, str):
        return bigquery.ScalarQueryParameter(name, "STRING", value)
    kind = "DATE" if value and isinstance(value[0], dt.date) else "STRING"
    return bigquery.ArrayQueryParameter(name, kind, value)


def _tables(query: Query) -> int:
    """How many tables a query names; in SQL of the pipeline file they are counted by its keywords."""
    return sum(
        len(select.partitions) or max(len(_READ.findall(select.statement.sql(DIALECT))), 1)
        for select in query.selects
    )


def _label(text: str) -> str:
    """A label's value: lower case letters, digits, - and _, at most 63."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63]
