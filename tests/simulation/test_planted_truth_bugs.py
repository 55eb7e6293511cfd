"""Bugs that let a date be done without its data, or fail untried, each found in a harder or a directed world.

The seed beside a bug is the first one whose world shows it, so that the test takes seconds. What random
worlds show too seldom has a directed world.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from backfilld.daemon.engine import (
    advance,
    calendar_and_pipeline_changes,
    collect_evidence,
    computed_from_stale,
    evidence_age,
    foreign_writes,
    missing_upstream,
    query_and_retry_scheduling,
    return_to_earlier_phase,
    stale_dates,
)
from backfilld.daemon.engine.attempt_monitor import AttemptMonitor
from backfilld.daemon.engine.launch import Launcher
from backfilld.daemon.engine.revalidation import Sweeper
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import CheckRow
from backfilld.state.rules import gates, judge
from backfilld.state.rules.needs_graph import NeedsGraph
from backfilld.state.rules.period_ends import PeriodEnds
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import (
    checks,
    clock_set_back,
    done_date_rechecks,
    reset_checks,
    runnable_jobs,
    stale_marks,
)
from backfilld.state.store.schema import holds
from tests.simulation import directed, harder
from tests.simulation.quiescence_invariants import Violation
from tests.simulation.run import Simulator
from tests.simulation.scenario import Scenario, parsed

Plant = Callable[[pytest.MonkeyPatch], None]


def count_attempts_of_earlier_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    def reset_for(tx: Any, admitted: Any, *args: Any) -> None:
        *others, _, forced, waived = args
        original(tx, admitted, *others, {row.date for row in admitted}, forced, waived)

    original = reset_checks.reset_for
    monkeypatch.setattr(reset_checks, "reset_for", reset_for)


def go_on_without_what_a_request_selects(monkeypatch: pytest.MonkeyPatch) -> None:
    def waived_pairs(tx: Any, admitted: Any, owners: Any) -> Any:
        return original(tx, admitted, {date: replace(of, restarting=()) for date, of in owners.items()})

    original = advance.waived_pairs
    monkeypatch.setattr(advance, "waived_pairs", waived_pairs)


def trust_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    def attempts_of(processor: Any, check: Any) -> tuple[int, int]:
        attempts, limit = original(processor, check)
        return attempts, 0 if check.verdict is Verdict.NO_DATA else limit

    original = gates.attempts_of
    monkeypatch.setattr(gates, "attempts_of", attempts_of)


def give_up_after_one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    def attempts_of(processor: Any, check: Any) -> tuple[int, int]:
        attempts, limit = original(processor, check)
        return attempts, min(limit, 1) if check.verdict is Verdict.NO_DATA else limit

    original = gates.attempts_of
    monkeypatch.setattr(gates, "attempts_of", attempts_of)


def confirm_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "confirmation_due", lambda *_: None)


def believe_untouched_reruns(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge_rewrite(*args: Any) -> Any:
        finding = original(*args)
        return None if finding and finding[0] is Verdict.UNTOUCHED else finding

    original = judge._judge_rewrite
    monkeypatch.setattr(judge, "_judge_rewrite", judge_rewrite)


def ask_only_about_known_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_span(*args: Any) -> Any:
        return replace(original(*args), unchecked=[])

    original = missing_upstream._read_span
    monkeypatch.setattr(missing_upstream, "_read_span", read_span)
    monkeypatch.setattr(missing_upstream, "create_needed_checks", lambda *_: None)


def keep_the_older_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_is_current", lambda *_: True)


def start_on_old_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Launcher, "_with_fresh_evidence", lambda _, tx, limits: runnable_jobs.first(tx, limits)
    )


def trust_old_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_age, "_inputs_before", lambda _, __, of, ___: {check: [] for check in of})


def wait_for_a_lost_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AttemptMonitor, "_abandoned", lambda *_: [])


def move_midnight(monkeypatch: pytest.MonkeyPatch) -> None:
    def shift_back(tx: Any, now: float, ahead: float) -> None:
        original(tx, now, ahead)
        tx.execute(holds.update().where(holds.c.absolute == 1).values(until=holds.c.until - ahead))

    original = clock_set_back.shift_back
    monkeypatch.setattr(clock_set_back, "shift_back", shift_back)


def judge_a_period_on_its_first_date(monkeypatch: pytest.MonkeyPatch) -> None:
    def exclusion(self: PeriodEnds, day: Any) -> str:
        return "" if self.dates(day.date)[:1] == (day.date,) else "not the first date of its period"

    monkeypatch.setattr(PeriodEnds, "exclusion", exclusion)


def sum_a_period_up_before_all_of_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs: dict[int, NeedsGraph] = {}

    def needs(self: Pipeline) -> NeedsGraph:
        if id(self) not in graphs:  # pipelines are parsed once per world, and keep their graph
            ends = {name for name, processor in self.processors.items() if processor.output_period}
            direct = {name: original.func(self).direct(name) for name in self.processors}
            shorter = {name: [replace(need, lookback=0) for need in direct[name]] for name in ends}
            graphs[id(self)] = NeedsGraph({**direct, **shorter}, self.seasons)
        return graphs[id(self)]

    original = Pipeline.__dict__["needs"]
    monkeypatch.setattr(Pipeline, "needs", property(needs))


def name_only_the_last_date_of_a_period(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pipeline, "command_dates", lambda _, processor, dates: dates)


def count_attempts_of_another_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def last_attempt_on(self: CheckRow, table: str) -> Any:
        return original(self, self.output)

    original = CheckRow.last_attempt_on
    monkeypatch.setattr(CheckRow, "last_attempt_on", last_attempt_on)
    monkeypatch.setattr(reset_checks, "reset_other_tables", lambda *_: [])


def count_failed_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    def mark(self: Sweeper, due: Any, *_: Any) -> None:
        with self._context.db.write() as tx:
            done_date_rechecks.mark_swept(tx, list(due), self._context.now())

    monkeypatch.setattr(Sweeper, "_mark", mark)


def compare_with_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "_reference_status", lambda *_: ("", ""))


def believe_failed_reruns(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge_rewrite(*args: Any) -> Any:
        finding = original(*args)
        return None if finding and finding[0] is Verdict.FAILED else finding

    original = judge._judge_rewrite
    monkeypatch.setattr(judge, "_judge_rewrite", judge_rewrite)


def read_the_calendar_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar_and_pipeline_changes, "apply_calendar_changes", lambda *_: [])


def stay_where_an_edit_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(return_to_earlier_phase, "wait", lambda *_: None)
    monkeypatch.setattr(return_to_earlier_phase, "missing_again", lambda *_: None)


def keep_failed_dates_to_their_calendar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect_evidence.failed_date_rechecks, "due", lambda *_: [])


def forget_stale_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computed_from_stale, "of_done", lambda *_: {})


def keep_staleness_to_the_next_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computed_from_stale, "pass_on", lambda *_: None)


def rerun_all_of_a_stale_date(monkeypatch: pytest.MonkeyPatch) -> None:
    def rewritten(tx: Any, admitted: Any) -> Any:
        dates = [row.date for row in admitted if row.cascades]
        return {(date, name) for date, known in checks.for_dates(tx, dates).items() for name in known}

    monkeypatch.setattr(stale_dates, "rewritten", rewritten)


def mark_what_is_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    def mark_stale(tx: Any, repaired: Any, span: Any, at: float, names: Any) -> Any:
        return original(tx, repaired, span, at + 1e6, names)

    original = stale_marks.mark_stale
    monkeypatch.setattr(stale_marks, "mark_stale", mark_stale)


def read_no_stamps_at_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_stamp(result: Any, check: CheckRow, evidence: Any, purpose: Any) -> Any:
        read = original(result, check, evidence, purpose)
        required = foreign_writes.must_read_stamp(check, purpose)
        return read if required else read._replace(reads_stamp=False, foreign_write=False)

    original = foreign_writes.with_stamp
    monkeypatch.setattr(foreign_writes, "with_stamp", with_stamp)


def query_the_processor_that_ran_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def related(pipeline: Pipeline, row: Any, date_checks: Any) -> list[CheckRow]:
        others = pipeline.writers_of[row.output]
        return [check for check in original(pipeline, row, date_checks) if check.processor not in others]

    original = query_and_retry_scheduling._related
    monkeypatch.setattr(query_and_retry_scheduling, "_related", related)


FOUND = [
    (count_attempts_of_earlier_requests, 17, "nothing is given up untried"),
    (go_on_without_what_a_request_selects, 117, "nothing is given up untried"),
    (trust_the_history, 6, "nothing is given up untried"),
    (give_up_after_one_attempt, 29, "nothing is given up untried"),
    (confirm_nothing, 15, "nothing is given up unconfirmed"),
    (believe_untouched_reruns, 20, "a rerun proves that it wrote"),
    (ask_only_about_known_dates, 48, "no holes in the lookback"),
    (keep_the_older_answer, 65, "validation first"),
    (start_on_old_answers, 0, "validation first"),
    (trust_old_inputs, 0, "validation first"),
    (move_midnight, 37, "absolute deadlines stay"),
    (judge_a_period_on_its_first_date, 9, "an error is never an answer"),
    (sum_a_period_up_before_all_of_it_is_there, 225, "no attempt starts before what it needs"),
    (name_only_the_last_date_of_a_period, 9, "a period's output is for all of it"),
    (keep_staleness_to_the_next_output, 653000091, "what is computed from stale rows is stale"),
]
"""Each bug with the seed of a world that shows it, and the rule that it breaks there."""
DIRECTED = [
    (
        wait_for_a_lost_executor,
        directed.executor_leaves_the_file_while_its_job_runs,
        "what cannot go on says so",
    ),
    (
        count_attempts_of_another_table,
        directed.table_changes_before_a_failure_is_confirmed,
        "nothing is given up untried",
    ),
    (count_failed_sweeps, directed.table_breaks_during_a_sweep, "done is looked at again"),
    (compare_with_anything, directed.reference_is_partial, "done is true"),
    (believe_failed_reruns, directed.forced_job_fails_after_writing, "a rerun is what its job did"),
    (
        read_the_calendar_once,
        directed.calendar_gains_games_beside_a_complete_output,
        "an error is never an answer",
    ),
    (stay_where_an_edit_finds_it, directed.edit_wants_more_rows_of_a_passed_state, "done is true"),
    (
        keep_failed_dates_to_their_calendar,
        directed.calendar_loses_the_game_of_a_failed_date,
        "failed is looked at again",
    ),
    (
        forget_stale_inputs,
        directed.stale_input_of_a_new_date,
        "what is computed from stale rows is stale",
    ),
    (
        rerun_all_of_a_stale_date,
        directed.stale_dates_are_retried,
        "a cascade runs what is stale",
    ),
    (mark_what_is_newer, directed.stale_dates_are_retried, "only what is stale is marked"),
    (
        read_no_stamps_at_gates,
        directed.source_is_written_before_the_first_sweep,
        "a foreign write is noticed",
    ),
    (
        query_the_processor_that_ran_alone,
        directed.two_processors_of_one_table,
        "no job before its upstream",
    ),
]
"""Each bug with the directed world that shows it, and the rule that it breaks there."""


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(harder.generate)


@pytest.mark.parametrize(("plant", "seed", "rule"), FOUND)
def test_a_bug_against_the_truth_is_found_in_a_harder_world(simulator, monkeypatch, plant, seed, rule):
    finds(simulator, monkeypatch, harder.generate(seed), plant, rule)


@pytest.mark.parametrize(("plant", "world", "rule"), DIRECTED)
def test_a_bug_against_the_truth_is_found_in_a_directed_world(simulator, monkeypatch, plant, world, rule):
    finds(simulator, monkeypatch, world(), plant, rule)


def finds(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, scenario: Scenario, plant: Plant, rule: str
) -> None:
    # Given a world in which no invariant breaks
    assert simulator.simulate(scenario)[1] is None
    # When the engine has a bug, then one does
    plant(monkeypatch)
    parsed.cache_clear()  # a pipeline keeps the needs that it was once asked for
    _, error = simulator.simulate(scenario)
    parsed.cache_clear()
    assert isinstance(error, Violation)
    assert error.rule == rule, error
