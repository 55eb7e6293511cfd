"""BigQuery, asked by Google's client with limits of its own on time, bytes and retries.

The client's defaults wait for ever for an answer, and ten minutes for a server that is not there.
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

from backfilld.daemon.google_errors import FAILURES
from backfilld.daemon.warehouses.adapter import Purpose, WarehouseError
from backfilld.daemon.warehouses.backend import QueryError, QueryHooks, Row
from backfilld.daemon.warehouses.bigquery.errors import translate_error
from backfilld.daemon.warehouses.bigquery.settings import BigQuerySettings as Source
from backfilld.daemon.warehouses.budget import DailyBudget
from backfilld.daemon.warehouses.sql.queries import Param, Query

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
"""For errors that pass in a moment; what lasts longer is told."""
_READ = re.compile(r"\b(?:FROM|JOIN)\s+[`\w]", re.IGNORECASE)


class BigQuery:
    """The backend over BigQuery's API. Safe to call from several threads."""

    def __init__(self, source: Source, *, name: str, directory: Path, meter: QueryHooks) -> None:
        self._source = source
        self._directory = directory
        self._meter = meter
        self._labels = {"app": "backfilld", "pipeline": _label(name)}
        self._budget = DailyBudget(source.daily_bytes, meter.ledger, meter.now, meter.quota_zone)
        self._clients: queue.LifoQueue[bigquery.Client] = queue.LifoQueue()
        self._http_timeout = min(HTTP_TIMEOUT, source.query_timeout)

    def query(self, question: Query, *, purpose: Purpose) -> list[Row]:
        """The rows of the answer, within `warehouse.query_timeout` or not at all.

        Raises:
            Refusal: BigQuery refuses this question, or does not answer it in time.
            WarehouseError: BigQuery answers nobody, not us, or not before a quota's end.
        """
        self._budget.check()
        with self._asking() as client:
            return self._asked(client, question, purpose)

    def price(self, question: Query) -> int:
        """Bytes that would be billed, by a dry run; each table counts at least the minimum.

        Raises:
            Refusal: BigQuery refuses this question.
            WarehouseError: BigQuery answers nobody now.
        """
        config = self._config(question, "price")
        config.dry_run = True
        with self._asking() as client:
            job = self._sent(client, question, config)
        return max(job.total_bytes_processed or 0, LEAST_BILLED * _tables(question))

    def close(self) -> None:
        """Close the clients that are not at work."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._clients.get_nowait().close()  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def _asking(self) -> Iterator[bigquery.Client]:
        """A client to ask; an error is counted, and told in the words of this package."""
        try:
            with self._client() as client:
                yield client
        except FAILURES as error:
            self._meter.on_error()
            raise translate_error(error, self._meter.now()) from error

    def _asked(self, client: bigquery.Client, question: Query, purpose: Purpose) -> list[Row]:
        """The rows; the query is counted however it ends, with what it was billed."""
        billed = 0
        try:
            job = self._sent(client, question, self._config(question, purpose))
            try:
                return self._answer(job)
            finally:
                billed = job.total_bytes_billed or 0
        finally:
            self._budget.spend(billed)
            self._meter.on_query(purpose, billed)

    def _sent(
        self, client: bigquery.Client, question: Query, config: bigquery.QueryJobConfig
    ) -> bigquery.QueryJob:
        return client.query(
            question.sql,
            job_config=config,
            job_id_prefix="backfilld-",
            retry=RETRY,
            job_retry=None,
            timeout=self._http_timeout,
        )

    def _answer(self, job: bigquery.QueryJob) -> list[Row]:
        """The job's rows; whatever keeps them from coming, the job is not left running."""
        ended = False
        try:
            self._wait(job)
            ended = True
            rows = job.result(retry=RETRY, job_retry=None, timeout=self._http_timeout)
            return [dict(row.items()) for row in rows]
        finally:
            if not ended:
                # Best effort: the server ends it too, by job_timeout_ms.
                with contextlib.suppress(*FAILURES):
                    job.cancel(retry=None, timeout=self._http_timeout)

    def _wait(self, job: bigquery.QueryJob) -> None:
        """Until the job has ended.

        Raises:
            Refusal: the time is up, by our own clock.
        """
        deadline = time.monotonic() + self._source.query_timeout
        pause = 0.05
        while not job.done(retry=RETRY, timeout=self._http_timeout):
            if time.monotonic() + pause > deadline:
                self._meter.on_error()
                raise QueryError(
                    f"BigQuery did not answer within {self._source.query_timeout:g} s", unseen=True
                )
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    def _config(self, question: Query, purpose: str) -> bigquery.QueryJobConfig:
        return bigquery.QueryJobConfig(
            query_parameters=[_param(name, value) for name, value in question.params.items()],
            labels={**self._labels, "purpose": _label(purpose)},
            maximum_bytes_billed=self._source.bytes_per_table * _tables(question),
            job_timeout_ms=int(self._source.query_timeout * 1000),
            use_query_cache=True,
            use_legacy_sql=False,
        )

    @contextlib.contextmanager
    def _client(self) -> Iterator[bigquery.Client]:
        """A client that nobody else uses meanwhile: whether threads may share one is not promised."""
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
            project=self._source.project,
            location=self._source.location,
            credentials=self._credentials(),
            client_options=ClientOptions(api_endpoint=self._source.endpoint),
        )

    def _credentials(self) -> Any:
        """The file's, none for an emulator; else whatever Google's libraries find (None)."""
        if self._source.credentials_file:
            path = self._directory / self._source.credentials_file
            try:
                return service_account.Credentials.from_service_account_file(str(path))  # type: ignore[no-untyped-call]
            except (OSError, ValueError) as error:
                self._meter.on_error()
                raise WarehouseError(f"warehouse.credentials_file {path}: {error}") from error
        return AnonymousCredentials() if self._source.endpoint else None  # type: ignore[no-untyped-call]


def _param(name: str, value: Param) -> bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter:
    if isinstance(value, dt.date):
        return bigquery.ScalarQueryParameter(name, "DATE", value)
    kind = "DATE" if value and isinstance(value[0], dt.date) else "STRING"
    return bigquery.ArrayQueryParameter(name, kind, value)


def _tables(question: Query) -> int:
    """How many tables a question names, counting SQL that we did not write by its keywords."""
    return sum(1 if branch.slice else max(len(_READ.findall(branch.sql)), 1) for branch in question.branches)


def _label(text: str) -> str:
    """A label's value: lower case letters, digits, - and _, at most 63."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63]
