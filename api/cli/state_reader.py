"""Reads what a report includes of a daemon's state database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import click

from backfilld.daemon.reports import state_lookup
from backfilld.daemon.reports.recorded_state_model import KnownState
from backfilld.daemon.settings import state_database
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.store.database import Database
from backfilld.state.store.database_errors import DatabaseUnavailable
from backfilld.state.store.schema_version import schema_version


def read_state(state_dir: str, pipeline: Pipeline, start: dt.date, end: dt.date) -> KnownState:
    """What the state database in a directory says about a range; nothing, with a warning, where none is.

    Raises:
        DatabaseUnavailable: it cannot be read, or is not of this version.
    """
    with _opened(state_dir) as db:
        if db is None:
            return KnownState()
        return KnownState(
            checks=state_lookup.known_checks(db, pipeline, start, end),
            typical_seconds=state_lookup.typical_seconds(db, pipeline),
            done=state_lookup.done_dates(db, start, end),
            failed=state_lookup.failed_dates(db, start, end),
            stale=state_lookup.stale_dates(db, start, end),
        )


@contextmanager
def _opened(state_dir: str) -> Iterator[Database | None]:
    """The state database; None if there is none, with a warning on stderr.

    Raises:
        DatabaseUnavailable: it cannot be read, or is not of this version.
    """
    db = Database(state_database(state_dir))
    if not db.exists:
        without = (
            "the attempts and waivers of the daemon are not included; correct --state-dir or leave it out"
        )
        click.echo(f"no state database in {db.path.parent}: {without}", err=True)
        yield None
        return
    try:
        with db.read() as tx:
            schema = schema_version(tx)
        if schema.current != schema.newest:
            remedy = (
                "start the daemon once, which upgrades it"
                if schema.known
                else "use the version that wrote it"
            )
            raise DatabaseUnavailable(
                f"{db.name} has {f'schema {schema.current}' if schema.current else 'no schema yet'}, this"
                f" backfilld needs {schema.newest}: {remedy}, or leave --state-dir out"
            )
        yield db
    finally:
        db.close()
