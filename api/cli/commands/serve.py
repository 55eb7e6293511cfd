"""`backfilld serve`: the composition root. The main thread handles the signals."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import time
from dataclasses import replace
from types import FrameType

import click

from backfilld.api.app import create_app
from backfilld.api.auth.request_guard import guard_of
from backfilld.api.auth.tokens import redacted
from backfilld.api.cli.output import example
from backfilld.api.http.server import Server
from backfilld.api.metrics import Metrics
from backfilld.api.notifications.webhook import Notifier
from backfilld.daemon.events import AttemptEnded, AttemptStarted, DateMoved, Event, ForeignWrites, Incident
from backfilld.daemon.service import Service
from backfilld.daemon.settings import Settings, settings
from backfilld.daemon.systemd import Manager
from backfilld.state.formatting import format_date_ranges
from backfilld.state.records import attempt_result

log = logging.getLogger("backfilld")

SIGNAL_POLL_SECONDS = 0.5
"""How often the main thread checks for a signal."""


@click.command(epilog=example("serve --pipeline my.toml --state-dir var/state"))
@click.option("--pipeline", help="The pipeline file; else BACKFILLD_PIPELINE.")
@click.option("--state-dir", help="Directory of state and logs; else BACKFILLD_STATE_DIR.")
@click.option("--listen", help="HOST:PORT of the API; else BACKFILLD_LISTEN, else 127.0.0.1:8484.")
@click.option(
    "--tokens", help="The file of tokens; else BACKFILLD_TOKENS, else the systemd credential `tokens`."
)
@click.option(
    "--allowed-host",
    multiple=True,
    help="Another host name of the API; else BACKFILLD_ALLOWED_HOSTS. Repeatable.",
)
@click.option(
    "--backup-every",
    help="Time between backups; else BACKFILLD_BACKUP_EVERY, else 24h.",
)
@click.option("--backup-keep", help="How many backups are kept; else BACKFILLD_BACKUP_KEEP, else 7.")
@click.option(
    "--webhook",
    help="URL that receives notifications. Other users of the machine see it in the process list:"
    " prefer BACKFILLD_WEBHOOK or the systemd credential `webhook`.",
)
def serve(
    pipeline: str | None,
    state_dir: str | None,
    listen: str | None,
    tokens: str | None,
    allowed_host: tuple[str, ...],
    backup_every: str | None,
    backup_keep: str | None,
    webhook: str | None,
) -> None:
    """Run the daemon until SIGTERM.

    A second signal ends it at once. Running jobs continue either way, and the next start adopts them.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacting("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for noisy in ("apscheduler", "alembic", "waitress"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    run(
        settings(
            pipeline=pipeline,
            state_dir=state_dir,
            listen=listen,
            tokens=tokens,
            allowed_hosts=allowed_host,
            backup_every=backup_every,
            backup_keep=backup_keep,
            environment={**os.environ, "BACKFILLD_WEBHOOK": webhook} if webhook else os.environ,
        )
    )


def run(chosen: Settings) -> None:
    """Start in order (state, recovery, API), wait for a signal, stop in the opposite order."""
    faulthandler.enable()  # prints the stacks of all threads if a watchdog aborts the process
    # Not a threading.Event: the wait that the signal interrupts may hold its lock.
    stopping = False

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            # Flush nothing and wait for no thread: the orderly stop takes too long, and an interpreter
            # that exits under its threads aborts. The next start recovers as after a kill.
            os.write(2, f"second {signal.Signals(number).name}: ending at once\n".encode())
            os._exit(1)
        log.info("%s: stopping; running jobs continue", signal.Signals(number).name)
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    manager = Manager()
    manager.status("opening the state database")
    metrics = Metrics()
    service = Service(
        chosen, on_event=_log_event, on_query=metrics.on_query, on_error=metrics.on_error, manager=manager
    )
    notifier = _notifier(chosen, service, metrics)
    notes = notifier.health_notes if notifier else dict
    app = create_app(service, metrics, health_notes=notes)
    server = Server(app, chosen.host, chosen.port, guard_of(app).identify)
    manager.status("adopting running jobs")
    service.start()
    if notifier:
        notifier.start()
    server.start()
    address = f"serves {service.pipeline.name} at http://{replace(chosen, port=server.port).listen}"
    log.info("backfilld %s", address)
    manager.ready(address)
    # An endless wait would miss a signal that arrives just before it, or in another thread.
    while not stopping:
        time.sleep(SIGNAL_POLL_SECONDS)
    manager.stopping("stopping; running jobs continue")
    server.close()
    if notifier:
        notifier.stop()
    service.stop()
    log.info("stopped")


def _notifier(chosen: Settings, service: Service, metrics: Metrics) -> Notifier | None:
    """The notifier; None without a webhook."""
    if not chosen.webhook:
        return None
    notifier = Notifier(
        service.context,
        chosen.webhook,
        on_delivery=metrics.on_notification,
        leads=lambda: not service.standby,
    )
    service.subscribe(notifier.on_event)
    return notifier


class _Redacting(logging.Formatter):
    """Removes tokens from every log record."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def _log_event(event: Event) -> None:
    if isinstance(event, DateMoved):
        log.info("%s: %s -> %s (%s) %s", event.date, event.source, event.target, event.trigger, event.reason)
    elif isinstance(event, AttemptStarted):
        log.info("attempt %d: %s for %s starts", event.attempt, event.processor, _dates(event))
    elif isinstance(event, AttemptEnded):
        result = attempt_result(event.status, event.exit_code)
        log.info("attempt %d: %s %s after %.1f s", event.attempt, event.processor, result, event.seconds)
    elif isinstance(event, ForeignWrites):
        written = format_date_ranges(event.dates)
        log.warning("%s: %s was written by something else; %s", event.processor, written, event.suspect)
    elif isinstance(event, Incident):
        log.warning("%s: %s", event.kind, event.text)


def _dates(event: AttemptStarted) -> str:
    first, last = event.dates[0], event.dates[-1]
    return str(first) if first == last else f"{first}..{last}"
