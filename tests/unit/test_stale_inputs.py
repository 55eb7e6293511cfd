"""What was computed from stale outputs, by the graph of needs."""

import datetime as dt

from backfilld.state.rules.staleness_propagation import StaleInputs
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
