"""Mistakes in rules that compare a processor's rows with another table. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from backfilld.state.pipeline.duplicate_and_unknown_names import nearest
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor

_REMEDY = "a processor of an earlier state, or put it in after"


def comparison_problems(
    where: str, processor: Processor, pipeline: Pipeline, earlier: Collection[str]
) -> Iterator[str]:
    """One line for each mistake: key, what is wrong, remedy; `earlier`: the processors of earlier states."""
    compared = {key: of for key, rule in processor.expect.rules.items() if (of := rule.compared_with())}
    for key, of in compared.items():
        if of not in earlier and of not in processor.after:
            hint = nearest(of, [name for name in pipeline.processors if name != processor.name])
            remedy = "another processor, of an earlier state" if of == processor.name else _REMEDY
            yield f"{where}.{key}.of: '{of}' is not settled before '{processor.name}'; name {remedy}{hint}"
    if len(set(compared.values())) > 1:
        stated = " and ".join(f"{key} with '{of}'" for key, of in compared.items())
        yield f"{where}: compares {stated}; a processor is compared with one other, so name the same one"
    yield from _key_problems(where, processor, pipeline)


def _key_problems(where: str, processor: Processor, pipeline: Pipeline) -> Iterator[str]:
    keys = processor.expect.keys
    if keys is None or keys.table is None:
        return
    if keys.table == processor.table:
        yield f"{where}.keys.from: is the processor's own table; name the table that says which keys it has"
        return
    writers = [name for name, other in pipeline.processors.items() if other.table == keys.table]
    if writers:
        yield (
            f"{where}.keys.from: {keys.table} is the output of '{writers[0]}'; write of = \"{writers[0]}\","
            " so that the rule waits until that output is satisfied"
        )
