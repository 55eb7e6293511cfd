"""Worlds of new seeds for each commit, in blocks that run in parallel; and tests of the simulation itself."""

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest
import sqlalchemy as sa

from backfilld.daemon.engine import (
    advance,
    daily_budgets,
    launch,
    missing_upstream,
    regressed_dates,
    stale_dates,
)
from backfilld.daemon.engine.attempt_monitor import AttemptMonitor
from backfilld.daemon.engine.due_checks import DueChecks
from backfilld.state.rules import gates, judge
from backfilld.state.store import checks, dates
from tests.simulation.crashing_database import CrashingDatabase
from tests.simulation.generators import generate
from tests.simulation.quiescence_invariants import Violation
from tests.simulation.run import Simulator
from tests.simulation.scenario import POINTS
from tests.simulation.seeds import WORLDS, first_seed
from tests.simulation.shrink import shrink
from tests.timeouts import PATIENCE

BLOCK = 15
"""How many worlds one test runs."""
MAX_SEEDS = 400
"""In how many worlds a planted bug must be found, and each point of a kill reached."""
SHOWS_EVERY_POINT = (25, 22, 43, 51, 4, 71)
"""Seeds of small worlds in which a daemon dies at each point. After a change of the worlds, others do."""
BROKEN_ONCE = {
    3942: "a date of another processor overtakes the oldest date, whose evidence is old",
    26760: "a done date without a new processor blocks later dates",
    29069: "an external run starts as an attempt is lost before it begins",
    38060: "a paused processor is released in the middle of a series of equal errors",
    93367: "the clock is set back, and the daemon killed before it has noted that",
    96450: "the clock is set forward during a long query while a job hangs",
    118013747: "the file removes a processor that was computed after what runs behind it",
    125521037: "a table goes on at the end of its quota day in the commit that starts its job",
    219676687: "a date is retried and admitted in the pass in which a later one passes by its waiver",
    244409880: "a job that wrote nothing ends well, and a later count of its old rows is enough",
    777200492: "others write half of an input before the attempts that used it are confirmed",
}
"""Seeds of worlds in which an invariant once broke, with what happens there.

After a change of the draw a seed is another world: it goes from here, and the plain test of its bug stays.
"""


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator()


@pytest.mark.parametrize("first", range(first_seed(), first_seed() + WORLDS, BLOCK))
def test_no_invariant_breaks(simulator: Simulator, first: int) -> None:
    summary = simulator.run(range(first, min(first + BLOCK, first_seed() + WORLDS)))
    assert not summary.failures, simulator.explain(min(summary.failures))


def test_what_has_broken_once_holds(simulator: Simulator) -> None:
    summary = simulator.run(BROKEN_ONCE)
    assert not summary.failures, simulator.explain(min(summary.failures))


def test_the_same_seed_is_the_same_world(simulator: Simulator) -> None:
    runs = []
    for _ in range(2):
        sim, _ = simulator.simulate(generate(5))
        commands = [job.argv for job in sim.executor.launched]
        runs.append((sim.log, sim.invariants.steps, sim.time, commands))
    assert runs[0] == runs[1]


def test_the_daemon_dies_at_every_named_point(simulator: Simulator) -> None:
    """Around commits, launches and questions, and while all sleep."""
    kills: Counter[str] = Counter()
    for seed in (*SHOWS_EVERY_POINT, *range(MAX_SEEDS)):
        scenario = generate(seed)
        if any(one.verb == "kill" for one in scenario.external_events):
            kills += simulator.simulate(scenario)[0].kills
        if len(kills) == len(POINTS):
            return
    pytest.fail(f"the daemon died only at {kills}")


def believe_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait_for_evidence(check):
        step = original(check)
        passes = step is not None and step.waiting is gates.WaitReason.WAREHOUSE
        return gates._Step(gates._Kind.SATISFIED) if passes else step

    original = gates._wait_for_evidence
    monkeypatch.setattr(gates, "_wait_for_evidence", wait_for_evidence)


def forget_the_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    claim = launch.attempts.Claim
    monkeypatch.setattr(launch.attempts, "Claim", lambda **keys: claim(**{**keys, "sequence": None}))


def ignore_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing_upstream.UpstreamReader, "missing", lambda *_: None)


def count_no_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    def clear(db):
        original(db)
        db.raw.execute("DROP TRIGGER dates_recounted")

    original = CrashingDatabase.clear
    monkeypatch.setattr(CrashingDatabase, "clear", clear)


