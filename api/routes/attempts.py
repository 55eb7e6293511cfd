"""Attempts: executions of jobs, and their logs; and the logs of check commands."""

from __future__ import annotations

from flask import Response

from backfilld.api import job_log, serializers
from backfilld.api.auth.request_guard import current_actor
from backfilld.api.backfill_or_season_scope import date_scope
from backfilld.api.daemon_interface import DaemonService
from backfilld.api.endpoint_definition import Router
from backfilld.api.problem_responses import BadInput
from backfilld.api.schemas import list_query_parameters, request_parameters, responses
from backfilld.api.schemas.field_types import next_cursor
from backfilld.api.schemas.mark_lost import MarkLost
from backfilld.daemon.engine.attempt_executors import log_keeper
from backfilld.daemon.engine.audited_operator_change import no_attempt
from backfilld.daemon.engine.mark_attempt_lost import mark_lost
from backfilld.daemon.engine.operator_commands import NotFound
from backfilld.daemon.executors.adapter import JobLog
from backfilld.daemon.executors.attempt_files import FileLog
from backfilld.daemon.executors.local.check_command_runner import log_file
from backfilld.state.records import AttemptRow
from backfilld.state.spelling_suggestions import did_you_mean
from backfilld.state.store import attempt_lists, attempts, check_command_runs
from backfilld.state.store.attempt_lists import AttemptFilter

section = Router("attempts", "Executions of jobs")
PLAIN = "text/plain"


@section.get("/v1/attempts", responses.Attempts, query=list_query_parameters.AttemptsPage)
def list_attempts(service: DaemonService, *, query: list_query_parameters.AttemptsPage) -> responses.Attempts:
    """Attempts, newest first."""
    known = service.pipeline.processors
    if query.processor is not None and query.processor not in known:
        message = f"there is no processor '{query.processor}'; {did_you_mean(query.processor, known)}"
        raise BadInput.for_field("processor", message)
    with service.context.db.read() as tx:
        rows = attempt_lists.attempts_page(
            tx,
            AttemptFilter(
                statuses=query.status or (),
                failed=query.failed,
                processor=query.processor or "",
                verdicts=query.verdict or (),
                reason=query.reason or "",
                scope=date_scope(tx, service.pipeline, query),
            ),
            below=query.cursor,
            limit=query.limit + 1,
        )
        items = serializers.attempts(tx, rows[: query.limit], service.pipeline)
    return responses.Attempts(items=items, next_cursor=next_cursor("id", rows, query.limit))


@section.get("/v1/attempts/{id}", responses.Attempt, path=request_parameters.ById, problems=(404,))
def get_attempt(service: DaemonService, *, path: request_parameters.ById) -> responses.Attempt:
    """One attempt."""
    with service.context.db.read() as tx:
        row = _existing(attempts.get(tx, path.id), path.id)
        (attempt,) = serializers.attempts(tx, [row], service.pipeline)
    return attempt


@section.post(
    "/v1/attempts/{id}/mark-lost",
    responses.Attempt,
    path=request_parameters.ById,
    body=MarkLost,
    problems=(404, 409),
)
def mark_attempt_lost(
    service: DaemonService, *, path: request_parameters.ById, body: MarkLost
) -> responses.Attempt:
    """Declare a running attempt lost whose host is gone. Its table and its slots are free at once.

    Refused while its job can be seen to run (409): a second one would write beside it. It does not count as
    an attempt of its dates.
    """
    mark_lost(service.context, path.id, by=current_actor(), reason=body.reason)
    return get_attempt(service, path=path)


@section.get(
    "/v1/attempts/{id}/log",
    (PLAIN,),
    path=request_parameters.ById,
    query=request_parameters.LogPart,
    problems=(404,),
    headers=("X-Log-Size", "X-Log-End", "X-Attempt-Status"),
)
def get_attempt_log(
    service: DaemonService, *, path: request_parameters.ById, query: request_parameters.LogPart
) -> Response:
    """The output of the job: all of it, the last `tail` lines, or everything from byte `offset` on.

    The last lines are cut at 8 MB, from their beginning.
    The response has at most `limit` bytes. X-Log-End is the `offset` of the next request, until it equals
    X-Log-Size. To follow a log, repeat while X-Attempt-Status is `running`.
    """
    with service.context.db.read() as tx:
        attempt = _existing(attempts.get(tx, path.id), path.id)
    log = log_keeper(service.executors, attempt).log(attempt.id)
    return _log_part(log, query, f"attempt {attempt.id}", {"X-Attempt-Status": attempt.status.value})


@section.get(
    "/v1/dates/{date}/checks/{processor}/log",
    (PLAIN,),
    path=request_parameters.ByOutput,
    query=request_parameters.LogPart,
    problems=(404,),
    headers=("X-Log-Size", "X-Log-End", "X-Check-Status"),
)
def get_check_log(
    service: DaemonService, *, path: request_parameters.ByOutput, query: request_parameters.LogPart
) -> Response:
    """The output of the latest run of a processor's check command for a date, in parts as that of an attempt.

    To follow it, repeat while X-Check-Status is `running`.
    """
    pair, known = (path.date, path.processor), service.pipeline.check_commands
    if path.processor not in known:
        hint = did_you_mean(path.processor, known) if known else "add expect.check"
        raise NotFound(f"there is no check command of '{path.processor}'; {hint}")
    with service.context.db.read() as tx:
        status = "running" if pair in check_command_runs.running(tx, known) else "ended"
    log = FileLog(log_file(service.context.state_dir, pair))
    return _log_part(log, query, f"the check of {path.processor} for {path.date}", {"X-Check-Status": status})


def _log_part(
    log: JobLog | None, query: request_parameters.LogPart, whose: str, status: dict[str, str]
) -> Response:
    """A part of a log, and headers that say where it ends. Raises NotFound where there is none."""
    try:
        part = (
            job_log.read(log, tail=query.tail, offset=query.offset, limit=query.limit)
            if log is not None
            else None
        )
    except OSError as error:
        raise NotFound(f"the log of {whose} cannot be read: {error.strerror}") from error
    if part is None and "running" not in status.values():
        raise NotFound(f"the log of {whose} was deleted or never started")
    headers = {
        "X-Log-Size": str(part.size if part else 0),
        "X-Log-End": str(part.end if part else 0),
        **status,
    }
    response = Response(
        part.chunks() if part else b"", headers=headers, content_type=f"{PLAIN}; charset=utf-8"
    )
    if part is not None:
        response.content_length = part.length
    return response


def _existing(row: AttemptRow | None, number: int) -> AttemptRow:
    if row is None:
        raise NotFound(no_attempt(number))
    return row
