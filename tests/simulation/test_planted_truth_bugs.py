"""Bugs that let a date be done without its data, or fail untried, each found in a harder world.

The seed beside each bug is the first one whose world shows it, so that the test takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from backfilld.daemon.engine import calendar_changes, collect_evidence, earlier_states, lookback
from backfilld.daemon.engine.attempt_monitor import AttemptMonitor
from backfilld.daemon.engine.launch import Launcher
from backfilld.daemon.engine.revalidation import Sweeper
from backfilld.state.records import CheckRow
from backfilld.state.rules import gates, judge
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import check_resets, checks, clock_skew, date_marks
from backfilld.state.store.schema import holds
from tests.simulation import harder
from tests.simulation.run import Simulator
from tests.simulation.scenario import Scenario

Plant = Callable[[pytest.MonkeyPatch], None]


def count_attempts_of_earlier_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    def reset_for(tx: Any, admitted: Any, *args: Any) -> None:
        *others, _ = args
        original(tx, admitted, *others, {row.date for row in admitted})

    original = check_resets.reset_for
    monkeypatch.setattr(check_resets, "reset_for", reset_for)


def count_attempts_of_another_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def last_attempt_on(self: CheckRow, table: str) -> Any:
        return original(self, self.output)

    original = CheckRow.last_attempt_on
    monkeypatch.setattr(CheckRow, "last_attempt_on", last_attempt_on)
    monkeypatch.setattr(check_resets, "reset_other_tables", lambda *_: None)


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


def believe_failed_reruns(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge_rewrite(*args: Any) -> Any:
        finding = original(*args)
        return None if finding and finding[0] is Verdict.FAILED else finding

    original = judge._judge_rewrite
    monkeypatch.setattr(judge, "_judge_rewrite", judge_rewrite)


def ask_only_about_known_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_span(*args: Any) -> Any:
        return replace(original(*args), unchecked=[])

    original = lookback._read_span
    monkeypatch.setattr(lookback, "_read_span", read_span)
    monkeypatch.setattr(lookback, "create_lookback_checks", lambda *_: None)


def read_the_calendar_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar_changes, "apply_calendar_changes", lambda *_: [])


def keep_the_older_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_is_current", lambda *_: True)


def count_failed_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    def mark(self: Sweeper, due: Any, asked_at: float, _: float) -> None:
        with self._context.db.write() as tx:
            date_marks.mark_swept(tx, list(due), self._context.now())

    monkeypatch.setattr(Sweeper, "_mark", mark)


def start_on_old_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Launcher, "_with_fresh_evidence", lambda _, tx, limits: checks.runnable(tx, limits))


def wait_for_a_lost_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AttemptMonitor, "_abandon_unsupervised", lambda *_: 0)


def compare_with_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "_reference_status", lambda *_: ("", ""))


def move_midnight(monkeypatch: pytest.MonkeyPatch) -> None:
    def shift_back(tx: Any, now: float, ahead: float) -> None:
        original(tx, now, ahead)
        tx.execute(holds.update().where(holds.c.absolute == 1).values(until=holds.c.until - ahead))

    original = clock_skew.shift_back
    monkeypatch.setattr(clock_skew, "shift_back", shift_back)


def stay_where_an_edit_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(earlier_states, "wait", lambda *_: None)
    monkeypatch.setattr(earlier_states, "missing_again", lambda *_: None)


def keep_failed_dates_to_their_calendar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect_evidence.failed_dates, "due", lambda *_: [])


def _any(scenario: Scenario) -> bool:
    return True


def _changes_table(scenario: Scenario) -> bool:
    tables = [p["table"] for f in scenario.files for x in f.phases for p in x["processor"]]
    return scenario.is_edited and any("_" in table for table in tables)


def _forces(scenario: Scenario) -> bool:
    return any(one.args.get("force") for one in scenario.external_events)


def _has_spare(scenario: Scenario) -> bool:
    return scenario.is_edited and any("executor" in f.settings for f in scenario.files)


def _compares(scenario: Scenario) -> bool:
    return any("ratio" in p["expect"] for x in scenario.files[0].phases for p in x["processor"])


def _spends(scenario: Scenario) -> bool:
    budgets = any("daily_attempts" in p for x in scenario.files[0].phases for p in x["processor"])
    return scenario.sets_clock and budgets


def _changes_calendar(scenario: Scenario) -> bool:
    return scenario.changes_calendar


def _lies_twice(scenario: Scenario) -> bool:
    """Whether two jobs of an output in a row write nothing, and that is to be confirmed."""
    lies = {(one.processor, one.date, one.nth) for one in scenario.job_faults if one.kind == "lies"}
    confirmed = all(file.settings["jobs"]["confirm_after"] != "0s" for file in scenario.files)
    return confirmed and any((name, date, nth + 1) in lies for name, date, nth in lies)


def _sweeps(scenario: Scenario) -> bool:
    verbs = {one.verb for one in scenario.external_events}
    return verbs >= {"broken", "sweep"}


def _edits_windows(scenario: Scenario) -> bool:
    return scenario.edits_windows


PLANTS = [
    (count_attempts_of_earlier_requests, _any, {"nothing is given up untried", "liveness"}),
    (count_attempts_of_another_table, _changes_table, {"nothing is given up untried"}),
    (trust_the_history, _any, {"nothing is given up untried"}),
    (give_up_after_one_attempt, _any, {"nothing is given up untried"}),
    (confirm_nothing, _lies_twice, {"nothing is given up unconfirmed"}),
    (believe_untouched_reruns, _forces, {"a rerun proves that it wrote"}),
    (believe_failed_reruns, _forces, {"a rerun is what its job did"}),
    (ask_only_about_known_dates, _edits_windows, {"upstream is true", "no holes in the lookback"}),
    (read_the_calendar_once, _changes_calendar, {"done is true", "liveness"}),
    (keep_the_older_answer, _any, {"validation first", "done is true"}),
    (count_failed_sweeps, _sweeps, {"done is looked at again"}),
    (start_on_old_answers, _any, {"validation first", "satisfied work is never run again"}),
    (wait_for_a_lost_executor, _has_spare, {"liveness"}),
    (compare_with_anything, _compares, {"an error is never an answer", "done is true"}),
    (move_midnight, _spends, {"absolute deadlines stay"}),
    (stay_where_an_edit_finds_it, _any, {"gates in order", "done is true"}),
    (keep_failed_dates_to_their_calendar, _changes_calendar, {"liveness"}),
]


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(harder.generate)