def never_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "_exhausted", lambda *_: gates._Step(gates._Kind.RUN))


def trust_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def release(tx, released, *more):
        original(tx, released, *more)
        for one in released:
            tx.execute(forget, {"_date": one.pair[0], "_processor": one.pair[1]})

    original = checks.release
    forget = sa.update(checks.checks).where(*checks._THIS).values(query_due_at=None)
    monkeypatch.setattr(checks, "release", release)


def forget_to_wake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dates, "make_backfill_due", lambda *_: 0)


def leave_running_jobs_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AttemptMonitor, "_adopt", lambda *_: None)


def end_under_an_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    def cancel(self, batch, row):
        original(self, replace(batch, checks=DueChecks(batch.tx, self._pipeline, [])), row)

    original = advance.Advancer._cancel
    monkeypatch.setattr(advance.Advancer, "_cancel", cancel)


def mark_nothing_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stale_dates, "mark_stale", lambda *_: [])


def believe_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regressed_dates, "update", lambda *_: [])


def see_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "_is_open", lambda *_: False)


def believe_old_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def save(tx, answers):
        known = checks.for_dates(tx, {answer.date for answer in answers})
        return original(
            tx, [one._replace(generation=known[one.date][one.processor].generation) for one in answers]
        )

    original = checks.save
    monkeypatch.setattr(checks, "save", save)


def begin_the_day_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daily_budgets, "count_attempts", lambda *_: None)


def believe_reruns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "_judge_rewrite", lambda *_: None)


PLANTED = [
    (believe_errors, 65, {"gates in order", "an error is never an answer"}),
    (forget_the_sequence, 0, {"sequential over all dates"}),
    (ignore_holes, 9, {"no attempt starts before what it needs", "no holes in the lookback"}),
    (count_no_moves, 0, {"counts equal rows"}),
    (never_give_up, 3, {"attempts are bounded", "every wait is true", "backoff"}),
    (trust_the_exit_code, 98, {"after", "validation first", "liveness"}),
    (forget_to_wake, 0, {"every wait is true", "a stop stops"}),
    (leave_running_jobs_behind, 0, {"liveness", "what cannot go on says so"}),
    (end_under_an_attempt, 334, {"nothing ends under an attempt"}),
    (mark_nothing_stale, 5, {"what is computed from older rows is stale"}),
    (believe_what_is_done, 4, {"a done date tells what it lacks"}),
    (believe_old_answers, 33, {"validation first"}),
    (begin_the_day_anew, 1, {"daily budgets", "counts equal rows"}),
    (see_nobody_else, 7, {"another controller is waited for"}),
    (believe_reruns, 20, {"a rerun proves that it wrote"}),
]
"""Bugs, the seed of a world that shows each, and the invariants that it breaks.

A change of the worlds moves these seeds. The search then goes through all of them, which takes minutes
instead of a second, and its output names the new seed.
"""


def first_failure(simulator: Simulator, seeds: Iterable[int]) -> tuple[int, Exception | None]:
    """The first seed whose world ends with an error, and the error; None if no world does."""
    for seed in seeds:
        _, error = simulator.simulate(generate(seed))
        if error is not None:
            return seed, error
    return -1, None


@pytest.mark.parametrize(("plant", "known", "rules"), PLANTED)
def test_a_planted_bug_is_found(simulator, monkeypatch, plant, known, rules) -> None:
    # Given an engine with a bug
    plant(monkeypatch)
    # When worlds are simulated
    seed, error = first_failure(simulator, (known, *range(MAX_SEEDS)))
    # Then one of the first fails, by the rule that the bug breaks
    assert isinstance(error, Violation), f"{MAX_SEEDS} worlds found nothing"
    assert error.rule in rules, error
    if seed != known:
        sys.stdout.write(f"{plant.__name__} shows at seed {seed}: correct PLANTED\n")


def test_a_world_that_fails_is_told_as_a_short_story(simulator, monkeypatch) -> None:
    # Given a world that fails
    count_no_moves(monkeypatch)
    seed, error = first_failure(simulator, range(MAX_SEEDS))
    scenario = generate(seed)

    # When it is made smaller
    def fails_alike(one):
        return getattr(simulator.simulate(one)[1], "rule", "") == error.rule

    small = shrink(scenario, fails_alike, seconds=PATIENCE)
    # Then less happens in it, and it still fails in the same way
    assert 0 < len(small.external_events) < len(scenario.external_events)
    assert len(small.games) < len(scenario.games)
    assert simulator.simulate(small)[1].rule == error.rule
