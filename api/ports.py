"""What the API needs of the daemon behind it; `backfilld.daemon.service.Service` is the real one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from backfilld.daemon.engine.commands import Commands
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.enqueue import Enqueuer
from backfilld.daemon.events import EventSink
from backfilld.daemon.executors.adapter import Executor
from backfilld.daemon.settings import Settings
from backfilld.daemon.warehouses.adapter import Wanted, Warehouse
from backfilld.state.pipeline.models import Pipeline


class PricedWarehouse(Warehouse, Protocol):
    """A warehouse that also says what a question would cost."""

    def estimate_bytes(self, wanted: Wanted) -> int:
        """About how many bytes asking about these pairs is billed."""


class DaemonService(Protocol):
    """One pipeline's daemon, as the views see it."""

    @property
    def settings(self) -> Settings:
        """Where it listens."""

    @property
    def pipeline(self) -> Pipeline:
        """What it works on."""

    @property
    def context(self) -> EngineContext:
        """The database, the machine and the clock."""

    @property
    def commands(self) -> Commands:
        """Every change that a person can ask for."""

    @property
    def enqueuer(self) -> Enqueuer:
        """What takes requests."""

    @property
    def executors(self) -> Mapping[str, Executor]:
        """Where jobs run, and who keeps their logs."""

    @property
    def warehouse(self) -> PricedWarehouse:
        """What reports ask."""

    @property
    def last_backup_at(self) -> float | None:
        """When the latest backup was made, in epoch seconds; None without any."""

    @property
    def standby(self) -> str:
        """Which daemon leads, while this one stands by and changes nothing; else empty."""

    @property
    def alive(self) -> bool:
        """Whether the engine's loop comes round."""

    def health(self) -> Mapping[str, str]:
        """By check: empty, or what is wrong."""

    def wake(self) -> None:
        """Something changed: look now."""

    def listen(self, tell: EventSink) -> None:
        """Have every event told to one more listener."""
