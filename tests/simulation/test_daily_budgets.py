"""Daily budgets at work: what is spent parks until the quota day ends, says so, and is lifted by one call."""

import datetime as dt
from pathlib import Path

import pytest

from backfilld.api.cli.output import console
from backfilld.api.cli.progress_snapshot import Snapshot
from backfilld.api.cli.terminal_dashboard import picture
from backfilld.daemon.engine import daily_budgets
from backfilld.daemon.engine.daily_budgets import BytesLedger
from backfilld.daemon.engine.operator_commands import Conflict, NotFound
from backfilld.daemon.event_types import Incident
from backfilld.daemon.executors.attempt_files import FileLog
from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.daemon.warehouses.billing_budget import DailyBudget
from backfilld.state.rules.quota_day import next_midnight, quota_day
from tests.factories import phase, pipeline, processor
from tests.integration.api_world import Api
from tests.simulation.world import ME, Work, World

OPENER = dt.date(2021, 10, 19)
SEASON = {OPENER + dt.timedelta(days=n): 5 for n in range(7)}
PACIFIC = "America/Los_Angeles"


def made(folder: Path, **jobs) -> World:
    """One processor that has 3 attempts a day, and one without a limit."""
    sources = phase("phase2", processor("box", daily_attempts=3), processor("extra"))
    return World(pipeline(sources, jobs={"backoff": "1s", **jobs}), SEASON, folder)


@pytest.fixture
def world(tmp_path):
    return made(tmp_path)


def rest(world: World, steps: int = 60) -> None:
    """Let everything happen that needs no new day."""
    for _ in range(steps):
        world.settle()
        end = world.executor.next_end()
        if end is None:
            return
        world.time = max(world.time, end)


def launched(world: World, name: str) -> int:
    return sum(job.env["BACKFILLD_PROCESSOR"] == name for job in world.executor.launched)


def waits(world: World) -> set[str]:
    with world.db.read() as tx:
        return set(waiting_on(tx, world.context, world.live()).values())


def standing(world: World):
    with world.db.read() as tx:
        return daily_budgets.current_budgets(tx, world.pipeline, world.time)


