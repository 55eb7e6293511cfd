"""Reads the pipeline file again while the daemon runs, and refuses it whole if anything in it is wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from backfilld.daemon import log_retention
from backfilld.daemon.adapters import load_pipeline
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.executors.open_executors import open_executor
from backfilld.daemon.warehouses.adapter import noop
from backfilld.daemon.warehouses.open_warehouse import open_warehouse
from backfilld.state.base_errors import BackfilldError
from backfilld.state.formatting import first_line, format_utc
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.pipeline_changes import PipelineChanges
from backfilld.state.records import Action, Actor
from backfilld.state.store import audit, pipeline_fingerprint
from backfilld.state.store.audit import Facts
from backfilld.state.store.database_errors import DatabaseUnavailable, NotLeader

log = logging.getLogger(__name__)

ACTOR = Actor(name="SIGHUP")
"""The actor of reloads in the audit: a signal has no name of its sender."""
TARGET = "pipeline file"


class PipelineReload:
    """Compares the pipeline file with the one in force. The daemon then starts anew with a changed file."""

    def __init__(self, context: EngineContext, start_checks: Sequence[Callable[[], object]] = ()) -> None:
        """`start_checks` raise BackfilldError where another part of the daemon could not start anew."""
        self._context = context
        self._start_checks = start_checks
        self.refusal = ""
        """Why the latest file was refused, in one line; empty if it was not."""

    def health_notes(self) -> Mapping[str, str]:
        """The refused file, if any, for /readyz?verbose."""
        return {TARGET: self.refusal} if self.refusal else {}

    def accept(self) -> bool:
        """Whether the file has changed, is right, and the daemon could start anew with it.

        Logs and audits what was found.
        """
        path, running = self._context.pipeline.path, self._context.pipeline
        try:
            new = self._checked()
            if new.fingerprint == running.fingerprint:
                self.refusal = ""
                log.info("SIGHUP: %s has not changed", path)
                return False
            for check in self._start_checks:
                check()
            changes = PipelineChanges.between(running, new)
            self._record(changes.facts)
        except BackfilldError as error:
            self._refuse(error)
            return False
        self.refusal = ""
        log.info("SIGHUP: %s has changed: %s", path, changes)
        return True

    def _checked(self) -> Pipeline:
        """The file after all checks that it would have to pass at a start. Raises BackfilldError."""
        new, context = load_pipeline(self._context.pipeline.path), self._context
        with context.db.read() as tx:
            pipeline_fingerprint.refuse_other(tx, new.name, context.db.name)
        open_warehouse(new).close()
        kinds = {section.kind for section in context.pipeline.executor.values()}
        root = context.state_dir / log_retention.FOLDER
        for name, section in new.executor.items():
            if section.kind not in kinds:  # its package may not be installed
                open_executor(new, name, root, on_end=noop).close()
        return new

    def _refuse(self, error: BackfilldError) -> None:
        """Keep the file in force, and say why wherever an operator may look."""
        problems = str(error).splitlines()
        more = f" (and {len(problems) - 1} more, see the log)" if len(problems) > 1 else ""
        at = format_utc(self._context.now())
        self.refusal = f"refused at {at}, the earlier one stays in force: {first_line(str(error))}{more}"
        for problem in problems:
            log.error("SIGHUP: the reload is refused: %s", problem)
        with suppress(DatabaseUnavailable):
            self._record({"refused": problems})

    def _record(self, after: Facts) -> None:
        """Write the audit row. A standby may not write: its leader records its own reload."""
        now = self._context.now()
        with suppress(NotLeader), self._context.db.write() as tx:
            audit.record(tx, ACTOR, Action.RELOAD, TARGET, before=None, after=after, now=now)
