"""When anything can happen next in a simulated world, and which jobs began when."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from backfilld.daemon.executors.adapter import Job
from tests.simulation.fakes import Launch, Process
from tests.simulation.jobs import named_dates, written_dates

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

MAX_RECHECKS = 3
"""How often a hole is asked about again while nothing else happens."""


def moments(sim: Simulation) -> list[float]:
    """The later times at which anything can happen by itself."""
    moments = [at for _, one in sim.pending_events if (at := sim.events_start + one.at) > sim.time]
    moments += [at for at, _ in sim.platform.later]
    if sim.alarm is not None:
        moments.append(sim.alarm)
    for attempt, process in sim.executor.alive.items():
        overdue = _overdue(sim, attempt, process)
        moments.append(min(process.ends, overdue if overdue > sim.time else process.ends))
    moments += [at for at in _abandoned(sim) if at > sim.time]
    if (at := sim.platform.checks.next_end()) is not None:
        moments.append(at)
    if sim.needs_recheck and sim.rechecks < MAX_RECHECKS:
        moments.append(sim.rechecked + sim.pipeline.engine.recheck_interval)
    return [at for at in moments if not math.isinf(at)]


def _overdue(sim: Simulation, attempt: int, process: Process) -> float:
    """When the daemon ends a job: it counts by what it has noted, which may be set since."""
    limits = sim.pipeline.job_settings(process.job.env["BACKFILLD_PROCESSOR"])
    noted = sim.invariants.running.get(attempt, {}).get("started_at") or 0.0
    began = max(process.started, noted)
    spoke = max(began, process.started + process.work.talks)
    return min(began + limits.timeout, spoke + limits.idle_timeout) + _notices_clock(sim) + 1.0


def _abandoned(sim: Simulation) -> Iterator[float]:
    """When the daemon gives up attempts whose executor left the file. A set clock starts that anew."""
    for row in sim.invariants.running.values():
        if row["executor"] not in sim.pipeline.executor:
            limits = sim.pipeline.job_settings(row["processor"])
            began = max(row["started_at"] or row["claimed_at"], sim.clock_set_at)
            yield began + limits.timeout + limits.grace_period + _notices_clock(sim) + 1.0


def _notices_clock(sim: Simulation) -> float:
    """How long the daemon takes to see that the clock was set."""
    return 2 * sim.scenario.query_seconds if sim.clock_offset else 0.0


def record_launch(sim: Simulation, job: Job) -> Launch:
    """Keep that a job begins, with the table that it writes."""
    name, named = job.env["BACKFILLD_PROCESSOR"], named_dates(job)
    covered = written_dates(job, sim.scenario.processors(sim.version)[name])
    table = sim.warehouse.table(name)
    sim.launches.append(Launch(name, covered, table, sim.version, sim.time, named))
    return sim.launches[-1]
