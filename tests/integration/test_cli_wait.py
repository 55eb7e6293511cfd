"""The exit codes of `enqueue --wait` and `watch --until-done`, against the real API of a simulated world."""

import json

import pytest

from backfilld.api.cli import watch_loop
from backfilld.state.records import Actor
from tests.simulation.world import Work

RANGE = ("2021-10-27", "2021-10-29")
WAIT = ("enqueue", *RANGE, "--wait")
OTHER = Actor(name="another operator")


def when_it_waits(api, monkeypatch, act):
    """Act once while a command waits for the first time."""
    acts = [act]

    def sleep(seconds):
        if acts:
            acts.pop()(api.world.commands)
        api.world.step()

    monkeypatch.setattr(watch_loop.time, "sleep", sleep)


def test_a_wait_that_goes_well_ends_with_0_also_for_a_request_that_joins(command, api):
    assert command(*WAIT).code == 0
    command("enqueue", "2021-10-30")
    assert command("enqueue", "2021-10-30", "--wait").code == 0


def test_a_request_that_joins_a_running_date_waits_for_it_and_fails_with_it(command, api):
    # Given a date whose job runs for another request, and will fail
    api.world.script = lambda job: Work(code=1)
    command("enqueue", "2021-10-30")
    api.world.settle()
    ended = command("enqueue", "2021-10-30", "--wait")
    assert ended.rows("1 date: 1 joined")
    assert ended.code == 1


@pytest.mark.parametrize(
    ("act", "status"),
    [
        (lambda commands: commands.pause(1, by=OTHER), "paused"),
        (lambda commands: commands.cancel(1, by=OTHER), "cancelled"),
        (lambda commands: commands.pause_everything(by=OTHER, reason="lunch"), "stuck"),
        (lambda commands: commands.hold("processor", "box", by=OTHER, reason="broken"), "stuck"),
    ],
)
def test_a_wait_ends_with_1_when_another_operator_stops_it(command, api, monkeypatch, act, status):
    when_it_waits(api, monkeypatch, act)
    ended = command(*WAIT)
    assert ended.code == 1
    assert f"backfill 1 is {status}" in ended.out.splitlines()[-1]


def test_a_request_that_joins_a_paused_one_is_not_paused_by_it(command, api, monkeypatch):
    command("enqueue", *RANGE)
    command("pause", "1")
    assert command(*WAIT).code == 0


def test_a_wait_ends_with_1_when_the_backfill_stops_itself(command, api):
    def script(job):
        return Work(code=1) if job.env["BACKFILLD_DATE"] == RANGE[0] else Work(seconds=3600)

    api.world.script = script
    ended = command(*WAIT, "--max-failures", "1")
    assert ended.code == 1
    last = ended.out.splitlines()[-1]
    assert "backfill 1 is stopped" in last
    assert "; 1 date failed, max_failures is 1; backfilld resume 1; " in last


def test_a_wait_for_dates_that_are_done_already_says_that_there_is_nothing_to_do(command):
    command(*WAIT)
    ended = command(*WAIT)
    assert ended.code == 0
    assert f"backfill 2 is finished: nothing to do for {RANGE[0]}..{RANGE[-1]};" in ended.out.splitlines()[-1]


def test_a_wait_that_is_stuck_says_what_helps(command):
    command("hold", "processor", "box", "--reason", "broken")
    ended = command(*WAIT)
    assert ended.code == 1
    assert ended.rows("is stuck", "stuck on", "backfilld release processor box")


def test_a_wait_ends_with_1_at_its_timeout_and_the_backfill_goes_on(command, api):
    ended = command(*WAIT, "--timeout", "0s")
    assert ended.code == 1
    assert "not finished within --timeout" in ended.err
    assert command("watch", "1").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("enqueue", *RANGE, "--timeout", "5m"), "--timeout is for --wait"),
        ((*WAIT, "--timeout", "soon"), "is not a duration"),
    ],
)
def test_a_timeout_that_makes_no_sense_is_refused(command, words, message):
    ended = command(*words)
    assert ended.code == 2
    assert message in ended.err


def test_watch_until_done_ends_with_1_where_every_backfill_is_stuck_or_paused(command, api):
    # Given a date that waits for an upstream that no backfill selects, and another one that is paused
    command("enqueue", "2021-10-28", "--select", "cache")
    command("enqueue", "2021-10-30", "--priority", "-1")
    command("pause", "2")
    ended = command("watch", "--until-done", "--json")
    assert ended.code == 1
    last = json.loads(ended.out.splitlines()[-1])
    assert (last["activity"]["stuck"], last["progress"]["dates"]["live"]) == (True, 2)
    # When one of them can move again, it is followed until it stays where it is
    command("resume", "2")
    assert command("watch", "--until-done").code == 1
    assert api.get("/v1/dates/2021-10-30")["outcome"] == "complete"
    assert api.get("/v1/backfills/1")["status"] == "stuck"
