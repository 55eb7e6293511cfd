"""Metrics: counters fed by the daemon's events, and gauges read from the state database at each scrape.

Label values come from closed sets (names of the pipeline, enumerations); every combination exists from the
start.
"""

from __future__ import annotations

import logging
from collections import Counter as Counts
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from backfilld import __version__
from backfilld.api.daemon_interface import DaemonService
from backfilld.api.schemas.field_types import BackfillStatus
from backfilld.daemon.engine.free_slots import in_pool
from backfilld.daemon.event_types import (
    AttemptEnded,
    DateMoved,
    Event,
    ForeignWrites,
    GateEvaluated,
    GateResult,
    Incident,
    IncidentKind,
)
from backfilld.daemon.reports import stuck_backfills
from backfilld.daemon.reports.progress import Progress, progress
from backfilld.daemon.reports.window_and_pool_holds import DerivedHold, derived_holds
from backfilld.daemon.warehouses.adapter import Purpose
from backfilld.state.records import ENGINE, AttemptStatus, HoldRow
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store.database_errors import DatabaseUnavailable

log = logging.getLogger(__name__)

OPENMETRICS = "application/openmetrics-text"
NEVER = 0.0
"""Timestamp of an event that has not happened yet."""
UNKNOWN = float("nan")
PURPOSES: Mapping[Purpose, str] = {
    "gate": "Gate checks, before and after jobs.",
    "sweep": "Revalidation of done dates.",
    "calendar": "Calendar: the dates that are expected.",
    "validation": "Validation reports, also those of a plan.",
    "quality": "Quality reports.",
    "preflight": "Preflight; always 0, because the command line runs it, not the daemon.",
}
"""Purposes of warehouse queries."""
INCIDENTS: Mapping[IncidentKind, str] = {
    "warehouse": "The warehouse is unavailable, or `daily_bytes` is used up: queries are held.",
    "breaker": "A processor is held after the same failure several times in a row.",
    "budget": "A table is held until its quota day ends.",
    "regressed": "Done dates are no longer complete.",
    "stopped": "A backfill was stopped by its `max_failures`.",
    "backup": "The state database could not be copied.",
    "clock": "The system clock was set.",
}
"""Kinds of incidents: faults that do not belong to one date."""
GATE_RESULTS: Mapping[GateResult, str] = {
    "advance": "The date goes to its next state.",
    "run": "Jobs of the date may start.",
    "wait": "The date waits.",
    "fail": "The date fails.",
}
"""Results of gate evaluations."""
HOLDS: Mapping[str, str] = {
    "all": "Everything is paused.",
    "processor": "A processor is held by the circuit breaker or an operator.",
    "table": "An output table is held: by an operator, or its daily attempts or its quota are used up.",
    "warehouse": "Warehouse queries are held: by an operator, an outage, or a used-up `daily_bytes`.",
    "window": "A `[[window]]` is closed.",
    "pool": "A `[[pool]]` has no free slot.",
}
"""Kinds of holds."""
PLACED_BY: Mapping[str, str] = {
    "engine": "The daemon: by the circuit breaker, a budget, an outage, a `[[window]]` or a `[[pool]]`.",
    "operator": "An operator, by `backfilld hold` or `pause`, or by the API.",
}
"""Who has placed a hold: alerts on faults leave out what an operator wants."""
RESULTS: Mapping[str, str] = {
    "exited_0": "The job exited with code 0.",
    "exited_nonzero": "The job exited with another code.",
    "timed_out": "The job was killed at its `timeout`.",
    "idle": "The job was killed after `idle_timeout` without output.",
    "cancelled": "The job was killed because its backfill was cancelled.",
    "lost": "No exit code: the host went down, the job was killed, or it could not be started.",
}
"""Results of attempts."""
DURATIONS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
"""Buckets of attempt durations, in seconds: each at most 2.5 times the one before, or quantiles are vague."""


