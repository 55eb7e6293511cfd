"""Check commands (`expect.check`): requests their runs, starts them, and stores what they say.

A run is a query, not an attempt. One is requested where all other rules hold and no result about that very
output is known. The engine worker starts it outside of any transaction, at most `engine.check_slots` at a
time, and has the output judged again when it ends. Runs of a daemon that was killed start again: a request
stays until its run has ended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.free_slots import FreeSlots
from backfilld.daemon.executors.check_command_runner_interface import CheckCommand, CheckEnd, CheckExecutor
from backfilld.daemon.job_command import check_command
from backfilld.daemon.warehouses.adapter import Answers
from backfilld.state.records import CheckRow
from backfilld.state.rules.check_command_run import CheckRun
from backfilld.state.rules.check_command_run_freshness import current_run, subject_of
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.store import attempts, check_command_runs, checks, holds
from backfilld.state.store.checks import CheckResult
from backfilld.state.store.database import Transaction


def with_runs(
    context: EngineContext, due: Sequence[CheckRow], answers: Answers, *, any_age: bool = False
) -> tuple[Sequence[CheckRow], Answers]:
    """The checks with their latest runs, and the evidence with those that are about its very output.

    A result that is too old is left out, unless `any_age`.
    """
    names = context.pipeline.check_commands
    if not any(check.processor in names for check in due):
        return due, answers
    with context.db.read() as tx:
        due = check_command_runs.attached(tx, due, names)
    completed = dict(answers)
    for check in due:
        pair = check.processor, check.date
        if check.processor in names and pair in answers:
            run = current_run(context.pipeline, check, answers[pair], context.now(), any_age=any_age)
            completed[pair] = replace(
                answers[pair], check_run=run or _repeated(context, check, answers[pair])
            )
    return due, completed


def _repeated(context: EngineContext, check: CheckRow, evidence: Evidence) -> CheckRun | None:
    """The run that is due after one without a result about the same output; None where that had one."""
    run = check.check_run
    if run is None or not run.failures or run.subject != subject_of(context.pipeline, check, evidence):
        return None
    return replace(run, started_at=None, ended_at=None)


def request(
    tx: Transaction,
    context: EngineContext,
    judged: Iterable[tuple[CheckRow, CheckResult]],
    answers: Answers,
) -> None:
    """Request a run for each output that lacks a result, and drop the requests of outputs that need none."""
    wanted: dict[Pair, str] = {}
    unneeded: list[Pair] = []
    for check, result in judged:
        evidence = answers.get((check.processor, check.date))
        if check.processor not in context.pipeline.check_commands or evidence is None:
            continue
        if evidence.check_run is not None and evidence.check_run == check.check_run:
            continue
        if result.judgement.awaits_check:
            wanted[check.date, check.processor] = subject_of(context.pipeline, check, evidence)
        elif check.check_run is not None and check.check_run.ended_at is None:
            unneeded.append((check.date, check.processor))
    if wanted or unneeded:
        check_command_runs.request(tx, wanted, context.now())
        check_command_runs.withdraw(tx, unneeded)


class CheckRuns:
    """Starts the runs that were requested, and stores their ends."""

    def __init__(self, context: EngineContext, executor: CheckExecutor) -> None:
        self._context = context
        self._executor = executor
        self._commands = context.pipeline.check_commands

    @property
    def running(self) -> Collection[Pair]:
        """The pairs whose check commands run."""
        return self._executor.running if self._commands else ()

    def poll(self) -> Sequence[CheckEnd]:
        """The runs that ended since the last call."""
        return self._executor.poll() if self._commands else ()

    def can_start(self, tx: Transaction) -> bool:
        """Whether a requested run may start now."""
        return bool(self._startable(tx))

    def close(self, tx: Transaction, ended: Sequence[CheckEnd]) -> None:
        """Store results that are still wanted, and have their outputs judged again."""
        now = self._context.now()
        stored = [
            end.pair
            for end in ended
            if check_command_runs.end(
                tx, end.pair, end.subject, exit_code=end.exit_code, detail=end.detail, now=now
            )
        ]
        known = checks.for_dates(tx, {date for date, _ in stored})
        written = {(d, n) for d, n in stored if (c := known[d].get(n)) and c.attempt_id is not None}
        checks.request_check(tx, [pair for pair in stored if pair not in written], now)

    def claim(self, tx: Transaction) -> list[CheckCommand]:
        """Record which runs start now. Returns their commands, for `start` after the commit."""
        runs, now = self._startable(tx), self._context.now()
        started = {
            (date, name): self._commands[name].judge_run(replace(run, started_at=now), date)
            for (date, name), run in runs.items()
        }
        check_command_runs.start(tx, {pair: found[1] for pair, found in started.items() if found}, now)
        return [self._command(pair, run.subject) for pair, run in runs.items()]

    def start(self, commands: Sequence[CheckCommand]) -> None:
        """Start runs that were claimed."""
        for command in commands:
            self._executor.start(command)

    def _startable(self, tx: Transaction) -> Mapping[Pair, CheckRun]:
        """The requests that may start: within `check_slots` and pools, while the warehouse is not on hold."""
        if not self._commands:
            return {}
        pipeline, running = self._context.pipeline, self._executor.running
        slots = pipeline.engine.check_slots - len(running)
        if slots <= 0 or holds.in_force(tx, holds.WAREHOUSE, self._context.now()):
            return {}
        requests = check_command_runs.next_requests(tx, self._commands, 1)
        if not requests:
            return {}
        free = FreeSlots(pipeline, attempts.running(tx) if pipeline.pool else [], running)
        names = [name for name in self._commands if free.has_room_for_check(pipeline.processors[name])]
        startable: dict[Pair, CheckRun] = {}
        for pair, run in check_command_runs.next_requests(tx, names, slots + len(running)).items():
            processor = pipeline.processors[pair[1]]
            if pair not in running and len(startable) < slots and free.has_room_for_check(processor):
                free.take_for_check(processor)
                startable[pair] = run
        return startable

    def _command(self, pair: Pair, subject: str) -> CheckCommand:
        date, name = pair
        processor, check = self._context.pipeline.processors[name], self._commands[name]
        command = check_command(self._context.pipeline, processor, check, date)
        return CheckCommand(
            pair=pair,
            subject=subject,
            argv=command.argv,
            cwd=command.cwd,
            env=command.env,
            pass_env=processor.pass_env,
            timeout=check.timeout,
            grace_period=processor.grace_period,
            error_pattern=processor.error_pattern,
        )
