"""The thread in which an executor looks at what runs in another place."""

from __future__ import annotations

from backfilld.daemon.worker import Worker

CLOSE_SECONDS = 20.0
"""How long the end of the watch waits for what is being asked."""


class PollThread(Worker):
    """A worker that is named after the place, and looks there."""

    @property
    def status_message(self) -> str:
        """What keeps it from looking, which nobody foresaw; empty when nothing does."""
        return self.last_error and f"the watch of {self._thread.name} meets an error: {self.last_error}"

    def close(self) -> None:
        """Look no more. Idempotent."""
        self.stop()
        self.join(CLOSE_SECONDS)
