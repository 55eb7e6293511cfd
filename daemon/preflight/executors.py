"""The check of the executors that processors use."""

from __future__ import annotations

from collections.abc import Iterator

from backfilld.daemon.adapters import executor_adapter
from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.findings import Finding, failed, passed
from backfilld.daemon.settings import SettingsError


def executors(context: PreflightContext) -> Iterator[Finding]:
    """What each kind of executor finds out about the jobs that it is to run."""
    pipeline, found = context.pipeline, False
    for name in dict.fromkeys(processor.executor for processor in pipeline.processors.values()):
        try:
            for finding in executor_adapter(pipeline.executor[name].kind).preflight(pipeline, name):
                found = True
                yield finding
        except SettingsError as error:
            found = True
            yield failed(str(error), "install it where the daemon runs")
    if not found:
        yield passed("the executors need no check")
