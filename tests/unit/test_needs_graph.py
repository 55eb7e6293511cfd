"""The graph of needs: what a date needs, what needs it, and what is downstream."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.needs_graph import NeedsGraph
from tests.factories import SEASON, phase, pipeline, processor

DAY = dt.date(2022, 3, 16)  # a Wednesday
NO_CALENDAR = {"calendar": {}}


def days_before(date: dt.date, days: int) -> dt.date:
    return date - dt.timedelta(days=days)


def platform(*derived: dict[str, Any], **keys: Any) -> Pipeline:
    """Two sources, and what is computed from them side by side."""
    return pipeline(
        phase("raw", processor("events"), processor("sales")),
        phase("derived", *derived),
        **{**NO_CALENDAR, **keys},
    )


def spans(graph: NeedsGraph, name: str, date: dt.date = DAY) -> dict[str, list[tuple[dt.date, dt.date]]]:
    found: dict[str, list[tuple[dt.date, dt.date]]] = {}
    for of, span in graph.needs(name, date):
        found.setdefault(of, []).append((span.first, span.last))
    return found


# What a date needs


def test_without_lookback_a_processor_needs_the_state_before_on_its_date():
    graph = platform(processor("report")).needs
    assert spans(graph, "report") == {"events": [(DAY, DAY)], "sales": [(DAY, DAY)]}
    assert spans(graph, "events") == {}


def test_a_lookback_holds_in_a_parallel_phase_too():
    file = pipeline(
        phase("raw", processor("events")), phase("derived", processor("sessions"), lookback=2), **NO_CALENDAR
    )
    assert (days_before(DAY, 2), DAY) in spans(file.needs, "sessions")["events"]


def test_needs_replace_the_lookback_of_the_phase_and_keep_the_state_before():
    file = pipeline(
        phase("raw", processor("events"), processor("sales")),
        phase(
            "derived",
            processor("sessions", needs=[{"of": "events", "days_back": 2}]),
            processor("today", needs=[]),
            processor("monthly"),
            lookback=31,
        ),
        **NO_CALENDAR,
    )
    assert spans(file.needs, "sessions") == {
        "events": [(days_before(DAY, 2), DAY)],
        "sales": [(DAY, DAY)],
    }
    assert spans(file.needs, "today") == {"events": [(DAY, DAY)], "sales": [(DAY, DAY)]}
    assert (days_before(DAY, 31), DAY) in spans(file.needs, "monthly")["sales"]


@pytest.mark.parametrize(
    ("since", "first"),
    [("week", dt.date(2022, 3, 14)), ("month", dt.date(2022, 3, 1)), ("season", SEASON.opens)],
)
def test_a_window_begins_with_the_week_the_month_or_the_season(since: str, first: dt.date):
    file = pipeline(
        phase("raw", processor("events")),
        phase("derived", processor("report", needs=[{"of": "events", "since": since}])),
    )
    assert (first, DAY) in spans(file.needs, "report")["events"]


def test_the_past_is_the_season_or_everything_since_the_first_date():
    keys = {"depends_on_past": True, "needs": []}
    season = pipeline(phase("raw", processor("balance", **keys))).needs
    assert spans(season, "balance") == {"balance": [(SEASON.opens, days_before(DAY, 1))]}
    since = pipeline(
        phase("raw", processor("balance", since=dt.date(2020, 1, 1), **keys)), **NO_CALENDAR
    ).needs
    assert spans(since, "balance") == {"balance": [(dt.date(2020, 1, 1), days_before(DAY, 1))]}
    # Without either, the past begins on the first date that is known
    unknown = pipeline(phase("raw", processor("balance", **keys)), **NO_CALENDAR).needs
    first = days_before(DAY, 3)
    assert spans(unknown.starting(first), "balance") == {"balance": [(first, days_before(DAY, 1))]}
    assert spans(unknown.starting(first), "balance", first) == {}
    assert spans(unknown.starting(None), "balance") == {}


def test_a_need_of_itself_reaches_as_far_as_its_window():
    file = platform(processor("week", needs=[{"self": True, "days_back": 7}]))
    assert spans(file.needs, "week")["week"] == [(days_before(DAY, 7), days_before(DAY, 1))]


def test_a_season_of_lookback_and_the_same_needs_one_by_one_are_one_graph():
    steps = ("zones", "cache")
    by_phase = pipeline(
        phase("phase2", processor("box")),
        phase("phase3", processor("team"), processor("player")),
        phase("phase4", *map(processor, steps), order="sequential"),
    )
    stated = [{"of": name, "since": "season"} for name in ("team", "player")]
    by_processor = pipeline(
        phase("phase2", processor("box")),
        phase("phase3", processor("team"), processor("player")),
        phase("phase4", *(processor(name, needs=stated) for name in steps), order="sequential", lookback=0),
    )
    for name in by_phase.processors:
        assert spans(by_phase.needs, name) == spans(by_processor.needs, name)
    assert by_phase.needs.all_earlier == by_processor.needs.all_earlier


# The answers are each other's inverse

NEAR = st.dates(dt.date(2021, 9, 1), dt.date(2022, 8, 1))
WINDOWS = st.one_of(
    st.fixed_dictionaries({"days_back": st.integers(1, 40)}),
    st.sampled_from([{"since": since} for since in ("season", "month", "week")]),
)


@st.composite
def graphs(draw: st.DrawFn) -> NeedsGraph:
    """Three phases, any of them sequential, with needs of all kinds; with or without a season."""
    phases, earlier = [], list[str]()
    seasons = draw(st.booleans())
    windows = WINDOWS if seasons else WINDOWS.filter(lambda window: window.get("since") != "season")
    for letter in "abc":
        processors = []
        for name in [f"{letter}{n}" for n in range(draw(st.integers(1, 3)))]:
            keys: dict[str, Any] = {"depends_on_past": draw(st.booleans())}
            if draw(st.booleans()):
                others = draw(st.lists(st.sampled_from(earlier), max_size=2)) if earlier else []
                keys["needs"] = [{"of": other, **draw(windows)} for other in others]
                keys["needs"] += [{"self": True, **draw(windows)}] * draw(st.integers(0, 1))
            if draw(st.booleans()) and not seasons:
                keys |= {"period_output": "last", "period": draw(st.sampled_from(("week", "month")))}
                keys |= {"command": ["true", "{dates}"], "since": draw(st.one_of(st.none(), NEAR))}
            processors.append(processor(name, **keys))
        order = draw(st.sampled_from(("parallel", "sequential")))
        phases.append(phase(letter, *processors, order=order, lookback=draw(st.integers(0, 9))))
        earlier += [p["name"] for p in processors]
    file = pipeline(*phases) if seasons else pipeline(*phases, **NO_CALENDAR)
    return file.needs.starting(draw(st.dates(dt.date(2021, 9, 1), dt.date(2022, 8, 1))))


@given(graphs(), NEAR, st.data())
def test_what_a_date_needs_and_what_needs_a_date_are_each_others_inverse(graph, date, data):
    name = data.draw(st.sampled_from(sorted(graph.names)))
    other = data.draw(NEAR)
    for of in sorted(graph.names):
        needed = any(by == of and other in span for by, span in graph.needs(name, date))
        needs = any(by == name and date in span for by, span in graph.needed_by(of, other))
        assert needed == needs


@given(graphs(), NEAR)
def test_no_date_needs_a_later_one_or_itself(graph, date):
    for name in graph.names:
        for of, span in graph.needs(name, date):
            assert span.first <= span.last <= date
            assert of != name or date not in span


@given(graphs(), NEAR)
def test_a_processor_is_downstream_of_whatever_one_of_its_dates_needs(graph, date):
    for name in graph.names:
        for of, _ in graph.needs(name, date):
            assert of == name or name in graph.downstream([of])


@given(graphs())
def test_what_is_downstream_of_something_downstream_is_so_too(graph):
    for name in graph.names:
        further = graph.downstream([name])
        assert graph.downstream(further | {name}) == set()
        assert all(graph.downstream([other]) <= further | {name} for other in further)


def test_the_graph_that_starts_at_a_date_is_built_once():
    graph = platform(processor("balance", depends_on_past=True, needs=[])).needs
    assert graph.starting(DAY) is graph.starting(DAY)
    assert graph.starting(DAY) is not graph.starting(days_before(DAY, 1))
    without_past = platform(processor("report")).needs
    assert without_past.starting(DAY) is without_past


# Mistakes


def mistakes(*derived: dict[str, Any], **keys: Any) -> str:
    with pytest.raises(PipelineError) as error:
        platform(*derived, **keys)
    return "\n".join(error.value.problems)


def test_a_need_of_an_unknown_processor_names_the_nearest():
    assert "needs[0].of: there is no processor 'event'; did you mean 'events'?" in mistakes(
        processor("report", needs=[{"of": "event"}])
    )


def test_a_need_of_a_later_state_is_refused():
    with pytest.raises(
        PipelineError, match=r"events\]\.needs\[0\]\.of: 'report' is in derived, which comes after"
    ):
        pipeline(
            phase("raw", processor("events", needs=[{"of": "report"}])), phase("derived", processor("report"))
        )
    with pytest.raises(PipelineError, match="'b' is in steps-step-2, which comes after steps-step-1"):
        pipeline(
            phase(
                "steps",
                processor("a", needs=[{"of": "b", "days_back": 1}]),
                processor("b"),
                order="sequential",
            )
        )


def test_needs_in_a_circle_are_refused():
    text = mistakes(
        processor("a", needs=[{"of": "b", "days_back": 1}]),
        processor("b", needs=[{"of": "a", "days_back": 1}]),
    )
    assert "phase[derived]: after, needs and fallbacks run in a circle: a -> b -> a; remove one" in text


@pytest.mark.parametrize(
    ("need", "complaint"),
    [
        ({"days_back": 2}, "needs one of `of`, a processor's name, and `self = true`"),
        ({"of": "events", "self": True}, "needs one of `of`"),
        (
            {"of": "events", "days_back": 2, "since": "week"},
            "days_back and since exclude each other; keep one",
        ),
        ({"of": "events", "since": "season"}, "needs[0].since: there is no season"),
        ({"of": "events", "since": "year"}, "write 'season', 'month' or 'week'"),
        ({"of": "events", "days": 2}, "unknown key 'days'; did you mean 'days_back'?"),
        ({"of": "report"}, "needs[0].of: 'report' is the processor itself; write self = true"),
        ({"self": True, "days_back": 0}, "a date does not need itself; write days_back = 1 or more"),
    ],
)
def test_a_need_that_says_nothing_usable_is_refused_with_its_key(need: dict[str, Any], complaint: str):
    text = mistakes(processor("report", needs=[need]))
    assert "phase[derived].processor[report].needs[0]" in text
    assert complaint in text


def test_a_batch_of_dates_that_wait_for_each_other_is_refused():
    text = mistakes(processor("report", depends_on_past=True, batch=7, command=["true", "{dates}"]))
    assert "batch: each date waits for the one before, so write 1" in text
