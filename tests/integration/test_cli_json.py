"""What `--json` prints is all that the verb's text tells."""

import json

import pytest

from tests.integration.api_world import make_api
from tests.integration.command_line import beside
from tests.simulation.world import Work

RANGE = ("2021-10-27", "2021-10-29")
WAIT = ("enqueue", *RANGE, "--wait")


@pytest.fixture
def api(tmp_path):
    return make_api(tmp_path)


@pytest.fixture
def command(api, monkeypatch, capsys):
    with beside(api, monkeypatch, capsys) as found:
        yield found


def test_status_in_json_has_what_its_text_tells(command, api):
    api.world.script = lambda job: Work(code=1)
    command("enqueue", "2021-10-28", "--wait")
    told = json.loads(command("status", "--json").out)
    assert told["progress"]["dates"]["failed"] == 1
    assert [one["date"] for one in told["failed"]] == ["2021-10-28"]
    assert [one["id"] for one in told["backfills"]] == [1]
    assert told["activity"]["running"] == []


def test_a_wait_that_is_asked_for_json_prints_the_receipt_with_what_it_came_to(command):
    ended = command(*WAIT, "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["outcomes"], told["backfill"]["status"]) == (0, {"enqueued": 3}, "finished")


def test_a_bad_pipeline_file_is_told_in_json(command, tmp_path):
    bad = tmp_path / "bad.toml"
    bad.write_text("name = ", encoding="utf-8")
    ended = command("pipeline", "check", "--pipeline", str(bad), "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["file"]) == (1, str(bad))
    assert "is not TOML" in told["problems"][0]
