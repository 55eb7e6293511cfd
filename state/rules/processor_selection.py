"""Selections: which processors a request lets run, in dbt's grammar. Pure.

A term is `name` or `phase:name`, with `+` before it for everything upstream, after it for everything
downstream.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from backfilld.state.base_errors import BackfilldError
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.needs_graph import closure
from backfilld.state.spelling_suggestions import did_you_mean

_PHASE = "phase:"


class UnknownSelection(BackfilldError):
    """A term matches no processor and no phase of the pipeline."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def resolve(
    pipeline: Pipeline, select: Sequence[str], exclude: Sequence[str] = (), *, with_upstream: bool = False
) -> tuple[str, ...] | None:
    """The selected processors in the order of the pipeline file; None if the request states no selection.

    Raises:
        UnknownSelection: a term matches nothing, or nothing is left.
    """
    if not select and not exclude:
        return None
    chosen = set(_matched(pipeline, "select", select)) if select else set(pipeline.processors)
    if with_upstream:
        chosen |= upstream(pipeline, chosen)
    chosen -= set(_matched(pipeline, "exclude", exclude))
    if not chosen:
        raise UnknownSelection("exclude", "leaves no processor selected; exclude less")
    return tuple(name for name in pipeline.processors if name in chosen)


def upstream_command(dates: Collection[dt.date], names: Iterable[str]) -> str:
    """The one command that fills whatever the outputs of `names` need on some dates and miss."""
    span = " ".join(dict.fromkeys([str(min(dates)), str(max(dates))]))
    return f"backfilld enqueue {span} --select {','.join(sorted(names))} --with-upstream"


def upstream(pipeline: Pipeline, names: Iterable[str], *, same_date: bool = False) -> set[str]:
    """Every processor whose output one of `names` is computed from, without `names` themselves.

    With `same_date`, only outputs of the same date count.
    """
    needs = _needs(pipeline, same_date=same_date)
    return closure(names, lambda name: needs.get(name, ()))


def downstream(pipeline: Pipeline, names: Iterable[str], *, same_date: bool = False) -> set[str]:
    """Every processor that is computed from the output of one of `names`, without `names` themselves.

    With `same_date`, only outputs of the same date count.
    """
    needed_by: dict[str, set[str]] = {name: set() for name in pipeline.processors}
    for name, needs in _needs(pipeline, same_date=same_date).items():
        for needed in needs:
            needed_by[needed].add(name)
    return closure(names, lambda name: needed_by.get(name, ()))


def _needs(pipeline: Pipeline, *, same_date: bool) -> Mapping[str, set[str]]:
    """What each processor needs by the graph of needs, runs after, or is compared with."""
    found: dict[str, set[str]] = {}
    for name, processor in pipeline.processors.items():
        needs = [need for need in pipeline.needs.direct(name) if need.same_date or not same_date]
        reference = {pipeline.references[name]} if name in pipeline.references else set()
        found[name] = {other for need in needs for other in need.of} | set(processor.after) | reference
    return found


def _matched(pipeline: Pipeline, field: str, terms: Sequence[str]) -> Iterator[str]:
    for term in terms:
        match = re.fullmatch(r"(\+?)(.*?)(\+?)", term)
        before, word, after = match.groups() if match else ("", term, "")
        names = _named(pipeline, field, word)
        yield from names
        if before:
            yield from upstream(pipeline, names)
        if after:
            yield from downstream(pipeline, names)


def _named(pipeline: Pipeline, field: str, word: str) -> list[str]:
    if word.startswith(_PHASE):
        phases = {phase.name: phase for phase in pipeline.phase}
        name = word.removeprefix(_PHASE)
        if name not in phases:
            raise UnknownSelection(field, f"there is no phase '{name}'; {did_you_mean(name, phases)}")
        return [processor.name for processor in phases[name].processor]
    if word not in pipeline.processors:
        hint = did_you_mean(word, pipeline.processors)
        raise UnknownSelection(field, f"there is no processor '{word}'; {hint}")
    return [word]
