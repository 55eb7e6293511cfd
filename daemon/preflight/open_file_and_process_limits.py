"""Whether this host has the open files and processes for the slots of a pipeline file."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.settings_by_kind import LOCAL

_FILES_PER_JOB = 3
"""Open files of the daemon for each job that starts or runs."""
_PROCESSES_PER_JOB = 2
_OF_DAEMON = 100
"""Open files, or processes and threads, for everything else: database, API, warehouse."""


def slot_warnings(pipeline: Pipeline) -> Iterator[str]:
    """Whether this host lets as many local jobs run at the same time as the pipeline file has slots for."""
    local = [section for section in pipeline.executor.values() if section.kind == LOCAL]
    slots = sum(section.slots or pipeline.jobs.slots for section in local)
    slots = min(slots, pipeline.jobs.slots)
    limits = (
        ("open files", resource.RLIMIT_NOFILE, _FILES_PER_JOB, "LimitNOFILE= of the service or `ulimit -Hn`"),
        ("processes", resource.RLIMIT_NPROC, _PROCESSES_PER_JOB, "TasksMax= of the service or `ulimit -Hu`"),
    )
    for what, number, each, remedy in limits:
        _, hard = resource.getrlimit(number)
        exempt = number == resource.RLIMIT_NPROC and os.geteuid() == 0
        needed = slots * each + _OF_DAEMON
        if hard != resource.RLIM_INFINITY and needed > hard and not exempt:
            most = max((hard - _OF_DAEMON) // each, 1)
            yield (
                f"[jobs] slots = {slots} needs about {needed} {what}, and this host allows {hard};"
                f" raise {remedy}, or lower slots to {most}"
            )
