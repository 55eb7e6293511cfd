"""What backfilld adds to a job: `/bin/true` jobs of the 5 + 5 + 4 shape behind a gate that answers at once.

python -m bench.overhead [DATES ...] [--only RUNNER ...] [--rounds N]

Every runner does the same jobs, at most 8 at once where it can: `loop` starts one process after another with
two SQLite commits for each; `make` has the graph as a Makefile; `luigi` has it as tasks of one worker with 8
processes, `dbos` as durable workflows in SQLite, each in an environment of its own and with its start, which
takes seconds; `backfilld` is the daemon with everything it promises, and `daemon CPU` the CPU time that it
takes without its jobs.
"""

from __future__ import annotations

import datetime as dt
import resource
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

from backfilld.daemon.engine.enqueue_models import EnqueueRequest
from backfilld.daemon.event_types import DateMoved, Event
from backfilld.daemon.service import Service
from backfilld.daemon.settings import Settings
from backfilld.state.pipeline.phase import DONE
from bench.in_memory_warehouse import ME, InMemoryWarehouse
from bench.options_and_machine_load import conditions, parser
from bench.pipeline_file import JOBS, PHASES, SLOTS, toml

FIRST = dt.date(2021, 10, 19)
PATIENCE_SECONDS = 600.0
HERE = Path(__file__).parent


def backfilld(number: int, folder: Path) -> float:
    """The daemon without its API, from the request to the end of the last date."""
    file = folder / "pipeline.toml"
    file.write_text(toml(["/bin/true", "{date}"]))
    gate, ends = InMemoryWarehouse(), _Ends(number)
    settings = Settings(pipeline=file, state_dir=folder / "state", host="127.0.0.1", port=0)
    service = Service(settings, on_event=gate.emit, warehouse=gate)  # type: ignore[arg-type]
    service.subscribe(ends.on_event)
    service.start()
    started = time.perf_counter()
    days = tuple(FIRST + dt.timedelta(days=n) for n in range(number))
    service.enqueuer.enqueue(EnqueueRequest(dates=days, by=ME))
    service.wake()
    if not ends.all_ended.wait(PATIENCE_SECONDS):
        raise TimeoutError("the dates do not end")
    seconds = time.perf_counter() - started
    service.stop()
    return seconds


class _Ends:
    """Waits for the ends of some dates without CPU time of its own."""

    def __init__(self, number: int) -> None:
        self._left = number
        self.all_ended = threading.Event()

    def on_event(self, event: Event) -> None:
        """Count a date that is done."""
        self._left -= isinstance(event, DateMoved) and event.target == DONE
        if not self._left:
            self.all_ended.set()


def loop(number: int, folder: Path) -> float:
    """The least durable work: commit the start, run the job, commit its end; one job at a time."""
    started = time.perf_counter()
    database = sqlite3.connect(folder / "loop.db", isolation_level=None)
    for setting in ("journal_mode = WAL", "synchronous = FULL"):
        database.execute(f"PRAGMA {setting}")
    database.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, code INTEGER)")
    for job in range(number * JOBS):
        database.execute("INSERT INTO jobs (id) VALUES (?)", (job,))
        code = subprocess.run(["/bin/true", str(job)], check=False).returncode
        database.execute("UPDATE jobs SET code = ? WHERE id = ?", (code, job))
    database.close()
    return time.perf_counter() - started


def make(number: int, folder: Path) -> float:
    """`make -j8` over the same graph: nothing is kept, nothing is checked."""
    rules = list(_rules(number))
    targets = " ".join(target for target, _ in rules)
    text = [f".PHONY: all {targets}", f"all: {targets}"]
    text += [f"{target}: {needed}\n\t@/bin/true {target}" for target, needed in rules]
    (folder / "Makefile").write_text("\n".join(text) + "\n")
    return _timed(["make", f"-j{SLOTS}", "-C", str(folder), "--no-print-directory", "all"])


def _rules(number: int) -> Iterator[tuple[str, str]]:
    """Targets and their needs: a phase needs the one before it; phase 4 also needs its previous step."""
    last = ""
    for date in range(number):
        before: list[str] = []
        for phase, order, count in PHASES:
            names = [f"{phase}_{n}_{date}" for n in range(count)]
            for name in names:
                yield name, " ".join([*before, last] if order == "sequential" else before)
                last = name if order == "sequential" else last
            before = names


def luigi(number: int, folder: Path) -> float:
    """Luigi with its scheduler and worker, a marker file for every task."""
    return _timed([_python_with("luigi>=3.6,<4"), str(HERE / "luigi_tasks.py"), str(number), str(folder)])


def dbos(number: int, folder: Path) -> float:
    """DBOS with a workflow for each date; a job is a step, whose end it commits."""
    return _timed([_python_with("dbos>=3.4,<4"), str(HERE / "dbos_workflows.py"), str(number), str(folder)])


def _python_with(requirement: str) -> str:
    """The interpreter of an environment that has this package alone; made at the first call."""
    name = requirement.partition(">")[0]
    python = HERE / f".venv-{name}" / "bin" / "python"
    if not python.exists():
        venv.create(python.parent.parent, with_pip=True)
        subprocess.run([python, "-m", "pip", "-qq", "install", requirement], check=True)
    return str(python)


def _timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


RUNNERS: dict[str, Callable[[int, Path], float]] = {
    "loop": loop, "make": make, "luigi": luigi, "dbos": dbos, "backfilld": backfilld
}  # fmt: skip


def measure(runner: str, number: int, rounds: int, folder: Path) -> tuple[float, float]:
    """Milliseconds per job, and those of CPU time of this process, the medians of some rounds."""
    times, cpu_times = [], []
    for _ in range(rounds):
        empty, before = Path(tempfile.mkdtemp(dir=folder)), _cpu_seconds()
        times.append(RUNNERS[runner](number, empty))
        cpu_times.append(_cpu_seconds() - before)
    jobs = number * JOBS
    return 1000 * statistics.median(times) / jobs, 1000 * statistics.median(cpu_times) / jobs


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print the table."""
    options = parser(__doc__)
    options.add_argument("dates", nargs="*", type=int, default=[28, 112, 448])
    options.add_argument("--only", nargs="+", choices=RUNNERS, default=list(RUNNERS))
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    print(
        f"{conditions()}, SQLite {sqlite3.sqlite_version}; milliseconds per job, medians of {chosen.rounds}"
    )
    print(" ".join(["  dates    jobs", *(f"{name:>10}" for name in [*chosen.only, "daemon CPU"])]))
    # Emptied at the end only: after a file was deleted, ext4 takes longer to create the next ones.
    with tempfile.TemporaryDirectory() as folder:
        for number in chosen.dates:
            times = {name: measure(name, number, chosen.rounds, Path(folder)) for name in chosen.only}
            cpu = times["backfilld"][1] if "backfilld" in times else 0.0
            columns = [*(wall for wall, _ in times.values()), cpu]
            print(f"{number:>7} {number * JOBS:>7}", *(f"{ms:>10.2f}" for ms in columns), flush=True)


if __name__ == "__main__":
    main()
