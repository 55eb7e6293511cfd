"""Metrics: counters fed by the daemon's events, and gauges read from the state database at each scrape.

Labels come from closed sets (the pipeline's names, enumerations); every combination exists from the start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from backfilld import __version__
from backfilld.api.ports import DaemonService
from backfilld.daemon.events import AttemptEnded, DateMoved, Event, GateEvaluated, Incident, IncidentKind
from backfilld.daemon.reports.progress import Progress, progress
from backfilld.daemon.warehouses.adapter import Purpose
from backfilld.state.records import AttemptStatus
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.machine import Outcome
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

OPENMETRICS = "application/openmetrics-text"
NEVER = 0.0
"""A time stamp of what has not happened yet."""
UNKNOWN = float("nan")
PURPOSES: Mapping[Purpose, str] = {
    "gate": "Whether dates may move, before and after jobs.",
    "sweep": "Whether done dates are still complete.",
    "calendar": "Which dates are expected.",
    "validation": "A validation, or the one that a plan begins with.",
    "quality": "Which rows are below their standard.",
    "preflight": "Nothing: the command line asks, not the daemon.",
}
"""What the warehouse is asked for."""
INCIDENTS: Mapping[IncidentKind, str] = {
    "warehouse": "The warehouse could not be asked, or `daily_bytes` are spent: questions are held.",
    "breaker": "A processor is paused, as it failed the same way again and again.",
    "budget": "A table is parked until its quota day ends.",
    "regressed": "Done dates are no longer complete.",
    "stopped": "A backfill was stopped by its `max_failures`.",
    "backup": "The state database could not be copied.",
    "clock": "The clock was set.",
}
"""Faults that are not tied to one date."""
GATE_RESULTS: Mapping[str, str] = {
    "advance": "The date moves on.",
    "run": "Jobs of it may start.",
    "wait": "It waits.",
    "fail": "It fails.",
}
"""What was decided upon a date."""
HOLDS: Mapping[str, str] = {
    "all": "Everything is paused.",
    "processor": "A processor is paused by the breaker.",
    "table": "An output table is parked: its attempts of the day are used up, or its quota is spent.",
    "warehouse": "Questions wait: the warehouse cannot be asked, or `daily_bytes` are spent.",
}
"""What may not start."""
RESULTS: Mapping[str, str] = {
    "exited_0": "It exited with code 0.",
    "exited_nonzero": "It exited with another code.",
    "timed_out": "It was killed at its `timeout`.",
    "idle": "It was killed after `idle_timeout` without output.",
    "cancelled": "It was killed because its backfill was cancelled.",
    "lost": "It has no exit code: its host went down, it was killed, or it could not be started.",
}
"""How an attempt ended."""
DURATIONS = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
"""Buckets of attempts, in seconds."""


class Metrics:
    """The metrics of one daemon, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._queries = self._counter("warehouse_queries", "Queries sent to the warehouse.", "purpose")
        self._billed = self._counter("warehouse_billed_bytes", "Bytes the warehouse bills.", "purpose")
        self._refused = self._counter("warehouse_errors", "Queries that were not answered.")
        self._transitions = self._counter("transitions", "Moves of dates, by the state they led to.", "to")
        self._gates = self._counter("gate_evaluations", "Decisions at gates.", "phase", "result")
        self._attempts = self._counter("attempts", "Attempts that ended.", "processor", "result")
        self._incidents = self._counter(
            "incidents", "Faults not tied to one date: warehouse, breaker, budget, ...", "kind"
        )
        self._unread = self._counter("collector_errors", "Scrapes that could not read the state database.")
        self._notices = self._counter("notifications", "Messages sent to the webhook, successful or not.")
        self._untold = self._counter("notification_failures", "Messages that the webhook did not take.")
        self._durations = Histogram(
            "backfilld_attempt_duration_seconds",
            "How long attempts took.",
            ["processor"],
            buckets=DURATIONS,
            registry=self.registry,
        )
        info = Gauge("backfilld_build_info", "1, by version.", ["version"], registry=self.registry)
        info.labels(__version__).set(1)
        for purpose in PURPOSES:
            self._queries.labels(purpose)
            self._billed.labels(purpose)
        for kind in INCIDENTS:
            self._incidents.labels(kind)

    def watch(self, service: DaemonService) -> None:
        """Listen to a daemon, and read its state at each scrape. To be called once."""
        for state in service.context.machine.states:
            self._transitions.labels(state)
        for phase in service.pipeline.phase:
            for result in GATE_RESULTS:
                self._gates.labels(phase.name, result)
        for processor in service.pipeline.processors:
            self._durations.labels(processor)
            for result in RESULTS:
                self._attempts.labels(processor, result)
        self.registry.register(_Standing(service, self._unread.inc))
        service.listen(self.emit)

    def emit(self, event: Event) -> None:
        """Count an event. Called from whichever thread made it."""
        if isinstance(event, DateMoved):
            self._transitions.labels(event.target).inc()
        elif isinstance(event, GateEvaluated):
            self._gates.labels(event.phase, event.result).inc()
        elif isinstance(event, AttemptEnded):
            self._attempts.labels(event.processor, _result(event)).inc()
            self._durations.labels(event.processor).observe(event.seconds)
        elif isinstance(event, Incident):
            self._incidents.labels(event.kind).inc()

    def on_query(self, purpose: Purpose, billed: int) -> None:
        """Count a query that was sent to the warehouse, and the bytes it bills."""
        self._queries.labels(purpose).inc()
        self._billed.labels(purpose).inc(billed)

    def on_error(self) -> None:
        """Count a query that was not answered."""
        self._refused.inc()

    def on_notification(self, failed: bool) -> None:
        """Count a message to the webhook, and whether it was not taken."""
        self._notices.inc()
        self._untold.inc(failed)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Everything as text, as OpenMetrics where `accept` names it, and its content type."""
        # The library's own reading of versions raises on what is none, and repeats it in its answer.
        encode, content_type = choose_encoder(OPENMETRICS if OPENMETRICS in accept else "")
        return encode(self.registry), content_type

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"backfilld_{name}", about, labels, registry=self.registry)


def _result(ended: AttemptEnded) -> str:
    if ended.status is not AttemptStatus.EXITED:
        return ended.status.value
    return "exited_0" if ended.exit_code == 0 else "exited_nonzero"


class _Standing:
    """The collector of what stands in the state database: tallies, so that scrapes cost the same always."""

    def __init__(self, service: DaemonService, unread: Callable[[], None]) -> None:
        self._service = service
        self._unread = unread

    def describe(self) -> list[Metric]:
        """Nothing: registering it reads no database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """How everything stands now; nothing, and a count of it, when the database cannot be read."""
        try:
            with self._service.context.db.read() as tx:
                found = progress(tx, self._service.context)
        except DatabaseUnavailable as error:
            log.warning("a scrape goes without the state: %s", error)
            self._unread()
            return
        yield from self._dates(found)
        yield from self._work(found)
        yield from self._moments(found)
        healthy = {check: float(not wrong) for check, wrong in self._service.health().items()}
        yield _by_label("healthy", "1 where a check of the daemon finds nothing wrong.", "check", healthy)

    def _dates(self, found: Progress) -> Iterator[Metric]:
        states = _all(self._service.context.machine.states, found.states)
        yield _by_label("dates", "Dates by state.", "state", states)
        yield _by_label("ended_dates", "Ended dates by outcome.", "outcome", _all(Outcome, found.outcomes))
        yield _single("regressed_dates", "Done dates that are no longer complete.", found.regressed)
        yield _single("stale_dates", "Dates computed before an earlier one was repaired.", found.stale)
        waits = _all(WaitReason, found.waiting)
        yield _by_label("waiting_dates", "Live dates by what they wait for.", "reason", waits)
        verdicts = _family(
            "processor_dates", "Dates by the verdict on a processor.", "phase", "processor", "verdict"
        )
        for one in found.processors:
            for verdict, n in _all(Verdict, one.verdicts).items():
                verdicts.add_metric([one.phase, one.name, verdict], n)
        yield verdicts

    def _work(self, found: Progress) -> Iterator[Metric]:
        phases = [phase.name for phase in self._service.pipeline.phase]
        ratios = {phase: found.ratio(phase) for phase in phases}
        yield _by_label("phase_progress_ratio", "Share of a phase that is satisfied.", "phase", ratios)
        running = {phase: sum(r.attempt.phase == phase for r in found.running) for phase in phases}
        yield _by_label("attempts_running", "Attempts under way.", "phase", running)
        held = {hold.key for hold in found.holds if hold.kind == "processor"}
        paused = {name: float(name in held) for name in self._service.pipeline.processors}
        yield _by_label("processor_paused", "1 while a processor may not start.", "processor", paused)
        kinds = {kind: sum(hold.kind == kind for hold in found.holds) for kind in HOLDS}
        yield _by_label("holds", "What may not start, by kind.", "kind", kinds)
        yield _single("paused", "1 while everything is paused.", float(found.paused))
        yield from self._budgets(found)

    def _budgets(self, found: Progress) -> Iterator[Metric]:
        """Where the pipeline file sets any. The keys are its output tables; the warehouse's is empty."""
        if not found.budgets:
            return
        limit = _family("budget_limit", "Attempts or bytes that a quota day allows.", "kind", "key")
        spent = _family("budget_spent", "Attempts or bytes used of the quota day.", "kind", "key")
        for one in found.budgets:
            limit.add_metric([one.kind, one.key], one.limit + one.extra)
            spent.add_metric([one.kind, one.key], one.spent)
        yield from (limit, spent)

    def _moments(self, found: Progress) -> Iterator[Metric]:
        at = found.eta.at
        yield _single(
            "eta_timestamp_seconds",
            "When all live dates may have ended; NaN while nobody can tell.",
            UNKNOWN if at is None else at,
        )
        yield _single(
            "last_progress_timestamp_seconds",
            "When a date ended or a job exited with 0 last; 0 if never.",
            found.last_progress_at or NEVER,
        )
        yield _single(
            "last_backup_timestamp_seconds",
            "When the latest backup of the state database was made; 0 if never.",
            self._service.last_backup_at or NEVER,
        )
        starts = [running.attempt.started_at for running in found.running]
        yield _single(
            "oldest_running_start_timestamp_seconds",
            "When the oldest attempt under way began; NaN without any.",
            min(starts, default=UNKNOWN),
        )


def _family(name: str, about: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"backfilld_{name}", about, labels=labels)


def _single(name: str, about: str, value: float) -> Metric:
    family = _family(name, about)
    family.add_metric([], value)
    return family


def _by_label(name: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
    family = _family(name, about, label)
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _all(keys: Any, counts: Mapping[str, int]) -> dict[str, float]:
    """A count for every key of a closed set."""
    return {str(key): counts.get(key, 0) for key in keys}
