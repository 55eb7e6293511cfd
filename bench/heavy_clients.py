"""What clients cost the engine, and what hostile clients cost operators: a real daemon on the demo's lake.

python -m bench.heavy_clients readers [--dates 5] [--rounds 2]
python -m bench.heavy_clients hostile [--seconds 60] [--silent 150] [--slow 150] [--open 2000]

`readers` times 14 jobs per date, alone and beside 10 connections that read `/` without a pause, in turn.
`hostile` times an operator who pauses and resumes every second, and a probe of /livez, beside connections
that say nothing, connections that send a byte every 5 s, and connections that are opened and left.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import itertools
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from backfilld.state.errors import BackfilldError
from bench.arguments import conditions, parser
from tests.acceptance.daemon import Daemon, daemon

OPENER = dt.date(2021, 10, 19)
READERS = 10
PATIENCE = 60.0
PAUSE_SECONDS = 1.0
SLOW_SECONDS = 5.0


def main() -> None:
    """Print the figures."""
    options = parser(__doc__)
    options.add_argument("what", choices=("readers", "hostile"))
    options.add_argument("--dates", type=int, default=5)
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--seconds", type=float, default=60.0)
    for name, number in (("silent", 150), ("slow", 150), ("open", 2000)):
        options.add_argument(f"--{name}", type=int, default=number)
    chosen = options.parse_args()
    print(conditions())
    if chosen.what == "readers":
        _readers(chosen.dates, chosen.rounds)
    else:
        _hostile(chosen.seconds, silent=chosen.silent, slow=chosen.slow, opened=chosen.open)
    print(conditions())


def _readers(dates: int, rounds: int) -> None:
    alone, beside = [], []
    for _ in range(rounds):
        alone.append(_seconds_of_jobs(dates, readers=0)[0])
        seconds, read = _seconds_of_jobs(dates, readers=READERS)
        beside.append(seconds)
        print(f"alone {alone[-1]:.1f} s, beside readers {seconds:.1f} s, {read / seconds:.0f} pages a second")
    ratio = statistics.median(beside) / statistics.median(alone)
    print(f"{14 * dates} jobs: {ratio:.2f} times as long beside {READERS} connections that read /")


def _seconds_of_jobs(dates: int, *, readers: int) -> tuple[float, int]:
    """How long a backfill takes, and how many pages were read meanwhile."""
    with (
        tempfile.TemporaryDirectory() as folder,
        daemon(Path(folder) / "d") as one,
        _reading(one.port, readers) as read,
    ):
        began = time.monotonic()
        number = one.enqueue(str(OPENER), str(OPENER + dt.timedelta(days=dates - 1)))
        one.wait_for(lambda: _at_rest(one, number), "finished")
        return time.monotonic() - began, len(read)


def _at_rest(one: Daemon, number: int) -> bool:
    time.sleep(0.2)
    return one.status(number) == "finished"


@contextlib.contextmanager
def _reading(port: int, readers: int) -> Iterator[list[int]]:
    """Connections that read the overview without a pause; the statuses of what they were sent."""
    statuses: list[int] = []
    ended = threading.Event()

    def read() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        while not ended.is_set():
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        connection.close()

    threads = [threading.Thread(target=read) for _ in range(readers)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        ended.set()
        for thread in threads:
            thread.join(PATIENCE)


def _hostile(seconds: float, *, silent: int, slow: int, opened: int) -> None:
    with tempfile.TemporaryDirectory() as folder, daemon(Path(folder) / "d", pace="0.2") as one:
        one.enqueue(str(OPENER), str(OPENER + dt.timedelta(days=27)))
        ended = threading.Event()
        attacks = (
            lambda: _hold_silent(one.port, silent, ended),
            lambda: _send_slowly(one.port, slow, ended),
            lambda: _open(one.port, opened, seconds, ended),
        )
        threads = [threading.Thread(target=attack) for attack in attacks]
        for thread in threads:
            thread.start()
        try:
            _operate(one, time.monotonic() + seconds)
        finally:
            ended.set()
            for thread in threads:
                thread.join(PATIENCE)


def _operate(one: Daemon, until: float) -> None:
    steering: list[float] = []
    probes: list[float] = []
    failed: list[str] = []
    for verb in itertools.cycle(("pause", "resume")):
        if time.monotonic() > until:
            break
        with contextlib.ExitStack() as stack:
            stack.callback(time.sleep, PAUSE_SECONDS)
            for answers, request in (
                (steering, lambda verb=verb: one.client.post(f"/v1/{verb}")),
                (probes, lambda: one.client.text("/livez")),
            ):
                if error := _timed(answers, request):
                    failed.append(error)
    for name, answers in (("pause and resume", steering), ("/livez", probes)):
        slowest, median = max(answers), statistics.median(answers)
        print(f"{name}: {len(answers)} answers, slowest {slowest:.3f} s, median {median:.3f} s")
    print(f"refused: {failed or 'none'}")


def _timed(answers: list[float], request: Callable[[], object]) -> str:
    """Send a request. Returns its error, empty without one."""
    began = time.monotonic()
    try:
        request()
    except (BackfilldError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        answers.append(time.monotonic() - began)
    return ""


def _connect(port: int) -> socket.socket | None:
    with contextlib.suppress(OSError):
        return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    return None


def _hold_silent(port: int, number: int, ended: threading.Event) -> None:
    """Keep connections open that say nothing, and open them again once they were closed."""
    held: list[socket.socket | None] = []
    while not ended.wait(1.0):
        held = [connection for connection in held if connection is not None and _open_still(connection)]
        held += [_connect(port) for _ in range(number - len(held))]
    _close(held)


def _send_slowly(port: int, number: int, ended: threading.Event) -> None:
    held: list[socket.socket | None] = []
    while not ended.wait(SLOW_SECONDS):
        held = [connection for connection in held if connection is not None and _sent(connection, b"G")]
        held += [_connect(port) for _ in range(number - len(held))]
    _close(held)


def _open(port: int, number: int, seconds: float, ended: threading.Event) -> None:
    held: list[socket.socket | None] = []
    while len(held) < number and not ended.wait(seconds / number / 2):
        held.append(_connect(port))
    ended.wait()
    _close(held)


def _open_still(connection: socket.socket) -> bool:
    try:
        return bool(connection.recv(1, socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _sent(connection: socket.socket, data: bytes) -> bool:
    try:
        connection.sendall(data)
    except OSError:
        return False
    return True


def _close(held: list[socket.socket | None]) -> None:
    for connection in held:
        if connection is not None:
            connection.close()


if __name__ == "__main__":
    main()
