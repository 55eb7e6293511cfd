"""What is free for further attempts: slots, executors, pools, writers of tables, sequential phases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import AttemptRow
from backfilld.state.rules.needs_graph import Pair


class FreeSlots:
    """What running attempts leave free. A claim takes all that its attempt needs, or nothing.

    Check commands that run take a slot of their processor's pool, and of nothing else.
    """

    def __init__(
        self, pipeline: Pipeline, running: Sequence[AttemptRow], checking: Collection[Pair] = ()
    ) -> None:
        slots = pipeline.jobs.slots
        self._pipeline = pipeline
        self._slots = slots - len(running)
        self._executors = {
            name: (settings.slots or slots) - sum(attempt.executor == name for attempt in running)
            for name, settings in pipeline.executor.items()
        }
        self._pools = {
            name: size - len(in_pool(pipeline, name, running)) - len(checks_in_pool(pipeline, name, checking))
            for name, size in pipeline.pool_sizes.items()
        }
        self._writers = {(attempt.output, attempt.writer) for attempt in running}
        self._outputs = Counter(attempt.output for attempt in running)
        self._sequences = {attempt.sequence for attempt in running if attempt.sequence}

    @property
    def has_slot(self) -> bool:
        """Whether an attempt may start at all, as far as the slots of all executors are concerned."""
        return self._slots > 0

    def count(self, processor: Processor) -> int:
        """How many attempts of a processor may start now; 0 or more."""
        if self._pipeline.sequence_of(processor) in self._sequences:
            return 0
        writers = processor.writers - self._outputs[processor.table]
        pool = self._slots if processor.pool is None else self._pools[processor.pool]
        return max(min(self._slots, self._executors[processor.executor], pool, writers), 0)

    def has_room_for_check(self, processor: Processor) -> bool:
        """Whether the check command of a processor may start now, as far as its pool is concerned."""
        return processor.pool is None or self._pools[processor.pool] > 0

    def take_for_check(self, processor: Processor) -> None:
        """Take what a check command needs: a slot of its processor's pool, where that has one."""
        if processor.pool is not None:
            self._pools[processor.pool] -= 1

    def take(self, processor: Processor) -> int:
        """Take what an attempt of a processor needs, if `count` is above 0. Returns its writer's number."""
        writer = next(n for n in range(processor.writers) if (processor.table, n) not in self._writers)
        self._writers.add((processor.table, writer))
        self._outputs[processor.table] += 1
        self._slots -= 1
        self._executors[processor.executor] -= 1
        if processor.pool is not None:
            self._pools[processor.pool] -= 1
        if sequence := self._pipeline.sequence_of(processor):
            self._sequences.add(sequence)
        return writer


def in_pool(pipeline: Pipeline, pool: str, running: Iterable[AttemptRow]) -> list[AttemptRow]:
    """The running attempts that take a slot of a pool: those of the processors that name it now."""
    return [attempt for attempt in running if pipeline.pool_of(attempt.processor) == pool]


def checks_in_pool(pipeline: Pipeline, pool: str, checking: Iterable[Pair]) -> list[Pair]:
    """The check commands among these that take a slot of a pool."""
    return [(date, name) for date, name in checking if pipeline.pool_of(name) == pool]
