"""What Prometheus would scrape of a world, beside its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from backfilld.api.metrics import Metrics

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


def differences(sim: Simulation) -> dict[str, tuple[Counter[Any], Counter[Any]]]:
    """Metrics that differ from the rows, as both tell them, by name.

    Counters belong to one life of a daemon: where it was killed they know less than the rows.
    """
    rows = _rows(sim)
    scraped = _scraped(sim, list(rows))
    if sim.kills:
        rows = {name: counts for name, counts in rows.items() if not name.endswith("_total")}
    return {name: (scraped[name], rows[name]) for name in rows if scraped[name] != rows[name]}


def _scraped(sim: Simulation, names: list[str]) -> dict[str, Counter[Any]]:
    served = SimpleNamespace(
        context=sim.context,
        pipeline=sim.pipeline,
        subscribe=lambda on_event: None,
        health=dict,
        last_backup_at=None,
    )
    metrics = Metrics()
    metrics.watch(served)  # type: ignore[arg-type]
    for event in sim.events:
        metrics.emit(event)
    found: dict[str, Counter[Any]] = {name: Counter() for name in names}
    for sample in (sample for family in metrics.registry.collect() for sample in family.samples):
        if sample.name in found and sample.value:
            found[sample.name][tuple(sample.labels.values())] += int(sample.value)
    return found


def _result(row: Mapping[str, Any]) -> str:
    if row["status"] != "exited":
        return str(row["status"])
    return "exited_nonzero" if row["exit_code"] else "exited_0"


def _rows(sim: Simulation) -> dict[str, Counter[Any]]:
    rows = sim.invariants.rows
    moves = rows("SELECT target FROM transitions")
    ended = rows("SELECT processor, status, exit_code FROM attempts WHERE status <> 'running'")
    dates = rows("SELECT state, waiting FROM dates")
    return {
        "backfilld_dates": Counter((row["state"],) for row in dates),
        "backfilld_waiting_dates": Counter((row["waiting"],) for row in dates if row["waiting"]),
        "backfilld_attempts_total": Counter((row["processor"], _result(row)) for row in ended),
        "backfilld_transitions_total": Counter((m["target"],) for m in moves),
    }
