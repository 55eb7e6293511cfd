"""Retry and accept of ranges, lists and filters: an answer for each date, a row of audit for the request."""

import datetime as dt

import pytest

from backfilld.daemon.engine.bulk_request import DateQuery, candidates
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store.date_filters import DateFilter
from tests.integration.api_world import Api, make_api, refused, small_pipeline
from tests.integration.command_line import beside
from tests.simulation.world import Work

FAILED = ("2021-10-19", "2021-10-20")
DONE = "2021-10-21"
OTHER, LAST = map(dt.date.fromisoformat, (FAILED[1], DONE))
BULK = "/v1/dates/retry"


def one_attempt() -> Pipeline:
    return small_pipeline(jobs={"max_attempts": 1, "breaker_threshold": 0})


def failing(folder) -> Api:
    """Two dates whose source `box` failed, and a date that is done."""
    made = make_api(folder, made=one_attempt)
    made.world.script = lambda job: (
        Work(code=1)
        if job.env["BACKFILLD_PROCESSOR"] == "box" and job.env["BACKFILLD_DATE"] in FAILED
        else made.world.well(job)
    )
    made.enqueue(FAILED[0], DONE)
    made.world.run()
    made.world.script = made.world.well
    return made


@pytest.fixture
def api(tmp_path):
    return failing(tmp_path)


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory):
    return failing(tmp_path_factory.mktemp("many"))


def answers(told) -> dict[str, str]:
    """The reason of each date; empty for one that was changed without one."""
    assert told["changed"] == sum(one["changed"] for one in told["answers"])
    assert told["refused"] == sum(not one["changed"] for one in told["answers"])
    return {one["date"]: one["reason"] for one in told["answers"]}


def states(api: Api) -> list[str]:
    return [api.get(f"/v1/dates/{date}")["state"] for date in (*FAILED, DONE)]


def test_a_range_retries_what_failed_and_says_of_every_other_date_why_it_did_not(api):
    api.enqueue("2021-10-22")
    told = api.post(BULK, {"start": "2021-10-19", "end": "2021-10-23"})
    assert answers(told) == {
        "2021-10-19": "",
        "2021-10-20": "",
        "2021-10-21": "is done and not regressed; a filter, a list, force or a processor includes it",
        "2021-10-22": "is in pending; retry it once it has ended, or enqueue it with --force",
        "2021-10-23": "was never enqueued; enqueue it",
    }
    assert states(api) == ["pending", "pending", "done"]
    # And the whole request is one row of audit
    (entry, before) = api.get("/v1/audit?limit=2")["items"]
    assert (entry["action"], entry["target"]) == ("retry", "2021-10-19..2021-10-20")
    assert (entry["before"], entry["after"]) == ({"states": {"failed": 2}}, {"states": {"pending": 2}})
    assert before["action"] == "enqueue"


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ({"states": ["failed"]}, FAILED),
        ({"more": DateFilter(outcomes=[Outcome.EXHAUSTED]), "start": OTHER}, FAILED[1:]),
        ({"more": DateFilter(verdicts=[Verdict.FAILED])}, FAILED),
        ({"more": DateFilter(verdicts=[Verdict.FAILED], processors=["zones"])}, ()),
        ({"dates": (LAST, OTHER, LAST)}, (FAILED[1], DONE)),
        ({"dates": (LAST, OTHER), "states": ["failed"]}, FAILED[1:]),
        ({"dates": ()}, ()),
        ({"end": OTHER}, FAILED),
    ],
)
def test_a_list_a_range_and_filters_choose_dates(unchanged, query, chosen):
    with unchanged.world.db.read() as tx:
        found = candidates(tx, DateQuery(**query))
    assert [str(date) for date in found.dates if date not in found.unmatched] == list(chosen)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "start"),
        ({"processors": ["box"]}, "start"),
        ({"dates": []}, "dates"),
        ({"dates": ["2021-10-19"], "start": "2021-10-19"}, "dates"),
        ({"start": "2021-10-20", "end": "2021-10-19"}, "end"),
        ({"state": "broken"}, "state"),
        ({"outcome": "lost"}, "outcome"),
        ({"mark": "stale", "state": "done"}, "mark"),
        ({"start": "2021-10-19", "processors": ["box"], "cascade": True}, "processors"),
        ({"start": "1901-01-01", "end": "2021-10-19"}, "end"),
    ],
)
def test_a_body_that_says_too_little_or_too_much_is_refused_by_its_field(unchanged, body, field):
    assert refused(unchanged.client.post(BULK, json=body), 422)[0] == field