class Metrics:
    """The metrics of one daemon, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._queries = self._counter("warehouse_queries", "Queries sent to the warehouse.", "purpose")
        self._billed_bytes = self._counter("warehouse_billed_bytes", "Bytes the warehouse bills.", "purpose")
        self._query_errors = self._counter("warehouse_errors", "Failed warehouse queries.")
        self._transitions = self._counter("transitions", "State changes of dates, by new state.", "to")
        self._gates = self._counter("gate_evaluations", "Gate evaluations, by result.", "phase", "result")
        self._attempts = self._counter("attempts", "Attempts that ended.", "processor", "result")
        self._incidents = self._counter(
            "incidents", "Faults that do not belong to one date, by kind.", "kind"
        )
        self._foreign_writes = self._counter(
            "foreign_writes",
            "Partitions of done dates that were written, and not by an attempt.",
            "processor",
        )
        self._collector_errors = self._counter(
            "collector_errors", "Scrapes that failed to read the state database."
        )
        self._notifications = self._counter(
            "notifications", "Messages sent to the webhook, delivered or not."
        )
        self._notification_failures = self._counter(
            "notification_failures", "Messages that the webhook did not accept."
        )
        self._durations = Histogram(
            "backfilld_attempt_duration_seconds",
            "Duration of attempts.",
            ["processor"],
            buckets=DURATIONS,
            registry=self.registry,
        )
        info = Gauge("backfilld_build_info", "1, by version.", ["version"], registry=self.registry)
        info.labels(__version__).set(1)
        for purpose in PURPOSES:
            self._queries.labels(purpose)
            self._billed_bytes.labels(purpose)
        for kind in INCIDENTS:
            self._incidents.labels(kind)

    def watch(self, service: DaemonService) -> None:
        """Subscribe to the events of a daemon, and read its state at each scrape. Call it once."""
        for state in service.context.machine.states:
            self._transitions.labels(state)
        for phase in service.pipeline.phase:
            for gate_result in GATE_RESULTS:
                self._gates.labels(phase.name, gate_result)
        for processor in service.pipeline.processors:
            self._durations.labels(processor)
            self._foreign_writes.labels(processor)
            for ending in RESULTS:
                self._attempts.labels(processor, ending)
        self.registry.register(_StateCollector(service, self._collector_errors.inc))
        service.subscribe(self.emit)

    def emit(self, event: Event) -> None:
        """Count an event. Called from any thread."""
        if isinstance(event, DateMoved):
            self._transitions.labels(event.target).inc()
        elif isinstance(event, GateEvaluated):
            self._gates.labels(event.phase, event.result).inc()
        elif isinstance(event, AttemptEnded):
            self._attempts.labels(event.processor, _result(event)).inc()
            self._durations.labels(event.processor).observe(event.seconds)
        elif isinstance(event, ForeignWrites):
            self._foreign_writes.labels(event.processor).inc(len(event.dates))
        elif isinstance(event, Incident):
            self._incidents.labels(event.kind).inc()

    def on_query(self, purpose: Purpose, billed: int) -> None:
        """Count a warehouse query, and the bytes it billed."""
        self._queries.labels(purpose).inc()
        self._billed_bytes.labels(purpose).inc(billed)

    def on_error(self) -> None:
        """Count a failed warehouse query."""
        self._query_errors.inc()

    def on_notification(self, failed: bool) -> None:
        """Count a message to the webhook, and whether its delivery failed."""
        self._notifications.inc()
        self._notification_failures.inc(failed)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All metrics as text, in OpenMetrics if `accept` names it, and the content type."""
        # The library raises on a malformed version in Accept, and echoes the version in the content type.
        encode, content_type = choose_encoder(OPENMETRICS if OPENMETRICS in accept else "")
        return encode(self.registry), content_type

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"backfilld_{name}", help_text, labels, registry=self.registry)


def _result(ended: AttemptEnded) -> str:
    if ended.status is not AttemptStatus.EXITED:
        return ended.status.value
    return "exited_0" if ended.exit_code == 0 else "exited_nonzero"


def _placed_by(hold: HoldRow | DerivedHold) -> str:
    return "engine" if hold.derived or hold.actor == ENGINE else "operator"


