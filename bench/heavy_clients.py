"""What clients cost the engine, and what hostile clients cost operators: a real daemon on the demo's lake.

python -m bench.heavy_clients readers [--dates 5] [--rounds 2]
python -m bench.heavy_clients hostile [--seconds 60] [--silent 150] [--slow 150] [--open 2000]

`readers` times 14 jobs per date in turn: alone, beside 10 connections that read `/` without a pause, beside
three browsers that show `/`, and beside three browsers that show another daemon. The last one is what the
browsers cost the machine, whoever answers them.
`hostile` times an operator who pauses and resumes every second, and a probe of /livez, beside connections
that say nothing, connections that send a byte every 5 s, and connections that are opened and left.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import functools
import http.client
import itertools
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from playwright.sync_api import Browser

from backfilld.state.base_errors import BackfilldError
from bench.options_and_machine_load import conditions, parser
from tests.acceptance.daemon import Daemon, daemon
from tests.browser import polls, running, wait_for_poll

OPENER = dt.date(2021, 10, 19)
READERS = 10
BROWSERS = 3
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
    times: dict[str, list[float]] = {name: [] for name in _BESIDE}
    for _ in range(rounds):
        for name, readers in _BESIDE.items():
            seconds, read = _seconds_of_jobs(dates, readers)
            times[name].append(seconds)
            print(
                f"{name}: {seconds:.1f} s, {read / seconds:.1f} answers a second, {conditions()}", flush=True
            )
    alone = statistics.median(times[_ALONE])
    for name, measured in times.items():
        print(f"{14 * dates} jobs {name}: {statistics.median(measured) / alone:.2f} times as long as alone")


def _seconds_of_jobs(dates: int, readers: Readers) -> tuple[float, int]:
    """How long a backfill takes, and how many answers its readers got meanwhile."""
    with (
        tempfile.TemporaryDirectory() as folder,
        daemon(Path(folder) / "d") as one,
        readers(one.port) as answers,
    ):
        began = time.monotonic()
        number = one.enqueue(str(OPENER), str(OPENER + dt.timedelta(days=dates - 1)))
        one.wait_for(lambda: _at_rest(one, number), "finished")
        return time.monotonic() - began, answers()


def _at_rest(one: Daemon, number: int) -> bool:
    time.sleep(0.2)
    return one.status(number) == "finished"


@contextlib.contextmanager
def _no_readers(port: int) -> Iterator[Callable[[], int]]:
    """No readers, and no answers."""
    del port
    yield lambda: 0


@contextlib.contextmanager
def _reading(port: int) -> Iterator[Callable[[], int]]:
    """Connections that read the overview without a pause, and the number of answers."""
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

    threads = [threading.Thread(target=read) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: len(statuses)
    finally:
        ended.set()
        for thread in threads:
            thread.join(PATIENCE)


@contextlib.contextmanager
def _browsing(port: int) -> Iterator[Callable[[], int]]:
    """Browsers that show the overview and poll it, and the number of polls."""
    with contextlib.ExitStack() as stack:
        pages = []
        for _ in range(BROWSERS):
            page = stack.enter_context(contextlib.closing(_chromium().new_page()))
            page.goto(f"http://127.0.0.1:{port}/")
            wait_for_poll(page)
            pages.append(page)
        yield lambda: sum(map(polls, pages))


@contextlib.contextmanager
def _browsing_another(port: int) -> Iterator[Callable[[], int]]:
    """The same browsers at another daemon, which has nothing to do."""
    del port
    with (
        tempfile.TemporaryDirectory() as folder,
        daemon(Path(folder) / "d") as other,
        _browsing(other.port) as answers,
    ):
        yield answers


@functools.cache
def _chromium() -> Browser:
    """One Chromium until this program ends."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(running())


Readers = Callable[[int], contextlib.AbstractContextManager[Callable[[], int]]]
"""Reads the daemon at a port; gives how many answers there were."""
_ALONE = "alone"
_BESIDE: Mapping[str, Readers] = {
    _ALONE: _no_readers,
    f"beside {READERS} connections that read /": _reading,
    f"beside {BROWSERS} browsers": _browsing,
    f"beside {BROWSERS} browsers of another daemon": _browsing_another,
}


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
    """Whether the server keeps it open; else it is closed here too."""
    with contextlib.suppress(OSError):
        try:
            if connection.recv(1, socket.MSG_DONTWAIT):
                return True
        except BlockingIOError:
            return True
    connection.close()
    return False


def _sent(connection: socket.socket, data: bytes) -> bool:
    try:
        connection.sendall(data)
    except OSError:
        connection.close()
        return False
    return True


def _close(held: list[socket.socket | None]) -> None:
    for connection in held:
        if connection is not None:
            connection.close()


if __name__ == "__main__":
    main()
