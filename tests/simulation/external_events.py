"""What comes from outside: requests of people, faults of the warehouse, somebody else at work."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from backfilld.daemon.engine.bulk_request import DateAnswers, DateQuery
from backfilld.daemon.engine.enqueue_models import EnqueueRequest, EnqueueResult
from backfilld.daemon.engine.operator_commands import Commands, Conflict, NotFound
from backfilld.daemon.engine.retry_dates import Retry
from backfilld.state.records import Actor, Mark, Sources
from backfilld.state.rules.evidence import HistoryRun
from tests.simulation.scenario import ExternalEvent

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

OPERATOR = Actor(name="someone")
EXTERNAL_RUN = "another controller"
"""What the history says of runs that are not ours."""


def apply_event(sim: Simulation, one: ExternalEvent) -> str:
    """Let it happen; why a request was refused, or empty."""
    fault = FAULTS.get(one.verb)
    if fault is not None:
        fault(sim, **one.args)
        return ""
    args = _REWRITES.get(one.verb, dict)(one.args)
    sim.invariants.truth.asking(one.verb, args)
    try:
        answer = _REQUESTS.get(one.verb, _ask)(sim, one)
    except (NotFound, Conflict) as refusal:
        return str(refusal)
    dates, number = [one.args["date"]] if one.verb == "retry_date" else [], None
    if isinstance(answer, EnqueueResult):
        dates = [detail.date for detail in answer.details if detail.outcome == "enqueued"]
        number = answer.id
    if isinstance(answer, DateAnswers):
        dates, number = answer.changed, answer.backfill_id
    sim.invariants.truth.asked(args, dates, number)
    return ""


def enqueue(
    sim: Simulation, start: dt.date, end: dt.date, sources: str = "all", **options: Any
) -> EnqueueResult:
    """Ask for a range."""
    dates = tuple(map(dt.date.fromordinal, range(start.toordinal(), end.toordinal() + 1)))
    return sim.enqueuer.enqueue(EnqueueRequest(dates=dates, by=OPERATOR, sources=Sources(sources), **options))


def retry_marked(commands: Commands, mark: Mark, start: dt.date, end: dt.date) -> list[dt.date]:
    """Retry the dates of a range with a mark; which they are."""
    query = DateQuery(start=start, end=end, mark=mark)
    return commands.retry_dates(query, Retry(), by=OPERATOR).changed


def _retry_processor(sim: Simulation, date: dt.date, processor: str) -> DateAnswers:
    retry = Retry(processors=(processor,))
    return sim.commands.retry_dates(DateQuery(dates=(date,)), retry, by=OPERATOR)


def _retry_range(
    sim: Simulation, start: dt.date, end: dt.date, states: tuple[str, ...] = (), **how: Any
) -> DateAnswers:
    query = DateQuery(start=start, end=end, states=states)
    return sim.commands.retry_dates(query, Retry(**how), by=OPERATOR)


def _accept_range(sim: Simulation, start: dt.date, end: dt.date, processors: tuple[str, ...]) -> DateAnswers:
    query = DateQuery(start=start, end=end)
    return sim.commands.accept_dates(query, processors, by=OPERATOR, reason="arena closed")


def _enqueue_dates(sim: Simulation, dates: tuple[dt.date, ...], **options: Any) -> EnqueueResult:
    return sim.enqueuer.enqueue(EnqueueRequest(dates=dates, by=OPERATOR, **options))


_REWRITES: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "retry_processor": lambda args: {**args, "force": True, "selection": (args["processor"],)},
    "retry_range": lambda args: (
        {**args, "force": True, "selection": args["processors"]} if "processors" in args else dict(args)
    ),
    "refresh": lambda args: {**args, "force": True},
}
"""Requests that run complete outputs once more, in the terms of a forced one."""


def _ask(sim: Simulation, one: ExternalEvent) -> None:
    getattr(sim.commands, one.verb)(**one.args, by=OPERATOR)


_REQUESTS: Mapping[str, Callable[[Simulation, ExternalEvent], object]] = {
    "enqueue": lambda sim, one: enqueue(sim, **one.args),
    "accept": lambda sim, one: sim.commands.accept(**one.args, by=OPERATOR, reason="arena closed"),
    "accept_range": lambda sim, one: _accept_range(sim, **one.args),
    "enqueue_dates": lambda sim, one: _enqueue_dates(sim, **one.args),
    "retry_range": lambda sim, one: _retry_range(sim, **one.args),
    "retry_processor": lambda sim, one: _retry_processor(sim, **one.args),
    "refresh": lambda sim, one: sim.engine.refresh_provisional(),
    "retry_marked": lambda sim, one: retry_marked(sim.commands, **one.args),
    "sweep": lambda sim, one: sim.engine.sweeper.run(),
    "pause_everything": lambda sim, one: sim.commands.pause_everything(by=OPERATOR, reason="lunch"),
}


def _outage(sim: Simulation, for_seconds: float) -> None:
    sim.warehouse.down = "connection refused"
    _later(sim, for_seconds, lambda: _answer_again(sim))


def _quota(sim: Simulation, for_seconds: float) -> None:
    sim.warehouse.down, sim.warehouse.retry_at = "quota exceeded", sim.time + for_seconds
    _later(sim, for_seconds, lambda: _answer_again(sim))


def _answer_again(sim: Simulation) -> None:
    sim.warehouse.down, sim.warehouse.retry_at = "", None


def _broken(sim: Simulation, processor: str, for_seconds: float) -> None:
    sim.warehouse.broken[processor] = "table not found"
    _later(sim, for_seconds, lambda: sim.warehouse.broken.pop(processor, None))


def _external_run(sim: Simulation, processor: str, date: dt.date, for_seconds: float, ends: str) -> None:
    """Another controller's run is open, and ends with rows or without, or never says that it ended."""
    pair, started_at = (processor, date), sim.time
    sim.warehouse.open[pair] = HistoryRun(succeeded=False, started_at=started_at, detail=EXTERNAL_RUN)
    shares = {"wrote": 1.0, "wrote half": 0.5}

    def end() -> None:
        if ends in shares:
            sim.platform.put(pair, shares[ends])
        ended = HistoryRun(
            succeeded=ends in shares, started_at=started_at, ended_at=sim.time, detail=EXTERNAL_RUN
        )
        sim.platform.close(pair, ended)

    if ends != "never":
        _later(sim, for_seconds, end)


