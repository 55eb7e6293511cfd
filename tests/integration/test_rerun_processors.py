"""`retry --processor`: one processor of an ended date runs again alone; what is computed from it is stale."""

import datetime as dt

from tests.factories import phase, pipeline, processor
from tests.integration.api_world import Api, refused
from tests.simulation.season import fails
from tests.simulation.world import ME, Work, World

DATE = "2021-10-28"


def done(api: Api, *dates: str) -> None:
    """Given dates that are done."""
    for date in dates:
        api.enqueue(date)
    api.world.run()
    api.world.executor.launched.clear()


def ran(api: Api) -> list[str]:
    return [job.env["BACKFILLD_PROCESSOR"] for job in api.world.executor.launched]


def zones_left_stale(api: Api) -> None:
    """Given a date whose zones were computed from a box that ran again, and that no job rewrote since."""
    done(api, DATE)
    api.post(f"/v1/dates/{DATE}/retry", {"processor": "box"})
    api.world.run()
    fails(api.world, "zones")
    api.post("/v1/dates/retry", {"mark": "stale"})
    api.world.run()
    assert api.get(f"/v1/dates/{DATE}")["reason"].startswith("zones: untouched")
    api.world.executor.launched.clear()
    api.world.script = api.world.well


def test_r5_one_complete_processor_of_a_done_date_runs_again_and_nothing_else(api):
    done(api, DATE)
    told = api.post(f"/v1/dates/{DATE}/retry", {"processor": "box"})
    assert (told["state"], told["backfill_id"], told["wanted_by"]) == ("pending", 2, [2])
    api.world.run()
    assert ran(api) == ["box"]
    # Then the date is done again, the backfill names what it ran, and what is computed from it is stale
    assert api.get(f"/v1/dates/{DATE}")["outcome"] == "complete"
    assert api.get("/v1/backfills/2")["select"] == ["box"]
    assert api.get("/v1/backfills/2")["note"] == "retry of box"
    assert api.get(f"/v1/dates/{DATE}")["stale"]
    api.world.executor.launched.clear()
    api.post("/v1/dates/retry", {"mark": "stale"})
    api.world.run()
    assert ran(api) == ["zones", "cache"]
    assert api.get(f"/v1/dates/{DATE}")["stale"] is None


def test_the_last_processor_of_a_date_makes_nothing_stale(api):
    done(api, DATE)
    api.post(f"/v1/dates/{DATE}/retry", {"processor": "cache"})
    api.world.run()
    assert ran(api) == ["cache"]
    assert api.get(f"/v1/dates/{DATE}")["stale"] is None


def test_a_rerun_that_writes_nothing_fails_the_date_although_its_rows_are_there(api):
    done(api, DATE)
    api.world.script = lambda job: Work()
    api.post(f"/v1/dates/{DATE}/retry", {"processor": "box"})
    api.world.run()
    told = api.get(f"/v1/dates/{DATE}")
    assert (told["outcome"], told["processors"][0]["verdict"]) == ("exhausted", "untouched")


def test_the_gate_of_a_processor_stays_closed_where_its_upstream_is_missing(api):
    # Given a date whose first phase failed
    fails(api.world, "box", code=1)
    api.enqueue(DATE)
    api.world.run()
    api.world.executor.launched.clear()
    api.world.script = api.world.well
    # When a processor of the second phase is to run alone
    api.post(f"/v1/dates/{DATE}/retry", {"processor": "zones"})
    api.world.run(limit=100)
    # Then nothing runs, and the wait names what is missing
    assert ran(api) == []
    assert "box" in api.get(f"/v1/dates/{DATE}")["waiting_on"]
    assert api.get("/v1/backfills/2")["status"] == "stuck"


