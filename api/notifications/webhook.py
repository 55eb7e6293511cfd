"""Tells people through a webhook (Slack's `{"text": ...}`), in a thread of its own and outside transactions.

A message is sent before it is noted as told: a crash between the two repeats it, and never swallows it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import requests

from backfilld.api.notifications import digests
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.events import Event
from backfilld.state.errors import BackfilldError
from backfilld.state.store import notifications
from backfilld.state.store.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

TIMEOUTS = (5.0, 10.0)
"""Seconds to connect, and to wait for the answer."""
REST_SECONDS = 1.0
"""Between two looks at what is due, however much happens."""
LOOK_SECONDS = 60.0
"""How long nothing may happen before it looks all the same."""
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 2.0, 300.0


class DeliveryFailed(BackfilldError):
    """The webhook did not take a message. It is told with the host alone: the rest of the URL is secret."""


class MessageRejected(DeliveryFailed):
    """It answered, but not with success; another message it may take."""


def post(url: str, text: str) -> None:
    """Send one message.

    Raises:
        Refused: it answers with anything but success.
        NotTold: it cannot be reached, or is too slow.
    """
    host = urlsplit(url).hostname
    try:
        # Only the status counts, and a redirect could carry the text to anybody.
        answer = requests.post(url, json={"text": text}, timeout=TIMEOUTS, allow_redirects=False, stream=True)
        answer.close()
    except requests.Timeout:
        raise DeliveryFailed(f"{host} does not answer in time") from None
    except (requests.RequestException, ValueError) as error:
        raise DeliveryFailed(f"{host} cannot be reached ({type(error).__name__})") from None
    if not 200 <= answer.status_code < 300:
        raise MessageRejected(f"{host} answers {answer.status_code}")


class Notifier:
    """Tells what is due whenever something happens, where its daemon `leads`.

    `sent` is called for each try, with whether it failed.
    """

    def __init__(
        self,
        context: EngineContext,
        url: str,
        *,
        sent: Callable[[bool], None] = lambda failed: None,
        leads: Callable[[], bool] = lambda: True,
        backoff: float = FIRST_BACKOFF_SECONDS,
    ) -> None:
        self._context = context
        self._url = url
        self._sent = sent
        self._leads = leads
        self._backoff = backoff
        self._failures = 0
        self._trouble = ""
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="webhook", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the message that is under way."""
        self._stopping.set()
        self._woken.set()
        self._thread.join(sum(TIMEOUTS) + REST_SECONDS)

    def hear(self, event: Event) -> None:
        """Something happened: look soon."""
        self._woken.set()

    def notes(self) -> Mapping[str, str]:
        """What is wrong with telling, if anything."""
        return {"webhook": self._trouble} if self._trouble else {}

    def _work(self) -> None:
        rest = 0.0
        while not self._stopping.wait(rest):
            rest = self._round()
            self._woken.wait(LOOK_SECONDS)
            self._woken.clear()

    def _round(self) -> float:
        """Tell all that is due; how many seconds to rest before the next look."""
        try:
            self.send_due()
        except (DeliveryFailed, DatabaseUnavailable) as error:
            if str(error) != self._trouble:  # once, however long it lasts
                log.warning("not told: %s", error)
            return self._again(str(error))
        except Exception as error:  # the thread outlives it, as an engine's worker does
            trouble = f"{type(error).__name__}: {error}"
            if trouble != self._trouble:
                log.exception("not told")
            return self._again(trouble)
        self._failures, self._trouble = 0, ""
        return REST_SECONDS

    def _again(self, trouble: str) -> float:
        """How many seconds to rest before the next try."""
        self._failures += 1
        self._trouble = trouble
        self._woken.set()
        return float(min(self._backoff * 2 ** min(self._failures - 1, 20), LONGEST_BACKOFF_SECONDS))

    def send_due(self) -> None:
        """One message for each digest that is due, each noted when it was taken: the leader alone can."""
        if not self._leads():
            return
        with self._context.db.read() as tx:
            due = list(digests.due(tx, self._context))
        refused: MessageRejected | None = None
        for digest in due:
            if self._stopping.is_set():
                break
            try:
                if digest.text:
                    self._post(digest.text)
            except MessageRejected as error:  # perhaps for itself: it keeps no other back
                refused = error
                continue
            with self._context.db.write() as tx:
                notifications.mark_sent(tx, digest.subject, digest.whats, self._context.now())
        if refused:
            raise refused

    def _post(self, text: str) -> None:
        try:
            post(self._url, text)
        except DeliveryFailed:
            self._sent(True)
            raise
        self._sent(False)
