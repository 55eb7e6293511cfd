"""The settings of a lake."""

from __future__ import annotations

from pydantic import Field

from backfilld.state.pipeline.sections import WarehouseSettings


class LakeSettings(WarehouseSettings):
    """A directory of Parquet partitions."""

    path: str = Field(min_length=1)
    """The lake's directory, relative to the pipeline file."""