def test_what_was_accepted_of_other_processors_stays_accepted(api):
    # Given a date that failed for one processor, whose gap is accepted, and then for another
    fails(api.world, "box", code=1)
    api.enqueue(DATE)
    api.world.run()
    api.world.script = api.world.well
    fails(api.world, "zones", code=1)
    api.post(f"/v1/dates/{DATE}/accept", {"processor": "box", "reason": "lost"})
    api.world.run()
    assert api.get(f"/v1/dates/{DATE}")["reason"].startswith("zones")
    # When that one is repaired and runs alone
    api.world.script = api.world.well
    api.world.executor.launched.clear()
    api.post(f"/v1/dates/{DATE}/retry", {"processor": "zones"})
    api.world.run()
    # Then the date passes with its waiver, as far as was selected
    assert ran(api) == ["zones"]
    told = api.get(f"/v1/dates/{DATE}")
    assert told["outcome"] == "selected"
    assert "cache" in told["reason"]
    assert told["processors"][0]["waiver"]["reason"] == "lost"


def test_a_live_date_an_unknown_one_and_an_unknown_processor_are_refused(api):
    api.enqueue(DATE)
    path, body = f"/v1/dates/{DATE}/retry", {"processor": "box"}
    assert refused(api.client.post(path, json=body), 409)[1] == (
        f"{DATE} is in pending; retry it once it has ended, or enqueue it with --force"
    )
    other = api.client.post("/v1/dates/2021-11-01/retry", json=body)
    assert refused(other, 404)[1] == "2021-11-01 was never enqueued; enqueue it"
    _, message = refused(api.client.post(path, json={"processor": "boxes"}), 404)
    assert message == "there is no processor 'boxes'; did you mean 'box'?"
    field, message = refused(api.client.post(path, json={**body, "force": True}), 422)
    assert (field, message) == ("processor", "excludes force; leave one of them out")


def test_a_date_that_expects_nothing_of_the_processor_is_refused(api):
    # Given a date without games, before the opener
    api.enqueue("2021-10-18")
    api.world.run()
    _, message = refused(api.client.post("/v1/dates/2021-10-18/retry", json={"processor": "box"}), 409)
    assert message.startswith("2021-10-18: nothing is expected of box: ")


def test_the_command_line_says_which_backfill_runs_and_what_pays_the_debt(command, api):
    done(api, DATE)
    printed = command("retry", DATE, "--processor", "box")
    assert (printed.code, printed.out) == (
        0,
        f"{DATE}: box runs again as backfill 2; what is computed from it becomes stale:"
        " backfilld retry --stale\n",
    )
    again = command("retry", DATE, "--processor", "box")
    assert (again.code, again.err.splitlines()[0]) == (
        1,
        f"backfilld: {DATE} is in pending; retry it once it has ended, or enqueue it with --force",
    )


def test_one_processor_of_a_range_is_one_backfill_and_each_date_has_its_answer(command, api):
    done(api, DATE, "2021-10-29")
    printed = command("retry", "2021-10-28", "2021-10-30", "--processor", "box")
    assert printed.out.splitlines() == [
        "box runs again as backfill 3: 2 dates put back to pending",
        "  2021-10-28..2021-10-29  changed",
        "  2021-10-30  refused  was never enqueued; enqueue it",
    ]
    api.world.run()
    assert ran(api) == ["box", "box"]
    (entry,) = api.get("/v1/audit?limit=1")["items"]
    assert (entry["action"], entry["target"]) == ("retry", "2021-10-28..2021-10-29")
    assert entry["after"] == {"states": {"pending": 2}, "processors": ["box"]}


def test_the_page_of_an_ended_date_has_the_button_and_that_of_a_live_one_has_not(api):
    api.enqueue(DATE)
    assert "Run again" not in api.client.get(f"/dates/{DATE}").text
    api.world.run()
    page = api.client.get(f"/dates/{DATE}").text
    assert page.count(">Run again<") == 4
    assert f'data-call="POST /v1/dates/{DATE}/retry"' in page


def test_a_stale_output_that_no_job_rewrote_is_not_complete_after_a_plain_retry(api):
    zones_left_stale(api)
    # When the date is retried
    api.post(f"/v1/dates/{DATE}/retry", {})
    api.world.run()
    # Then zones runs again, and the cache that is computed from it
    assert ran(api) == ["zones", "cache"]
    assert api.get(f"/v1/dates/{DATE}")["outcome"] == "complete"
    assert api.get(f"/v1/dates/{DATE}")["stale"] is None


