"""What must hold after every commit. It reads rows, and judges by rules of its own."""

from __future__ import annotations

import copy
import datetime as dt
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from backfilld.daemon.engine.context import ACTOR
from backfilld.state.pipeline.phase import FAILED, PENDING, Stage
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.state_machine import FINAL, IllegalMove, Trigger
from tests.simulation.budget_invariants import BudgetInvariants
from tests.simulation.claim_invariants import ClaimInvariants
from tests.simulation.fakes import Pair
from tests.simulation.ground_truth import Truth
from tests.simulation.needs_invariants import NeedsInvariants
from tests.simulation.no_data_invariants import NoDataInvariants
from tests.simulation.output_dates import has_output
from tests.simulation.period_invariants import PeriodInvariants
from tests.simulation.quiescence_invariants import QuiescenceInvariants, Row, Violation, day_of
from tests.simulation.revalidation_invariants import RevalidationInvariants
from tests.simulation.rewrite_invariants import RewriteInvariants
from tests.simulation.sharing_invariants import SharingInvariants
from tests.simulation.stale_truth import StaleTruth
from tests.simulation.staleness_invariants import StalenessInvariants

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


class Invariants:
    """Looks at every commit of one world."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._raw = sim.db.raw
        self._changes = -1
        self._found: dict[str, dict[tuple[object, ...], Row]] = {}
        self.moves = 0
        self.steps = 0
        self.dates: dict[str, Row] = {}
        self.checks: dict[tuple[str, str], Row] = {}
        self.satisfied: set[tuple[str, str]] = set()
        self.running: dict[int, Row] = {}
        self.covered: dict[int, list[str]] = {}
        self.placed: list[Row] = []
        self.held: list[Row] = []
        """The holds that were placed before this commit, which may itself spend a budget, and go on."""
        self.requests: dict[int, Row] = {}
        self.admitted: dict[str, float] = {}
        self.versions: Counter[str] = Counter()
        self._shown: dict[Pair, Evidence] = {}
        self._known_games: dict[dt.date, int] = {}
        """What the daemon knows of a calendar that changes."""
        self.attempt_count: Counter[tuple[str, str, str]] = Counter()
        self.spent = BudgetInvariants(sim, self)
        self._claims = ClaimInvariants(sim, self, self.spent)
        self._no_data = NoDataInvariants(sim, self)
        self.rewrites = RewriteInvariants(sim, self)
        self.sharing = SharingInvariants(sim, self)
        self.needs = NeedsInvariants(sim, self)
        self.periods = PeriodInvariants(sim, self)
        self.stale_truth = StaleTruth(sim, self)
        self.truth = Truth(sim, self)
        self.revalidation = RevalidationInvariants(sim, self)
        self.marked = StalenessInvariants(sim, self)
        rest = QuiescenceInvariants(sim, self, self.marked)
        self.at_rest, self.ended = rest.look, rest.ended

    def copy(self) -> Invariants:
        """The same knowledge of the same world, which does not change with this one."""
        return copy.deepcopy(self, {id(self._sim): self._sim, id(self._raw): self._raw})

    @property
    def calendar_is_outdated(self) -> bool:
        """Whether the daemon knows other counts than the calendar has."""
        return any(self._sim.games.get(date, 0) != games for date, games in self._known_games.items())

    @property
    def waits_for_earlier(self) -> bool:
        """Whether any date waits for an earlier one, or for another one of its period."""
        return any(row["waiting"] in ("earlier_date", "period") for row in self.dates.values())

    def live(self) -> list[str]:
        """The dates that have not ended."""
        return [date for date, row in self.dates.items() if row["state"] not in FINAL]

    def failed(self) -> list[dt.date]:
        """The dates that failed."""
        return [day_of(date) for date, row in self.dates.items() if row["state"] == FAILED]

    def unfinished(self) -> bool:
        """Whether anything is not done."""
        return bool(self.live() or self.failed() or self.partly_selected())

    def partly_selected(self) -> list[dt.date]:
        """The dates of which some processors were never selected, or are not now."""
        selected = [date for date, row in self.dates.items() if row["outcome"] == "selected"]
        narrow = [date for date in self.live() if self.sharing.is_narrow(date)]
        return [day_of(date) for date in (*selected, *narrow)]

    def rows(self, query: str, *values: object) -> list[Row]:
        """Rows as they stand, whatever the store would make of them."""
        cursor = self._raw.execute(query, values)
        names = [column[0] for column in cursor.description]
        # Most rows are as the same query found them before, and nobody changes one.
        before = self._found.get(query, {})
        found = [(row, before.get(row) or dict(zip(names, row, strict=True))) for row in cursor]
        self._found[query] = dict(found)
        return [row for _, row in found]

    # After every commit

    def committed(self) -> None:
        """Look at what a commit has changed.

        Raises:
            Violation: an invariant does not hold.
        """
        if self._raw.total_changes == self._changes:
            return
        self._changes = self._raw.total_changes
        self.steps += 1
        before = self.satisfied
        self._read()
        self.sharing.read()
        self._no_date_is_lost()
        self._attempts_and_checks_agree()
        self.rewrites.claimed()
        for move in self.rows("SELECT rowid, * FROM transitions WHERE rowid > ? ORDER BY rowid", self.moves):
            self.moves = move["rowid"]
            self._moved(move, before)
            self.truth.moved(move, last=self.versions[move["date"]] == self.dates[move["date"]]["version"])
        self.needs.claimed()
        self._claims.look()
        self.periods.claimed()
        self.stale_truth.claimed()
        self.truth.look()
        self.revalidation.look()

    def _read(self) -> None:
        gone = self.dates.keys()
        self.dates = {row["date"]: row for row in self.rows("SELECT * FROM dates")}
        lost = gone - self.dates.keys()
        if lost:
            raise Violation("no date is lost", f"{sorted(lost)} are gone")
        before = self.checks
        self.checks = {(row["date"], row["processor"]): row for row in self.rows("SELECT * FROM checks")}
        if self._sim.scenario.sets_clock:
            self._keep_what_was_shown(before)
        self.satisfied = {pair for pair, row in self.checks.items() if row["satisfied"]}
        self.running = {
            row["id"]: row for row in self.rows("SELECT * FROM attempts WHERE status = 'running'")
        }
        self.covered = defaultdict(list)
        under_way = "SELECT d.* FROM attempt_dates d JOIN attempts a ON a.id = d.attempt_id"
        for row in self.rows(f"{under_way} WHERE a.status = 'running' ORDER BY d.date"):
            self.covered[row["attempt_id"]].append(row["date"])
        # A hold that ends by now is released in the commit that starts what it held.
        self.held = [hold for hold in self.placed if not hold["until"] or hold["until"] > self._sim.time]
        self.placed = self.rows("SELECT * FROM holds")
        self.requests = {row["id"]: row for row in self.rows("SELECT * FROM backfills")}
        if self._sim.scenario.changes_calendar:
            known = self.rows("SELECT date, counts FROM calendar_days")
            self._known_games = {day_of(r["date"]): json.loads(r["counts"]).get("games", 0) for r in known}

    def _keep_what_was_shown(self, before: Mapping[tuple[str, str], Row]) -> None:
        """Once it sees that the clock was set back, the daemon notes other times for its answers."""
        moved = 0.0
        for key, check in self.checks.items():
            if key in before and check["asked_at"] and before[key]["asked_at"]:
                moved = min(moved, check["asked_at"] - before[key]["asked_at"])
            pair = self.pair(check)
            told = self._sim.warehouse.answers.get(pair, {})
            if check["asked_at"] in told:
                self._shown[pair] = told[check["asked_at"]]
        self.clock_was_set(moved)

    def _no_date_is_lost(self) -> None:
        for row in self.dates.values():
            if (row["state"] in FINAL) != (row["waiting"] == ""):
                raise Violation(
                    "every wait has a name", f"{row['date']} in {row['state']}: '{row['waiting']}'"
                )

    def _attempts_and_checks_agree(self) -> None:
        claims = {(row["date"], row["processor"], row["attempt_id"]) for row in self.checks.values()}
        held = {claim for claim in claims if claim[2] is not None}
        there = {(d, self.running[n]["processor"], n) for n, dates in self.covered.items() for d in dates}
        if held != there:
            raise Violation(
                "no attempt without a claim", f"checks hold {held - there}, attempts {there - held}"
            )
        for date, processor, number in held:
            if self.dates[date]["state"] in FINAL:
                raise Violation(
                    "nothing ends under an attempt", f"{date} ended while {processor} {number} runs"
                )
            if (date, processor) in self.satisfied:
                told = f"{processor} of {date} is satisfied while attempt {number} writes it"
                raise Violation("no need is satisfied by a running attempt", told)
        for row in self.checks.values():
            holder = self.dates.get(row["date"])
            if row["runnable"] and (holder is None or holder["state"] in FINAL):
                raise Violation("only live dates run", f"{row['processor']} of {row['date']} is runnable")

    def taken_over(self, date: str) -> None:
        """Another request goes on with a date of a cancelled one, whose attempts count for nothing."""
        self._begin_anew(date)
        self._no_data.requested[date] = self._sim.time

    def _begin_anew(self, date: str) -> None:
        self.rewrites.admitted(date)
        for processor in self._sim.pipeline.processors.values():
            self.attempt_count[date, processor.name, processor.table] = 0

    # Moves

    def _moved(self, move: Row, before: set[tuple[str, str]]) -> None:
        date, trigger = move["date"], Trigger(move["trigger"])
        self.versions[date] += 1
        if move["version"] != self.versions[date]:
            raise Violation("history chains", f"{date} has version {move['version']} after {self.versions}")
        target = self._target(move, trigger)
        last = self.versions[date] == self.dates[date]["version"]
        if last and self.dates[date]["state"] != target:
            raise Violation("history chains", f"{date} is in {self.dates[date]['state']}, not in {target}")
        if trigger is Trigger.RETRY:
            self._asked_for(move)
        if trigger is Trigger.CANCEL:
            self.sharing.cancelled(date)
        self._no_data.moved(move, trigger, last=last)
        if trigger is Trigger.ADMIT:
            self.admitted[date] = move["at"]
            self._begin_anew(date)
        if trigger in (Trigger.ADVANCE, Trigger.BYPASS):
            self._passed(date, self._sim.pipeline.stage[move["source"]], trigger)
            if self.dates[date]["outcome"] == "complete":
                self.rewrites.completed(date)
            if target not in FINAL:
                self.needs.entered(date, self._sim.pipeline.stage[target], before)

    def _target(self, move: Row, trigger: Trigger) -> str:
        """Where the one table of moves leads, or the way out of a state that the file no longer has."""
        machine = self._sim.context.machine
        if trigger is Trigger.READMIT and move["source"] not in machine.states:
            return PENDING
        try:
            target = machine.step(move["source"], trigger)
        except IllegalMove as error:
            raise Violation("history chains", str(error)) from error
        if target != move["target"]:
            told = f"{trigger} leads to {target}, not to {move['target']}"
            raise Violation("history chains", f"{move['date']}: {told}")
        return target

    def _asked_for(self, move: Row) -> None:
        """Only people put ended dates back, the cascade that they asked for, and refreshes by the file."""
        cascade = move["reason"].removeprefix("cascade of ").partition("; ")[0]
        asked = move["actor"] != ACTOR or (cascade in self.dates and self.dates[cascade]["cascades"])
        provisional = move["reason"].removeprefix("refresh of ").partition(", which ")[0].split(", ")
        processors = self._sim.pipeline.processors
        if not asked and not all(n in processors and processors[n].refresh for n in provisional):
            raise Violation("retried only if asked", f"{move['date']} {move['reason']} by {move['actor']}")

    def _passed(self, date: str, stage: Stage, trigger: Trigger) -> None:
        """A gate opened: every processor shows what is right, or is passed over with a reason."""
        for processor in stage.processors:
            check = self.checks[date, processor.name]
            told = f"{date} left {stage.name}, {processor.name} is {check['verdict']}"
            if not check["satisfied"] and not self.sharing.is_selected(date, processor.name):
                continue  # what needs it does not run either: `ClaimInvariants` looks at that
            if not check["satisfied"]:
                raise Violation("gates in order", told)
            if check["accepted_reason"] or check["waived_by"]:
                self._gap(processor, check, told)
            elif self.asks(date, processor):
                evidence = self.evidence(check)
                compared = self.is_compared(date, processor)
                if evidence is None or not self.is_complete(check, evidence, compared=compared):
                    raise Violation("an error is never an answer", f"{told}: {evidence}")
                if check["asked_at"] < max(self.admitted[date], check["last_attempt_ended_at"] or 0.0):
                    raise Violation("validation first", f"{told} by an answer from before")

    def is_compared(self, date: str, processor: Processor) -> bool:
        """Whether the reference of a ratio is expected and has no waiver; True without a ratio."""
        ratio = processor.expect.ratio
        of = self._sim.pipeline.processors[ratio.of] if ratio else processor
        reference = self.checks.get((date, of.name)) if ratio else None
        waived = reference is not None and (reference["accepted_reason"] or reference["waived_by"])
        return not waived and self.asks(date, of)

    def _gap(self, processor: Processor, check: Row, told: str) -> None:
        if check["accepted_reason"] or check["waived_by"] == "operator":
            return
        self._no_data.waived(check)
        if check["waived_by"] == "fallback":
            stand_ins = [self.checks[check["date"], name] for name in processor.fallbacks]
            if not any(row["verdict"] in ("complete", "not_expected") for row in stand_ins):
                raise Violation("gates in order", f"{told}, but no fallback is complete")
        elif processor.priority == "critical":
            raise Violation("gates in order", f"{told}, and it is critical")

    def in_pool(self, pool: str | None, besides: int | None = None) -> int:
        """How many running attempts and check commands take a slot of a pool, `besides` one attempt."""
        running = [row["processor"] for row in self.running.values() if row["id"] != besides]
        running += [name for _, name in self._sim.platform.checks.running]
        return sum(self._sim.pipeline.pool_of(name) == pool for name in running)

    def day(self, date: dt.date) -> Day:
        """What the calendar expects, as far as the daemon knows it."""
        games = self._known_games.get(date, self._sim.games.get(date, 0))
        return self._sim.pipeline.seasons.day(date, {"games": games} if self._sim.scenario.counted else None)

    def expected(self, date: dt.date) -> bool:
        """Whether the calendar expects anything."""
        return self.day(date).expected

    def asks(self, date: str, processor: Processor) -> bool:
        """Whether anything is expected of a processor on a date."""
        day = self.day(day_of(date))
        early = day.in_bootstrap(self._sim.pipeline.bootstrap_days(processor))
        return day.expected and not early and has_output(self._sim, processor, day.date)

    def is_complete(self, check: Row, evidence: Evidence, *, compared: bool = True) -> bool:
        """Whether an answer shows what is right by the calendar as far as the daemon knows it."""
        games = self._known_games.get(day_of(check["date"]))
        return self._sim.platform.complete(self.pair(check), evidence, compared=compared, games=games)

    def pair(self, check: Row) -> Pair:
        """A check's processor and date."""
        return check["processor"], day_of(check["date"])

    def evidence(self, check: Row) -> Evidence | None:
        """What the warehouse answered when a check was judged."""
        told = self._sim.warehouse.answers.get(self.pair(check), {}).get(check["asked_at"])
        return self._shown.get(self.pair(check)) if told is None and self._sim.clock_offset else told

    def clock_was_set(self, seconds: float) -> None:
        """What is noted of checks moves with a clock that is set back."""
        self.admitted = {date: at + min(seconds, 0.0) for date, at in self.admitted.items()}
