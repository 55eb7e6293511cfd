"""What comes from outside: requests of people, faults of the warehouse, somebody else at work."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from backfilld.daemon.engine.commands import Conflict, NotFound
from backfilld.daemon.engine.enqueue import EnqueueRequest, EnqueueResult
from backfilld.state.records import Actor, Sources
from backfilld.state.rules.verdict import HistoryRun
from tests.simulation.scenario import Happening

if TYPE_CHECKING:
    from tests.simulation.simulation import Life

SOMEONE = Actor(name="someone")
SOMEBODY = "another controller"
"""What the history says of runs that are not ours."""


def happen(life: Life, one: Happening) -> str:
    """Let it happen; why a request was refused, or empty."""
    trouble = TROUBLES.get(one.verb)
    if trouble is not None:
        trouble(life, **one.args)
        return ""
    try:
        _REQUESTS.get(one.verb, _ask)(life, one)
    except (NotFound, Conflict) as refusal:
        return str(refusal)
    return ""


def enqueue(life: Life, start: dt.date, end: dt.date, sources: str = "all", **options: Any) -> EnqueueResult:
    """Ask for a range."""
    dates = tuple(map(dt.date.fromordinal, range(start.toordinal(), end.toordinal() + 1)))
    return life.enqueuer.enqueue(EnqueueRequest(dates=dates, by=SOMEONE, sources=Sources(sources), **options))


def _ask(life: Life, one: Happening) -> None:
    getattr(life.commands, one.verb)(**one.args, by=SOMEONE)


_REQUESTS: Mapping[str, Callable[[Life, Happening], object]] = {
    "enqueue": lambda life, one: enqueue(life, **one.args),
    "accept": lambda life, one: life.commands.accept(**one.args, by=SOMEONE, reason="arena closed"),
    "release": lambda life, one: life.commands.lift(**one.args, by=SOMEONE),
    "sweep": lambda life, one: life.engine.sweeper.run(),
    "pause_everything": lambda life, one: life.commands.pause_everything(by=SOMEONE, reason="lunch"),
}


def _outage(life: Life, for_seconds: float) -> None:
    life.warehouse.down = "connection refused"
    _later(life, for_seconds, lambda: _answer_again(life))


def _quota(life: Life, for_seconds: float) -> None:
    life.warehouse.down, life.warehouse.retry_at = "quota exceeded", life.time + for_seconds
    _later(life, for_seconds, lambda: _answer_again(life))


def _answer_again(life: Life) -> None:
    life.warehouse.down, life.warehouse.retry_at = "", None


def _broken(life: Life, processor: str, for_seconds: float) -> None:
    life.warehouse.broken[processor] = "table not found"
    _later(life, for_seconds, lambda: life.warehouse.broken.pop(processor, None))


def _somebody(life: Life, processor: str, date: dt.date, for_seconds: float, ends: str) -> None:
    """Another controller's run is open, and ends with rows or without, or never says that it ended."""
    pair, started_at = (processor, date), life.time
    life.warehouse.open[pair] = HistoryRun(succeeded=False, started_at=started_at, detail=SOMEBODY)
    shares = {"wrote": 1.0, "wrote half": 0.5}

    def end() -> None:
        if ends in shares:
            life.platform.put(pair, shares[ends])
        ended = HistoryRun(
            succeeded=ends in shares, started_at=started_at, ended_at=life.time, detail=SOMEBODY
        )
        life.platform.close(pair, ended)

    if ends != "never":
        _later(life, for_seconds, end)


def _set_clock(life: Life, seconds: float) -> None:
    life.set_clock(seconds)
    life.wake()


def _damage(life: Life, processor: str, date: dt.date, share: float) -> None:
    life.platform.put((processor, date), share)


def _later(life: Life, seconds: float, effect: Callable[[], object]) -> None:
    life.platform.later.append((life.time + seconds, effect))


TROUBLES: Mapping[str, Callable[..., None]] = {
    "outage": _outage,
    "quota": _quota,
    "broken": _broken,
    "somebody": _somebody,
    "damage": _damage,
    "set_clock": _set_clock,
}