def test_a_stale_output_that_no_job_rewrote_stays_stale_whoever_enqueues_its_date(api):
    zones_left_stale(api)
    # When the date is enqueued anew, which runs nothing that has its rows
    api.enqueue(DATE)
    api.world.run()
    # Then it says so still, and its retry runs zones
    assert (ran(api), api.get(f"/v1/dates/{DATE}")["outcome"]) == ([], "complete")
    assert "zones" in api.get(f"/v1/dates/{DATE}")["stale"]
    api.post("/v1/dates/retry", {"mark": "stale"})
    api.world.run()
    assert ran(api)[0] == "zones"
    assert api.get(f"/v1/dates/{DATE}")["stale"] is None


def test_a_rerun_that_wrote_nothing_repairs_nothing_when_its_date_is_enqueued_anew(api):
    # Given a date on which a rerun of box wrote nothing
    done(api, DATE)
    api.world.script = lambda job: Work()
    api.post(f"/v1/dates/{DATE}/retry", {"processor": "box"})
    api.world.run()
    assert api.get(f"/v1/dates/{DATE}")["processors"][0]["verdict"] == "untouched"
    # When the date is enqueued anew, and done with the rows of before
    api.enqueue(DATE)
    api.world.run()
    # Then nothing that is computed from them is stale
    told = api.get(f"/v1/dates/{DATE}")
    assert (told["outcome"], told["stale"]) == ("complete", None)


def test_a_plain_retry_after_that_of_one_processor_runs_what_the_backfills_of_the_date_wanted(api):
    # Given a date that failed for its backfill, and one processor of which was run again alone
    fails(api.world, "zones", code=1)
    api.enqueue(DATE)
    api.world.run()
    api.world.script = api.world.well
    api.post(f"/v1/dates/{DATE}/retry", {"processor": "zones"})
    api.world.run()
    assert api.get(f"/v1/dates/{DATE}")["outcome"] == "selected"
    api.world.executor.launched.clear()
    # When the date is retried as a whole
    api.post(f"/v1/dates/{DATE}/retry")
    assert api.get(f"/v1/dates/{DATE}")["wanted_by"] == [1, 2]
    api.world.run()
    # Then what its own backfill selected runs too, and nothing is forced once more
    assert ran(api) == ["cache"]
    assert api.get(f"/v1/dates/{DATE}")["outcome"] == "complete"
    assert api.get("/v1/backfills/1")["status"] == "finished"


def test_a_plain_retry_after_a_narrow_request_for_a_done_date_runs_what_is_missing_of_all(api):
    # Given a done date that a narrow request rewrote a source of, and whose last step is lost since
    done(api, DATE)
    api.enqueue(DATE, select=["box"], force=True)
    api.world.run()
    api.world.executor.launched.clear()
    api.world.fill("cache", dt.date.fromisoformat(DATE), rows=0)
    api.post(f"/v1/dates/{DATE}/retry")
    api.world.run()
    assert ran(api) == ["cache"]


def test_a_processor_that_fails_alone_waits_for_no_fallback_that_is_not_selected(tmp_path):
    # Given a source with a fallback, and a date that failed for both
    raw = phase("raw", processor("box", fallbacks=["bdl"]), processor("bdl", priority="fallback"))
    made = pipeline(raw, jobs={"max_attempts": 1, "breaker_threshold": 0})
    world = World(made, {dt.date.fromisoformat(DATE): 5}, tmp_path)
    world.script = lambda job: Work(code=1)
    world.enqueue(dt.date.fromisoformat(DATE), dt.date.fromisoformat(DATE))
    world.run()
    # When the source runs again alone, and fails
    world.commands.retry_processor(dt.date.fromisoformat(DATE), "box", by=ME)
    world.run()
    # Then the date fails by its name instead of waiting for the fallback
    (row,) = world.dates().values()
    assert row.state == "failed"
    assert row.reason.startswith("box: ")
