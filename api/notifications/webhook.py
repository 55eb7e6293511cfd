"""Sends digests to a webhook (Slack's `{"text": ...}`), in its own thread and outside transactions.

A message is sent before it is marked as sent: a crash between the two repeats it and never loses it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from backfilld.api.notifications import messages
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.event_types import Event
from backfilld.state.base_errors import BackfilldError
from backfilld.state.store import sent_notifications
from backfilld.state.store.database_errors import DatabaseUnavailable

log = logging.getLogger(__name__)

TIMEOUTS = (5.0, 10.0)
"""Connect timeout and read timeout, in seconds."""
MIN_INTERVAL_SECONDS = 1.0
"""Minimum time between two checks for due digests, however many events arrive."""
MAX_INTERVAL_SECONDS = 60.0
"""Maximum time between two checks without any event."""
FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 2.0, 300.0


class DeliveryFailed(BackfilldError):
    """The webhook did not accept a message. The text names only the host: the rest of the URL is secret."""


class MessageRejected(DeliveryFailed):
    """The webhook responded with an error status; it may accept another message."""


def post(url: str, text: str) -> None:
    """Send one message.

    Raises:
        MessageRejected: the webhook responds with another status than 2xx.
        DeliveryFailed: the webhook is unreachable or too slow.
    """
    import requests  # noqa: PLC0415  most daemons have no webhook

    host = urlsplit(url).hostname
    try:
        # Only the status counts, and a redirect could send the text to another host.
        response = requests.post(
            url, json={"text": text}, timeout=TIMEOUTS, allow_redirects=False, stream=True
        )
        response.close()
    except requests.Timeout:
        raise DeliveryFailed(f"{host} does not respond in time") from None
    except (requests.RequestException, ValueError) as error:
        raise DeliveryFailed(f"{host} cannot be reached ({type(error).__name__})") from None
    if not 200 <= response.status_code < 300:
        raise MessageRejected(f"{host} responds {response.status_code}")


class Notifier:
    """Sends due digests after events, while its daemon is the leader (`leads`).

    `on_delivery` is called after each delivery, with whether it failed.
    """

    def __init__(
        self,
        context: EngineContext,
        url: str,
        *,
        on_delivery: Callable[[bool], None] = lambda failed: None,
        leads: Callable[[], bool] = lambda: True,
        backoff: float = FIRST_BACKOFF_SECONDS,
    ) -> None:
        self._context = context
        self._url = url
        self._on_delivery = on_delivery
        self._leads = leads
        self._backoff = backoff
        self._failures = 0
        self._error = ""
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="webhook", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread after the current message."""
        self._stopping.set()
        self._woken.set()
        self._thread.join(sum(TIMEOUTS) + MIN_INTERVAL_SECONDS)

    def on_event(self, event: Event) -> None:
        """Check for due digests soon."""
        self._woken.set()

    def health_notes(self) -> Mapping[str, str]:
        """The current delivery error, if any."""
        return {"webhook": self._error} if self._error else {}

    def _work(self) -> None:
        delay = 0.0
        while not self._stopping.wait(delay):
            delay = self._send()
            self._woken.wait(MAX_INTERVAL_SECONDS)
            self._woken.clear()

    def _send(self) -> float:
        """Send due digests. Returns the seconds to wait before the next check."""
        try:
            self.send_due()
        except (DeliveryFailed, DatabaseUnavailable) as error:
            if str(error) != self._error:  # logged once per outage
                log.warning("notification failed: %s", error)
            return self._retry_delay(str(error))
        except Exception as error:  # the thread survives, like the engine's workers
            text = f"{type(error).__name__}: {error}"
            if text != self._error:
                log.exception("notification failed")
            return self._retry_delay(text)
        self._failures, self._error = 0, ""
        return MIN_INTERVAL_SECONDS

    def _retry_delay(self, error: str) -> float:
        """Record a failure. Returns the seconds to wait before the next try."""
        self._failures += 1
        self._error = error
        self._woken.set()
        return float(min(self._backoff * 2 ** min(self._failures - 1, 20), MAX_BACKOFF_SECONDS))

    def send_due(self) -> None:
        """Send every due digest and mark it as sent; does nothing on a standby.

        Raises:
            DeliveryFailed: the webhook did not accept a message.
        """
        if not self._leads():
            return
        with self._context.db.read() as tx:
            due = list(messages.due(tx, self._context))
        rejected: MessageRejected | None = None
        for digest in due:
            if self._stopping.is_set():
                break
            try:
                if digest.text:
                    self._post(digest.text)
            except MessageRejected as error:  # perhaps only this text: send the others
                rejected = error
                continue
            with self._context.db.write() as tx:
                sent_notifications.mark_sent(tx, digest.subject, digest.topics, self._context.now())
        if rejected:
            raise rejected

    def _post(self, text: str) -> None:
        try:
            post(self._url, text)
        except DeliveryFailed:
            self._on_delivery(True)
            raise
        self._on_delivery(False)
