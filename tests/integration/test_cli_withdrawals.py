"""What the command line prints of waivers that a retry or a request withdraws."""

import pytest

from tests.integration.api_world import Api
from tests.integration.command_line import CommandLine
from tests.simulation.season import fails

DATE = "2021-10-28"
TEXT = "withdraws the waiver of box (accepted by anonymous: arena closed)"


@pytest.fixture
def failed(api: Api) -> Api:
    """A date that passes without an output, which an operator accepted, and fails for a later one."""
    fails(api.world, "box", code=1)
    fails(api.world, "zones", code=1)
    api.enqueue(DATE)
    api.world.run()
    api.post(f"/v1/dates/{DATE}/accept", {"processor": "box", "reason": "arena closed"})
    api.world.run()
    assert api.get(f"/v1/dates/{DATE}")["reason"].startswith("zones: ")
    return api


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("retry", DATE), f"{DATE} put back to pending; {TEXT}"),
        (("retry", DATE, "--processor", "box"), f"{DATE}: box runs again as backfill 2; {TEXT}; what is"),
        (("retry", DATE, DATE), f"  {DATE}  changed  {TEXT}"),
        (("retry", "1"), f"  {DATE} {TEXT}"),
        (("enqueue", DATE, "--dry-run"), TEXT),
    ],
    ids=["date", "processor", "range", "backfill", "dry run"],
)
def test_each_verb_names_the_waiver_that_it_withdraws(command: CommandLine, failed: Api, words, line):
    ended = command(*words)
    assert ended.code == 0
    assert ended.out.count(line) == 1


def test_a_retry_of_another_processor_withdraws_nothing(command: CommandLine, failed: Api):
    assert "waiver" not in command("retry", DATE, "--processor", "zones").out
