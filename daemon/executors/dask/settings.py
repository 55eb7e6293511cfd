"""The settings of a Dask cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

from pydantic import Field, field_validator

from backfilld.state.pipeline.base_executor_settings import ExecutorSettings


class DaskSettings(ExecutorSettings):
    """A Dask cluster that runs jobs on its workers."""

    refused_placeholders: ClassVar[Mapping[str, str]] = {
        "dates_file": "is a file of this machine, not of workers; write {dates}"
    }

    scheduler: str
    """The scheduler's address, such as `tcp://10.0.0.5:8786`; `tls://` is configured by Dask's own means."""
    resources: Mapping[str, float] = Field(default_factory=dict)
    """The workers' resources that a job takes (`dask worker --resources`), such as `{ slot = 1 }`; a
    processor's own `resources` are added. Without any, a job takes one of a worker's threads."""

    @field_validator("scheduler")
    @classmethod
    def _is_address(cls, scheduler: str) -> str:
        if not re.fullmatch(r"(tcp|tls|ucx|wss?)://\S+", scheduler):
            raise ValueError(f"{scheduler!r} is not an address; write one like tcp://10.0.0.5:8786")
        return scheduler

    def resource_problems(self, resources: Mapping[str, float | str]) -> Iterator[str]:
        """Resources of Dask workers are positive numbers."""
        for key, amount in resources.items():
            if isinstance(amount, str) or amount <= 0:
                yield f"{key}: {amount!r} is not an amount of a Dask resource; write a number above 0"
