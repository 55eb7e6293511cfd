"""`backfilld hold` and `backfilld release`: an operator holds a processor, a table or the warehouse."""

import json

import pytest

from backfilld.daemon.warehouses.adapter import WarehouseError
from tests.integration.api_world import Api
from tests.integration.command_line import CommandLine


@pytest.mark.parametrize("key", [("processor", "box"), ("table", "nba.box")])
def test_a_held_processor_or_table_starts_no_job_until_it_is_released(command: CommandLine, api: Api, key):
    # Given a hold with its reason
    held = command("hold", *key, "--reason", "being repaired")
    assert (held.code, held.out) == (0, f"{' '.join(key)} is held\n")
    # When a date is enqueued, it waits for the hold
    command("enqueue", "2021-10-28")
    api.world.run()
    assert not api.get("/v1/attempts?processor=box")["items"]
    waiting_on = api.get("/v1/dates/2021-10-28")["waiting_on"]
    name = " ".join(key)
    assert waiting_on == f"{name} is held by anonymous: being repaired; backfilld release {name}"
    # Then it ends well after the release
    assert command("release", *key).out == f"{' '.join(key)} is released\n"
    api.world.run()
    assert api.get("/v1/dates/2021-10-28")["outcome"] == "complete"


def test_a_held_warehouse_is_not_queried_until_it_is_released(command: CommandLine, api: Api):
    command("hold", "warehouse", "--reason", "migration of the project")
    command("enqueue", "2021-10-28")
    api.world.run()
    shown = api.get("/v1/dates/2021-10-28")
    assert (
        "the warehouse is held by anonymous: migration of the project; backfilld release warehouse"
        in shown["waiting_on"]
    )
    assert not shown["attempts"]
    command("release", "warehouse")
    api.world.run()
    assert api.get("/v1/dates/2021-10-28")["outcome"] == "complete"


def test_an_operator_takes_over_the_hold_of_an_outage_which_then_lasts(command: CommandLine, api: Api):
    # Given a warehouse that does not answer
    api.world.engine.validator.pause_queries(WarehouseError("503 from the warehouse"))
    (outage,) = api.get("/v1/holds")["items"]
    assert outage["text"] == "the warehouse is not queried: 503 from the warehouse"
    # When an operator holds it, the hold is the operator's, and no answer ends it
    assert command("hold", "warehouse", "--reason", "migration").code == 0
    command("enqueue", "2021-10-28")
    api.world.run()
    (hold,) = api.get("/v1/holds")["items"]
    assert (hold["actor"], hold["until"]) == ("anonymous", None)
    assert hold["text"] == "the warehouse is held by anonymous: migration"


def test_an_outage_does_not_change_the_hold_of_an_operator(command: CommandLine, api: Api):
    # Given a query in flight when an operator holds the warehouse
    command("hold", "warehouse", "--reason", "migration of the project")
    before = api.get("/v1/holds")["items"]
    # When that query fails
    api.world.engine.validator.pause_queries(WarehouseError("503 from the warehouse"))
    # Then the hold is what it was
    assert api.get("/v1/holds")["items"] == before


def test_a_hold_is_audited_with_its_actor_and_reason(command: CommandLine, api: Api):
    command("hold", "processor", "box", "--reason", "being repaired")
    (row,) = json.loads(command("audit", "--action", "hold", "--json").out)["items"]
    assert (row["actor"], row["target"], row["before"]) == ("anonymous", "processor box", None)
    assert (row["after"]["reason"], row["after"]["actor"]) == ("being repaired", "anonymous")


def test_what_is_held_already_is_a_conflict_and_keeps_its_reason(command: CommandLine, api: Api):
    command("hold", "processor", "box", "--reason", "first")
    again = command("hold", "processor", "box", "--reason", "second")
    assert (again.code, again.err) == (
        1,
        "backfilld: processor box is held already; to change the reason, release it first\n",
    )
    assert [hold["reason"] for hold in api.get("/v1/holds")["items"]] == ["first"]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (("processor", "boxes"), "key: there is no processor 'boxes'; did you mean 'box'?"),
        (("table", "nba.boxx"), "key: there is no table 'nba.boxx'; did you mean 'nba.box'?"),
    ],
)
def test_an_unknown_name_is_refused_with_a_suggestion(command: CommandLine, key, message):
    refused = command("hold", *key, "--reason", "x")
    assert (refused.code, refused.err) == (2, f"backfilld: {message}\n")
