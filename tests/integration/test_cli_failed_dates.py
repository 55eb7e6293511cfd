"""`status DATE` of a failed date, and the wait of a date behind it, suggest the command that helps."""

from __future__ import annotations

import pytest

from tests.integration.api_world import Api
from tests.integration.command_line import CommandLine
from tests.simulation.world import Work

DATE = "2021-10-28"


@pytest.mark.parametrize(
    ("work", "options", "reason", "suggested"),
    [
        (Work(), (), "blocked: box: no data: ", f"backfilld accept {DATE} box --reason TEXT"),
        (Work(code=1), (), "exhausted: box: failed: ", f"backfilld retry {DATE}"),
        (
            Work(),
            ("--sources", "none"),
            "blocked: box: never_ran: ",
            f"backfilld enqueue {DATE} --sources all",
        ),
    ],
    ids=["writes nothing", "exits 1", "may not run"],
)
def test_the_status_of_a_failed_date_suggests_what_helps(
    command: CommandLine, api: Api, work: Work, options: tuple[str, ...], reason: str, suggested: str
) -> None:
    api.world.script = lambda _: work
    assert command("enqueue", DATE, *options, "--wait").code == 1
    ended = command("status", DATE)
    assert ended.rows(f"{DATE} failed {reason}")
    assert [line for line in ended.rows("→") if line.startswith("→")] == [f"→ {suggested}"]


def test_what_is_suggested_for_a_date_without_data_lets_it_pass(command: CommandLine, api: Api) -> None:
    api.world.script = lambda job: Work() if job.env["BACKFILLD_PROCESSOR"] == "box" else api.world.well(job)
    command("enqueue", DATE, "--wait")
    (line,) = command("status", DATE).rows("→ backfilld accept")
    assert command(*line.split()[2:-1], "no games were played").code == 0
    api.world.run()
    assert api.get(f"/v1/dates/{DATE}")["outcome"] == "waived"
