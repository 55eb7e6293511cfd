"""What is told over sd_notify's socket, and that nobody else can tell it."""

import os
import socket

import pytest

from backfilld.daemon.systemd import Manager


@pytest.fixture(params=["path", "abstract"])
def told(request, tmp_path):
    """A socket as systemd makes them, and its address as NOTIFY_SOCKET has it."""
    address = f"@backfilld-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(address.replace("@", "\0"))
        server.setblocking(False)
        yield server, address


def heard(server):
    messages = []
    while True:
        try:
            messages.append(server.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_every_message_is_one_datagram_of_lines(told):
    server, address = told
    manager = Manager({"NOTIFY_SOCKET": address})
    manager.status("opening")
    manager.ready("serves nba")
    manager.stopping("stopping")
    assert heard(server) == ["STATUS=opening", "READY=1\nSTATUS=serves nba", "STOPPING=1\nSTATUS=stopping"]


def test_the_variables_are_taken_out_of_the_environment(told):
    _, address = told
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    Manager(environment)
    assert environment == {"PATH": "/bin"}


def test_the_watchdog_is_fed_at_a_quarter_of_its_time_however_often_the_loop_comes_round(told, monkeypatch):
    server, address = told
    clock = [1000.0]
    monkeypatch.setattr("backfilld.daemon.systemd.time.monotonic", lambda: clock[0])
    manager = Manager(
        {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "8000000", "WATCHDOG_PID": str(os.getpid())}
    )
    assert manager.beat_seconds == 2.0
    for _ in range(80):
        manager.beat()
        clock[0] += 0.1
    assert heard(server) == ["WATCHDOG=1"] * 4


@pytest.mark.parametrize(
    "watchdog",
    [
        {},
        {"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "0"},
    ],
    ids=["none", "of another process", "no number", "switched off"],
)
def test_without_a_watchdog_of_our_own_none_is_fed(told, watchdog):
    server, address = told
    manager = Manager({"NOTIFY_SOCKET": address} | watchdog)
    manager.beat()
    assert manager.beat_seconds is None
    assert heard(server) == []


@pytest.mark.parametrize("address", ["", "/nowhere/at/all"], ids=["no manager", "one that is gone"])
def test_nobody_who_listens_is_no_fault(address):
    manager = Manager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "8000000"})
    manager.ready("serves nba")
    manager.beat()
