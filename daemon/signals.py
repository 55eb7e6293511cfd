"""The signals of the daemon, and its start anew in the same process."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping
from types import FrameType

from backfilld.daemon.open_file_limit import restore_open_files
from backfilld.state.base_errors import UserError

log = logging.getLogger(__name__)

_STOP = (signal.SIGTERM, signal.SIGINT)


class StartFailed(UserError):
    """The daemon cannot be started anew; the message says why and what to do."""


class Signals:
    """What operators request by signals: SIGTERM and SIGINT stop, SIGHUP reloads.

    A second signal to stop ends the process at once. `outlook` says what becomes of running jobs.
    """

    # Not a threading.Event: the wait that the signal interrupts may hold its lock.

    def __init__(self, outlook: str) -> None:
        self._outlook = outlook
        self._reload = False
        self.stopping = False

    def handle(self) -> None:
        """Handle the signals from now on. Only the main thread may call this."""
        for number in _STOP:
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)

    def take_reload(self) -> bool:
        """Whether SIGHUP has arrived since the last call."""
        requested, self._reload = self._reload, False
        return requested

    def start_anew(self, variables: Mapping[str, str]) -> None:
        """Replace this process by its own command line, with `variables` added to its environment.

        The pid stays the same, so jobs remain its children. All threads end, and descriptors are closed.
        Returns if a signal to stop has arrived.

        Raises:
            StartFailed: the command cannot be executed.
        """
        # Ignored signals stay ignored until `handle`, which comes before the pipeline file is read: a SIGHUP
        # that arrives in between is not lost. With the default action it would end the process.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in _STOP:
            signal.signal(number, signal.SIG_DFL)
        if self.stopping:
            return
        restore_open_files(os.getpid())  # jobs get the limit that the daemon began with
        try:
            os.execve(sys.executable, sys.orig_argv, {**os.environ, **variables})  # noqa: S606
        except OSError as error:
            reason = f"{sys.executable} cannot be executed: {error.strerror}"
            raise StartFailed(f"{reason}; running jobs continue, start the daemon again") from error

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        if self.stopping:
            # Flush nothing and wait for no thread: the orderly stop takes too long, and an interpreter
            # that exits under its threads aborts. The next start recovers as after a kill.
            os.write(2, f"second {signal.Signals(number).name}: ending at once\n".encode())
            os._exit(1)
        log.info("%s: stopping; %s", signal.Signals(number).name, self._outlook)
        self.stopping = True

    def _on_reload(self, _number: int, _frame: FrameType | None) -> None:
        self._reload = True
