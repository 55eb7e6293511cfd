"""What holds of every judgement, whatever the warehouse says, nonsense included."""

import datetime as dt
import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from backfilld.state.rules.evidence import Evidence, HistoryRun
from backfilld.state.rules.expectation_suite import Expectation
from backfilld.state.rules.expectations.ramp import RampStep
from backfilld.state.rules.judge import JudgeContext, Judgement, judge
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict
from tests.factories import HOUR, NOW, about, day, expectation, open_run, run, seen

COLUMNS = ("game_id", "minutes", "score")


@dataclass(frozen=True, kw_only=True)
class Case:
    """All that a judgement is made of."""

    evidence: Evidence
    rule: Expectation
    day: Day
    around: JudgeContext

    def judged(self, **figures: Any) -> Judgement:
        """The judgement, with other figures if some are given."""
        return judge(replace(self.evidence, **figures), self.rule, self.day, self.around)

    @property
    def ramp_steps(self) -> tuple[RampStep, ...]:
        return self.rule.ramp.root if self.rule.ramp else ()

    @property
    def ramp(self) -> RampStep | None:
        number = self.day.season_day
        holding = [step for step in self.ramp_steps if number is not None and number < step.until_day]
        return holding[0] if holding else None


counts = st.one_of(st.integers(0, 40), st.integers(-5, 10**12))
times = st.one_of(st.floats(NOW - 6 * HOUR, NOW + HOUR), st.floats())
runs = st.builds(
    HistoryRun,
    succeeded=st.booleans(),
    started_at=times,
    ended_at=st.none() | times,
    detail=st.sampled_from(["", "exit 1", "skipped"]),
)
days = st.one_of(
    st.builds(day, st.dates(dt.date(2021, 10, 1), dt.date(2022, 7, 1)).map(str), st.integers(0, 15)),
    st.builds(
        Day,
        date=st.dates(),
        counts=st.just({}) | st.fixed_dictionaries({"games": counts}),
        season_day=st.none() | st.integers(-9, 400),
    ),
)
circumstances = st.builds(
    JudgeContext,
    now=st.just(NOW),
    stale_after=st.floats(0, 8 * HOUR),
    bootstrap_days=st.sampled_from([0, 0, 0, 7]),
    last_attempt=st.none() | runs,
    previous_attempts=st.lists(runs, max_size=2).map(tuple),
)


@st.composite
def bounds(draw: st.DrawFn, most: int = 40) -> list[int]:
    return sorted(draw(st.lists(st.integers(0, most), min_size=1, max_size=2)))


@st.composite
def distinct_columns(draw: st.DrawFn) -> dict[str, object]:
    count = draw(st.just([1, 1]) | bounds(3))
    return {"column": draw(st.sampled_from(COLUMNS)), "per": "games", "count": count}


@st.composite
def rules(draw: st.DrawFn) -> Expectation:
    low, high = sorted((draw(st.floats(0, 2)), draw(st.floats(0.1, 3))))
    known = {
        "rows": bounds(),
        "rows_per": st.fixed_dictionaries({"games": bounds(6)}),
        "distinct": st.lists(distinct_columns(), min_size=1, max_size=2),
        "ratio": st.just({"of": "other", "min": low, "max": high}),
        "quality": st.fixed_dictionaries({"where": st.just("ok"), "share": st.floats(0.01, 1)}),
        "filled": st.fixed_dictionaries({"columns": st.just(list(COLUMNS)), "share": st.floats(0, 0.99)}),
        "ramp": st.fixed_dictionaries({"until_day": st.integers(1, 200), "rows": bounds()}).map(
            lambda s: [s]
        ),
        "bootstrap_days": st.just(7),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(known)), max_size=3))
    return expectation(**{key: draw(known[key]) for key in sorted(chosen)})


@st.composite
def mostly(draw: st.DrawFn, likely: Any, odd: st.SearchStrategy[Any]) -> Any:
    """`likely` nine times of ten, so that the rules have something to let pass."""
    return likely if draw(st.integers(0, 9)) else draw(odd)


