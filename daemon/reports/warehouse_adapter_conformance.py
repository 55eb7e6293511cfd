"""Whether a warehouse answers as the engine needs it: the read-only part of the conformance suite.

The same dates are queried together, alone, and beside a date far away; beside a table and a column that do
not exist; and by the query of preflight. All must agree. Nothing is written.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from backfilld.daemon.adapters import warehouse_adapter
from backfilld.daemon.preflight.findings import (
    Finding,
    Preflight,
    Result,
    exit_code,
    failed,
    passed,
    result_of,
    warned,
)
from backfilld.daemon.warehouses.adapter import Answers, DescribedWarehouse, QueryError, WarehouseError
from backfilld.daemon.warehouses.open_warehouse import open_warehouse
from backfilld.state.formatting import join_truncated, pluralize
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectation_suite import Expectation
from backfilld.state.rules.expectations.filled import Filled

MOST_DATES = 5
"""How many dates of the range are compared: the first, the last, and some between."""
FAR = dt.timedelta(days=1000)
NO_TABLE, NO_COLUMN = "backfilld_no_such_table", "backfilld_no_such_column"

_HINT = "the adapter or the table is at fault; repeat the check while no job writes, then report it"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    pipeline: Pipeline
    warehouse: DescribedWarehouse
    dates: Sequence[dt.date]
    """In ascending order."""
    together: Answers
    """The evidence of all processors and dates, with write stamps."""
    again: Answers
    """The same, queried once more."""

    @property
    def settled(self) -> Iterator[tuple[str, dt.date, Evidence]]:
        """The answers that were the same twice: nothing has written these dates meanwhile."""
        for (name, date), evidence in self.together.items():
            if not evidence.error and evidence == self.again[name, date]:
                yield name, date, evidence


def warehouse_check(
    pipeline: Pipeline, start: dt.date, end: dt.date, *, on_check: Callable[[str], None] = lambda title: None
) -> Preflight:
    """The results of all checks, for up to five dates from `start` to `end`, both included.

    `on_check` is called with the title of each check before it runs.
    """
    results: list[Result] = []
    with closing(open_warehouse(pipeline)) as warehouse:
        try:
            on_check("connection")
            connection = warehouse.catalog.describe_connection()
            results.append(
                result_of("warehouse", "connection", "connection", [passed(f"{connection} answers")])
            )
            context = _context(pipeline, warehouse, _sample(start, end))
            for check, (title, run) in _CHECKS.items():
                on_check(title)
                results.append(result_of("warehouse", check, title, list(run(context))))
        except WarehouseError as error:
            remedy = error.hint or warehouse_adapter(pipeline.warehouse.kind).remedy
            results.append(result_of("warehouse", "answers", "answers", [failed(str(error), remedy)]))
    code = exit_code(results)
    words = {
        0: "the warehouse answers as it should",
        1: "the warehouse does not answer as it should",
        2: "the warehouse answers as it should, with warnings",
    }
    return Preflight(results=results, exit_code=code, summary=words[code])


def _sample(start: dt.date, end: dt.date) -> list[dt.date]:
    span, parts = (end - start).days, MOST_DATES - 1
    return sorted({start + dt.timedelta(days=span * part // parts) for part in range(MOST_DATES)})


def _context(pipeline: Pipeline, warehouse: DescribedWarehouse, dates: Sequence[dt.date]) -> _Context:
    wanted = dict.fromkeys(pipeline.processors, dates)
    first, second = (warehouse.evidence(wanted, purpose="preflight", stamps=wanted) for _ in range(2))
    return _Context(pipeline=pipeline, warehouse=warehouse, dates=dates, together=first, again=second)


def _answered(context: _Context) -> Iterator[Finding]:
    """Every table is answered."""
    errors = {name: found.error for (name, _), found in context.together.items() if found.error}
    for name, error in errors.items():
        yield failed(f"{name}: {error}", "correct the table or the rule, or give the account the right to it")
    rows = sum(found.rows for found in context.together.values())
    tables, dates = len(context.pipeline.processors), len(context.dates)
    read = f"{tables - len(errors)} of {pluralize(tables, 'table')}"
    yield passed(f"{read}, {pluralize(dates, 'date')}, {pluralize(rows, 'row')}")


def _alone(context: _Context) -> Iterator[Finding]:
    """A date alone has the figures that it has among others."""
    for name, date, evidence in context.settled:
        single = context.warehouse.evidence({name: [date]}, purpose="preflight")[name, date]
        yield from _difference(name, date, evidence, single, "alone")
    yield passed(f"{len(list(context.settled))} figures are the same alone")


def _apart(context: _Context) -> Iterator[Finding]:
    """A date beside one that is far away has the same figures, and the far one is no error."""
    first = context.dates[0]
    wanted = dict.fromkeys(context.pipeline.processors, (first, first + FAR))
    answers = context.warehouse.evidence(wanted, purpose="preflight")
    for name, date, evidence in context.settled:
        if date == first:
            yield from _difference(name, date, evidence, answers[name, date], f"beside {first + FAR}")
            if error := answers[name, first + FAR].error:
                yield failed(f"{name} {first + FAR}: {error}", "a date without rows is no error")
    yield passed(f"{first} is the same beside {first + FAR}")


def _difference(name: str, date: dt.date, together: Evidence, other: Evidence, how: str) -> Iterator[Finding]:
    if _figures(together) != _figures(other):
        among = f"{pluralize(together.rows, 'row')} among other dates"
        line = f"{name} {date}: {among}, {other.error or other.rows} {how}"
        yield failed(line, _HINT)


def _figures(evidence: Evidence) -> Evidence:
    """What is counted in the table itself, without runs of the history and the rows of other tables."""
    return replace(evidence, closed=None, open=None, reference=None, write_stamp=None)


def _faults(context: _Context) -> Iterator[Finding]:
    """A table and a column that do not exist are errors of their own, and spoil no other answer."""
    sound = next(((name, date, e) for name, date, e in context.settled if e.rows), None)
    if sound is None:
        yield warned("no table has rows on these dates", "choose dates that have rows")
        return
    name, date, evidence = sound
    processor = context.pipeline.processors[name]
    with closing(open_warehouse(_with_faults(context.pipeline, processor))) as warehouse:
        wanted = dict.fromkeys((name, NO_TABLE, NO_COLUMN), (date,))
        answers = warehouse.evidence(wanted, purpose="preflight")
    if (keys := processor.expect.keys) and keys.of:  # the pipeline with the faults has no other processor
        evidence = replace(evidence, keys=None)
    yield from _difference(name, date, evidence, answers[name, date], "beside faults")
    kind = warehouse_adapter(context.pipeline.warehouse.kind)
    if not answers[NO_TABLE, date].error and "implicit_tables" not in kind.capabilities:
        yield failed("a table that does not exist has no rows, and is no error", _HINT)
    if not answers[NO_COLUMN, date].error:
        yield failed("a column that does not exist is no error", _HINT)
    yield passed("a missing table and a missing column are errors of their own")


def _with_faults(pipeline: Pipeline, sound: Processor) -> Pipeline:
    """A pipeline of one sound processor, one whose table and one whose column does not exist."""
    table = f"{sound.table.rpartition('.')[0]}.{NO_TABLE}"
    no_column = Expectation(filled=Filled(columns=(NO_COLUMN,)))
    processors = (
        sound.model_copy(update={"expect": sound.expect.without_reference}),
        sound.model_copy(update={"name": NO_TABLE, "table": table, "expect": Expectation()}),
        sound.model_copy(update={"name": NO_COLUMN, "expect": no_column}),
    )
    fields = {name: getattr(pipeline, name) for name in Pipeline.model_fields}
    phase = pipeline.phase[0].model_copy(update={"processor": processors})
    return Pipeline.model_construct(**{**fields, "phase": (phase,), "history": None})


def _preflight(context: _Context) -> Iterator[Finding]:
    """Preflight and gates take the same rules."""
    date = context.dates[0]
    for name in context.pipeline.processors:
        try:
            problem = context.warehouse.rule_problem(name, date)
        except QueryError as unreadable:
            problem = str(unreadable)
        error = context.together[name, date].error
        if bool(problem) is not bool(error) and not error.startswith("run history"):
            message = f"preflight says {problem or 'nothing'}, gates say {error or 'nothing'}"
            yield failed(f"{name}: {message}", _HINT)
    yield passed("preflight and gates agree on every rule")


def _stamps(context: _Context) -> Iterator[Finding]:
    """A stamp stays while nothing is written."""
    stamps = {pair: found.write_stamp for pair, found in context.together.items()}
    unknown = sorted({name for (name, _), stamp in stamps.items() if stamp is None})
    for (name, date), stamp in stamps.items():
        before, after = context.together[name, date], context.again[name, date]
        if stamp != after.write_stamp and replace(before, write_stamp=after.write_stamp) == after:
            line = f"{name} {date}: the write stamp changed between two reads, and no figure did"
            yield warned(line, "harmless if a job rewrote it just now; else reruns of it prove nothing")
    if unknown:
        yield passed(f"not known for {join_truncated(unknown, 5)}: a rerun there is judged by its rows alone")
    yield passed(f"{sum(stamp is not None for stamp in stamps.values())} write stamps")


def _calendar(context: _Context) -> Iterator[Finding]:
    """A date of the calendar has the counts that it has in a range."""
    first, last = context.dates[0], context.dates[-1]
    known = context.warehouse.counts(first, last)
    for date in context.dates:
        single = context.warehouse.counts(date, date).get(date)
        if single != known.get(date):
            yield failed(f"{date}: {known.get(date)} in a range, {single} alone", "correct calendar.query")
    if outside := [date for date in known if not first <= date <= last]:
        yield failed(f"the calendar names {outside[0]}, outside of the range", _HINT)
    yield passed(f"{pluralize(len(known), 'date')} with counts")


def _tables(context: _Context) -> Iterator[Finding]:
    """Every table that answers is described."""
    for name, processor in context.pipeline.processors.items():
        try:
            info = context.warehouse.catalog.describe(processor.table)
        except QueryError as error:
            yield failed(f"{processor.table}: {error}", "give the account the right to its metadata")
            continue
        rows = sum(e.rows for (of, _), e in context.together.items() if of == name)
        if info is None and rows:
            yield failed(f"{processor.table} has {pluralize(rows, 'row')} and is not described", _HINT)
    yield passed("tables with rows are described")


_CHECKS: Mapping[str, tuple[str, Callable[[_Context], Iterator[Finding]]]] = {
    "answers": ("answers", _answered),
    "tables": ("tables", _tables),
    "alone": ("dates alone", _alone),
    "apart": ("dates far apart", _apart),
    "faults": ("faults kept apart", _faults),
    "rules": ("rules", _preflight),
    "stamps": ("write stamps", _stamps),
    "calendar": ("calendar", _calendar),
}
"""The checks by name, in the order in which they run: title and function."""
