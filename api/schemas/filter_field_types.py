"""Field types of filters: one value, or several with commas between them; in a body also as a JSON list."""

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
            raise ValueError(f"'{unknown[0]}' is not {noun}; use one of {', '.join(known)}")
        return tuple(map(members, value.split(",")))

    return parse


def joined_list(value: object) -> object:
    """A JSON list of texts as the comma-separated text that a query has.

    Raises:
        ValueError: neither a text nor a list of texts.
    """
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ",".join(value)
    if value is not None and not isinstance(value, str):
        raise ValueError('is neither a text nor a list of texts; write one value, or a list: ["..."]')
    return value


def _text_or_list(members: type[StrEnum]) -> WithJsonSchema:
    known = [member.value for member in members]
    text = {"type": "string", "description": f"comma-separated: {', '.join(known)}"}
    return WithJsonSchema({"anyOf": [text, {"type": "array", "items": {"type": "string", "enum": known}}]})


Statuses = Annotated[
    tuple[AttemptStatus, ...],
    BeforeValidator(comma_separated("a status", AttemptStatus)),
    WithJsonSchema({"type": "string", "description": f"comma-separated: {', '.join(AttemptStatus)}"}),
]
"""Attempt statuses in a query."""
Verdicts = Annotated[
    tuple[Verdict, ...],
    BeforeValidator(comma_separated("a verdict", Verdict)),
    WithJsonSchema({"type": "string", "description": f"comma-separated: {', '.join(Verdict)}"}),
]
"""Verdicts in a query."""
Outcomes = Annotated[
    tuple[Outcome, ...],
    BeforeValidator(comma_separated("an outcome", Outcome)),
    WithJsonSchema({"type": "string", "description": f"comma-separated: {', '.join(Outcome)}"}),
]
"""Outcomes in a query."""
VerdictsOfBody = Annotated[
    tuple[Verdict, ...],
    BeforeValidator(comma_separated("a verdict", Verdict)),
    BeforeValidator(joined_list),
    _text_or_list(Verdict),
]
"""Verdicts in a body."""
OutcomesOfBody = Annotated[
    tuple[Outcome, ...],
    BeforeValidator(comma_separated("an outcome", Outcome)),
    BeforeValidator(joined_list),
    _text_or_list(Outcome),
]
"""Outcomes in a body."""
StatesOfBody = Annotated[
    str,
    Field(min_length=1, max_length=500),
    BeforeValidator(joined_list),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": 500, "description": "comma-separated"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ]
        }
    ),
]
"""States in a body: names of the pipeline's states, with commas between them."""
TermList = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=100)], ...],
    BeforeValidator(lambda value: tuple(value.split(",")) if isinstance(value, str) else value),
    Field(max_length=1000),
    WithJsonSchema({"type": "string", "description": "comma-separated: name, phase:name, +name, name+"}),
]
"""Terms of a selection in a query."""
ProcessorName = Annotated[str, Field(min_length=1, max_length=80)]
ReasonPart = Annotated[str, Field(min_length=1, max_length=200)]
