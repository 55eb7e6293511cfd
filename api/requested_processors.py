"""The selection of a request for dates, and of a plan of it."""

from __future__ import annotations

from backfilld.api.problem_responses import BadInput
from backfilld.api.schemas.new_backfill import NewBackfill
from backfilld.api.schemas.request_parameters import PlanRange
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.processor_selection import UnknownSelection, resolve


def resolve_selection(pipeline: Pipeline, request: NewBackfill | PlanRange) -> tuple[str, ...] | None:
    """The selected processors; None if the request states no selection.

    Raises:
        BadInput: a term of `select` or `exclude` matches nothing, or nothing is left.
    """
    select, exclude = request.select or (), request.exclude or ()
    try:
        return resolve(pipeline, select, exclude, with_upstream=request.with_upstream)
    except UnknownSelection as error:
        raise BadInput.for_field(error.field, str(error)) from None
