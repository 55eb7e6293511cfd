"""Pools, `[[pool]]`: limits that several processors share, such as the calls that one API allows."""

from __future__ import annotations

from pydantic import Field

from backfilld.state.pipeline.field_types import Name
from backfilld.state.pipeline.strict_model import StrictModel


class PoolSettings(StrictModel):
    """A limit on the attempts of all processors that name it."""

    name: Name
    """What `pool` of a processor refers to."""
    size: int = Field(ge=1, le=1000)
    """The most attempts of its processors that run at the same time, over all dates."""
