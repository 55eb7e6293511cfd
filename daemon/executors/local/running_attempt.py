"""The attempts of a local executor while they run."""

from __future__ import annotations

from dataclasses import dataclass, field

from backfilld.daemon.executors.attempt_files import OpenLog
from backfilld.daemon.executors.process_identity import Identity


@dataclass(slots=True, kw_only=True)
class LocalAttempt:
    """A running attempt. Without a pidfd its process is gone, as `lost` says, or runs on another host."""

    identity: Identity
    pidfd: int | None = None
    log: OpenLog | None = None
    lost: str = "its process ended without an exit code"
    memory_floor: int = 0
    """The daemon's own peak memory, in KiB: a child reports at least that much."""
    kill_at: float | None = None
    killed: bool = False
    remote: bool = False
    """Whether it runs where this executor cannot observe it, on another host or in another container."""
    preempted: bool = False
    """Whether the daemon had stopped in order and the job ended with its machine or container after that."""
    memory_kills: int = 0
    """How many processes the kernel had killed for want of memory before."""
    leftovers: set[int] = field(default_factory=set)
    """The processes that outlived a job that ended by itself, and were ended."""
    began: bool = True
    """False when it was never started. Files of its number are from before a restored backup then."""
