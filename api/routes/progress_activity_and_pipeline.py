"""Progress and activity of all dates, and the pipeline that the daemon follows."""

from __future__ import annotations

from backfilld.api import running_jobs_and_wait_groups, serializers
from backfilld.api.backfill_or_season_scope import date_scope
from backfilld.api.daemon_interface import DaemonService
from backfilld.api.endpoint_definition import Router
from backfilld.api.schemas import list_query_parameters, progress_models, responses
from backfilld.api.schemas.current_activity import Activity, Job, WaitGroup
from backfilld.daemon.reports import stuck_backfills
from backfilld.daemon.reports.progress import progress, running
from backfilld.state.rules.gates import WaitReason

section = Router("status", "Progress, activity and the pipeline")


@section.get("/v1/progress", progress_models.Progress, query=list_query_parameters.DateScopeQuery)
def get_progress(
    service: DaemonService, *, query: list_query_parameters.DateScopeQuery
) -> progress_models.Progress:
    """Counts, rate and ETA, with what the ETA is based on; each requested date counts once.

    With `backfill` or `season` they are those of its dates alone; holds and budgets are always those of all.
    """
    with service.context.db.read() as tx:
        scope = date_scope(tx, service.pipeline, query)
        return serializers.progress(progress(tx, service.context, scope), service.pipeline, service.health())


@section.get("/v1/activity", Activity, query=list_query_parameters.DateScopeQuery)
def get_activity(service: DaemonService, *, query: list_query_parameters.DateScopeQuery) -> Activity:
    """Running jobs with the last line of their output, and the reasons why dates wait."""
    with service.context.db.read() as tx:
        scope = date_scope(tx, service.pipeline, query)
        now, attempts = service.context.now(), running(tx, scope)
        waits = running_jobs_and_wait_groups.waits(tx, service.context, scope)
        is_stuck = stuck_backfills.everything_waits(tx, service.context, scope)
    return Activity(
        running=[
            Job(**dict(job), last_line=running_jobs_and_wait_groups.last_line(service, row.attempt))
            for job, row in zip(serializers.running(attempts, now), attempts, strict=True)
        ],
        waiting=[
            WaitGroup(
                reason=WaitReason(wait.reason), dates=wait.n, first=wait.date, waiting_on=wait.waiting_on
            )
            for wait in waits
        ],
        stuck=is_stuck,
    )


@section.get("/v1/pipeline", responses.Pipeline)
def get_pipeline(service: DaemonService) -> responses.Pipeline:
    """Phases, processors, and the state machine of a date."""
    return responses.Pipeline(
        name=service.pipeline.name,
        phases=[
            responses.Phase(phase=phase.name, order=phase.order, processors=[p.name for p in phase.processor])
            for phase in service.pipeline.phase
        ],
        tables=sorted({processor.table for processor in service.pipeline.processors.values()}),
        states=list(service.context.machine.states),
        diagram=service.context.machine.diagram(),
    )
