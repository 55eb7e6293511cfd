"""What must hold whenever everything is at rest: waits that are true, counts that equal the rows."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from backfilld.daemon.reports.progress import progress
from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.pipeline.phase import DONE
from backfilld.state.pipeline.processor import Processor
from backfilld.state.store import backfills, dates
from tests.simulation.external_events import enqueue
from tests.simulation.scrape import differences

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.simulation import Simulation
    from tests.simulation.staleness_invariants import StalenessInvariants

Row = dict[str, Any]


class Violation(AssertionError):
    """An invariant does not hold."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule


def day_of(text: str) -> dt.date:
    """A date of a row."""
    return dt.date.fromisoformat(text)


DAMAGE = ("damage", "external_run", "calendar", "restore")
"""After these what is done may lack something."""
REPORT_CHECK_SHARE = 0.1
"""How often sentences, statuses and progress are looked at too; they cost more than all else."""
SCRAPE_EVERY = 10
"""Metrics are scraped at the end of one world in so many."""
_TALLIES = {
    "dates": ("date_counts", "season, state, outcome, waiting"),
    "checks NATURAL JOIN (SELECT date FROM dates)": ("check_counts", "processor, verdict, satisfied"),
}


class QuiescenceInvariants:
    """Looks at a world at rest."""

    def __init__(self, sim: Simulation, invariants: Invariants, marked: StalenessInvariants) -> None:
        self._sim = sim
        self._invariants = invariants
        self._marked = marked
        self._spent = invariants.spent
        self._seen = -1

    def look(self) -> None:
        """Look at everything.

        Raises:
            Violation: an invariant does not hold.
        """
        changed = self._invariants.steps != self._seen
        self._seen = self._invariants.steps
        for date in self._invariants.live():
            self._waits(self._invariants.dates[date])
        if changed:
            self._counts_equal_rows()
            self._invariants.sharing.requests_equal_rows()
            self._marked.look()
            self._spent.look()
        if changed and self._sim.rng.random() < REPORT_CHECK_SHARE:
            self._what_people_read()

    def ended(self) -> None:
        """At the end: every date is done, and asking for all of it again starts nothing.

        Raises:
            Violation: an invariant does not hold.
        """
        left = {
            d: r["waiting"] or r["outcome"] for d, r in self._invariants.dates.items() if r["state"] != DONE
        }
        if left:
            raise Violation("liveness", f"the faults have stopped, and still: {left}")
        if self._sim.scenario.seed % SCRAPE_EVERY == 0 and (wrong := differences(self._sim)):
            raise Violation("metrics equal rows", str(wrong))
        if not self._invariants.dates:
            return
        enqueued = [day_of(date) for date in self._invariants.dates]
        launched = len(self._sim.executor.launched)
        receipt = enqueue(self._sim, min(enqueued), max(enqueued))
        again = {d.date: d.reason for d in receipt.details if d.outcome == "enqueued" and d.date in enqueued}
        if again and not self._damaged():
            raise Violation("satisfied work is never run again", f"{again} enqueued again")
        if len(self._sim.executor.launched) != launched:
            raise Violation("satisfied work is never run again", "a complete range starts jobs")

    def _damaged(self) -> bool:
        """Whether rows changed behind the back of a date that was done, or check results may be too old."""
        return (
            self._sim.scenario.is_edited
            or bool(self._sim.pipeline.check_commands)
            or any(m.kind == "writes late" for m in self._sim.scenario.job_faults)
            or any(one.verb in DAMAGE for one in self._sim.scenario.external_events)
        )

    # Waits

    def _waits(self, row: Row) -> None:
        tell: Mapping[str, Callable[[Row], bool]] = {
            "calendar": self._for_calendar,
            "verdict": self._for_verdict,
            "warehouse": self._for_warehouse,
            "slot": self._for_slot,
            "attempt": self._for_attempt,
            "retry": self._for_retry,
            "earlier_date": self._for_earlier,
            "open_run": lambda row: any(self._is_open(c) for c in self._own(row).values()),
            "other_processor": self._for_other,
            "period": self._invariants.periods.waits,
            "held": self._for_hold,
            "window": self._for_window,
            "unselected": self._invariants.sharing.waits_for_unselected,
            "paused": self._invariants.sharing.waits_for_pause,
        }
        true = tell.get(row["waiting"])
        if (true is None or not true(row)) and not self._comes_late(row):
            raise Violation(
                "every wait is true",
                f"{row['date']} in {row['state']} waits for {row['waiting']}: '{row['waiting_text']}',"
                f" due {row['due_at']}, now {self._sim.time}",
            )

    def _own(self, row: Row) -> dict[str, Row]:
        """The checks of the date's state."""
        stage = self._sim.pipeline.stage.get(row["state"])
        names = [p.name for p in stage.processors] if stage else []
        return {name: self._invariants.checks[row["date"], name] for name in names}

    def _before(self, row: Row) -> list[Row]:
        """The checks of the states that the date has passed."""
        stage = self._sim.pipeline.stage.get(row["state"])
        earlier = self._sim.pipeline.stages[: stage.index] if stage else ()
        return [self._invariants.checks[row["date"], p.name] for one in earlier for p in one.processors]

    def _comes_late(self, row: Row) -> bool:
        """Set back, with a kill before that is noted, the clock makes a look late by what went before."""
        scenario = self._sim.scenario
        away = [one.args["for_seconds"] for one in scenario.external_events if one.verb == "kill"]
        late = row["due_at"] is not None and row["due_at"] - self._sim.time <= max(
            scenario.query_seconds, *away, 0.0
        )
        return late and self._sim.clock_offset < 0

    def _for_attempt(self, row: Row) -> bool:
        """Of whichever state: a changed file may have moved the date away from what runs."""
        claims = (c["attempt_id"] for (date, _), c in self._invariants.checks.items() if date == row["date"])
        return any(claim is not None for claim in claims)

    def _held(self, *kinds: str) -> bool:
        return any(hold["kind"] in kinds for hold in self._invariants.placed)

    def _for_calendar(self, row: Row) -> bool:
        return self._held("warehouse")

    def _asked_later(self, check: Row) -> bool:
        wanted = check["query_due_at"]
        return wanted is not None and (wanted > self._sim.time or self._held("warehouse"))

    def _for_verdict(self, row: Row) -> bool:
        """Whether a query is due later, or the one that confirms what the last attempt left."""
        own = self._own(row)
        if any(self._asked_later(check) for check in [*own.values(), *self._before(row)]):
            return True
        confirmed = [
            check["last_attempt_ended_at"] + self._sim.pipeline.processors[name].confirm_after
            for name, check in own.items()
            if check["clean_attempts"] and check["last_attempt_ended_at"] is not None
        ]
        due = row["due_at"]  # that of another processor's retry, where it comes first
        return due is not None and self._sim.time < due <= max(confirmed, default=0.0)

    def _for_warehouse(self, row: Row) -> bool:
        own = self._own(row).values()
        return any(check["verdict"] == "unknown" and self._asked_later(check) for check in own)

    def _is_open(self, check: Row) -> bool:
        """Whether somebody else's run was open when the warehouse was asked, and is called by its name."""
        evidence = self._invariants.evidence(check)
        run = evidence.open if evidence else None
        named = run is not None and run.detail in check["reason"]
        return check["verdict"] == "running" and self._asked_later(check) and named

    def _for_slot(self, row: Row) -> bool:
        """Whether nothing that it could start finds room."""
        runnable = [self._sim.pipeline.processors[n] for n, c in self._own(row).items() if c["runnable"] == 1]
        running = self._invariants.running.values()
        if not runnable:
            return False
        if self._held("all", "warehouse") or len(running) >= self._sim.pipeline.jobs.slots:
            return True
        return all(self._is_barred(processor) for processor in runnable)

    def _is_barred(self, processor: Processor) -> bool:
        phase = self._sim.pipeline.stage_of[processor.name].phase
        running = self._invariants.running.values()
        if phase.sequential and any(a["sequence"] == phase.name for a in running):
            return True
        size = self._sim.pipeline.pool_sizes.get(processor.pool or "")
        if size is not None and self._invariants.in_pool(processor.pool) >= size:
            return True
        return sum(a["output"] == processor.table for a in running) >= processor.writers

    def _for_retry(self, row: Row) -> bool:
        due = [c["retry_at"] for c in self._own(row).values() if c["retry_at"] is not None]
        return row["due_at"] is not None and row["due_at"] > self._sim.time and row["due_at"] in due

    def _for_earlier(self, row: Row) -> bool:
        stage = self._sim.pipeline.stage[row["state"]]
        beyond = self._sim.context.machine.after(stage, self._invariants.day(day_of(row["date"])))
        near, entered = slice(stage.index, stage.index + 3), slice(beyond, beyond + 1)
        states = (*self._sim.pipeline.stages[near], *self._sim.pipeline.stages[entered])
        processors = [p for stage in states for p in stage.processors]
        needs = self._invariants.needs
        missing = (pair for p in processors for pair in needs.missing(row["date"], p))
        queried = (check for p in processors for check in needs.retried(row["date"], p))
        return next(missing, None) is not None or any(map(self._asked_later, queried))

    def _for_other(self, row: Row) -> bool:
        """Whether the processor that is waited for is not satisfied."""
        own = self._own(row)
        return any(name in row["waiting_text"] for name, check in own.items() if not check["satisfied"])

    def _for_hold(self, row: Row) -> bool:
        keys = [hold["key"] for hold in self._invariants.placed if hold["kind"] in ("processor", "table")]
        return any(
            name in keys or self._sim.pipeline.processors[name].table in keys for name in self._own(row)
        )

    def _for_window(self, row: Row) -> bool:
        """Whether a window that concerns it opens later, as the date says."""
        names = [
            window.name
            for window in self._sim.pipeline.window
            if any(window.concerns(n, self._sim.pipeline.processors[n].pool) for n in self._own(row))
        ]
        opens_later = row["due_at"] is not None and row["due_at"] > self._sim.time
        return opens_later and any(row["waiting_text"].startswith(f"the window {name} ") for name in names)

    def _names_what_lacks(self, date: str, text: str) -> None:
        """A date that waits for an earlier one names one that is still to be waited for."""
        earlier = text.removeprefix("blocked by ")[:10]
        row = self._invariants.dates.get(earlier)
        if row is None or not text.startswith("blocked by ") or row["state"] != DONE:
            return
        lacks = [
            n for (day, n), c in self._invariants.checks.items() if day == earlier and not c["satisfied"]
        ]
        if not lacks:
            raise Violation("every wait is true", f"{date} is {text}, and that date lacks nothing")

    # Counts

    def _counts_equal_rows(self) -> None:
        for table, (summary, columns) in _TALLIES.items():
            counted = f"SELECT {columns}, count(*) AS n FROM {table} GROUP BY {columns}"
            kept = f"SELECT {columns}, n FROM {summary} WHERE n <> 0"
            for one, other in ((counted, kept), (kept, counted)):
                if wrong := self._invariants.rows(f"{one} EXCEPT {other}"):
                    raise Violation("counts equal rows", f"{summary}: {wrong}")

    def _what_people_read(self) -> None:
        """Sentences, statuses and progress, as the API tells them."""
        rows = self._invariants.dates
        with self._sim.db.read() as tx:
            found = dates.page(tx, start=dt.date.min, end=dt.date.max, limit=10**6)
            told = waiting_on(tx, self._sim.context, found)
            standing = progress(tx, self._sim.context)
            statuses = {n: backfills.status(tx, backfills.get(tx, n)) for n in self._invariants.requests}  # type: ignore[arg-type]
        vague = [date for date, text in told.items() if not text or text == "the engine's next turn"]
        if vague or {str(date) for date in told} != set(self._invariants.live()):
            raise Violation("every wait has a name", f"of {vague}: {told}")
        for date, text in told.items():
            self._names_what_lacks(str(date), text)
        if Counter(row["state"] for row in rows.values()) != Counter(standing.states):
            raise Violation("counts equal rows", f"progress tells {standing.states}")
        for number, status in statuses.items():
            expected = self._invariants.sharing.status(number)
            if status != expected:
                raise Violation("status equals rows", f"backfill {number} is {status}, not {expected}")
