"""The routes of the API, as `docs/reference/api.md` lists them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence

from pydantic.fields import FieldInfo

from backfilld.api.endpoint_definition import Endpoint, Router, header_name
from backfilld.api.routes import SECTIONS


def table_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def routes() -> str:
    """Every route, section by section."""
    return "\n".join(f"### {one.name}\n{one.description}\n\n{_section(one)}" for one in SECTIONS)


def _section(section: Router) -> str:
    rows = [
        [f"`{one.method} {one.route}`", one.scope or "", _asked(one), _summary(one)]
        for one in section.endpoints
    ]
    return table_rows(["route", "scope", "takes", "does"], rows)


def _summary(one: Endpoint) -> str:
    return (inspect.getdoc(one.view) or "").partition("\n\n")[0].replace("\n", " ")


def _asked(one: Endpoint) -> str:
    parts = [("body", one.body), ("query", one.query), ("header", one.header)]
    return "; ".join(
        f"{place} {', '.join(_field(name, field, place) for name, field in model.model_fields.items())}"
        for place, model in parts
        if model is not None and model.model_fields
    )


def _field(name: str, field: FieldInfo, place: str) -> str:
    shown = f"`{header_name(name) if place == 'header' else name}`"
    return f"**{shown}**" if field.is_required() else shown
