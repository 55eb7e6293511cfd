"""The tables of `docs/reference/`, made from the code: `make docs` writes them, a test compares them.

A table stands between `<!-- table: NAME -->` and `<!-- /table -->`; the words around it are written by hand.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from enum import Enum
from pathlib import Path
from typing import Any

from prometheus_client import Metric
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from backfilld.api.cli.commands.serve import serve
from backfilld.daemon.adapters import installed
from backfilld.daemon.settings import DEFAULT_BACKUP_EVERY, DEFAULT_LISTEN, VARIABLES, Settings
from backfilld.state.pipeline.base_executor_settings import ExecutorSettings
from backfilld.state.pipeline.base_warehouse_settings import WarehouseSettings
from backfilld.state.pipeline.calendar_settings import CalendarSettings, SeasonSettings
from backfilld.state.pipeline.closed_hours_settings import WindowSettings
from backfilld.state.pipeline.days_settings import DaysSettings
from backfilld.state.pipeline.job_settings import JobDefaults, JobSettings
from backfilld.state.pipeline.need_settings import NeedSettings
from backfilld.state.pipeline.phase import Phase
from backfilld.state.pipeline.pipeline import EngineSettings, Pipeline
from backfilld.state.pipeline.pool_settings import PoolSettings
from backfilld.state.pipeline.processor import Processor
from backfilld.state.pipeline.run_history_settings import HistorySettings
from backfilld.state.pipeline.user_defined_preflight_settings import PreflightCheckSettings, PreflightSettings
from backfilld.state.rules.expectation_suite import Expectation
from backfilld.state.rules.expectations.change import Measure
from backfilld.state.rules.expectations.check_command import CommandCheck
from backfilld.state.rules.expectations.distinct import DistinctColumn
from backfilld.state.rules.expectations.filled import Filled
from backfilld.state.rules.expectations.keys import Keys
from backfilld.state.rules.expectations.quality import Quality
from backfilld.state.rules.expectations.ramp import RampStep
from backfilld.state.rules.expectations.ratio import Ratio
from backfilld.state.rules.expectations.rows_each import RowsEach
from backfilld.state.rules.expectations.unique import Unique
from backfilld.state.rules.expectations.volume import Volume
from tests.documents import ROOT
from tests.integration.api_world import make_api, small_pipeline
from tests.reference_routes import routes, table_rows
from tests.reference_verbs import verbs
from tests.reference_words import WORDS, declared, words

FOLDER = ROOT / "docs" / "reference"
_TABLE = re.compile(r"(<!-- table: (?P<name>[\w.-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)

MODELS: Mapping[str, type[BaseModel]] = {
    "pipeline": Pipeline,
    "warehouse": WarehouseSettings,
    "history": HistorySettings,
    "calendar": CalendarSettings,
    "days": DaysSettings,
    "season": SeasonSettings,
    "jobs": JobDefaults,
    "executor": ExecutorSettings,
    "engine": EngineSettings,
    "phase": Phase,
    "processor": Processor,
    "need": NeedSettings,
    "pool": PoolSettings,
    "window": WindowSettings,
    "preflight": PreflightSettings,
    "preflight_check": PreflightCheckSettings,
    "expect": Expectation,
    "ratio": Ratio,
    "quality": Quality,
    "filled": Filled,
    "distinct": DistinctColumn,
    "ramp": RampStep,
    "unique": Unique,
    "keys": Keys,
    "rows_each": RowsEach,
    "volume": Volume,
    "change": Measure,
    "check": CommandCheck,
}
"""The tables of the pipeline file, by the names of their tables in the reference."""

KINDS: Mapping[str, Mapping[str, type[BaseModel]]] = {
    "warehouse": {kind: installed().warehouses.model(kind) for kind in installed().warehouses.names},
    "executor": {kind: installed().executors.model(kind) for kind in installed().executors.names},
}
"""The settings models of the adapters, by kind."""

POOL = {"name": "vendor_api", "size": 4}

_KINDS: Mapping[str, str] = {
    "Name": "name",
    **dict.fromkeys(("TableName", "OutputTable"), "table's name"),
    "Column": "column",
    "TimeZone": "text",
    **dict.fromkeys(("Duration", "TimeLimit"), "duration"),
    "Size": "size",
    **dict.fromkeys(("Bounds", "Rows"), "list of 1 or 2 numbers"),
    "RowsPer": "table of lists of 1 or 2 numbers",
    **dict.fromkeys(("Distinct", "Ramp", "Change"), "tables of their own"),
    "str": "text",
    "NoRows": "SQL",
    "int": "whole number",
    **dict.fromkeys(("float", "Share"), "number"),
    "bool": "true or false",
    "dt.date": "date",
    "TimeOfDay": "time of day",
    **dict.fromkeys(("Period", "PeriodOutput", "Pattern", "Since", "Priority"), "text"),
    "Mapping[str, str]": "table of texts",
    **dict.fromkeys(("tuple[str, ...]", "tuple[Weekday, ...]"), "list of texts"),
    "tuple[dt.date, ...]": "list of dates",
    "tuple[Name, ...]": "list of names",
    "tuple[Column, ...]": "list of columns",
}


def rewritten(text: str) -> str:
    """A document with all its tables as the code has them."""
    return _TABLE.sub(lambda found: f"{found[1]}{TABLES[found['name']]()}{found[3]}", text)


def kinds(sort: str) -> str:
    """The keys that each kind of adapter adds, a section for each."""
    return "\n".join(
        f'### `kind = "{kind}"`\n{inspect.getdoc(model)}\n\n{keys(model) if _own_keys(model) else ""}'
        for kind, model in KINDS[sort].items()
    )


def _own_keys(model: type[BaseModel]) -> list[str]:
    inherited = _inherited(model)
    return [key for key in model.model_fields if key not in inherited]


def keys(model: type[BaseModel]) -> str:
    """The keys of one table of the pipeline file. A processor's own: those of `[jobs]` have their table."""
    inherited = _inherited(model)
    told = docstrings(model)
    rows = [
        [
            f"`{field.alias or key}`",
            _kind(model, key, field),
            _default(field, _annotation(model, key)),
            told[key],
        ]
        for key, field in model.model_fields.items()
        if key not in inherited and not field.exclude
    ]
    return table_rows(["key", "type", "default", "meaning"], rows)


