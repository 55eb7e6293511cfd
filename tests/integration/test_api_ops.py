"""How everything stands, over HTTP: progress, the pipeline, health."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path

import pytest

from backfilld.daemon.executors.attempt_files import FileLog
from backfilld.daemon.leadership import UNKNOWN
from backfilld.state.store.database_errors import DatabaseUnavailable
from tests.factories import nba
from tests.integration.api_world import Api, make_api, refused


def test_progress_of_nothing_is_whole_and_says_why_there_is_no_eta(api: Api) -> None:
    told = api.get("/v1/progress")
    assert told["dates"] == {"total": 0, "done": 0, "failed": 0, "live": 0}
    assert [phase["ratio"] for phase in told["phases"]] == [1.0, 1.0]
    assert (told["rate_per_hour"], told["eta"], told["eta_method"]) == (None, None, "nothing is left to do")
    assert (told["paused"], told["holds"], told["running"], told["last_progress_at"]) == (False, [], [], None)


def test_progress_counts_what_is_to_come_before_it_is_admitted(api: Api) -> None:
    # Given dates that the engine has not looked at yet
    api.enqueue("2021-10-19", "2021-10-28")
    # Then a phase needs them all
    (first, second) = api.get("/v1/progress")["phases"]
    assert (first["satisfied"], first["total"], first["ratio"]) == (0, 20, 0.0)
    assert (second["satisfied"], second["total"]) == (0, 20)


def test_progress_tells_phases_processors_seasons_and_what_runs(api: Api) -> None:
    # Given five dates and a day off, on the way
    api.enqueue("2021-10-18", "2021-10-23")
    for _ in range(6):
        api.world.step()
    told = api.get("/v1/progress")
    # Then every figure of one kind adds up to the same dates
    assert told["dates"]["total"] == 6
    assert sum(told["states"].values()) == 6
    assert told["dates"]["live"] + told["dates"]["done"] + told["dates"]["failed"] == 6
    assert sum(told["waiting"].values()) == told["dates"]["live"]
    (first, second) = told["phases"]
    assert first["phase"] == "phase2"
    assert first["total"] == second["total"] == 10
    assert first["satisfied"] == sum(p["satisfied"] for p in first["processors"])
    assert all(sum(p["verdicts"].values()) == p["total"] for p in first["processors"])
    assert told["seasons"][0]["season"] == "2021-22"
    assert told["seasons"][0]["total"] == 5
    assert {running["processor"] for running in told["running"]} <= {"box", "extra", "zones", "cache"}
    assert all(running["age_seconds"] >= 0 and running["dates"] for running in told["running"])


def test_a_rate_and_an_eta_come_with_how_they_were_computed(api: Api) -> None:
    # Given dates that flow
    api.enqueue("2021-10-19", "2021-11-20")
    for _ in range(60):
        api.world.step()
    told = api.get("/v1/progress")
    # Then the ETA is what the sentence says
    left = told["dates"]["live"]
    assert told["eta_method"].startswith(f"{left} dates left at {told['rate_per_hour']:.1f} an hour: ")
    eta = dt.datetime.fromisoformat(told["eta"]).timestamp()
    assert eta == pytest.approx(api.world.clock() + left / told["rate_per_hour"] * 3600, abs=0.01)
    # When everything is paused, nobody can tell any more
    api.post("/v1/pause", {"reason": "quota"})
    told = api.get("/v1/progress")
    assert told["paused"] is True
    assert (told["eta"], told["eta_method"]) == (None, "unknown while everything is paused")


def test_the_pipeline_tells_its_phases_states_and_diagram(tmp_path: Path) -> None:
    told = make_api(tmp_path, made=nba).get("/v1/pipeline")
    assert told["name"] == "nba"
    assert told["phases"][2] == {
        "phase": "phase4",
        "order": "sequential",
        "processors": ["team_defense_zone_analysis", "player_daily_cache"],
    }
    assert told["states"] == [
        "pending",
        "phase2",
        "phase3",
        "phase4-step-1",
        "phase4-step-2",
        "done",
        "failed",
    ]
    assert told["diagram"].startswith("stateDiagram-v2")


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz"])
def test_a_daemon_that_is_well_says_ok(api: Api, path: str) -> None:
    response = api.client.get(path)
    assert (response.status_code, response.text) == (200, "ok\n")
    assert response.content_type == "text/plain; charset=utf-8"


def test_a_loop_that_does_not_come_round_is_not_alive(api: Api) -> None:
    api.behind.alive = False
    for path in ("/livez", "/healthz"):
        response = api.client.get(path)
        assert (response.status_code, response.text) == (503, "engine: the engine loop is stuck\n")


def test_a_daemon_with_something_wrong_is_not_ready_but_alive(api: Api) -> None:
    api.behind.wrong["engine"] = "ZeroDivisionError: oh"
    response = api.client.get("/readyz")
    assert (response.status_code, response.text) == (503, "engine: ZeroDivisionError: oh\n")
    assert api.client.get("/livez").status_code == 200


def test_a_state_database_that_is_away_makes_it_unready_in_plain_text(api, monkeypatch):
    def away():
        raise DatabaseUnavailable("postgresql://db/nba: no session")

    monkeypatch.setattr(api.behind.context.db, "read", away)
    # Given that the engine has not noticed yet
    response = api.client.get("/readyz")
    assert (response.status_code, response.text) == (503, "database: postgresql://db/nba: no session\n")
    assert response.content_type == "text/plain; charset=utf-8"
    # And once it has
    api.behind.wrong["engine"] = "postgresql://db/nba: the connection was lost"
    assert api.client.get("/readyz").text == "engine: postgresql://db/nba: the connection was lost\n"
    # Then metrics still tell monitoring so
    assert api.scrape()['backfilld_healthy{check="engine"}'] == 0


def test_a_daemon_that_knows_no_leader_tells_why_the_state_database_refuses(api, monkeypatch):
    api.behind.standby = UNKNOWN
    assert api.post("/v1/pause")["paused"] is True, "the database decides"

    def away():
        raise DatabaseUnavailable("postgresql://db/nba: no session")

    monkeypatch.setattr(api.behind.context.db, "write", away)
    assert refused(api.client.post("/v1/resume", json={}), 503) == ("", "postgresql://db/nba: no session")
    # But one that knows the leader names it
    api.behind.standby = "leader is night:4711"
    assert "standby and makes no changes: leader is night:4711" in api.client.post("/v1/resume").text


def test_what_is_held_is_shown_and_does_not_make_it_unready(api: Api) -> None:
    # Given a warehouse that is down, and a pause
    api.world.warehouse.down = "no route to host"
    api.enqueue("2021-10-19")
    api.world.settle()
    api.post("/v1/pause", {"reason": "quota"})
    # Then the daemon is ready all the same, and shows both to people
    response = api.client.get("/readyz?verbose")
    assert response.status_code == 200
    assert response.text.splitlines() == [
        "[+] engine ok",
        "[+] warehouse ok, but not queried: held",
        "[!] hold warehouse: the warehouse is not queried: no route to host",
        "[!] hold all: everything is paused by anonymous: quota",
        "ok",
    ]


def test_an_executor_that_cannot_start_jobs_is_named_and_does_not_make_it_unready(api: Api) -> None:
    api.world.executor.unavailable_reason = "a worker that can import backfilld"
    api.enqueue("2021-10-19")
    api.world.run()
    response = api.client.get("/readyz?verbose")
    assert response.status_code == 200
    assert "[!] executor local: waits for a worker that can import backfilld" in response.text.splitlines()
    # And dates say so, by the executor's name
    waits = "the executor local: a worker that can import backfilld"
    assert api.get("/v1/dates/2021-10-19")["waiting_on"] == waits
    # Once it can, jobs start, and nothing is left of it
    api.world.executor.unavailable_reason = ""
    api.world.run()
    assert "executor" not in api.client.get("/readyz?verbose").text


def test_activity_tells_what_runs_with_its_last_line_and_what_waits(tmp_path, monkeypatch):
    # Given jobs under way, one of which has written something
    api = make_api(tmp_path)
    monkeypatch.setattr(api.world.executor, "log", lambda number: FileLog(tmp_path / f"{number}.log"))
    api.enqueue("2021-10-27", "2021-10-28")
    api.world.settle()
    (tmp_path / "1.log").write_bytes(b"begun\n50 % of it\n")
    # Then it is told, and so is what waits for what
    told = api.get("/v1/activity")
    assert [(job["id"], job["last_line"]) for job in told["running"]] == [(1, "50 % of it"), (2, "")]
    assert {wait["reason"]: wait["dates"] for wait in told["waiting"]} == {"attempt": 1, "slot": 1}
    (slot,) = (wait for wait in told["waiting"] if wait["reason"] == "slot")
    assert (slot["first"], slot["waiting_on"].startswith("a writer of")) == ("2021-10-28", True)


def test_activity_is_of_one_moment(api, monkeypatch):
    # Given jobs under way, and dates that wait
    api.enqueue("2021-10-27", "2021-10-28")
    api.world.settle()
    told = api.get("/v1/activity")
    assert told["running"]
    assert told["waiting"]
    # When all of it ends while the daemon is asked, as soon as it has looked once
    look = api.behind.context.db.read

    @contextlib.contextmanager
    def look_once():
        with look() as tx:
            yield tx
        monkeypatch.undo()
        api.world.run()

    monkeypatch.setattr(api.behind.context.db, "read", look_once)
    # Then it tells how it all was
    assert api.get("/v1/activity") == told
    assert api.get("/v1/activity") == {"running": [], "waiting": [], "stuck": False}


def test_a_warehouse_that_is_held_is_no_failed_check_but_shown_with_it(api: Api) -> None:
    api.post("/v1/holds", {"kind": "warehouse", "reason": "PostgreSQL cannot be queried"})
    response = api.client.get("/readyz?verbose")
    assert response.status_code == 200
    lines = response.text.splitlines()
    assert "[+] warehouse ok, but not queried: held" in lines
    assert any(line.startswith("[!] hold warehouse: ") for line in lines)
    assert api.scrape()['backfilld_healthy{check="warehouse"}'] == 1
    assert api.scrape()['backfilld_holds{by="operator",kind="warehouse"}'] == 1
