"""Attempts: the jobs' executions and what they wrote."""

from __future__ import annotations

from flask import Response

from api import joblog, telling
from api.endpoint import Section
from api.problems import BadInput
from api.schemas import asked, told
from api.schemas.fields import next_cursor
from api.served import Served
from daemon.control import NotFound
from state.hints import hint
from state.records import AttemptRow, Status
from state.store import attempts, reading

section = Section("attempts", "Executions of jobs")
PLAIN = "text/plain"


@section.get("/v1/attempts", told.Attempts, query=asked.AttemptsPage)
def listed(service: Served, *, query: asked.AttemptsPage) -> told.Attempts:
    """Attempts, newest first."""
    known = service.pipeline.processors
    if query.processor is not None and query.processor not in known:
        what = f"there is no processor '{query.processor}'; {hint(query.processor, known)}"
        raise BadInput.of("processor", what)
    with service.core.db.read() as tx:
        found = reading.attempts_page(
            tx,
            below=query.cursor,
            statuses=query.status or (),
            processor=query.processor or "",
            limit=query.limit + 1,
        )
        items = telling.attempts(tx, found[: query.limit])
    return told.Attempts(items=items, next_cursor=next_cursor("id", found, query.limit))


@section.get("/v1/attempts/{id}", told.Attempt, which=asked.ById, problems=(404,))
def one(service: Served, *, which: asked.ById) -> told.Attempt:
    """One attempt."""
    with service.core.db.read() as tx:
        (attempt,) = telling.attempts(tx, [_found(attempts.get(tx, which.id), which.id)])
    return attempt


@section.get(
    "/v1/attempts/{id}/log",
    (PLAIN,),
    which=asked.ById,
    query=asked.LogPart,
    problems=(404,),
    headers=("X-Log-Size", "X-Log-End", "X-Attempt-Status"),
)
def log(service: Served, *, which: asked.ById, query: asked.LogPart) -> Response:
    """What the job wrote, as it wrote it: all, the last `tail` lines, or what follows byte `offset`.

    Of that at most `limit` bytes: X-Log-End is the `offset` at which to go on, until it is X-Log-Size. To
    follow a log, go on asking while X-Attempt-Status is `running`.
    """
    with service.core.db.read() as tx:
        attempt = _found(attempts.get(tx, which.id), which.id)
    executor = service.executors.get(attempt.executor)
    path = executor.log(attempt.id) if executor is not None else None
    part = (
        joblog.read(path, tail=query.tail, offset=query.offset, limit=query.limit)
        if path is not None
        else None
    )
    if part is None and attempt.status is not Status.RUNNING:
        raise NotFound(f"the log of attempt {attempt.id} is not kept any more, or was never begun")
    headers = {
        "X-Log-Size": str(part.size if part else 0),
        "X-Log-End": str(part.end if part else 0),
        "X-Attempt-Status": attempt.status.value,
    }
    response = Response(
        part.chunks() if part else b"", headers=headers, content_type=f"{PLAIN}; charset=utf-8"
    )
    if part is not None:
        response.content_length = part.length
    return response


def _found(row: AttemptRow | None, number: int) -> AttemptRow:
    if row is None:
        raise NotFound(f"there is no attempt {number}")
    return row
