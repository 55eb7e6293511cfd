"""What was computed from stale outputs, by the graph of needs."""

import datetime as dt
import random

from backfilld.state.rules.transitive_staleness import StaleInputs, inputs_between
from tests.factories import phase, pipeline, processor

DAYS = [dt.date(2021, 10, 19) + dt.timedelta(days=n) for n in range(6)]
SHAPE = pipeline(
    phase("raw", processor("box")),
    phase("marts", processor("team")),
    phase("books", processor("balance", depends_on_past=True)),
    phase("export", processor("report", needs=[{"of": "balance", "days_back": 1}])),
)


def inputs(*stale, without=()):
    outputs = {(day, name) for day in DAYS for name in SHAPE.processors} - set(without)
    return StaleInputs(SHAPE.needs, set(stale), outputs)


def test_an_output_names_its_stale_inputs_and_no_other_ones():
    found = inputs((DAYS[1], "team"))
    assert found.of("balance", DAYS[1]) == [(DAYS[1], "team")]
    assert found.of("balance", DAYS[0]) == []
    assert found.of("team", DAYS[1]) == []


def test_an_output_names_the_stale_one_that_its_inputs_are_computed_from():
    found = inputs((DAYS[1], "box"))
    assert found.of("balance", DAYS[1]) == [(DAYS[1], "box")]
    assert found.of("report", DAYS[5]) == [(DAYS[1], "box")]


def test_of_many_stale_dates_of_one_processor_the_first_and_the_last_are_named():
    found = inputs(*((day, "balance") for day in DAYS[:4]))
    assert found.of("balance", DAYS[5]) == [(DAYS[0], "balance"), (DAYS[3], "balance")]
    assert found.of("report", DAYS[5]) == found.of("balance", DAYS[5])


def test_nothing_is_computed_through_an_output_that_does_not_exist():
    gone = [(day, "balance") for day in DAYS[2:5]]
    found = inputs((DAYS[1], "team"), without=[*gone, (DAYS[1], "balance")])
    assert found.of("report", DAYS[4]) == []


def test_what_may_lie_between_is_enough_to_name_the_causes():
    for seed in range(40):
        rng = random.Random(seed)
        everything = [(day, name) for day in DAYS for name in SHAPE.processors]
        stale = set(rng.sample(everything, rng.randint(1, 3)))
        exist = set(rng.sample(everything, rng.randint(8, len(everything))))
        ended = rng.sample(DAYS, 3)
        done = {(day, name) for day, name in exist - stale if day in ended}
        known = inputs_between(SHAPE.needs, stale, done) & exist
        of_all, of_known = StaleInputs(SHAPE.needs, stale, exist), StaleInputs(SHAPE.needs, stale, known)
        for day, name in done:
            assert of_known.of(name, day) == of_all.of(name, day), (seed, day, name)


def seasons(*phases):
    years = range(2010, 2024)
    dates = [{"name": str(y), "opens": dt.date(y, 1, 1), "closes": dt.date(y, 12, 31)} for y in years]
    return pipeline(*phases, calendar={"query": "SELECT 1", "season": dates}).needs


def test_an_old_stale_date_is_not_read_for_a_date_that_does_not_reach_back_to_it():
    base = phase("raw", processor("box")), phase("marts", processor("team"))
    graph = seasons(*base, phase("features", processor("zones"), processor("cache"), lookback="season"))
    new, old, this_year = dt.date(2023, 9, 9), dt.date(2010, 1, 2), dt.date(2023, 9, 1)
    done = {(new, name) for name in graph.names}
    # Then stale outputs of the season alone are read, and of their season what may lie between
    assert graph.earliest_input(new, old) == dt.date(2023, 1, 1)
    assert graph.earliest_input(new, this_year) == this_year
    between = inputs_between(graph, {(this_year, "box")}, done)
    assert {(day, name) for day, name in between if name == "team"} == {
        (this_year + dt.timedelta(days=n), "team") for n in range(9)
    }
    # And where it needs the stale one itself, nothing is
    assert inputs_between(graph, {(this_year, "team")}, done) == {(new, "zones"), (new, "cache")}


def test_a_chain_of_thousands_of_dates_is_followed_to_its_stale_beginning():
    own = processor("balance", needs=[{"self": True, "days_back": 1}, {"of": "team"}])
    graph = pipeline(phase("marts", processor("team")), phase("books", own)).needs
    days = [dt.date(2010, 1, 1) + dt.timedelta(days=n) for n in range(3000)]
    stale, done = {(days[0], "team")}, {(days[-1], "balance")}
    assert graph.earliest_input(days[-1], days[0]) == days[0]
    between = inputs_between(graph, stale, done)
    assert between == {(day, "balance") for day in days}
    assert StaleInputs(graph, stale, between).of("balance", days[-1]) == [(days[0], "team")]
