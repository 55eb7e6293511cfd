"""Why no job can start on a Dask cluster now."""

from __future__ import annotations

from backfilld.daemon.executors.dask.connection import TlsProblem
from backfilld.state.formatting import first_line, format_utc


class Availability:
    """What the polling thread knows of the scheduler and its workers, for the engine's thread."""

    def __init__(self, scheduler: str, *, since: float) -> None:
        self._scheduler = scheduler
        self._away_since: float | None = since
        """Since when no scheduler answers, in epoch seconds; None while one does."""
        self._tls_problem = ""
        self._error = ""
        """The latest error of a connection; empty while one is there, and before the first try."""
        self.import_error = ""
        """Why no worker can import this package; empty while one can, or there is none."""

    def connected(self) -> None:
        """A scheduler answers."""
        self._away_since, self._tls_problem, self._error = None, "", ""

    def disconnected(self, at: float) -> None:
        """The scheduler is gone."""
        self._away_since = at

    def refusal(self, error: Exception) -> str:
        """Why a job cannot start after this error of a connection."""
        self._tls_problem = str(error) if isinstance(error, TlsProblem) else ""
        self._error = _root_cause(error)
        return self._tls_problem or f"no Dask scheduler answers at {self._scheduler}"

    @property
    def reason(self) -> str:
        """What has to be there before a job can start; empty when it can."""
        if self._tls_problem:
            return self._tls_problem
        if (since := self._away_since) is not None:
            error = f" ({self._error})" if self._error else ""
            silence = f"none has since {format_utc(since)}{error}"
            return f"a Dask scheduler that answers at {self._scheduler}; {silence}"
        if self.import_error:
            return f"a Dask worker that can import backfilld: install it there ({self.import_error})"
        return ""


def _root_cause(error: Exception) -> str:
    """The innermost cause that has a message: Dask's own errors say where and for how long it tried."""
    text = ""
    cause: BaseException | None = error
    while cause is not None:
        text, cause = str(cause) or text, cause.__cause__
    return first_line(text) if text else type(error).__name__
