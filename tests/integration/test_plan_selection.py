"""A plan of a selection: what it runs, what it leaves stale, and what it waits for; as text, API and page."""

import pytest

from backfilld.api.cli import show_plan
from backfilld.daemon.reports.plan.selection_and_force_options import RequestOptions
from tests.integration.api_world import make_api, refused
from tests.unit.plans import order, planned, small

DATES = "start=2021-10-19&end=2021-10-20"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """An API on which two dates are done, and the next one was never enqueued."""
    made = make_api(tmp_path_factory.mktemp("plans"))
    made.enqueue("2021-10-19", "2021-10-20")
    made.world.run()
    return made


def jobs(plan) -> list[str]:
    return [step["processor"] for phase in plan["phases"] for step in phase["steps"]]


def test_a_forced_selection_is_planned_with_what_it_makes_stale(done):
    told = done.get(f"/v1/plan?{DATES}&select=box&force=true")
    assert jobs(told) == ["box", "box"]
    assert told["phases"][0]["steps"][0]["reason"] == "complete: forced"
    assert told["select"] == ["box"]
    assert told["becomes_stale"] == {"zones": 2, "cache": 2}
    everything = done.get(f"/v1/plan?{DATES}&select=box%2B&force=true")
    assert jobs(everything) == ["box", "box", "zones", "cache", "zones", "cache"]
    assert everything["becomes_stale"] == {}


def test_a_plan_without_a_selection_makes_no_debt(done):
    told = done.get(f"/v1/plan?{DATES}")
    assert (jobs(told), told["select"], told["becomes_stale"]) == ([], None, {})


def test_a_plan_names_the_unselected_upstream_that_is_missing_and_adds_it_on_request(done):
    told = done.get("/v1/plan?start=2021-10-21&select=cache")
    assert jobs(told) == []
    (stop,) = told["cannot_run"]
    assert stop["reason"] == "not selected and not satisfied: box, extra; --with-upstream adds it"
    with_upstream = done.get("/v1/plan?start=2021-10-21&select=cache&with_upstream=true")
    assert jobs(with_upstream) == ["box", "extra", "zones", "cache"]


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ("select=boxx", "select", "there is no processor 'boxx'; did you mean 'box'?"),
        ("select=box&exclude=box", "exclude", "leaves no processor selected; exclude less"),
        ("select=phase:phase5", "select", "there is no phase 'phase5'; did you mean 'phase4'?"),
        ("force=yes", "force", "is neither true nor false"),
    ],
)
def test_a_selection_that_means_nothing_is_refused_by_its_field(done, query, field, message):
    answer = done.client.get(f"/v1/plan?{DATES}&{query}")
    assert refused(answer, 422) == (field, message)


def test_the_text_of_a_plan_states_the_three_rules_with_its_own_figures():
    pipeline, facts = small()
    made = planned(pipeline, facts, "2021-10-19", options=RequestOptions(selection=("nbac_team_boxscore",)))
    assert order(made) == ["2021-10-19 nbac_team_boxscore"]
    text = [line.plain for line in show_plan.lines(made)]
    assert text[2:6] == [
        "# selected: nbac_team_boxscore",
        "# - no gate is loosened: a date waits for what it needs and what is not selected",
        "# - what is computed from a rewritten output and does not run becomes stale: nothing",
        "# - a date that is done as far as selected ends `selected`, and says what is missing",
    ]


def test_the_form_takes_a_selection_and_shows_what_it_leaves(done):
    page = done.client.get(f"/enqueue?{DATES}&select=box+extra&exclude=extra&force=on").text
    assert "<strong>Selected</strong> box" in page
    assert "zones on 2 dates, cache on 2 dates" in " ".join(page.split())
    assert "Enqueue 2 dates" in page
    wrong = done.client.get(f"/enqueue?{DATES}&select=bocks")
    assert wrong.status_code == 422
    assert 'value="bocks"' in wrong.text


def test_a_marked_rectangle_is_enqueued_with_its_processors(done):
    marked = {"first": "2021-10-19", "last": "2021-10-20", "processor": ["box", "zones"]}
    page = done.client.get("/grid/enqueue", query_string=marked, follow_redirects=True)
    assert page.request.args["select"] == "box,zones"
    assert "<strong>Selected</strong> box, zones" in page.text
    whole = done.client.get("/grid/enqueue", query_string={**marked, "processor": []})
    assert "select" not in whole.location