def test_a_table_has_no_more_attempts_a_day_than_its_budget_and_the_rest_goes_on(world):
    # Given seven dates, and a table that takes three attempts a day
    world.enqueue(min(SEASON), max(SEASON))
    # When all is done that can be done today
    rest(world)
    # Then the other table is not held up, and those that wait name the budget and its end
    assert (launched(world, "box"), launched(world, "extra")) == (3, 7)
    until = next_midnight(world.time, PACIFIC)
    clock = dt.datetime.fromtimestamp(until, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = "nba.box has had its 3 attempts of this quota day (daily_attempts)"
    assert waits(world) == {f"{told}; nba.box goes on at {clock}, midnight in {PACIFIC}"}
    (hold,) = world.commands.holds()
    assert (hold.kind, hold.key, hold.until) == ("table", "nba.box", until)
    assert [event.kind for event in world.events if isinstance(event, Incident)] == ["budget"]


def test_the_engine_wakes_at_the_end_of_a_hold(world):
    # Given all done that can be done today, so that nothing happens before the hold ends
    world.enqueue(min(SEASON), max(SEASON))
    rest(world)
    (hold,) = world.commands.holds()
    # Then its last turn names the end as the time of the next one
    assert world.alarm == hold.until


def test_the_next_quota_day_goes_on_by_itself_until_all_dates_are_done(world):
    world.enqueue(min(SEASON), max(SEASON))
    began = quota_day(world.time, PACIFIC)
    world.run()
    assert not world.live()
    assert launched(world, "box") == 7
    assert (quota_day(world.time, PACIFIC) - began).days == 2
    assert world.commands.holds() == []


def test_failed_attempts_count_too(world):
    world.script = lambda job: Work(code=1) if job.env["BACKFILLD_PROCESSOR"] == "box" else world.well(job)
    world.enqueue(OPENER, OPENER + dt.timedelta(days=1))
    for _ in range(8):
        rest(world)
        world.time += 60
    assert launched(world, "box") == 3
    assert standing(world)[0].left == 0


def test_a_restart_does_not_begin_the_day_anew(world):
    world.enqueue(min(SEASON), max(SEASON))
    rest(world)
    world.start()
    world.commands.release("table", "nba.box", by=ME, extra=1)
    rest(world)
    assert launched(world, "box") == 4


def test_lifting_a_spent_budget_allows_a_tenth_more_or_what_is_asked_for(world):
    world.enqueue(min(SEASON), max(SEASON))
    rest(world)
    assert world.commands.release("table", "nba.box", by=ME) == 1
    rest(world)
    assert launched(world, "box") == 4
    assert world.commands.release("table", "nba.box", by=ME, extra=2) == 2
    rest(world)
    assert launched(world, "box") == 6
    (hold,) = world.commands.holds()
    assert "has had its 6 attempts" in hold.reason


def test_what_is_not_held_cannot_be_lifted_and_what_has_no_budget_takes_no_extra(world):
    with pytest.raises(NotFound, match=r"no hold of table nba\.box"):
        world.commands.release("table", "nba.box", by=ME)
    world.warehouse.down = "refused"
    world.enqueue(OPENER, OPENER)
    world.settle()
    with pytest.raises(Conflict, match="warehouse has no daily budget"):
        world.commands.release("warehouse", "", by=ME, extra=5)
    assert [hold.kind for hold in world.commands.holds()] == ["warehouse"], "a refusal changes nothing"


def test_of_processors_that_write_one_table_the_least_limit_holds_for_both(tmp_path):
    twins = [processor(name, table="nba.box", daily_attempts=n) for name, n in (("a", 5), ("b", 2))]
    world = World(pipeline(phase("phase2", *twins)), SEASON, tmp_path)
    world.enqueue(min(SEASON), max(SEASON))
    rest(world)
    assert len(world.executor.launched) == 2


def test_a_job_that_meets_a_spent_quota_parks_its_table_without_using_up_the_dates_attempts(tmp_path):
    # Given a load job that BigQuery refuses until tomorrow, more often than a date has attempts
    world = made(tmp_path, max_attempts=1)
    log = tmp_path / "log"
    log.write_text("loading\n403 Quota exceeded: Your table exceeded quota for imports\n")
    world.executor.log = lambda attempt: FileLog(log)
    refusals = iter([1, 1])

    def script(job):
        refused = job.env["BACKFILLD_PROCESSOR"] == "box" and next(refusals, 0)
        return Work(code=1) if refused else world.well(job)

    world.script = script
    world.enqueue(OPENER, OPENER)
    # When the first attempt ends
    rest(world)
    # Then the table waits for the quota's end, with the job's own words
    (hold,) = world.commands.holds()
    assert (hold.kind, hold.key, hold.until) == ("table", "nba.box", next_midnight(world.time, PACIFIC))
    assert "Your table exceeded quota for imports" in hold.reason
    assert world.live()[0].waiting == "held"
    # And two midnights later the date is done
    world.run()
    assert world.dates()[OPENER].outcome == "complete"
    assert launched(world, "box") == 3


@pytest.mark.parametrize(
    "told",
    [
        "400 Job exceeded rate limits: Your table exceeded quota for table update operations.",
        "Exceeded rate limits: Your project exceeded quota for concurrent queries, jobRateLimitExceeded",
        "exceeded quota, retrying",
    ],
)
def test_a_rate_limit_that_passes_parks_nothing(tmp_path, told):
    world = made(tmp_path)
    log = tmp_path / "log"
    log.write_text(f"loading\n{told}\n")
    world.executor.log = lambda attempt: FileLog(log)
    refusals = iter([1])
    world.script = lambda job: Work(code=1) if next(refusals, 0) else world.well(job)
    world.enqueue(OPENER, OPENER)
    began = world.time
    world.run()
    assert world.dates()[OPENER].outcome == "complete"
    assert world.time - began < 60


def test_the_bytes_of_a_day_outlive_a_restart_and_can_be_allowed_more(world):
    # Given 100 bytes a day, of which more were billed than were left
    budget = DailyBudget(100, BytesLedger(world.db), world.clock, PACIFIC)
    budget.spend(60)
    budget.check()
    budget.spend(70)
    # When the daemon starts again
    world.start()
    budget = DailyBudget(100, BytesLedger(world.db), world.clock, PACIFIC)
    # Then the day is still spent, until midnight in its zone
    with pytest.raises(WarehouseError, match="130 of 100 bytes were billed this quota day") as raised:
        budget.check()
    assert raised.value.retry_at == next_midnight(world.time, PACIFIC)
    world.time = raised.value.retry_at
    budget.check()


def test_on_a_new_day_the_queries_of_gates_go_before_the_calendar(tmp_path):
    # Given bytes for one query a day, and a calendar that is read whenever it is due
    world = World(pipeline(phase("phase2", processor("box"))), SEASON, tmp_path)
    world.warehouse.budget = DailyBudget(10, BytesLedger(world.db), world.clock, PACIFIC)
    began = world.time
    world.enqueue(OPENER, OPENER)
    world.engine.recheck_calendar()
    # When days go by
    while world.live() and world.time - began < 7 * 86400:
        world.step()
        world.engine.recheck_calendar()
    # Then one query lets the job start, and the next day's sees its rows
    assert world.dates()[OPENER].outcome == "complete"
    assert world.time - began < 3 * 86400


@pytest.fixture
def api(tmp_path) -> Api:
    sources = phase("phase2", processor("box", daily_attempts=2))
    source = {"kind": "lake", "path": "lake", "daily_bytes": 1000}
    return Api(World(pipeline(sources, warehouse=source), SEASON, tmp_path))


def test_budgets_are_seen_in_progress_metrics_and_status_and_lifted_over_http(api):
    # Given a spent budget
    api.enqueue(str(min(SEASON)), str(max(SEASON)))
    rest(api.world)
    told = api.get("/v1/progress")
    # Then everyone can see it
    assert [(b["kind"], b["key"], b["limit"], b["spent"]) for b in told["budgets"]] == [
        ("table", "nba.box", 2, 2),
        ("warehouse", "", 1000, 0),
    ]
    assert told["holds"][0]["until"] == told["budgets"][0]["resets_at"]
    assert "has had its 2 attempts" in api.get("/v1/dates/2021-10-25")["waiting_on"]
    scraped = api.scrape()
    assert scraped['backfilld_budget_spent{key="nba.box",kind="table"}'] == 2
    assert scraped['backfilld_budget_limit{key="",kind="warehouse"}'] == 1000
    assert scraped['backfilld_incidents_total{kind="budget"}'] == 1
    view = Snapshot(at=dt.datetime.now(dt.UTC), progress=told, activity=api.get("/v1/activity"))
    with console.capture() as screen:
        console.print(picture(view, console))
    assert "nba.box has had its 2 attempts" in screen.get().replace("\n", " ")
    # And one call goes on with as much as it says
    assert api.delete("/v1/holds/table/nba.box?extra=3") == {"released": True, "allowed": 3}
    (change,) = api.get("/v1/audit?limit=1")["items"]
    assert (change["action"], change["target"], change["after"]) == ("release", "table nba.box", {"extra": 3})
    rest(api.world)
    assert api.get("/v1/progress")["budgets"][0] | {"resets_at": ""} == {
        "kind": "table",
        "key": "nba.box",
        "limit": 2,
        "extra": 3,
        "spent": 5,
        "resets_at": "",
    }


def test_the_warehouses_bytes_are_lifted_over_http(api):
    # Given bytes spent beyond the limit, and the hold that follows
    ledger = BytesLedger(api.world.db)
    ledger.add(quota_day(api.world.time, PACIFIC), 1500)
    budget = DailyBudget(1000, ledger, api.world.clock, PACIFIC)
    with pytest.raises(WarehouseError) as raised:
        budget.check()
    api.world.warehouse.down = str(raised.value)
    api.enqueue("2021-10-19")
    rest(api.world)
    # When it is lifted
    api.world.warehouse.down = ""
    assert api.delete("/v1/holds/warehouse") == {"released": True, "allowed": 100}
    # Then exactly what was allowed can be billed
    budget.check()
    ledger.add(quota_day(api.world.time, PACIFIC), 100)
    with pytest.raises(WarehouseError, match="1600 of 1000 bytes and the 600 allowed beyond them"):
        budget.check()