def _inherited(model: type[BaseModel]) -> Iterable[str]:
    """The keys that the table of a base has: of an adapter's settings only its own are listed."""
    bases = [base for base in model.__mro__[1:] if base in (JobSettings, WarehouseSettings, ExecutorSettings)]
    return [] if model is JobDefaults else [key for base in bases for key in base.model_fields]


@functools.cache
def _fields(model: type[BaseModel]) -> list[tuple[str, str, str]]:
    """The fields that a model and its bases declare: name, annotation and docstring of each."""
    found = []
    for kind in reversed([c for c in model.__mro__ if c.__module__.startswith("backfilld.")]):
        for field, text in declared(kind):
            if isinstance(field, ast.AnnAssign) and not ast.unparse(field.annotation).startswith("ClassVar"):
                found.append((ast.unparse(field.target), ast.unparse(field.annotation), text))
    return found


def docstrings(model: type[BaseModel]) -> dict[str, str]:
    """What a model says of each of its fields."""
    return {name: text for name, _, text in _fields(model)}


def _annotation(model: type[BaseModel], key: str) -> str:
    return {name: annotation for name, annotation, _ in _fields(model)}[key]


def _kind(model: type[BaseModel], key: str, field: FieldInfo) -> str:
    annotation = _annotation(model, key).removesuffix(" | None")
    if annotation.startswith("Literal"):
        kind = " or ".join({"int": "whole number"}.get(one, "text") for one in annotation.split(" | "))
    else:
        own = "tables of their own" if annotation.startswith("tuple") else "table of its own"
        kind = _KINDS.get(annotation, own)
    return kind + _limits(field)


def _limits(field: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = [
        f"{word} {getattr(limit, name)}"
        for limit in field.metadata
        for name, word in words.items()
        if getattr(limit, name, None) is not None
    ]
    return ", " + ", ".join(limits) if limits else ""


def _default(field: FieldInfo, annotation: str) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ((), {}) or isinstance(value, BaseModel):
        return ""
    if annotation.startswith(("Duration", "TimeLimit")):
        return f'`"{_span(value)}"`'
    if annotation == "Size":
        return f'`"{value / 1e9:g}GB"`'
    return f"`{_toml(value.value if isinstance(value, Enum) else value)}`"


def _span(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def metrics() -> str:
    """Every metric with type, labels and help, as a daemon with a daily budget and a pool exposes it."""
    with tempfile.TemporaryDirectory() as folder:
        api = make_api(Path(folder), made=lambda: small_pipeline(jobs={"daily_attempts": 9}, pool=[POOL]))
        api.enqueue("2021-10-19", "2021-10-20")
        families = list(api.metrics.registry.collect())
    return table_rows(["metric", "type", "labels", "what"], [_metric(family) for family in families])


def _metric(family: Metric) -> list[str]:
    labels = dict.fromkeys(label for sample in family.samples for label in sample.labels if label != "le")
    name = family.name + ("_total" if family.type == "counter" else "")
    return [f"`{name}`", family.type, ", ".join(f"`{label}`" for label in labels), family.documentation]


def settings() -> str:
    """Every variable, the option of `serve` that goes before it, and what holds without either."""
    options = {name for option in serve.params for name in option.opts}
    rows = []
    for variable, meaning in VARIABLES.items():
        word = "--" + variable.removeprefix("BACKFILLD_").lower().replace("_", "-")
        option = next((name for name in (word, word.removesuffix("s")) if name in options), "")
        rows.append([f"`{variable}`", f"`{option}`" if option else "", _without(variable), meaning])
    return table_rows(["variable", "option of `serve`", "default", "meaning"], rows)


def _without(variable: str) -> str:
    """What holds where a variable is not set."""
    known = {"listen": DEFAULT_LISTEN, "url": f"http://{DEFAULT_LISTEN}"}
    known |= {one.name: one.default for one in fields(Settings)}
    known["backup_every"] = DEFAULT_BACKUP_EVERY
    default = known.get(variable.removeprefix("BACKFILLD_").lower())
    if default is MISSING:
        return "required"
    if isinstance(default, float):
        default = f"{default:g}"
    return f"`{default}`" if default else ""


TABLES: Mapping[str, Callable[[], str]] = {
    **{f"keys.{name}": (lambda model=model: keys(model)) for name, model in MODELS.items()},
    **{f"kinds.{sort}": (lambda sort=sort: kinds(sort)) for sort in KINDS},
    **{f"words.{name}": (lambda meanings=meanings: words(meanings)) for name, meanings in WORDS.items()},
    "routes": routes,
    "metrics": metrics,
    "settings": settings,
    "verbs": verbs,
}


if __name__ == "__main__":
    for document in FOLDER.glob("*.md"):
        document.write_text(rewritten(document.read_text(encoding="utf-8")), encoding="utf-8")
