"""Closed windows and full pools are listed as holds, and no verb releases them."""

import pytest

from tests.factories import phase, pipeline, processor
from tests.integration.api_world import make_api, refused
from tests.simulation.world import Work

CLOSED = {"name": "always", "closes": "00:00", "opens": "23:59", "processors": ["odds"]}


def shape():
    """A processor in a window, and two that share a pool of one slot."""
    return pipeline(
        phase("raw", processor("odds"), processor("box", pool="api"), processor("plays", pool="api")),
        pool=[{"name": "api", "size": 1}],
        window=[CLOSED, {**CLOSED, "name": "later", "closes": "23:58"}],
        timezone="UTC",
    )


@pytest.fixture
def api(tmp_path):
    """The API with a date that wants all three."""
    api = make_api(tmp_path, made=shape)
    api.world.script = lambda job: Work(seconds=60)
    api.enqueue("2021-10-28")
    api.world.settle()
    return api


def test_a_closed_window_and_a_full_pool_are_holds_with_what_they_keep_from_starting(api):
    window, pool = api.get("/v1/holds")["items"]
    assert (window["kind"], window["key"], window["derived"]) == ("window", "always", True)
    assert window["text"].startswith("the window always is closed until ")
    assert window["text"].endswith(": no job of odds starts")
    assert window["until"] is not None
    assert (pool["kind"], pool["key"], pool["actor"]) == ("pool", "api", "pipeline file")
    assert pool["text"] == "the pool api is full: 1 of 1 slot is taken by attempt 1 of box"
    scraped = api.scrape()
    assert scraped['backfilld_holds{by="engine",kind="window"}'] == 1
    assert scraped['backfilld_holds{by="engine",kind="pool"}'] == 1


def test_a_window_of_all_processors_says_that_no_job_starts(tmp_path):
    closed = {"name": "night", "closes": "00:00", "opens": "23:59"}
    api = make_api(
        tmp_path, made=lambda: pipeline(phase("raw", processor("odds")), window=[closed], timezone="UTC")
    )
    (window,) = api.get("/v1/holds")["items"]
    assert window["text"].endswith(": no job starts")


def test_a_placed_hold_is_not_derived(command, api):
    command("hold", "processor", "box", "--reason", "broken")
    assert [hold["derived"] for hold in api.get("/v1/holds")["items"]] == [False, True, True]


@pytest.mark.parametrize(("kind", "name"), [("window", "always"), ("pool", "api"), ("window", "later")])
def test_the_verb_does_not_release_them_and_says_what_does(command, api, kind, name):
    ended = command("release", kind, name)
    assert ended.code == 1
    assert (
        f"the {kind} {name} cannot be released: it follows from [[{kind}]] of the pipeline file" in ended.err
    )
    assert len(api.get("/v1/holds")["items"]) == 2


def test_a_window_that_the_file_does_not_have_is_not_found(api):
    _, message = refused(api.client.delete("/v1/holds/window/alway"), 404)
    assert message == "there is no window 'alway'; did you mean 'always'?"
    assert refused(api.client.delete("/v1/holds/pool"), 422)[0] == "kind"
