"""What is asked of a Dask scheduler: to keep a job, to let it begin, to find it again, to forget it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TypeVar

from distributed import Client, Future, KilledWorker, Queue
from distributed.client import ClosedClientError, FutureCancelledError

from backfilld.daemon.executors.adapter import Handle, Job, JobResult
from backfilld.daemon.executors.dask import worker as worker_module
from backfilld.daemon.executors.dask.settings import DaskSettings

UNAVAILABLE = (OSError, ClosedClientError, FutureCancelledError)
"""What is raised while the scheduler, or the worker that has a result, is not there."""
_ANSWER_SECONDS = 5.0
"""How long a scheduler has to answer: Dask itself waits for as long as it takes for a connection to break."""
_WORKER_SECONDS = 3.0
"""How long a worker has to answer, before the others are heard without it."""
_WORD_SECONDS = 1.0
"""How long a gate is waited at for a word that may be there."""

_T = TypeVar("_T")


def connect(scheduler: str) -> Client:
    """A client of the scheduler at that address. Raises OSError when there is none in seconds.

    Dask asserts that its greeting comes alone; it does not where another client cancels a task just then.
    """
    try:
        return Client(scheduler, timeout=_ANSWER_SECONDS, set_as_default=False)
    except AssertionError as error:
        raise ConnectionError("the scheduler's greeting came with other news") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class DaskHandle:
    """A job's key in the cluster, and the life of the scheduler that knows the key."""

    key: str
    scheduler: str

    @classmethod
    def parse(cls, text: Handle) -> DaskHandle:
        """Read a handle. Raises ValueError for anything else."""
        try:
            fields = json.loads(text)
            return cls(key=str(fields["key"]), scheduler=str(fields["scheduler"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"not a handle of a Dask job: {text!r}") from error

    def text(self) -> Handle:
        """The handle."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """A job as its worker sees it: the worker's address, and the next piece of output."""

    worker: str
    piece: bytes


class DaskClient:
    """A connection to one life of a scheduler; calls raise one of AWAY when it does not answer in seconds.

    A published dataset keeps a job's task alive when no client is there. A job begins only when its gate, a
    queue of the scheduler, gives the one permission there is: Dask runs a task again when its worker or its
    result is lost, and such a run finds the permission taken. `on_news` is called when a task ends.
    """

    def __init__(self, cluster: DaskSettings, on_news: Callable[[], None]) -> None:
        self._resources = {cluster.resource: 1} if cluster.resource else None
        self._on_news = on_news
        self._client = connect(cluster.scheduler)
        self._gates: dict[str, Queue] = {}
        self._futures: dict[str, Future] = {}
        self.scheduler = self._who()

    def check(self) -> None:
        """Raise one of AWAY unless it is the same scheduler: clients reconnect by themselves, to any."""
        if self._who() != self.scheduler:
            raise ConnectionError("the scheduler was restarted")

    def hold(self, job: Job, key: str) -> Future:
        """Hand the job over, to be kept under the key. It does not begin before `release`."""
        self._gate(key)
        future = self._client.submit(
            worker_module.run, job, key=key, pure=False, retries=0, resources=self._resources
        )
        self._ask(self._client.publish_dataset, future, name=key)
        return self._watched(future)

    def release(self, key: str) -> None:
        """Let the job begin."""
        self.check()
        self._ask(self._gate(key).put, worker_module.GO)

    def abandon(self, key: str, future: Future) -> None:
        """Have a held job end without having begun."""
        self._ask(self._gate(key).put, worker_module.WITHHELD)
        del self._gates[key]
        self._ask(self._client.cancel, [future], force=True)
        self.forget(key)

    def find(self, key: str) -> Future | None:
        """The task that is kept under the key; None when there is none, so that the job never began."""
        future = self._ask(self._client.get_dataset, key, default=None)
        return None if future is None else self._watched(future)

    def look(
        self, written: Mapping[str, int], stops: Mapping[str, float]
    ) -> tuple[Mapping[str, WorkerReport], Collection[str]]:
        """What the workers say to `dask_worker.look`, by key, and the addresses of those that are silent.

        One that is frozen or cut off keeps none of the others from being heard.
        """
        workers = list(self._ask(self._client.nthreads))
        answers = dict(zip(workers, self._ask(self._hear, workers, written, stops), strict=True))
        seen = {
            key: WorkerReport(worker=worker, piece=piece)
            for worker, answer in answers.items()
            if answer is not None
            for key, piece in answer.items()
        }
        return seen, {worker for worker, answer in answers.items() if answer is None}

    def withhold(self, key: str) -> bool:
        """Take back the permission to begin from a job that no worker has; False when that fails."""
        gate = self._gate(key)
        word = self._ask(self._word, gate)
        if word is None:
            return False
        withheld = word in (worker_module.GO, worker_module.WITHHELD)
        self._ask(gate.put, worker_module.WITHHELD if withheld else word)
        if withheld:
            del self._gates[key]  # not closed: a worker may take the task just now, and has to read it
        return withheld

    def forget(self, key: str) -> None:
        """Have the cluster keep the job no longer."""
        self._ask(self._client.unpublish_dataset, key)
        future = self._futures.pop(key, None)
        if future is not None and not future.done():  # or the next worker takes up what a lost one had
            self._ask(self._client.cancel, [future])
        if gate := self._gates.pop(key, None):
            gate.close()  # the scheduler drops it once all who opened it have closed it

    def close(self) -> None:
        """Disconnect; jobs live on."""
        with suppress(*UNAVAILABLE):
            self._client.close(timeout=_WORD_SECONDS)

    def _ask(self, call: Callable[..., Awaitable[_T]], *args: object, **options: object) -> _T:
        """What comes of a call in the client's loop. Raises one of AWAY when nothing does in time."""

        async def asked() -> _T:
            if self._client.status != "running":
                raise ConnectionError("the scheduler is gone")
            return await call(*args, **options)

        answer: _T = self._client.sync(asked, callback_timeout=_ANSWER_SECONDS)
        return answer

    async def _hear(self, workers: Collection[str], *question: object) -> list[dict[str, bytes] | None]:
        return await asyncio.gather(*(self._answer(worker, *question) for worker in workers))

    async def _answer(self, worker: str, *question: object) -> dict[str, bytes] | None:
        """What one worker says; None when it says nothing in time."""
        run = self._client.run(worker_module.look, *question, workers=[worker], on_error="return")
        try:
            said = (await asyncio.wait_for(run, _WORKER_SECONDS)).get(worker)
        except TimeoutError:
            return None
        return said if isinstance(said, dict) else None

    def _gate(self, key: str) -> Queue:
        if key not in self._gates:
            self._gates[key] = self._ask(self._open, key)
        return self._gates[key]

    async def _open(self, key: str) -> Queue:
        gate = Queue(key, client=self._client)
        await gate._started  # to await the gate itself would open it once more, so that it is never dropped
        return gate

    async def _word(self, gate: Queue) -> str | None:
        """The word at a gate; None when a worker has just taken it, or it never came."""
        try:
            return str(await gate.get(timeout=_WORD_SECONDS))
        except TimeoutError:  # said by the scheduler: one that says nothing is away
            return None

    def _who(self) -> str:
        return str(self._ask(self._identity)["id"])

    async def _identity(self) -> Mapping[str, object]:
        identity: Mapping[str, object] = await self._client.scheduler.identity(n_workers=0)
        return identity

    def _watched(self, future: Future) -> Future:
        future.add_done_callback(lambda _: self._on_news())
        self._futures[future.key] = future
        return future


def outcome(future: Future, *, at: float) -> worker_module.Outcome:
    """What the worker says of an ended task's job, or what Dask says of the worker.

    Raises one of AWAY when it cannot be had now.
    """
    if future.status == "finished":
        said = future.result(timeout=_ANSWER_SECONDS)
        try:
            return worker_module.Outcome(**said | {"exit": JobResult(**said["exit"])})
        except (TypeError, KeyError) as error:
            why = f"its worker has another version of backfilld: {error}"
            return worker_module.Outcome(exit=JobResult.lost(why, at=at))
    if future.status != "error":
        raise ConnectionError("the connection was lost, or somebody cancelled the task")
    raised = future.exception(timeout=_ANSWER_SECONDS)
    gone = isinstance(raised, KilledWorker)
    why = f"its worker {raised.last_worker.address} is gone" if gone else f"{type(raised).__name__}: {raised}"
    return worker_module.Outcome(exit=JobResult.lost(why, at=at))
