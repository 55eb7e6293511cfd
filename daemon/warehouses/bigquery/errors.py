"""BigQuery's errors translated: one query is refused, or no query can be answered now."""

from __future__ import annotations

from google.api_core import exceptions

from backfilld.daemon.google_error_causes import root_cause
from backfilld.daemon.warehouses.adapter import CORRECT, QueryError, WarehouseError
from backfilld.state.formatting import first_line
from backfilld.state.pipeline.base_warehouse_settings import DEFAULT_QUOTA_TIMEZONE
from backfilld.state.rules.quota_day import next_midnight

QUOTA_SECONDS = 3600.0
"""How soon to ask again after `quotaExceeded`, or at midnight if that is sooner. Not all such quotas are
daily ones (Google says: 10 minutes or longer), some get raised, and a refused query bills nothing."""

_REMEDIES = {
    "notFound": "create it, or correct its name in the pipeline file",
    "accessDenied": "grant roles/bigquery.dataViewer on it to the daemon's account",
}
"""What helps, by BigQuery's reason, where a table is missing or denied."""


def translate_error(error: Exception, now: float) -> QueryError | WarehouseError:
    """The error as one of this package."""
    if isinstance(error, exceptions.RetryError) and isinstance(error.cause, exceptions.GoogleAPICallError):
        error = error.cause
    if isinstance(error, exceptions.GoogleAPICallError):
        reason, message = _reason(error)
        query_error = _query_error(error, reason, message)
        if query_error is not None:
            return query_error
        spent = reason == "quotaExceeded"
        retry_at = min(now + QUOTA_SECONDS, next_midnight(now, DEFAULT_QUOTA_TIMEZONE)) if spent else None
        return WarehouseError(f"BigQuery: {message}", retry_at=retry_at)
    return WarehouseError(f"BigQuery cannot be reached: {root_cause(error)}")


def _query_error(error: exceptions.GoogleAPICallError, reason: str, message: str) -> QueryError | None:
    """An error of this query; None where it is about the account, the project or the time."""
    if reason in ("notFound", "accessDenied"):
        of_project = message.startswith(("Not found: Project", "Not found: Job", "Access Denied: Project"))
        if of_project:
            return None
        return QueryError(f"{message}; {_REMEDIES[reason]}", inaccessible=True, permanent=True)
    if reason in ("stopped", "timeout"):  # job_timeout_ms, by the server's clock
        return QueryError(message, inaccessible=True)
    if reason == "bytesBilledLimitExceeded":  # the client takes it for an error of the server
        return QueryError(f"{message} Raise warehouse.bytes_per_table", permanent=True)
    if isinstance(error, exceptions.BadRequest) and reason != "jobRateLimitExceeded":
        invalid = reason == "invalidQuery"
        return QueryError(f"{message}; {CORRECT}" if invalid else message, permanent=invalid)
    return None


def _reason(error: exceptions.GoogleAPICallError) -> tuple[str, str]:
    """BigQuery's own reason and message; the exception's text repeats them with the query."""
    for entry in error.errors or ():
        if isinstance(entry, dict) and entry.get("reason"):
            return str(entry["reason"]), first_line(str(entry.get("message") or error.message))
    return "", first_line(str(error.message or error))
