"""The limit of open files: raised for the daemon, and restored for its jobs."""

from __future__ import annotations

import functools
import resource
from contextlib import suppress

_MOST_FILES = 1 << 16


@functools.cache
def inherited_open_files() -> tuple[int, int]:
    """The soft and hard limit of open files when this process began, which jobs get too."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)


def raise_open_files() -> None:
    """Raise the soft limit of open files of this process to its hard limit, or to 65,536."""
    soft, hard = inherited_open_files()
    most = min(hard, _MOST_FILES) if hard != resource.RLIM_INFINITY else _MOST_FILES
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def restore_open_files(pid: int) -> None:
    """Give a child the limit of open files that this process began with: select(2) fails above 1,024."""
    with suppress(OSError, ValueError):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, inherited_open_files())
