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
    return {name: open_executor(pipeline, name, root, on_end=on_end) for name in pipeline.executor}


def open_executor(pipeline: Pipeline, name: str, root: Path, *, on_end: Callable[[], None]) -> Executor:
    """One executor of the file, as `open_executors` opens all. Raises SettingsError as that does."""
    try:
        return executor_adapter(pipeline.executor[name].kind).open(pipeline, name, root, on_end)
    except OSError as error:
        raise SettingsError(f"{root}: {error.strerror}; check its owner and rights") from error
