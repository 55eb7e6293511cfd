"""The settings of the local executor."""

from __future__ import annotations

from backfilld.state.pipeline.base_executor_settings import ExecutorSettings


class LocalSettings(ExecutorSettings):
    """Processes on this machine."""
