"""A daemon without API in a process of its own, behind a gate that answers at once, to be timed and killed.

python -m bench.headless_daemon FOLDER DATES
"""

from __future__ import annotations

import datetime as dt
import signal
import sys
from pathlib import Path

from backfilld.daemon.engine.enqueue_models import EnqueueRequest
from backfilld.daemon.service import Service
from backfilld.daemon.settings import Settings
from bench.in_memory_warehouse import ME, InMemoryWarehouse

FIRST = dt.date(1900, 1, 1)
PER_REQUEST = 20_000


def main() -> None:
    """Serve FOLDER; enqueue DATES when its state is new. Says `ready` once jobs may start."""
    folder, number = Path(sys.argv[1]), int(sys.argv[2])
    gate = InMemoryWarehouse()
    new = not (folder / "state").exists()
    settings = Settings(
        pipeline=folder / "pipeline.toml", state_dir=folder / "state", host="127.0.0.1", port=0
    )
    service = Service(settings, on_event=gate.emit, warehouse=gate)  # type: ignore[arg-type]
    if new:
        days = [FIRST + dt.timedelta(days=n) for n in range(number)]
        for first in range(0, number, PER_REQUEST):
            service.enqueuer.enqueue(EnqueueRequest(dates=tuple(days[first : first + PER_REQUEST]), by=ME))
    service.start()
    print("ready", flush=True)
    signal.sigwait({signal.SIGTERM})
    service.stop()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main()
