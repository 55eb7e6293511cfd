"""The plugin of the kind `local`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backfilld.daemon.executors.adapter import Executor, ExecutorAdapter
from backfilld.daemon.executors.local.settings import LocalSettings
from backfilld.state.pipeline.pipeline import Pipeline


def _open(pipeline: Pipeline, name: str, root: Path, on_end: Callable[[], None]) -> Executor:
    from backfilld.daemon.executors.local.executor import LocalExecutor  # noqa: PLC0415

    del name
    return LocalExecutor(root, on_end=on_end, max_log_bytes=pipeline.engine.max_log_bytes)


ADAPTER = ExecutorAdapter(settings=LocalSettings, open=_open)