@st.composite
def evidences(draw: st.DrawFn, date: Day) -> Evidence:
    rows = draw(mostly(draw(st.integers(0, 40)), counts))
    odd = st.none() | counts
    part = draw(st.sampled_from([rows, rows // 2, 0]))
    return Evidence(
        rows=rows,
        distinct=draw(
            mostly(
                dict.fromkeys(COLUMNS, date.counts.get("games", 0) * draw(st.integers(1, 2))),
                st.dictionaries(st.sampled_from(COLUMNS), counts),
            )
        ),
        passing_rows=draw(mostly(rows - part, odd)),
        empty_counts=draw(
            mostly(dict.fromkeys(COLUMNS, part), st.dictionaries(st.sampled_from(COLUMNS), counts))
        ),
        reference=draw(mostly(draw(st.integers(0, 40)), odd)),
        closed=draw(st.none() | runs),
        open=draw(st.none() | runs),
        error=draw(mostly("", st.just("timeout"))),
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    date = draw(days)
    return Case(evidence=draw(evidences(date)), rule=draw(rules()), day=date, around=draw(circumstances))


def share_of(share: float, rows: int) -> Fraction:
    return Fraction(str(share)) * rows


def expects_something(case: Case) -> bool:
    return case.day.expected and not case.day.in_bootstrap(case.around.bootstrap_days)


@given(cases())
def test_every_case_has_a_verdict_and_every_verdict_but_complete_a_reason(case: Case) -> None:
    judgement = case.judged()
    assert judgement.verdict in Verdict
    assert judgement.reason or judgement.verdict is Verdict.COMPLETE


@given(cases())
def test_complete_rows_are_within_every_rule_about_rows(case: Case) -> None:
    if case.judged().verdict is not Verdict.COMPLETE:
        return
    rows, rule, games, other = (
        case.evidence.rows,
        case.rule,
        case.day.counts.get("games"),
        case.evidence.reference,
    )
    limits: list[tuple[Fraction | int, Fraction | int | None]] = []
    if case.ramp:
        limits = [case.ramp.rows]
    else:
        limits += [rule.rows.root] if rule.rows else []
        if rule.rows_per:
            least, most = rule.rows_per.root["games"]
            assert games is not None
            limits.append((least * games, None if most is None else most * games))
        if rule.ratio and other:
            limits.append((share_of(rule.ratio.min, other), share_of(rule.ratio.max or 1e9, other)))
    for least, most in limits or [(1, None)]:
        assert least <= rows
        assert most is None or rows <= most


@given(cases())
def test_complete_rows_hold_every_rule_about_values_and_quality(case: Case) -> None:
    evidence, rule = case.evidence, case.rule
    if case.judged().verdict is not Verdict.COMPLETE or evidence.rows == 0:
        return
    for entry in rule.distinct.root if rule.distinct else ():
        (least, most), games = entry.count, case.day.counts["games"]
        assert least * games <= evidence.distinct[entry.column]
        assert most is None or evidence.distinct[entry.column] <= most * games
    if rule.quality:
        assert evidence.passing_rows is not None
        assert evidence.passing_rows >= share_of(rule.quality.share, evidence.rows)
    if rule.filled:
        allowed = share_of(rule.filled.share, evidence.rows)
        assert all(evidence.empty_counts[column] <= allowed for column in rule.filled.columns)


@given(case=cases(), closed=st.none() | runs, opened=st.none() | runs)
def test_no_run_changes_what_complete_rows_mean(
    case: Case, closed: HistoryRun | None, opened: HistoryRun | None
) -> None:
    before = case.judged()
    if before.verdict is Verdict.COMPLETE and case.evidence.rows > 0:
        assert case.judged(closed=closed, open=opened) == before


@given(case=cases(), closed=st.none() | runs, opened=st.none() | runs)
def test_no_run_makes_rows_complete_that_are_not(
    case: Case, closed: HistoryRun | None, opened: HistoryRun | None
) -> None:
    if case.evidence.rows > 0 and not case.judged().verdict.satisfied:
        assert not case.judged(closed=closed, open=opened).verdict.satisfied


@given(cases())
def test_an_error_is_unknown_wherever_something_is_expected(case: Case) -> None:
    judgement = case.judged(error="no answer")
    if expects_something(case):
        assert (judgement.verdict, judgement.reason) == (Verdict.UNKNOWN, "no answer")


@given(cases())
def test_where_nothing_is_expected_every_evidence_satisfies(case: Case) -> None:
    assert (case.judged().verdict is Verdict.NOT_EXPECTED) == (not expects_something(case))


@given(cases())
def test_a_word_about_runs_is_only_ever_given_where_rows_do_not_satisfy(case: Case) -> None:
    told_by_history = (Verdict.NEVER_RAN, Verdict.NO_DATA, Verdict.FAILED)
    if case.judged().verdict in told_by_history:
        assert case.evidence.rows == 0


@given(cases())
def test_no_run_is_waited_for_without_end(case: Case) -> None:
    started = case.evidence.open.started_at if case.evidence.open else NOW
    if math.isfinite(started) and abs(started) < 1e12:  # far beyond, a float has no seconds left
        case = replace(case, around=replace(case.around, now=started + case.around.stale_after + 1))
    elif math.isfinite(started):
        return
    assert case.judged().verdict is not Verdict.RUNNING


@given(rows=st.integers(1, 200), share=st.floats(0.01, 1), good=st.tuples(*[st.integers(0, 200)] * 2))
def test_more_good_rows_never_make_it_worse(rows: int, share: float, good: tuple[int, int]) -> None:
    fewer, more = sorted(min(number, rows) for number in good)
    rule = expectation(quality={"where": "ok", "share": share})
    before = judge(seen(rows=rows, passing_rows=fewer), rule, day(), about()).verdict
    after = judge(seen(rows=rows, passing_rows=more), rule, day(), about()).verdict
    assert after.satisfied or not before.satisfied


@given(rows=st.integers(1, 200), share=st.floats(0, 0.99), empty=st.tuples(*[st.integers(0, 200)] * 2))
def test_more_empty_rows_never_make_it_better(rows: int, share: float, empty: tuple[int, int]) -> None:
    fewer, more = sorted(min(number, rows) for number in empty)
    rule = expectation(filled={"columns": ["minutes"], "share": share})
    before = judge(seen(rows=rows, empty_counts={"minutes": fewer}), rule, day(), about()).verdict
    after = judge(seen(rows=rows, empty_counts={"minutes": more}), rule, day(), about()).verdict
    assert before.satisfied or not after.satisfied


@given(least=st.integers(0, 30), spare=st.integers(0, 30), rows=st.integers(0, 90))
def test_partial_complete_and_excess_are_below_within_and_above(least: int, spare: int, rows: int) -> None:
    rule = expectation(rows=[least, least + spare])
    verdict = judge(seen(rows=rows), rule, day(), about()).verdict
    if rows > 0:
        expected = "partial" if rows < least else "complete" if rows <= least + spare else "excess"
        assert verdict == expected


@given(hours=st.floats(0, 400), stale=st.floats(0.1, 200))
def test_an_open_run_is_waited_for_exactly_until_it_is_stale(hours: float, stale: float) -> None:
    around = replace(about(), stale_after=stale * HOUR)
    verdict = judge(seen(open=open_run(hours_ago=hours)), Expectation(), day(), around).verdict
    assert verdict is (Verdict.RUNNING if NOW - (NOW - hours * HOUR) <= stale * HOUR else Verdict.NEVER_RAN)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 100)), min_size=2, max_size=2, unique_by=lambda r: r[1])
)
def test_of_two_ended_runs_the_later_one_explains_the_absence(ended: list[tuple[bool, int]]) -> None:
    history, own = (run(succeeded=succeeded, hours_ago=hours) for succeeded, hours in ended)
    succeeded, _ = min(ended, key=lambda r: r[1])
    verdict = judge(seen(closed=history), Expectation(), day(), about(last_attempt=own)).verdict
    assert verdict is (Verdict.NO_DATA if succeeded else Verdict.FAILED)
