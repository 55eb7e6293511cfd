"""The settings of a Dask cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, field_validator

from backfilld.state.pipeline.sections import ExecutorSettings


class DaskSettings(ExecutorSettings):
    """A Dask cluster that runs jobs on its workers."""

    refused_placeholders: ClassVar[Mapping[str, str]] = {
        "dates_file": "is a file of this machine, not of workers; write {dates}"
    }

    scheduler: str
    """The scheduler's address, such as `tcp://10.0.0.5:8786`; `tls://` is configured by Dask's own means."""
    resource: str | None = Field(default=None, min_length=1)
    """The workers' resource of which a job takes 1 (`dask worker --resources`); without it, only a thread."""

    @field_validator("scheduler")
    @classmethod
    def _is_address(cls, scheduler: str) -> str:
        if not re.fullmatch(r"[a-z]+://\S+", scheduler):
            raise ValueError(f"{scheduler!r} is not an address; write one like tcp://10.0.0.5:8786")
        return scheduler
