"""A client of a Dask scheduler: submits jobs, starts them, finds them again and forgets them."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TypeVar

from distributed import Future, KilledWorker, Queue

from backfilld.daemon.executors.adapter import Handle, Job, JobResult
from backfilld.daemon.executors.dask import worker as worker_module
from backfilld.daemon.executors.dask.connection import ANSWER_SECONDS, connect
from backfilld.daemon.executors.dask.settings import DaskSettings

_WORKER_SECONDS = 3.0
"""How long a worker has to answer before the reports of the others are used without it."""
_PERMIT_SECONDS = 1.0
"""How long to wait at a gate for a permit that may be there."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DaskHandle:
    """A job's key in the cluster, and the id and the address of the scheduler process that knows the key."""

    key: str
    scheduler: str
    address: str = ""
    """Empty in what an earlier version recorded."""
    workers: tuple[str, ...] = ()
    """The workers that alone may run it; empty where each may."""

    @classmethod
    def parse(cls, text: Handle) -> DaskHandle:
        """Parse a handle. Raises ValueError for anything else."""
        try:
            fields = json.loads(text)
            workers = tuple(map(str, fields.get("workers", ())))
            key, scheduler, address = str(fields["key"]), str(fields["scheduler"]), fields.get("address", "")
            return cls(key=key, scheduler=scheduler, address=str(address), workers=workers)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a handle of a Dask job: {text!r}") from error

    def text(self) -> Handle:
        """The handle as JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What a worker reports of a job: the worker's address, and the next chunk of output.

    Without a chunk, the job has ended with the worker, which was retired.
    """

    worker: str
    chunk: bytes | None


class _Run:
    """A job that runs, and becomes its result, when it is unpickled.

    Dask closes a worker that cannot unpickle a task, with all that runs there. The task of a job is therefore
    `pickle.loads` of some bytes: in a worker without this package, only that task fails.
    """

    def __init__(self, job: Job) -> None:
        self._job = job

    def __reduce__(self) -> tuple[Callable[[Job], object], tuple[Job]]:
        return worker_module.run, (self._job,)


