"""The grid: verdicts of a range of dates by processor."""

from __future__ import annotations

import datetime as dt
import hashlib

from flask import Response

from backfilld.api import grid_encoding
from backfilld.api.daemon_interface import DaemonService
from backfilld.api.endpoint_definition import Reply, Router
from backfilld.api.schemas import request_parameters
from backfilld.api.schemas.grid import Grid
from backfilld.state.store import grid as store

section = Router("grid", "Verdicts by date and processor")


@section.get(
    "/v1/grid",
    Grid,
    query=request_parameters.Range,
    header=request_parameters.IfNoneMatch,
    status=(200, 304),
    headers=("ETag",),
)
def get_grid(
    service: DaemonService, *, query: request_parameters.Range, header: request_parameters.IfNoneMatch
) -> Reply | Response:
    """The latest verdict of every processor and date of a range, one letter each: made for polling.

    Send the ETag back as If-None-Match: the response is a 304 until a verdict changes, or an attempt starts
    or ends.
    """
    body = read(service, query.start, query.end or query.start)
    etag = f'"{hashlib.sha256(body.model_dump_json().encode()).hexdigest()[:32]}"'
    if header.if_none_match == etag:
        return Response(status=304, headers={"ETag": etag})
    return Reply(body=body, headers={"ETag": etag})


def read(service: DaemonService, start: dt.date, end: dt.date) -> Grid:
    """The grid from `start` to `end`, both included."""
    phases = {
        phase.name: [processor.name for processor in phase.processor] for phase in service.pipeline.phase
    }
    with service.context.db.read() as tx:
        cells = store.cells(tx, start, end)
    rows = grid_encoding.rows(cells, phases, start, end)
    return Grid(
        start=start, end=end, dates=(end - start).days + 1, legend=dict(grid_encoding.LEGEND), rows=rows
    )
