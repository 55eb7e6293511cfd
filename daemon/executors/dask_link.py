"""What is asked of a Dask scheduler: to keep a job, to let it begin, to find it again, to forget it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass

from distributed import Client, Future, KilledWorker, Queue
from distributed.client import ClosedClientError, FutureCancelledError

from daemon.executors import Exit, Handle, Job, dask_worker
from state.sources import DaskCluster

AWAY = (OSError, ClosedClientError, FutureCancelledError)
"""What is raised while the scheduler, or the worker that has a result, is not there."""
CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A job's key in the cluster, and the life of the scheduler that knows the key."""

    key: str
    scheduler: str

    @classmethod
    def parse(cls, text: Handle) -> Ticket:
        """Read a handle. Raises ValueError for anything else."""
        try:
            fields = json.loads(text)
            return cls(key=str(fields["key"]), scheduler=str(fields["scheduler"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"not a handle of a Dask job: {text!r}") from error

    def text(self) -> Handle:
        """The handle."""
        return json.dumps(asdict(self))


class Link:
    """A connection to one life of a scheduler; all calls raise one of AWAY when it is gone.

    A published dataset keeps a job's task alive when no client is there. A job begins only when its gate, a
    queue of the scheduler, gives the one permission there is: Dask runs a task again when its worker or its
    result is lost, and such a run finds the permission taken. `on_news` is called when a task ends.
    """

    def __init__(self, cluster: DaskCluster, on_news: Callable[[], None]) -> None:
        self._resources = {cluster.resource: 1} if cluster.resource else None
        self._on_news = on_news
        self._client = Client(cluster.scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
        self._gates: dict[str, Queue] = {}
        self.scheduler = self._who()

    def check(self) -> None:
        """Raise one of AWAY unless it is the same scheduler: clients reconnect by themselves, to any."""
        if self._client.status != "running" or self._who() != self.scheduler:
            raise ConnectionError("the scheduler is gone")

    def hold(self, job: Job, key: str) -> Future:
        """Hand the job over, to be kept under the key. It does not begin before `release`."""
        self._gate(key)
        future = self._client.submit(
            dask_worker.run, job, key=key, pure=False, retries=0, resources=self._resources
        )
        self._client.publish_dataset(future, name=key)
        return self._watched(future)

    def release(self, key: str) -> None:
        """Let the job begin."""
        self.check()
        self._gate(key).put(dask_worker.GO)

    def abandon(self, key: str, future: Future) -> None:
        """Have a held job end without having begun."""
        self._gate(key).put(dask_worker.WITHHELD)
        del self._gates[key]
        future.cancel(force=True)
        self.forget(key)

    def find(self, key: str) -> Future | None:
        """The task that is kept under the key; None when there is none, so that the job never began."""
        future = self._client.get_dataset(key, default=None)
        return None if future is None else self._watched(future)

    def look(self, written: Mapping[str, int], stops: Mapping[str, float]) -> tuple[dict[str, bytes], bool]:
        """What all workers say together to `dask_worker.look`, and whether none was silent."""
        answers = self._client.run(dask_worker.look, written, stops, on_error="return").values()
        heard = [answer for answer in answers if isinstance(answer, dict)]
        return {key: piece for answer in heard for key, piece in answer.items()}, len(heard) == len(answers)

    def withhold(self, key: str) -> bool:
        """Take back the permission to begin from a job that no worker has; False when that fails."""
        gate = self._gate(key)
        try:
            word = gate.get(timeout=_ANSWER_SECONDS)
        except TimeoutError:  # a worker has just taken it, or it never came
            return False
        withheld = word in (dask_worker.GO, dask_worker.WITHHELD)
        gate.put(dask_worker.WITHHELD if withheld else word)
        if withheld:
            del self._gates[key]  # not closed: a worker may take the task just now, and has to read it
        return withheld

    def forget(self, key: str) -> None:
        """Have the cluster keep the job no longer."""
        self._client.unpublish_dataset(key)
        if gate := self._gates.pop(key, None):
            gate.close()  # the scheduler drops it once all who opened it have closed it

    def close(self) -> None:
        """Disconnect; jobs live on."""
        with suppress(*AWAY):
            self._client.close(timeout=_ANSWER_SECONDS)

    def _gate(self, key: str) -> Queue:
        if key not in self._gates:
            self._gates[key] = Queue(key, client=self._client)
        return self._gates[key]

    def _who(self) -> str:
        return str(self._client.scheduler_info(n_workers=0)["id"])

    def _watched(self, future: Future) -> Future:
        future.add_done_callback(lambda _: self._on_news())
        return future


def outcome(future: Future, *, at: float) -> dask_worker.Outcome:
    """What the worker says of an ended task's job, or what Dask says of the worker.

    Raises one of AWAY when it cannot be had now.
    """
    if future.status == "finished":
        found: dask_worker.Outcome = future.result(timeout=CONNECT_SECONDS)
        return found
    if future.status != "error":
        raise ConnectionError("the connection was lost, or somebody cancelled the task")
    error = future.exception(timeout=CONNECT_SECONDS)
    gone = isinstance(error, KilledWorker)
    why = f"its worker {error.last_worker.address} is gone" if gone else f"{type(error).__name__}: {error}"
    return dask_worker.Outcome(exit=Exit(code=None, ended_at=at, detail=f"lost: {why}"))
