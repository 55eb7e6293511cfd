"""Protocols of the daemon that the API talks to; `backfilld.daemon.service.Service` implements them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.enqueue import Enqueuer
from backfilld.daemon.engine.operator_commands import Commands
from backfilld.daemon.event_types import EventSink
from backfilld.daemon.executors.adapter import Executor
from backfilld.daemon.settings import Settings
from backfilld.daemon.warehouses.adapter import Wanted, Warehouse
from backfilld.state.pipeline.pipeline import Pipeline


class PricedWarehouse(Warehouse, Protocol):
    """A warehouse that can estimate the cost of a query."""

    def estimate_bytes(self, wanted: Wanted) -> int:
        """About how many bytes a query of these (processor, date) pairs bills."""


class DaemonService(Protocol):
    """The daemon of one pipeline, as the views use it."""

    @property
    def settings(self) -> Settings:
        """Settings: address, tokens, limits."""

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline that the daemon serves."""

    @property
    def context(self) -> EngineContext:
        """The database, the state machine and the clock."""

    @property
    def commands(self) -> Commands:
        """Every change that an operator can make."""

    @property
    def enqueuer(self) -> Enqueuer:
        """Accepts new backfills."""

    @property
    def executors(self) -> Mapping[str, Executor]:
        """The executors by name; they run jobs and keep the logs."""

    @property
    def warehouse(self) -> PricedWarehouse:
        """The warehouse that reports query."""

    @property
    def last_backup_at(self) -> float | None:
        """Time of the latest backup in epoch seconds; None if there is none."""

    @property
    def standby(self) -> str:
        """The daemon that leads, while this one is on standby and changes nothing; else empty."""

    @property
    def alive(self) -> bool:
        """Whether the engine loop is alive."""

    def health(self) -> Mapping[str, str]:
        """Health checks by name: empty, or what is wrong."""

    def wake(self) -> None:
        """Wake the engine after a change."""

    def subscribe(self, on_event: EventSink) -> None:
        """Call one more listener with every event from now on."""
