"""`backfilld serve`: the composition root. The main thread handles the signals."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import click

from backfilld.api.app import create_app
from backfilld.api.auth.request_guard import guard_of
from backfilld.api.auth.tokens import Tokens
from backfilld.api.cli import logging_config
from backfilld.api.cli.output import example
from backfilld.api.http import listening_socket
from backfilld.api.http.server import Server
from backfilld.api.metrics import Metrics
from backfilld.api.notifications.webhook import Notifier
from backfilld.daemon.container_init import jobs_end_with_daemon
from backfilld.daemon.event_types import (
    AttemptEnded,
    AttemptStarted,
    DateMoved,
    Event,
    ForeignWrites,
    Incident,
)
from backfilld.daemon.open_file_limit import raise_open_files
from backfilld.daemon.pipeline_reload import PipelineReload
from backfilld.daemon.service import Service
from backfilld.daemon.settings import DEFAULT_BACKUP_EVERY, DEFAULT_LISTEN, Settings, settings
from backfilld.daemon.signals import Signals
from backfilld.daemon.systemd import Manager
from backfilld.state.base_errors import BackfilldError, UserError
from backfilld.state.formatting import first_line, format_date_ranges
from backfilld.state.records import attempt_result

log = logging.getLogger("backfilld")

SIGNAL_POLL_SECONDS = 0.5
"""How often the main thread checks for a signal."""


@click.command(epilog=example("serve --pipeline my.toml --state-dir var/state"))
@click.option("--pipeline", help="The pipeline file; else BACKFILLD_PIPELINE.")
@click.option("--state-dir", help="Directory of state and logs; else BACKFILLD_STATE_DIR.")
@click.option("--listen", help=f"HOST:PORT of the API; else BACKFILLD_LISTEN, else {DEFAULT_LISTEN}.")
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
    help=f"Time between backups; else BACKFILLD_BACKUP_EVERY, else {DEFAULT_BACKUP_EVERY}.",
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

    SIGHUP reads the pipeline file again; a file with mistakes is refused, and the earlier one stays in force.
    A second signal to stop ends the daemon at once. Running jobs continue in each case, and the next start
    adopts them; in a container they end with the daemon.
    """
    logging.basicConfig(level=logging.INFO, handlers=[logging_config.handler()])
    inherited = listening_socket.inherited()
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
        ),
        inherited,
    )


def run(chosen: Settings, inherited: socket.socket | None = None) -> None:
    """Start in order (state, recovery, API), wait for a signal, stop.

    A changed pipeline file then starts the daemon anew in the same process: one code path applies it, and no
    thread, connection or cache of the old file can survive. Only the listening socket does: a request that
    arrives meanwhile waits for the new program, which finds the socket as `inherited`.
    """
    raise_open_files()
    faulthandler.enable()  # prints the stacks of all threads if a watchdog aborts the process
    manager = Manager()
    container = jobs_end_with_daemon(manager.unit)
    outlook = "running jobs end with this container" if container else "running jobs continue"
    signals = Signals(outlook)
    signals.handle()
    manager.status("opening the state database")
    metrics = Metrics()
    service = _open(chosen, metrics, manager)
    notifier = _notifier(chosen, service, metrics)
    reload = PipelineReload(service.context, [partial(Tokens, chosen.tokens)] if chosen.tokens else [])
    notes = notifier.health_notes if notifier else dict
    app = create_app(service, metrics, health_notes=lambda: {**reload.health_notes(), **notes()})
    with _threads_and_memory():
        server = Server(app, chosen.host, chosen.port, guard_of(app).identify, inherited=inherited)
    manager.status("adopting running jobs")
    with _threads_and_memory():
        service.start()
        if notifier:
            notifier.start()
        server.start()
    address = f"serves {service.pipeline.name} at http://{replace(chosen, port=server.port).listen}"
    log.info("backfilld %s", address)
    manager.ready(address)
    start_anew = _wait(signals, server, reload, manager, address)
    if not start_anew:
        manager.stopping(f"stopping; {outlook}")
        service.ready = False
    all_ended = service.stop_workers()  # the API answers until they have ended
    if not all_ended:
        log.warning("a query or a periodic job did not end, and is abandoned")
    server.close(keep_listening=start_anew)
    if notifier:
        notifier.stop()
    service.close()
    if start_anew and not signals.stopping:
        log.info("starting anew with the changed pipeline file; running jobs continue")
        signals.start_anew({**manager.variables, **listening_socket.hand_over(server.socket)})
    log.info("stopped")
    if not signals.stopping:
        raise DaemonFailed(
            "the HTTP server has ended by itself; running jobs continue, start the daemon again"
        )
    if not all_ended:
        logging.shutdown()
        os._exit(0)  # the interpreter would wait for its threads


def _wait(signals: Signals, server: Server, reload: PipelineReload, manager: Manager, address: str) -> bool:
    """Wait for a signal to stop or the end of the server. True if a changed pipeline file is to be used."""
    # An endless wait would miss a signal that arrives just before it, or in another thread.
    while not signals.stopping and server.alive:
        if signals.take_reload():
            manager.reloading("reading the pipeline file again")
            if reload.accept():
                return True
            manager.ready("; ".join([address, *(f"{n}: {t}" for n, t in reload.health_notes().items())]))
        time.sleep(SIGNAL_POLL_SECONDS)
    return False


@contextlib.contextmanager
def _threads_and_memory() -> Iterator[None]:
    """Raise DaemonFailed where the machine has no thread or memory for a part of the daemon."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "start new thread" not in str(error):
            raise
        reason = str(error) or "out of memory"
        raise DaemonFailed(
            f"no thread or memory for the daemon: {reason}; raise TasksMax, MemoryMax or ulimit -u"
        ) from error


def _open(chosen: Settings, metrics: Metrics, manager: Manager) -> Service:
    """The service; if it refuses to open, `systemctl status` shows why."""
    try:
        return Service(
            chosen, on_event=_log_event, on_query=metrics.on_query, on_error=metrics.on_error, manager=manager
        )
    except BackfilldError as error:
        manager.status(f"refused to start: {first_line(str(error))}")
        raise


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


class DaemonFailed(UserError):
    """The daemon cannot start or go on; the message says why."""


def _log_event(event: Event) -> None:
    if isinstance(event, DateMoved):
        log.info("%s: %s -> %s (%s) %s", event.date, event.source, event.target, event.trigger, event.reason)
    elif isinstance(event, AttemptStarted):
        log.info("attempt %d: %s for %s starts", event.attempt, event.processor, _dates(event))
    elif isinstance(event, AttemptEnded):
        result = attempt_result(event.status, event.exit_code)
        detail = f"; {event.detail}" if event.detail else ""
        head = f"attempt {event.attempt}: {event.processor} {result}"
        log.info("%s after %.1f s%s", head, event.seconds, detail)
    elif isinstance(event, ForeignWrites):
        written = format_date_ranges(event.dates)
        log.warning("%s: %s was written by something else; %s", event.processor, written, event.suspect)
    elif isinstance(event, Incident):
        log.warning("%s: %s", event.kind, event.text)


def _dates(event: AttemptStarted) -> str:
    first, last = event.dates[0], event.dates[-1]
    return str(first) if first == last else f"{first}..{last}"
