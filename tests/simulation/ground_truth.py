"""An oracle of truth: what must be so by the pipeline file, the calendar and the warehouse's rows alone.

It knows what every table held at every moment, what the calendar counted, and which jobs ran. Of the daemon
it reads only what it claims: how dates move, and which outputs it waives. It shares no rule with the product.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from backfilld.state.pipeline.phase import Phase
from tests.simulation.facts import Facts
from tests.simulation.fakes import Launch
from tests.simulation.output_dates import closes_period, covered_by_output, has_output
from tests.simulation.quiescence_invariants import Row, Violation, day_of
from tests.simulation.sharing_invariants import selects

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.simulation import Simulation

NO_DATA = "no data: "
SLACK = 1.0


class Truth:
    """Judges the moves and the jobs of one world. A world whose clock is set is not judged."""

    def __init__(self, sim: Simulation, invariants: Invariants) -> None:
        self._sim = sim
        self._invariants = invariants
        self._facts = Facts(sim, self._is_waived)
        self._judged = 0
        """How many launches were judged."""
        self._claimed: set[int] = set()
        self._requested: dict[str, float] = {}
        self._forced: dict[str, tuple[float, dict[str, int], set[int]]] = {}
        """Dates to rewrite: when that was asked for, and how often each table had been written by then.

        A request that selects processors is to rewrite their tables alone. The last item is its number, or
        those of what a retry has reopened: once all were cancelled, nothing is rewritten.
        """
        self._reopened: dict[str, Sequence[Row]] = {}
        """The backfills that wanted a date when it was last retried by itself."""
        self._reruns: set[dt.date] = set()
        self._deadlines: dict[tuple[str, str, float, str], float] = {}
        self._waived: dict[tuple[str, str], set[tuple[str, str]]] = {}
        """The outputs that were waived when a date left a state, by date and state."""
        self._lacked: dict[tuple[str, str], set[tuple[str, str]]] = {}
        """What a date lacked of earlier ones when it left a state; known where the file is edited."""
        self.judged_done = 0

    # What comes from outside, and what the daemon does

    def asking(self, verb: str, args: Mapping[str, Any]) -> None:
        """A request comes, which the daemon may take even if it is killed before it has answered."""
        if args.get("force"):
            self._reruns.update(self._sim.games)

    def asked(self, args: Mapping[str, Any], enqueued: list[dt.date], number: int | None) -> None:
        """A request was taken; `enqueued` are its dates, `number` its backfill if it has one."""
        for date in enqueued if args.get("force") else ():
            writes = self._sim.warehouse.rows.writes
            tables = self._sim.warehouse.tables
            # What an edit adds later is not forced; it is stale once what it is computed from was rewritten.
            # Other requests may have come meanwhile.
            owners = self._reopened.get(str(date), ())
            reopened = {one["id"] for one in owners}
            # A retry rewrites what the backfills select that it reopens.
            known = [n for n in self._sim.pipeline.processors if any(selects(one, n) for one in owners)]
            selected = args.get("selection") or (known if number is None else self._sim.pipeline.processors)
            self._forced[str(date)] = (
                self._sim.time,
                {tables[name]: writes[tables[name], date] for name in selected if name in tables},
                reopened if number is None else {number},
            )

    def moved(self, move: Row, *, last: bool) -> None:
        """A date moves; `last`: to where its row stands now.

        Raises:
            Violation: the claim of the move is not true.
        """
        date = move["date"]
        if move["trigger"] in ("retry", "recover"):
            self._requested[date] = move["at"]
        if move["reason"] == "retry":
            self._reopened[date] = self._invariants.sharing.owners(date)
        self._waived[date, move["source"]] = {
            pair for pair in self._invariants.checks if self._is_waived(*pair)
        }
        if self._sim.scenario.is_edited and (stage := self._sim.pipeline.stage.get(move["source"])):
            self._lacked[date, stage.name] = set(self._never_right(stage.phase, day_of(date)))
        if self._sim.scenario.sets_clock or not last:
            return
        if move["target"] == "done":
            self._done(date)
        if move["target"] == "failed":
            self._failed(date)
        if move["target"] in ("done", "failed"):
            self._forced.pop(date, None)

    def restored(self) -> None:
        """The daemon knows nothing of what it did since its copy was made."""
        self._judged = len(self._sim.launches)

    def look(self) -> None:
        """Judge the jobs that began, and the deadlines that a clock must not move.

        Raises:
            Violation: one ran for nothing, or too early; or a deadline was moved forward.
        """
        for hold in self._invariants.placed:
            if hold["absolute"]:
                key = hold["kind"], hold["key"], hold["since"], hold["actor"]
                until = hold["until"]
                if until is not None and until == self._sim.warehouse.refused_until:
                    self._deadlines[key] = until  # the warehouse has said so, perhaps after the clock was set
                known = self._deadlines.setdefault(key, until)
                if known and (until or 0.0) < known:
                    raise Violation("absolute deadlines stay", f"{hold} was until {known}")
        calm = self._sim.platform.calm or self._sim.scenario.sets_clock
        for number in self._invariants.running.keys() - self._claimed:
            self._claimed.add(number)
            for claimed in self._invariants.covered[number] if not calm else ():
                self._has_its_inputs(self._invariants.running[number]["processor"], day_of(claimed))
        launches = self._sim.launches
        for launch in launches[self._judged :]:
            if not self._sim.scenario.sets_clock and launch.version == self._sim.version:
                for date in launch.dates:
                    self._started(launch, date)
        self._judged = len(launches)

    def settled(self) -> None:
        """At the very end, after a sweep: every done date is what it says, or carries a mark.

        Raises:
            Violation: one is not, unnoticed.
        """
        for date, row in self._invariants.dates.items():
            if row["state"] == "done" and not row["regressed"]:
                dismissed = row["outcome"] == "not_expected"
                wrong = self._wrong(date, self._sim.time) if not dismissed else []
                if wrong or (
                    dismissed and self._facts.expected(day_of(date), self._sim.games.get(day_of(date), 0))
                ):
                    raise Violation("done is true", f"{date} is done/{row['outcome']}, unmarked: {wrong}")

    # Dates

    def _done(self, date: str) -> None:
        outcome = self._invariants.dates[date]["outcome"]
        self.judged_done += 1
        if outcome == "not_expected":
            expected = [
                self._facts.expected(day_of(date), games)
                for games in self._facts.games(day_of(date), self._sim.time)
            ]
            if all(expected):
                raise Violation("done is true", f"{date} is not_expected, and the calendar expects it")
            return
        if wrong := self._wrong(date, self._invariants.admitted[date]):
            raise Violation("done is true", f"{date} is done/{outcome}, and was never right: {wrong}")
        self._upstream_was_right(date)
        self._was_rewritten(date)

    def _wrong(self, date: str, since: float) -> list[str]:
        """The outputs without a waiver that were right at no moment since then, nor since their last job.

        Of a date that is done as far as selected, only what was selected counts.
        """
        selected = self._invariants.sharing.selected_at_end(date)
        return [
            name
            for phase in self._facts.phases(day_of(date))
            for name in (p.name for p in phase.processor)
            if selected is None or name in selected
            if not self._is_waived(date, name) and not self._facts.was_right(name, day_of(date), since)
        ]

    def _upstream_was_right(self, date: str) -> None:
        """What a sequential phase is computed from: the phase before, on earlier dates.

        What states its `needs` has no lookback. A phase of which every other output is waived, not selected
        or of another date is computed from nothing. A waiver counts that was there when each output was
        computed: a retry of the earlier date may have withdrawn it since. What the file newly expects of
        earlier dates counts for the states that the date had not left by then.
        """
        selected = self._invariants.sharing.selected_at_end(date)
        day = day_of(date)
        for phase in self._sim.pipeline.phase[1:]:
            computed = [
                p.name
                for p in phase.processor
                if p.needs is None
                and has_output(self._sim, p, day)
                and (selected is None or p.name in selected)
            ]
            states = {self._sim.pipeline.stage_of[n].name for n in computed if not self._is_waived(date, n)}
            if not phase.sequential or not states or phase not in self._facts.phases(day):
                continue
            waived = set.intersection(*(self._waived.get((date, state), set()) for state in states))
            lacking = set(self._never_right(phase, day)) - waived
            for earlier, name in sorted(lacking):
                if any((earlier, name) in self._lacked.get((date, state), lacking) for state in states):
                    raise Violation(
                        "upstream is true", f"{date} is done, {name} of {earlier} was never right"
                    )

    def _never_right(self, phase: Phase, day: dt.date) -> Iterator[tuple[str, str]]:
        """The outputs of earlier dates that a sequential phase needs and that were never right nor waived."""
        place = self._sim.pipeline.phase.index(phase)
        if not place or not phase.sequential:
            return
        before = self._sim.pipeline.phase[place - 1]
        for earlier in self._facts.window(day, self._sim.pipeline.lookback(phase)):
            games = self._facts.games(earlier, self._sim.time)
            if before in self._facts.phases(earlier) and all(self._facts.expected(earlier, n) for n in games):
                for name in (p.name for p in before.processor):
                    waived = self._is_waived(str(earlier), name)
                    if not waived and not self._facts.was_right(name, earlier, 0.0):
                        yield str(earlier), name

    def _was_rewritten(self, date: str) -> None:
        since, writes, numbers = self._forced.get(date, (0.0, {}, set()))
        owners = self._invariants.sharing.owners_at_end(date)
        if numbers and numbers.isdisjoint(one["id"] for one in owners):
            return  # cancelled, perhaps before it was retried for other dates
        request = self._invariants.requests[self._invariants.dates[date]["backfill_id"]]
        wanted = self._invariants.sharing.wanted_at_end(date)
        for phase in self._facts.phases(day_of(date)) if writes else ():
            no_source = phase is self._sim.pipeline.phase[0] and request["sources"] != "all"
            for processor in phase.processor:
                name, table = processor.name, processor.table
                unselected = (
                    no_source or name not in wanted or not has_output(self._sim, processor, day_of(date))
                )
                if unselected or table not in writes or self._is_waived(date, name):
                    continue
                jobs = [job for job in self._facts.jobs(name, date) if job.started >= since]
                if not jobs or jobs[-1].code != 0:
                    raise Violation(
                        "a rerun is what its job did", f"{date} is done, {name} was not rerun well"
                    )
                provable = name not in self._sim.warehouse.unprovable
                if provable and self._sim.warehouse.rows.writes[table, day_of(date)] == writes[table]:
                    raise Violation("a rerun proves that it wrote", f"{date} is done, {name} was not written")

    def _failed(self, date: str) -> None:
        name, _, rest = self._invariants.dates[date]["reason"].partition(": ")
        if not rest.startswith(NO_DATA) or self._sim.pipeline.processors[name].no_data == "trust":
            return
        processor = self._sim.pipeline.processors[name]
        since = self._requested.get(date, 0.0)
        clean = [job for job in self._facts.jobs(name, date) if job.started >= since and job.code == 0]
        needed = min(processor.no_data_attempts, processor.max_attempts)
        if len(clean) < needed:
            raise Violation(
                "nothing is given up untried", f"{name} of {date}: {len(clean)} of {needed} jobs ended well"
            )
        answers = self._sim.warehouse.answers.get((name, day_of(date)), {})
        confirmed_at = (clean[-1].ended or 0.0) + processor.confirm_after - SLACK
        if not any(not answer.rows for at, answer in answers.items() if at >= confirmed_at):
            raise Violation(
                "nothing is given up unconfirmed", f"{name} of {date}: no rows, by no later query"
            )

    # Jobs

    def _started(self, launch: Launch, date: dt.date) -> None:
        told = f"{launch.processor} of {date} starts"
        row = self._invariants.dates[str(date)]
        if row["cascades"] and self._is_run_for_nothing(launch, date):
            self._invariants.stale_truth.rerun(str(date), launch.processor)
        self._names_its_period(launch, date, told)
        if self._sim.platform.calm or str(date) not in self._invariants.admitted:
            return
        for phase in self._facts.phases(date):
            names = [p.name for p in phase.processor]
            if launch.processor in names:
                break
            for name in names:
                since, oldest = self._invariants.admitted[str(date)], launch.started - self._oldest_evidence()
                if row["entered_at"] < oldest:  # it has waited in its state, so its inputs are queried again
                    since = max(since, oldest)
                if not self._is_waived(str(date), name) and not self._facts.was_right(name, date, since):
                    raise Violation(
                        "no job before its upstream", f"{told} in {row['state']}, {name} was not right"
                    )
        if not row["cascades"] and self._is_run_for_nothing(launch, date):
            raise Violation("satisfied work is never run again", f"{told}, complete before")

    def _names_its_period(self, launch: Launch, date: dt.date, told: str) -> None:
        processor = self._sim.pipeline.processors[launch.processor]
        covered = covered_by_output(self._sim, processor, date) if closes_period(processor) else launch.named
        if launch.named != covered:
            raise Violation("a period's output is for all of it", f"{told} for {launch.named}, not {covered}")

    def _has_its_inputs(self, name: str, date: dt.date) -> None:
        """The output of a period is computed from inputs that were right on each of its dates."""
        processor = self._sim.pipeline.processors[name]
        inputs = self._sim.inputs.of(date, processor) if closes_period(processor) else ()
        for day, other in inputs:
            passed = self._sim.pipeline.stage_of[other].phase not in self._facts.phases(day)
            known = passed or self._is_waived(str(day), other) or self._facts.was_right(other, day, 0.0)
            if not known:
                told = f"{name} of {date} starts, {other} of {day} was not right"
                raise Violation("no output of a period before its inputs", told)

    def _is_run_for_nothing(self, launch: Launch, date: dt.date) -> bool:
        """Whether a job starts that no request forces, for an output that is known to be right."""
        since = max(
            launch.started - self._oldest_evidence(),
            self._sim.started_at if self._sim.started_at < launch.started else 0.0,
        )
        forced = date in self._reruns
        return not forced and self._facts.was_right_throughout(launch.processor, date, since, launch.started)

    def _oldest_evidence(self) -> float:
        """How old evidence may be when a job starts, in seconds: two queries take their time too."""
        return self._sim.pipeline.engine.max_evidence_age + 2 * self._sim.scenario.query_seconds + SLACK

    def _is_expected(self, date: dt.date) -> bool:
        """Whether something is expected by all that the daemon may know of the calendar."""
        known = self._facts.games(date, self._sim.time)
        return all(self._facts.expected(date, games) for games in known)

    def _is_waived(self, date: str, name: str) -> bool:
        """Whether the daemon says that the date goes without it."""
        check = self._invariants.checks.get((date, name))
        return check is not None and bool(check["waived_by"] or check["accepted_reason"])
