"""Field types of queries that filter a list: one value, or several with commas between them."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic.json_schema import WithJsonSchema

from backfilld.state.records import AttemptStatus
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.verdict import Verdict


def comma_separated(noun: str, members: type[StrEnum]) -> Callable[[object], object]:
    """A parser of a comma-separated list; an unknown member is an error of the whole parameter."""

    def parse(value: object) -> object:
        if not isinstance(value, str):
            return value
        known = [member.value for member in members]
        if unknown := [word for word in value.split(",") if word not in known]:
            raise ValueError(f"'{unknown[0]}' is not a {noun}; use one of {', '.join(known)}")
        return tuple(map(members, value.split(",")))

    return parse


Statuses = Annotated[
    tuple[AttemptStatus, ...],
    BeforeValidator(comma_separated("status", AttemptStatus)),
    WithJsonSchema({"type": "string", "description": f"comma-separated: {', '.join(AttemptStatus)}"}),
]
"""Attempt statuses in a query."""
Verdicts = Annotated[
    tuple[Verdict, ...],
    BeforeValidator(comma_separated("verdict", Verdict)),
    WithJsonSchema({"type": "string", "description": f"comma-separated: {', '.join(Verdict)}"}),
]
"""Verdicts in a query."""
Outcomes = Annotated[
    tuple[Outcome, ...],
    BeforeValidator(comma_separated("outcome", Outcome)),
    WithJsonSchema({"type": "string", "description": f"comma-separated: {', '.join(Outcome)}"}),
]
"""Outcomes in a query."""
TermList = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=100)], ...],
    BeforeValidator(lambda value: tuple(value.split(",")) if isinstance(value, str) else value),
    Field(max_length=1000),
    WithJsonSchema({"type": "string", "description": "comma-separated: name, phase:name, +name, name+"}),
]
"""Terms of a selection in a query."""
ProcessorName = Annotated[str, Field(min_length=1, max_length=80)]
ReasonPart = Annotated[str, Field(min_length=1, max_length=200)]