def _set_clock(sim: Simulation, seconds: float) -> None:
    sim.set_clock(seconds)
    sim.wake()


def _damage(sim: Simulation, processor: str, date: dt.date, share: float) -> None:
    sim.platform.put((processor, date), share)


def _rewrite(sim: Simulation, processor: str, date: dt.date) -> None:
    """Another writer puts the rows there once more that are there."""
    pair = sim.warehouse.table(processor), date
    if pair in sim.warehouse.rows:
        sim.warehouse.rows[pair] = sim.warehouse.rows[pair]
        sim.platform.foreign.add((processor, date))


def _history(sim: Simulation, processor: str, date: dt.date, succeeded: bool) -> None:
    """The run history gains a run of another controller, whatever the table holds."""
    run = HistoryRun(succeeded=succeeded, started_at=sim.time - 5, ended_at=sim.time, detail=EXTERNAL_RUN)
    sim.platform.close((processor, date), run)


def _forget_history(sim: Simulation, processor: str, date: dt.date) -> None:
    sim.warehouse.closed.pop((processor, date), None)
    sim.warehouse.open.pop((processor, date), None)


def _calendar(sim: Simulation, date: dt.date, games: int) -> None:
    sim.games[date] = games
    sim.calendar_changes.setdefault(date, []).append((sim.time, games))


def _later(sim: Simulation, seconds: float, effect: Callable[[], object]) -> None:
    sim.platform.later.append((sim.time + seconds, effect))


FAULTS: Mapping[str, Callable[..., None]] = {
    "outage": _outage,
    "quota": _quota,
    "broken": _broken,
    "external_run": _external_run,
    "damage": _damage,
    "rewrite": _rewrite,
    "history": _history,
    "forget_history": _forget_history,
    "calendar": _calendar,
    "copy_state": lambda sim: sim.copies.make(),
    "set_clock": _set_clock,
}