def test_every_missing_output_of_a_range_is_accepted_with_one_reason(api):
    told = api.post("/v1/dates/accept", {"start": "2021-10-19", "end": "2021-10-22", "reason": "lost"})
    # Then only what was tried is accepted: the later phase never had its turn
    assert answers(told) == {
        "2021-10-19": "box",
        "2021-10-20": "box",
        "2021-10-21": "there is no gap to accept",
        "2021-10-22": "was never enqueued; enqueue it",
    }
    (entry,) = api.get("/v1/audit?limit=1")["items"]
    assert (entry["action"], entry["target"]) == ("accept", "2021-10-19..2021-10-20")
    assert entry["after"] == {"states": {"pending": 2}, "outputs": {"box": 2}, "reason": "lost"}
    api.world.run()
    assert [api.get(f"/v1/dates/{date}")["outcome"] for date in FAILED] == ["waived", "waived"]


def test_a_named_processor_is_accepted_where_it_was_tried_and_refused_with_what_it_is_elsewhere(
    api, monkeypatch, capsys
):
    body = {"start": "2021-10-19", "end": "2021-10-22", "processors": ["zones"], "reason": "lost"}
    remedy = "list it in dates (--dates) to accept it in advance"
    assert answers(api.post("/v1/dates/accept", body)) == {
        "2021-10-19": f"zones is not due yet; {remedy}",
        "2021-10-20": f"zones is not due yet; {remedy}",
        "2021-10-21": "zones is satisfied; there is no gap to accept",
        "2021-10-22": f"was never enqueued; {remedy}",
    }
    # And the remedy helps, where the list may have ranges
    with beside(api, monkeypatch, capsys) as command:
        words = ("accept", "--dates", "2021-10-19..2021-10-20,2021-10-22", "zones", "--reason", "lost")
        assert (
            command(*words).out == "3 dates accepted\n  2021-10-19..2021-10-20, 2021-10-22  changed  zones\n"
        )
        assert "2021-10-20..1 is no range" in command("retry", "--dates", "2021-10-20..1").err


def test_the_command_accepts_several_processors_that_commas_separate(api, monkeypatch, capsys):
    with beside(api, monkeypatch, capsys) as command:
        words = ("accept", "--dates", "2021-10-22", "box,zones", "--reason", "lost")
        assert command(*words).out == "1 date accepted\n  2021-10-22  changed  box, zones\n"


@pytest.mark.parametrize("date", ["2021-10-20", "2021-11-01"], ids=["before its turn", "never enqueued"])
@pytest.mark.parametrize("processors", [["zones"], ["box", "zones"]], ids=["one", "two"])
@pytest.mark.parametrize("key", ["dates", "start", "end"])
def test_one_date_and_a_list_of_dates_accept_named_processors_in_advance(api, date, processors, key):
    dates = {"dates": {"dates": [date]}, "start": {"start": date}, "end": {"start": date, "end": date}}[key]
    body = {**dates, "processors": processors, "reason": "lost"}
    assert answers(api.post("/v1/dates/accept", body)) == {date: ", ".join(processors)}


@pytest.mark.parametrize("dates", [{"dates": ["2021-10-21"]}, {"start": "2021-10-21"}])
def test_one_date_is_retried_alike_however_it_is_named(api, dates):
    assert answers(api.post(BULK, dates)) == {"2021-10-21": ""}


