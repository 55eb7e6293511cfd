"""The dates that a request is about, by its query: those of a backfill, of a season, or all."""

from __future__ import annotations

from backfilld.api.problem_responses import BadInput
from backfilld.api.schemas.list_query_parameters import DateScopeQuery
from backfilld.daemon.engine.audited_operator_change import no_backfill
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.store import backfills
from backfilld.state.store.backfill_or_season_scope import DateScope
from backfilld.state.store.database import Transaction


def date_scope(tx: Transaction, pipeline: Pipeline, query: DateScopeQuery) -> DateScope:
    """The scope of a query.

    Raises:
        BadInput: there is no such backfill, or no such season in the pipeline file.
    """
    if query.backfill is not None and backfills.get(tx, query.backfill) is None:
        raise BadInput.for_field("backfill", no_backfill(query.backfill))
    if query.season is None:
        return DateScope(backfill=query.backfill)
    season = pipeline.seasons.named(query.season)
    if season is None:
        names = ", ".join(season.name for season in pipeline.seasons.seasons)
        remedy = f"use one of {names}" if names else "the pipeline file has no [[calendar.season]]"
        raise BadInput.for_field("season", f"there is no season '{query.season}'; {remedy}")
    return DateScope(backfill=query.backfill, season=season.name)