class DaskClient:
    """A connection to one scheduler process. Calls raise one of UNAVAILABLE when it does not answer.

    A published dataset keeps a job's task alive while no client is connected. A job begins only when its
    gate, a queue on the scheduler, hands out its only permit. Dask runs a task again when its worker or its
    result is lost; the second run finds the permit taken. `on_task_end` is called when a task ends.
    """

    def __init__(self, settings: DaskSettings, on_task_end: Callable[[], None]) -> None:
        self._resources = settings.resources
        self._on_task_end = on_task_end
        self._client = connect(settings.scheduler)
        self._gates: dict[str, Queue] = {}
        self._futures: dict[str, Future] = {}
        self.able_workers: set[str] = set()
        """The workers that can import this package."""
        self.unable_workers: dict[str, str] = {}
        """Those that cannot, with the error."""
        with ExitStack() as undo:
            undo.callback(self.close)
            self.scheduler = self._scheduler_id()
            undo.pop_all()

    def check(self) -> None:
        """Raise one of UNAVAILABLE unless it is the same scheduler: clients reconnect to any."""
        if self._scheduler_id() != self.scheduler:
            raise ConnectionError("the scheduler was restarted")

    def probe_workers(self) -> str:
        """Find out which workers can import this package.

        Returns the error if none of those that answer can, else empty.
        """
        workers = set(self._call(self._client.nthreads))
        self.able_workers &= workers
        self.unable_workers = {
            worker: why for worker, why in self.unable_workers.items() if worker in workers
        }
        new = list(workers - self.able_workers - self.unable_workers.keys())
        for worker, answer in zip(new, self._call(self._ask_all, new, {}, {}), strict=True):
            if isinstance(answer, dict):
                self.able_workers.add(worker)
            elif isinstance(answer, Exception) and not isinstance(answer, OSError):  # one that is gone
                self.unable_workers[worker] = str(answer)
        return "" if self.able_workers else next(iter(self.unable_workers.values()), "")

    @property
    def required_workers(self) -> tuple[str, ...]:
        """The workers to which a job has to be restricted now; empty where each can run it."""
        return tuple(sorted(self.able_workers)) if self.unable_workers else ()

    def submit(self, job: Job, key: str, workers: Collection[str]) -> Future:
        """Submit the job under the key, for some workers or for all. It does not begin before `start`."""
        self._gate(key)
        resources = {**self._resources, **job.resources}
        future = self._client.submit(
            pickle.loads,
            pickle.dumps(_Run(job)),
            key=key,
            pure=False,
            retries=0,
            resources=resources or None,
            workers=list(workers) or None,
        )
        self._call(self._client.publish_dataset, future, name=key)
        return self._watch(future)

    def start(self, key: str) -> None:
        """Let the job begin."""
        self.check()
        self._call(self._gate(key).put, worker_module.PERMIT)

    def abort(self, key: str, future: Future) -> None:
        """Remove a submitted job that was not started."""
        self._call(self._gate(key).put, worker_module.REVOKED)
        del self._gates[key]
        self._call(self._client.cancel, [future], force=True)
        self.forget(key)

    def find(self, key: str) -> Future | None:
        """The task that is published under the key; None when there is none, so that the job never began."""
        future = self._call(self._client.get_dataset, key, default=None)
        return None if future is None else self._watch(future)

    def poll_workers(
        self, copied: Mapping[str, int], stops: Mapping[str, float], known: Mapping[str, Sequence[str]]
    ) -> tuple[Mapping[str, WorkerReport], Collection[str]]:
        """The reports of `worker.report` by key, and the addresses of the workers that do not answer.

        The `known` workers of each job are queried too: a worker that the cluster has retired answers until
        its jobs have ended. Of several reports of a job, that of its first known worker counts.
        A worker that is frozen or cut off does not delay the reports of the others.
        """
        serving = set(self._call(self._client.nthreads))
        workers = list(serving.union(*known.values()))
        answers = dict(zip(workers, self._call(self._ask_all, workers, copied, stops), strict=True))
        reports: dict[str, WorkerReport] = {}
        for worker, answer in answers.items():
            for key, chunk in answer.items() if isinstance(answer, dict) else ():
                if key not in reports or worker in known[key][:1]:
                    reports[key] = WorkerReport(worker=worker, chunk=chunk)
        silent = {worker for worker, answer in answers.items() if not isinstance(answer, dict)}
        return reports, (silent & serving) - self.unable_workers.keys()

    def revoke(self, key: str) -> bool:
        """Take the permit back from a job that no worker runs; False when that fails."""
        gate = self._gate(key)
        token = self._call(self._take_permit, gate)
        if token is None:
            return False
        revoked = token in (worker_module.PERMIT, worker_module.REVOKED)
        self._call(gate.put, worker_module.REVOKED if revoked else token)
        if revoked:
            del self._gates[key]  # not closed: a worker may take the task just now, and has to read it
        return revoked

    def retired(self, workers: Collection[str]) -> set[str]:
        """Those of the workers that the cluster retired, as when it shrinks."""
        events = self._client.scheduler.events
        return {w for w in workers if worker_module.is_retired(self._call(events, topic=w))}

    def forget(self, key: str) -> None:
        """Remove the job from the cluster."""
        self._call(self._client.unpublish_dataset, key)
        future = self._futures.pop(key, None)
        if (
            future is not None and not future.done()
        ):  # or the next worker would take over a lost worker's task
            self._call(self._client.cancel, [future])
        if gate := self._gates.pop(key, None):
            gate.close()  # the scheduler drops it once all who opened it have closed it

    def close(self) -> None:
        """Disconnect. Jobs keep running."""
        self._client.disconnect()

    def _call(self, call: Callable[..., Awaitable[_T]], *args: object, **options: object) -> _T:
        """The result of a call in the client's loop. Raises one of UNAVAILABLE when there is none in time."""

        async def awaited() -> _T:
            if self._client.status != "running":
                raise ConnectionError("the scheduler is gone")
            return await call(*args, **options)

        result: _T = self._client.sync(awaited, callback_timeout=ANSWER_SECONDS)
        return result

    async def _ask_all(self, workers: Collection[str], *args: object) -> list[object]:
        return await asyncio.gather(*(self._ask(worker, *args) for worker in workers))

    async def _ask(self, worker: str, *args: object) -> object:
        """The report of one worker, or the error that it raised; None when it does not answer in time."""
        run = self._client.run(worker_module.report, *args, workers=[worker], on_error="return")
        try:
            return (await asyncio.wait_for(run, _WORKER_SECONDS)).get(worker)
        except TimeoutError:
            return None

    def _gate(self, key: str) -> Queue:
        if key not in self._gates:
            self._gates[key] = self._call(self._open_gate, key)
        return self._gates[key]

    async def _open_gate(self, key: str) -> Queue:
        gate = Queue(key, client=self._client)
        await gate._started  # to await the gate itself would open it once more, so that it is never dropped
        return gate

    async def _take_permit(self, gate: Queue) -> str | None:
        """The token at a gate; None when a worker has just taken it, or when it never arrived."""
        try:
            return str(await gate.get(timeout=_PERMIT_SECONDS))
        except TimeoutError:  # from the scheduler: one that does not answer raises UNAVAILABLE
            return None

    def _scheduler_id(self) -> str:
        return str(self._call(self._identity)["id"])

    async def _identity(self) -> Mapping[str, object]:
        identity: Mapping[str, object] = await self._client.scheduler.identity(n_workers=0)
        return identity

    def _watch(self, future: Future) -> Future:
        future.add_done_callback(lambda _: self._on_task_end())
        self._futures[future.key] = future
        return future


def task_outcome(future: Future, *, at: float) -> worker_module.Outcome:
    """What the worker reports of an ended task's job, or what Dask reports of the worker.

    Raises one of UNAVAILABLE when it cannot be fetched now.
    """
    if future.status == "finished":
        fields = future.result(timeout=ANSWER_SECONDS)
        try:
            return worker_module.Outcome(**fields | {"result": JobResult(**fields["result"])})
        except (TypeError, KeyError) as error:
            why = f"its worker has another version of backfilld: {error}"
            return worker_module.Outcome(result=JobResult.without_code(why, at=at))
    if future.status != "error":
        raise ConnectionError("the connection was lost, or another client cancelled the task")
    raised = future.exception(timeout=ANSWER_SECONDS)
    if isinstance(raised, ModuleNotFoundError):
        why = f"its worker cannot import backfilld ({raised}): install it there"
        return worker_module.Outcome(result=JobResult.never_began(why, at=at))
    if isinstance(raised, KilledWorker):
        why = f"its worker {raised.last_worker.address} is gone"
        return worker_module.Outcome(result=JobResult.lost(why, at=at))
    why = f"{type(raised).__name__}: {raised}"
    return worker_module.Outcome(result=JobResult.without_code(why, at=at))
