"""Mistakes in windows. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from backfilld.state.pipeline.duplicate_and_unknown_names import repeated_names
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.closed_hours import delay
from backfilld.state.spelling_suggestions import did_you_mean

_SAMPLE = dt.datetime(2024, 1, 1, tzinfo=dt.UTC).timestamp()
"""The begin of a sample week."""


def window_problems(pipeline: Pipeline) -> Iterator[str]:
    """One line for each mistake: key, what is wrong, remedy."""
    yield from repeated_names("window", (window.name for window in pipeline.window))
    for window in pipeline.window:
        for key, chosen, known in (
            ("processors", window.processors, pipeline.processors),
            ("pools", window.pools, pipeline.pool_sizes),
        ):
            for name in chosen:
                if name not in known:
                    hint = f"; {did_you_mean(name, known)}" if known else ""
                    yield f"window[{window.name}].{key}: there is no {key[:-1]} '{name}'{hint}"
    yield from _never_open(pipeline)


def _never_open(pipeline: Pipeline) -> Iterator[str]:
    """Processors that no hour is left for, each with its windows."""
    for name, windows in pipeline.windows_of.items():
        estimate = pipeline.processors[name].estimate or 0.0
        wait = delay(windows, _SAMPLE, estimate)
        if wait is not None and wait.until is None:
            names = ", ".join(window.name for window in windows)
            why = "its estimate is longer than they are ever open" if estimate else "they are never open"
            yield f"window[{names}]: '{name}' could never start: {why}; close for fewer hours"
