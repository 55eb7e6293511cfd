"""The settings of Cloud Run jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from backfilld.state.pipeline.base_executor_settings import ExecutorSettings
from backfilld.state.pipeline.field_types import Duration


class CloudRunSettings(ExecutorSettings):
    """The project and region of Cloud Run jobs, which are executed with arguments of their own."""

    refused_placeholders: ClassVar[Mapping[str, str]] = {
        "dates_file": "is a file of this machine, not of workers; write {dates}",
        "python": "is this machine's, not the image's; write the words its job takes",
    }

    project: str = Field(min_length=1)
    """The project of the jobs."""
    region: str = Field(min_length=1)
    """Their region, such as `us-west2`."""
    look: Duration = Field(default=5.0, gt=0)
    """How often each execution under way is polled."""
    endpoint: str | None = None
    """Another address for the Cloud Run API, such as an emulator's; it is called without credentials."""
