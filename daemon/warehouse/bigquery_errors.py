"""What BigQuery's errors mean: a question refused, or a warehouse that answers nobody now."""

from __future__ import annotations

from google.api_core import exceptions

from daemon.google_errors import root_cause
from daemon.plain import one_line
from daemon.quota import next_midnight
from daemon.warehouse import WarehouseError
from daemon.warehouse.backend import Refusal
from state.sources import QUOTA_ZONE

QUOTA_SECONDS = 3600.0
"""How soon to ask again after `quotaExceeded`, or at midnight if that is sooner. Not all such quotas are
daily ones (Google says: 10 minutes or longer), some get raised, and a refused question bills nothing."""


def meant(error: Exception, now: float) -> Refusal | WarehouseError:
    """The error in the words of this package."""
    if isinstance(error, exceptions.RetryError) and isinstance(error.cause, exceptions.GoogleAPICallError):
        error = error.cause
    if isinstance(error, exceptions.GoogleAPICallError):
        reason, message = _reason(error)
        refusal = _refusal(error, reason, message)
        if refusal is not None:
            return refusal
        spent = reason == "quotaExceeded"
        retry_at = min(now + QUOTA_SECONDS, next_midnight(now, QUOTA_ZONE)) if spent else None
        return WarehouseError(f"BigQuery: {message}", retry_at=retry_at)
    return WarehouseError(f"BigQuery cannot be reached: {root_cause(error)}")


def _refusal(error: exceptions.GoogleAPICallError, reason: str, message: str) -> Refusal | None:
    """A refusal, where the error is about what was asked and not about who asks, or when."""
    if reason in ("notFound", "accessDenied"):
        ours = message.startswith(("Not found: Project", "Not found: Job", "Access Denied: Project"))
        return None if ours else Refusal(message, unseen=True)
    if reason in ("stopped", "timeout"):  # job_timeout_ms, by the server's clock
        return Refusal(message, unseen=True)
    if reason == "bytesBilledLimitExceeded":  # the client takes it for an error of the server
        return Refusal(f"{message} Raise warehouse.bytes_per_table")
    if isinstance(error, exceptions.BadRequest) and reason != "jobRateLimitExceeded":
        return Refusal(message)
    return None


def _reason(error: exceptions.GoogleAPICallError) -> tuple[str, str]:
    """BigQuery's own reason and message; the exception's text repeats them with the query."""
    for entry in error.errors or ():
        if isinstance(entry, dict) and entry.get("reason"):
            return str(entry["reason"]), one_line(str(entry.get("message") or error.message))
    return "", one_line(str(error.message or error))