class _StateCollector:
    """Reads gauges from the counters of the state database, so that a scrape costs the same at any size."""

    def __init__(self, service: DaemonService, on_error: Callable[[], None]) -> None:
        self._service = service
        self._on_error = on_error

    def describe(self) -> list[Metric]:
        """Nothing, so that registering does not read the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The current gauges. While the database is unavailable: health alone, and one counted error."""
        healthy = {check: float(not wrong) for check, wrong in self._service.health().items()}
        yield _by_label("healthy", "1 while a health check of the daemon passes.", "check", healthy)
        try:
            with self._service.context.db.read() as tx:
                report = progress(tx, self._service.context)
                statuses = stuck_backfills.counts(tx, self._service.context)
                derived = derived_holds(tx, self._service.context)
        except DatabaseUnavailable as error:
            log.warning("a scrape has no gauges of the state: %s", error)
            self._on_error()
            return
        yield from self._dates(report)
        yield _by_label("backfills", "Backfills by status.", "status", _all(BackfillStatus, statuses))
        yield from self._work(report, derived)
        yield from self._timestamps(report)

    def _dates(self, report: Progress) -> Iterator[Metric]:
        states = _all(self._service.context.machine.states, report.states)
        yield _by_label("dates", "Dates by state.", "state", states)
        yield _by_label("ended_dates", "Ended dates by outcome.", "outcome", _all(Outcome, report.outcomes))
        yield _single("regressed_dates", "Done dates that are no longer complete.", report.regressed)
        yield _single("stale_dates", "Dates computed before an earlier date changed.", report.stale)
        waits = _all(WaitReason, report.waiting)
        yield _by_label("waiting_dates", "Live dates by wait reason.", "reason", waits)
        verdicts = _family(
            "processor_dates", "Dates by the verdict on a processor.", "phase", "processor", "verdict"
        )
        for processor in report.processors:
            for verdict, n in _all(Verdict, processor.verdicts).items():
                verdicts.add_metric([processor.phase, processor.name, verdict], n)
        yield verdicts

    def _work(self, report: Progress, derived: Sequence[DerivedHold]) -> Iterator[Metric]:
        phases = [phase.name for phase in self._service.pipeline.phase]
        ratios = {phase: report.ratio(phase) for phase in phases}
        yield _by_label("phase_progress_ratio", "Satisfied share of a phase, 0 to 1.", "phase", ratios)
        running = {phase: sum(r.attempt.phase == phase for r in report.running) for phase in phases}
        yield _by_label("attempts_running", "Running attempts.", "phase", running)
        yield from self._holds(report, derived)
        known = self._service.context.blind_ratios
        blind = {name: known.get(name, UNKNOWN) for name in self._service.pipeline.processors}
        help_text = "Share of damages that the rules miss, 0 to 1, by the latest report; NaN before."
        yield _by_label("blind_ratio", help_text, "processor", blind)
        yield _single("paused", "1 while everything is paused.", float(report.paused))
        yield from self._pools(report)
        yield from self._budgets(report)

    def _holds(self, report: Progress, derived: Sequence[DerivedHold]) -> Iterator[Metric]:
        held = {(hold.key, _placed_by(hold)) for hold in report.holds if hold.kind == "processor"}
        paused = _family("processor_paused", "1 while a processor is held.", "processor", "by")
        for name in self._service.pipeline.processors:
            for by in PLACED_BY:
                paused.add_metric([name, by], float((name, by) in held))
        every: list[HoldRow | DerivedHold] = [*report.holds, *derived]
        counts = Counts((hold.kind, _placed_by(hold)) for hold in every)
        holds = _family("holds", "Holds, by kind.", "kind", "by")
        for kind in HOLDS:
            for by in PLACED_BY:
                holds.add_metric([kind, by], counts[kind, by])
        yield from (paused, holds)

    def _pools(self, report: Progress) -> Iterator[Metric]:
        """The slots of pools, if the pipeline file has any."""
        pipeline, running = self._service.pipeline, [running.attempt for running in report.running]
        if pipeline.pool:
            yield _by_label("pool_slots", "Slots of a pool.", "pool", pipeline.pool_sizes)
            used = {name: len(in_pool(pipeline, name, running)) for name in pipeline.pool_sizes}
            yield _by_label("pool_slots_used", "Slots of a pool that running attempts take.", "pool", used)

    def _budgets(self, report: Progress) -> Iterator[Metric]:
        """Daily budgets, if the pipeline file sets any. `key` is an output table, empty for the warehouse."""
        if not report.budgets:
            return
        limit = _family("budget_limit", "Attempts or bytes allowed on a quota day.", "kind", "key")
        spent = _family("budget_spent", "Attempts or bytes used on the current quota day.", "kind", "key")
        for budget in report.budgets:
            limit.add_metric([budget.kind, budget.key], budget.limit + budget.extra)
            spent.add_metric([budget.kind, budget.key], budget.spent)
        yield from (limit, spent)

    def _timestamps(self, report: Progress) -> Iterator[Metric]:
        at = report.eta.at
        yield _single(
            "eta_timestamp_seconds",
            "Estimated end of all live dates; NaN while unknown.",
            UNKNOWN if at is None else at,
        )
        yield _single(
            "last_progress_timestamp_seconds",
            "Last time that a date ended or a job exited with 0; 0 if never.",
            report.last_progress_at or NEVER,
        )
        yield _single(
            "last_backup_timestamp_seconds",
            "Latest backup of the state database; 0 if never.",
            self._service.last_backup_at or NEVER,
        )
        starts = [running.attempt.started_at for running in report.running]
        yield _single(
            "oldest_running_start_timestamp_seconds",
            "Start of the oldest running attempt; NaN without any.",
            min(starts, default=UNKNOWN),
        )


def _family(name: str, help_text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"backfilld_{name}", help_text, labels=labels)


def _single(name: str, help_text: str, value: float) -> Metric:
    family = _family(name, help_text)
    family.add_metric([], value)
    return family


def _by_label(name: str, help_text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = _family(name, help_text, label)
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _all(keys: Any, counts: Mapping[str, int]) -> dict[str, float]:
    """A count for every member of a closed set, 0 if missing."""
    return {str(key): counts.get(key, 0) for key in keys}
