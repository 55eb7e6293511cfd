"""What must hold after every commit. It reads rows, and judges by rules of its own."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from daemon.core import ACTOR
from state.machine import FINAL, IllegalMove, Trigger
from state.pipeline import FAILED, Processor, Stage
from state.verdict import Evidence
from tests.simulation.marked import Marked
from tests.simulation.outside import Pair
from tests.simulation.rest import Broken, Rest, Row, day_of

if TYPE_CHECKING:
    from tests.simulation.life import Life


class Witness:
    """Looks at every commit of one world."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._raw = life.db.raw
        self._pipeline = life.pipeline
        self._stale_after = life.pipeline.history.stale_after if life.pipeline.history else 0.0
        self._changes = -1
        self._moves = 0
        self._attempts = 0
        self.steps = 0
        self.dates: dict[str, Row] = {}
        self.checks: dict[tuple[str, str], Row] = {}
        self.satisfied: set[tuple[str, str]] = set()
        self.running: dict[int, Row] = {}
        self.covered: dict[int, list[str]] = {}
        self.placed: list[Row] = []
        self.requests: dict[int, Row] = {}
        self.admitted: dict[str, float] = {}
        self.versions: Counter[str] = Counter()
        self.tries: Counter[tuple[str, str]] = Counter()
        phases = life.pipeline.phase
        self.lookbacks = [(p, before) for before, p in itertools.pairwise(phases) if p.sequential]
        """Sequential phases, each with the phase that it is computed from."""
        marked = Marked(life, self)
        rest = Rest(life, self, marked)
        self.at_rest, self.ended, self.nothing_lacks = rest.look, rest.ended, marked.nothing_lacks

    @property
    def waits_for_earlier(self) -> bool:
        """Whether any date waits for an earlier one."""
        return any(row["waiting"] == "earlier_date" for row in self.dates.values())

    def live(self) -> list[str]:
        """The dates that have not ended."""
        return [date for date, row in self.dates.items() if row["state"] not in FINAL]

    def failed(self) -> list[dt.date]:
        """The dates that failed."""
        return [day_of(date) for date, row in self.dates.items() if row["state"] == FAILED]

    def unfinished(self) -> bool:
        """Whether anything is not done."""
        return bool(self.live() or self.failed())

    def nobody_runs(self) -> list[Pair]:
        """What lacks and no job of ours may write: of dates never enqueued, and of scrapers left out."""
        pairs = []
        for (date, name), check in self.checks.items():
            row = self.dates.get(date)
            ours = row is not None and self.requests[row["backfill_id"]]["scrapers"] == "all"
            if not check["satisfied"] and not ours:
                ratio = self._pipeline.processors[name].expect.ratio
                pairs += [(other, day_of(date)) for other in ([ratio.of] if ratio else []) + [name]]
        return pairs

    def rows(self, query: str, *values: object) -> list[Row]:
        """Rows as they stand, whatever the store would make of them."""
        cursor = self._raw.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    # After every commit

    def committed(self) -> None:
        """Look at what a commit has changed.

        Raises:
            Broken: an invariant does not hold.
        """
        if self._raw.total_changes == self._changes:
            return
        self._changes = self._raw.total_changes
        self.steps += 1
        before = self.satisfied
        cancelling = {
            row["date"]
            for row in self.dates.values()
            if row["state"] not in FINAL and self.requests[row["backfill_id"]]["cancelled_at"] is not None
        }
        self._read()
        self._cancels_are_kept(cancelling)
        self._no_date_is_lost()
        self._attempts_and_checks_agree()
        for move in self.rows("SELECT rowid, * FROM transitions WHERE rowid > ? ORDER BY rowid", self._moves):
            self._moves = move["rowid"]
            self._moved(move, before)
        self._claimed()

    def _read(self) -> None:
        gone = self.dates.keys()
        self.dates = {row["date"]: row for row in self.rows("SELECT * FROM dates")}
        lost = gone - self.dates.keys()
        if lost:
            raise Broken("no date is lost", f"{sorted(lost)} are gone")
        self.checks = {(row["date"], row["processor"]): row for row in self.rows("SELECT * FROM checks")}
        self.satisfied = {pair for pair, row in self.checks.items() if row["satisfied"]}
        self.running = {
            row["id"]: row for row in self.rows("SELECT * FROM attempts WHERE status = 'running'")
        }
        self.covered = defaultdict(list)
        under_way = "SELECT d.* FROM attempt_dates d JOIN attempts a ON a.id = d.attempt_id"
        for row in self.rows(f"{under_way} WHERE a.status = 'running' ORDER BY d.date"):
            self.covered[row["attempt_id"]].append(row["date"])
        self.placed = self.rows("SELECT * FROM holds")
        self.requests = {row["id"]: row for row in self.rows("SELECT * FROM backfills")}

    def _no_date_is_lost(self) -> None:
        for row in self.dates.values():
            if (row["state"] in FINAL) != (row["waiting"] == ""):
                raise Broken("every wait has a name", f"{row['date']} in {row['state']}: '{row['waiting']}'")

    def _cancels_are_kept(self, cancelling: set[str]) -> None:
        for date in cancelling:
            row = self.dates[date]
            stands = self.requests[row["backfill_id"]]["cancelled_at"]
            if row["outcome"] != "cancelled" and (row["state"] in FINAL or stands is None):
                raise Broken("a stop stops", f"{date} was to be cancelled and is in {row['state']}")

    def _attempts_and_checks_agree(self) -> None:
        claims = {(row["date"], row["processor"], row["attempt_id"]) for row in self.checks.values()}
        held = {claim for claim in claims if claim[2] is not None}
        there = {(d, self.running[n]["processor"], n) for n, dates in self.covered.items() for d in dates}
        if held != there:
            raise Broken("no attempt without a claim", f"checks hold {held - there}, attempts {there - held}")
        for date, processor, number in held:
            if self.dates[date]["state"] in FINAL:
                raise Broken("nothing ends under an attempt", f"{date} ended while {processor} {number} runs")
        for row in self.checks.values():
            holder = self.dates.get(row["date"])
            if row["runnable"] and (holder is None or holder["state"] in FINAL):
                raise Broken("only live dates run", f"{row['processor']} of {row['date']} is runnable")

    # Moves

    def _moved(self, move: Row, before: set[tuple[str, str]]) -> None:
        date, trigger = move["date"], Trigger(move["trigger"])
        self.versions[date] += 1
        if move["version"] != self.versions[date]:
            raise Broken("history chains", f"{date} has version {move['version']} after {self.versions}")
        try:
            target = self._life.core.machine.step(move["source"], trigger)
        except IllegalMove as error:
            raise Broken("history chains", str(error)) from error
        if target != move["target"]:
            raise Broken("history chains", f"{date}: {trigger} leads to {target}, not to {move['target']}")
        last = self.versions[date] == self.dates[date]["version"]
        if last and self.dates[date]["state"] != target:
            raise Broken("history chains", f"{date} is in {self.dates[date]['state']}, not in {target}")
        if trigger is Trigger.RETRY:
            self._asked_for(move)
        if trigger is Trigger.ADMIT:
            self.admitted[date] = move["at"]
            for processor in self._pipeline.processors:
                self.tries[date, processor] = 0
        if trigger in (Trigger.ADVANCE, Trigger.BYPASS):
            self._passed(date, self._pipeline.stage[move["source"]], trigger)
            if target not in FINAL:
                self._entered(date, self._pipeline.stage[target], before)

    def _asked_for(self, move: Row) -> None:
        """Only people put ended dates back, and the cascade that they asked for."""
        cascade = move["reason"].removeprefix("cascade of ")
        asked = move["actor"] != ACTOR or (cascade in self.dates and self.dates[cascade]["cascades"])
        if not asked:
            raise Broken("retried only if asked", f"{move['date']} {move['reason']} by {move['actor']}")

    def _passed(self, date: str, stage: Stage, trigger: Trigger) -> None:
        """A gate opened: every processor shows what is right, or is passed over with a reason."""
        for processor in stage.processors:
            check = self.checks[date, processor.name]
            told = f"{date} left {stage.name}, {processor.name} is {check['verdict']}"
            if not check["satisfied"]:
                raise Broken("gates in order", told)
            if check["accepted_reason"] or check["passed_by"]:
                self._gap(processor, check, told)
            elif self.asks(date, processor):
                evidence = self.evidence(check)
                if evidence is None or not self._life.platform.complete(self.pair(check), evidence):
                    raise Broken("an error is never an answer", f"{told}: {evidence}")
                if check["asked_at"] < max(self.admitted[date], check["own_ended_at"] or 0.0):
                    raise Broken("validation first", f"{told} by an answer from before")

    def _gap(self, processor: Processor, check: Row, told: str) -> None:
        if check["accepted_reason"] or check["passed_by"] == "operator":
            return
        if check["passed_by"] == "fallback":
            stand_ins = [self.checks[check["date"], name] for name in processor.fallbacks]
            if not any(row["verdict"] in ("complete", "not_expected") for row in stand_ins):
                raise Broken("gates in order", f"{told}, but no fallback is complete")
        elif processor.priority == "critical":
            raise Broken("gates in order", f"{told}, and it is critical")

    def _entered(self, date: str, stage: Stage, before: set[tuple[str, str]]) -> None:
        """A sequential phase is entered only behind a lookback without holes."""
        for other in self.lookback(date, stage):
            for processor in self._pipeline.phase[self._pipeline.phase.index(stage.phase) - 1].processor:
                pair = (other, processor.name)
                if pair not in self.satisfied and pair not in before:
                    raise Broken("no holes in the lookback", f"{date} entered {stage.name} before {pair}")

    def lookback(self, date: str, stage: Stage) -> list[str]:
        """The expected dates that must be satisfied before a date may enter a stage."""
        if not (stage.enters_phase and stage.phase.sequential and stage.index > 0):
            return []
        back = self._pipeline.lookback(stage.phase)
        own = day_of(date)
        start = self._pipeline.seasons.lookback_start(own, back)
        span = (dt.date.fromordinal(n) for n in range(start.toordinal(), own.toordinal()))
        return [str(day) for day in span if self.expected(day)]

    def expected(self, date: dt.date) -> bool:
        """Whether the calendar expects anything."""
        games = self._life.scenario.games.get(date, 0)
        return self._pipeline.seasons.day(date, games).expected

    def asks(self, date: str, processor: Processor) -> bool:
        """Whether anything is expected of a processor on a date."""
        day = self._pipeline.seasons.day(day_of(date), self._life.scenario.games.get(day_of(date), 0))
        return not day.in_bootstrap(self._pipeline.bootstrap_days(processor))

    def pair(self, check: Row) -> Pair:
        """A check's processor and date."""
        return check["processor"], day_of(check["date"])

    def evidence(self, check: Row) -> Evidence | None:
        """What the warehouse answered when a check was judged."""
        return self._life.warehouse.told.get(self.pair(check), {}).get(check["asked_at"])

    # Claims

    def _claimed(self) -> None:
        fresh = [row for number, row in self.running.items() if number > self._attempts]
        if not fresh:
            return
        self._attempts = max(row["id"] for row in fresh)
        self._limits()
        for attempt in fresh:
            processor = self._pipeline.processors[attempt["processor"]]
            self._in_order(attempt, processor)
            for date in self.covered[attempt["id"]]:
                self._may_run(date, processor, self.checks[date, processor.name])

    def _limits(self) -> None:
        rows = list(self.running.values())
        if len(rows) > self._pipeline.jobs.slots:
            raise Broken("slots", f"{len(rows)} attempts run")
        for name, n in Counter(row["sequence"] for row in rows if row["sequence"]).items():
            if n > 1:
                raise Broken("sequential over all dates", f"{n} attempts of {name} run")
        for row in rows:
            processor = self._pipeline.processors[row["processor"]]
            phase = self._pipeline.stage_of[processor.name].phase
            if phase.sequential and row["sequence"] != phase.name:
                raise Broken("sequential over all dates", f"attempt {row['id']} is not of {phase.name}")
            n = sum(other["output"] == row["output"] for other in rows)
            if n > processor.writers:
                raise Broken("one writer per table", f"{n} attempts write {row['output']}")

    def _may_run(self, date: str, processor: Processor, check: Row) -> None:
        stage, row = self._pipeline.stage_of[processor.name], self.dates[date]
        told = f"{processor.name} of {date} starts"
        if row["state"] != stage.name:
            raise Broken("gates in order", f"{told} in {row['state']}")
        request = self.requests[row["backfill_id"]]
        stops = [name for name in ("paused_at", "cancelled_at", "stopped_at") if request[name] is not None]
        stops += [str(hold) for hold in self.placed if self._holds(hold, processor)]
        if stops:
            raise Broken("a stop stops", f"{told} in spite of {stops}")
        self._has_no_rival(date, stage, told)
        for other in processor.after:
            if self._pipeline.processors[other].priority == "critical" and not self._stands(date, other):
                raise Broken("after", f"{told} before {other} is satisfied")
        for earlier in self._pipeline.stages[: stage.index]:
            day = self._pipeline.seasons.day(day_of(date), self._life.scenario.games.get(day_of(date), 0))
            for other in earlier.processors:
                if not self._pipeline.bypassed(earlier, day) and (date, other.name) not in self.satisfied:
                    raise Broken("gates in order", f"{told} before {other.name} is satisfied")
        self._is_worth_it(date, processor, check, told)

    def _has_no_rival(self, date: str, stage: Stage, told: str) -> None:
        """Nobody else was seen at work on the same state of the date."""
        for check in (self.checks[date, p.name] for p in stage.processors):
            evidence = self.evidence(check)
            run = evidence.open if evidence and check["own_started_at"] is None else None
            seen = run is not None and check["asked_at"] - run.started_at <= self._stale_after
            complete = evidence is not None and self._life.platform.complete(self.pair(check), evidence)
            if seen and not complete and not check["accepted_reason"]:
                raise Broken("another controller is waited for", f"{told} while {check['processor']} runs")

    def _stands(self, date: str, name: str) -> bool:
        return (date, name) in self.satisfied or bool(self._pipeline.processors[name].fallbacks)

    def _holds(self, hold: Row, processor: Processor) -> bool:
        return hold["kind"] in ("all", "warehouse") or hold["key"] in (processor.name, processor.table)

    def _is_worth_it(self, date: str, processor: Processor, check: Row, told: str) -> None:
        evidence = self.evidence(check)
        if evidence is None or evidence.error:
            raise Broken("an error is never an answer", f"{told} without an answer")
        if check["asked_at"] < max(self.admitted[date], check["own_ended_at"] or 0.0):
            raise Broken("validation first", f"{told} by an answer from before")
        if check["asked_at"] < self._life.time - self._pipeline.engine.fresh_for:
            raise Broken("validation first", f"{told} by an old answer")
        pair, tries = (date, processor.name), self.tries[date, processor.name]
        first_of_force = check["mode"] == "force" and check["tries"] == 1
        if self._life.platform.complete(self.pair(check), evidence) and not first_of_force:
            raise Broken("satisfied work is never run again", told)
        limit = 1 if check["verdict"] == "excess" else processor.max_attempts
        # What a kill kept from beginning is given back, and nothing else is.
        if tries >= limit + self._life.kills.total():
            raise Broken("attempts are bounded", f"{told} for the {tries + 1}. time of {limit}")
        if check["retry_at"] is not None and tries and self._life.time < check["retry_at"]:
            raise Broken("backoff", f"{told} before {check['retry_at']}")
        self.tries[pair] += 1

    def _in_order(self, attempt: Row, processor: Processor) -> None:
        """Oldest first: nothing that could have had this claim comes before it."""
        phase = self._pipeline.stage_of[processor.name].phase
        rivals = [p.name for p in phase.processor] if phase.sequential else [processor.name]
        first = self.covered[attempt["id"]][0]
        own = (-self.checks[first, processor.name]["priority"], first)
        for (date, name), check in self.checks.items():
            held = any(self._holds(hold, self._pipeline.processors[name]) for hold in self.placed)
            if name in rivals and check["runnable"] and not held and (-check["priority"], date) < own:
                raise Broken("oldest first", f"{processor.name} of {first} starts before {name} of {date}")
