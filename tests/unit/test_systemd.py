"""Notifications to systemd over the socket of sd_notify, which no job can send."""

import os
import signal
import socket
import time

import pytest

from backfilld.api.cli.commands import serve
from backfilld.daemon.settings import settings
from backfilld.daemon.systemd import Manager
from backfilld.state.pipeline.loading import PipelineError


@pytest.fixture(params=["path", "abstract"])
def notify_socket(request, tmp_path):
    """A socket as systemd creates it, with its address as in NOTIFY_SOCKET."""
    address = f"@backfilld-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(address.replace("@", "\0"))
        server.setblocking(False)
        yield server, address


def received(server):
    messages = []
    while True:
        try:
            messages.append(server.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_every_message_is_one_datagram_of_lines(notify_socket):
    server, address = notify_socket
    manager = Manager({"NOTIFY_SOCKET": address})
    manager.status("opening")
    manager.ready("serves nba")
    manager.stopping("stopping")
    assert received(server) == ["STATUS=opening", "READY=1\nSTATUS=serves nba", "STOPPING=1\nSTATUS=stopping"]


def test_the_variables_are_removed_from_the_environment(notify_socket):
    _, address = notify_socket
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    Manager(environment)
    assert environment == {"PATH": "/bin"}


def test_a_new_program_in_the_process_gets_the_removed_variables(notify_socket):
    server, address = notify_socket
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "8000000", "WATCHDOG_PID": str(os.getpid())}
    manager = Manager({**environment, "PATH": "/bin"})
    assert manager.variables == environment
    # The same pid may notify, and feeds the watchdog
    again = Manager(dict(manager.variables))
    again.ready("serves nba")
    again.beat()
    assert received(server) == ["READY=1\nSTATUS=serves nba", "WATCHDOG=1"]


def test_a_reload_names_its_time_by_the_clock_of_systemd(notify_socket):
    server, address = notify_socket
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    Manager({"NOTIFY_SOCKET": address}).reloading("reading")
    reloading, at, status = received(server)[0].splitlines()
    assert (reloading, status) == ("RELOADING=1", "STATUS=reading")
    name, _, microseconds = at.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(microseconds) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_the_watchdog_is_fed_every_quarter_of_its_interval_however_often_the_loop_runs(
    notify_socket, monkeypatch
):
    server, address = notify_socket
    clock = [1000.0]
    monkeypatch.setattr("backfilld.daemon.systemd.time.monotonic", lambda: clock[0])
    manager = Manager(
        {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "8000000", "WATCHDOG_PID": str(os.getpid())}
    )
    assert manager.beat_seconds == 2.0
    for _ in range(80):
        manager.beat()
        clock[0] += 0.1
    assert received(server) == ["WATCHDOG=1"] * 4


@pytest.mark.parametrize(
    "watchdog",
    [
        {},
        {"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "0"},
    ],
    ids=["none", "of another process", "not a number", "switched off"],
)
def test_a_watchdog_of_another_process_is_not_fed(notify_socket, watchdog):
    server, address = notify_socket
    manager = Manager({"NOTIFY_SOCKET": address} | watchdog)
    manager.beat()
    assert manager.beat_seconds is None
    assert received(server) == []


@pytest.mark.parametrize("address", ["", "/nowhere/at/all"], ids=["no manager", "a manager that has gone"])
def test_a_missing_service_manager_is_not_an_error(address):
    manager = Manager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "8000000"})
    manager.ready("serves nba")
    manager.beat()


def test_the_status_shows_why_a_pipeline_file_is_refused(notify_socket, tmp_path, monkeypatch):
    server, address = notify_socket
    (tmp_path / "p.toml").write_text('name = "p"\nwarehouse = { kind = "lake", path = "lake" }\nphases = 1\n')
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    # And nothing of the daemon's process becomes one of the tests' process
    monkeypatch.setattr(serve, "raise_open_files", lambda: None)
    monkeypatch.setattr(serve.faulthandler, "enable", lambda: None)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    chosen = settings(pipeline=str(tmp_path / "p.toml"), state_dir=str(tmp_path / "state"), environment={})
    try:
        with pytest.raises(PipelineError):
            serve.run(chosen)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    opening, refused = received(server)
    assert opening == "STATUS=opening the state database"
    assert refused.startswith("STATUS=refused to start: ")
    assert "unknown key 'phases'; did you mean 'phase'?" in refused
