"""The executors of a pipeline, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from backfilld.daemon.adapters import executor_adapter
from backfilld.daemon.executors.adapter import Executor
from backfilld.daemon.settings import SettingsError
from backfilld.state.pipeline.pipeline import Pipeline


def open_executors(pipeline: Pipeline, root: Path, *, on_end: Callable[[], None]) -> Mapping[str, Executor]:
    """Every executor of the file; logs are under `root`, `on_end` is called when a job ends.

    An executor that no processor uses may still have jobs under way.

    Raises:
        SettingsError: `root` cannot be written, or an executor needs a package that is not installed.
    """
    try:
        return {
            name: executor_adapter(settings.kind).open(pipeline, name, root, on_end)
            for name, settings in pipeline.executor.items()
        }
    except OSError as error:
        raise SettingsError(f"{root}: {error.strerror}; check its owner and rights") from error