def test_the_page_and_the_grid_agree_with_it_on_what_can_be_accepted(unchanged):
    page = unchanged.client.get("/dates/2021-10-19").text
    assert page.count(">Accept<") == 1
    marked = {"first": "2021-10-19", "last": "2021-10-21", "do": "accept"}
    grid = unchanged.client.get("/grid", query_string=marked).text
    assert "Accept 2 missing outputs on 2 dates" in grid
    assert "not due yet" in grid


def test_a_form_without_dates_retries_nothing(unchanged):
    assert "Retried 0 dates" in unchanged.client.post("/dates?state=failed", data={}).text
    assert states(unchanged) == ["failed", "failed", "done"]


def test_the_command_prints_ranges_and_exits_with_1_where_every_date_was_refused(command, api):
    printed = command("retry", "--state", "failed")
    assert (printed.code, printed.out) == (
        0,
        "2 dates put back to pending\n  2021-10-19..2021-10-20  changed\n",
    )
    again = command("retry", "2021-10-19", "2021-10-20")
    assert again.code == 1
    assert again.out.splitlines()[1:] == [
        "  2021-10-19..2021-10-20  refused  is in pending; retry it once it has ended, or enqueue it with"
        " --force"
    ]
    nothing = command("retry", "--dates", "2021-10-21", "--outcome", "blocked")
    assert nothing.rows("2021-10-21 refused does not match the filter")
    assert command("retry", "--outcome", "blocked").out == "0 dates put back to pending\n  no date matches\n"


def test_the_command_accepts_a_range_by_its_verdict(command, api):
    printed = command("accept", "2021-10-19", "2021-10-31", "--verdict", "failed", "--reason", "lost")
    assert printed.out.splitlines() == ["2 dates accepted", "  2021-10-19..2021-10-20  changed  box"]
    assert command("accept", "2021-10-19", "2021-10-20", "bocks", "--reason", "lost").err.startswith(
        "backfilld: there is no processor 'bocks'"
    )


def test_a_retry_names_the_waivers_that_it_withdraws_in_its_answer_the_history_and_the_dialog(api):
    # Given a date that passes without an output, which an operator accepted, and fails later on
    api.world.script = lambda job: (
        Work(code=1) if job.env["BACKFILLD_PROCESSOR"] != "box" else api.world.well(job)
    )
    api.post(f"/v1/dates/{FAILED[0]}/accept", {"processor": "box", "reason": "arena closed"})
    api.world.run()
    text = "withdraws the waiver of box (accepted by anonymous: arena closed)"
    # When a dry run of a request, the page, and the retries of the date and its backfill say what they do
    dry = api.post("/v1/backfills", {"start": FAILED[0], "end": FAILED[0], "dry_run": True})
    assert dry["details"][0]["reason"] == text
    page = api.client.get(f"/dates/{FAILED[0]}").text
    assert f"with all its attempts. It {text}." in page
    assert f"What is computed from it becomes stale. It {text}." in page
    assert page.count(text) == 3
    assert text in api.client.get("/backfills/1").text
    told = api.post(BULK, {"dates": [FAILED[0]]})
    # Then each names the waiver
    assert answers(told) == {FAILED[0]: text}
    history = api.get(f"/v1/dates/{FAILED[0]}")["transitions"]
    assert [move["reason"] for move in history if move["trigger"] == "retry"][-1] == f"retry; {text}"
    # And nothing is left of it
    api.world.run()
    assert api.post("/v1/backfills/1/retry", {})["withdrawn"] == []


def test_a_retry_of_one_processor_names_its_own_waiver_alone(api):
    api.world.script = lambda job: Work(code=1)
    for name in ("box", "zones"):
        api.post(f"/v1/dates/{FAILED[0]}/accept", {"processor": name, "reason": name})
    api.world.run()
    told = api.post(BULK, {"dates": [FAILED[0]], "processors": ["box"]})
    assert answers(told)[FAILED[0]].startswith("withdraws the waiver of box (")
    assert "zones" not in answers(told)[FAILED[0]]
