"""Mistakes in pools. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from backfilld.state.pipeline.duplicate_and_unknown_names import processor_key, repeated_names
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.spelling_suggestions import did_you_mean


def pool_problems(pipeline: Pipeline) -> Iterator[str]:
    """One line for each mistake: key, what is wrong, remedy."""
    yield from repeated_names("pool", (pool.name for pool in pipeline.pool))
    for stage in pipeline.stages:
        for processor in stage.processors:
            if processor.pool is not None and processor.pool not in pipeline.pool_sizes:
                where = f"{processor_key(stage.phase, processor)}.pool"
                yield f"{where}: {_unknown(processor.pool, pipeline)}"


def _unknown(name: str, pipeline: Pipeline) -> str:
    hint = f"; {did_you_mean(name, pipeline.pool_sizes)}" if pipeline.pool else ""
    return f"there is no [[pool]] named '{name}'; add it, with its size{hint}"
