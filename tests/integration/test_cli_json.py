"""`--json` prints all that the text of a verb shows."""

import json

from backfilld.daemon.executors.attempt_files import FileLog
from tests.simulation.world import Work

RANGE = ("2021-10-27", "2021-10-29")
WAIT = ("enqueue", *RANGE, "--wait")


def test_status_in_json_has_what_its_text_shows(command, api):
    api.world.script = lambda job: Work(code=1)
    command("enqueue", "2021-10-28", "--wait")
    printed = json.loads(command("status", "--json").out)
    assert printed["progress"]["dates"]["failed"] == 1
    assert [one["date"] for one in printed["failed"]] == ["2021-10-28"]
    assert [one["id"] for one in printed["backfills"]] == [1]
    assert printed["activity"]["running"] == []


def test_a_wait_with_json_prints_the_outcomes_and_then_the_progress_a_document_a_line(command):
    ended = command(*WAIT, "--json")
    first, *_, last = map(json.loads, ended.out.splitlines())
    assert (ended.code, first["outcomes"], last["backfill"]["status"]) == (0, {"enqueued": 3}, "finished")


def test_logs_in_json_has_the_attempt_and_its_log(command, api, monkeypatch, tmp_path):
    log = tmp_path / "1.log"
    log.write_text("one\ntwo\n")
    monkeypatch.setattr(api.world.executor, "log", lambda number: FileLog(log))
    command("enqueue", "2021-10-28", "--wait")
    attempt = json.loads(command("logs", "1", "--json").out)
    assert (attempt["id"], attempt["dates"], attempt["log"]) == (1, ["2021-10-28"], "one\ntwo\n")
    assert json.loads(command("logs", "1", "--tail", "1", "--json").out)["log"] == "two\n"


def test_the_mistakes_of_a_pipeline_file_are_listed_in_json(command, tmp_path):
    bad = tmp_path / "bad.toml"
    bad.write_text("name = ", encoding="utf-8")
    ended = command("pipeline", "check", "--pipeline", str(bad), "--json")
    printed = json.loads(ended.out)
    assert (ended.code, printed["file"]) == (1, str(bad))
    assert "is not TOML" in printed["problems"][0]
