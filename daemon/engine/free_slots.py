"""What is free for further attempts: slots, executors, pools, writers of tables, sequential phases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import AttemptRow


class FreeSlots:
    """What running attempts leave free. A claim takes all that its attempt needs, or nothing."""

    def __init__(self, pipeline: Pipeline, running: Sequence[AttemptRow]) -> None:
        slots = pipeline.jobs.slots
        self._pipeline = pipeline
        self._slots = slots - len(running)
        self._executors = {
            name: (settings.slots or slots) - sum(attempt.executor == name for attempt in running)
            for name, settings in pipeline.executor.items()
        }
        self._pools = {
            name: size - len(in_pool(pipeline, name, running)) for name, size in pipeline.pool_sizes.items()
        }
        self._writers = [(attempt.output, attempt.writer) for attempt in running]
        self._sequences = {attempt.sequence for attempt in running if attempt.sequence}

    def count(self, processor: Processor) -> int:
        """How many attempts of a processor may start now; 0 or more."""
        if self._pipeline.sequence_of(processor) in self._sequences:
            return 0
        writers = processor.writers - sum(output == processor.table for output, _ in self._writers)
        pool = self._slots if processor.pool is None else self._pools[processor.pool]
        return max(min(self._slots, self._executors[processor.executor], pool, writers), 0)

    def take(self, processor: Processor) -> int:
        """Take what an attempt of a processor needs, if `count` is above 0. Returns its writer's number."""
        writer = next(n for n in range(processor.writers) if (processor.table, n) not in self._writers)
        self._writers.append((processor.table, writer))
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
