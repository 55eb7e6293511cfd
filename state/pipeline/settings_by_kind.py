"""`[warehouse]` and `[executor.*]` by kind: each adapter has a settings model of its own.

This package knows no adapter. The caller of `load` hands over the kinds that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from backfilld.state.pipeline.base_executor_settings import ExecutorSettings
from backfilld.state.pipeline.base_warehouse_settings import WarehouseSettings
from backfilld.state.spelling_suggestions import nearest_name

Settings = TypeVar("Settings", WarehouseSettings, ExecutorSettings)

LOCAL = "local"
"""The executor that every pipeline has: processes on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds(Generic[Settings]):
    """The kinds of one sort of adapter. A kind's model is imported only when a pipeline uses it."""

    names: tuple[str, ...]
    model: Callable[[str], type[Settings]]
    """The settings model of a kind. Raises ValueError if its package cannot be imported."""

    def parse(self, data: dict[str, Any]) -> Settings:
        """The settings of a table, by the model that its `kind` names.

        Raises:
            ValueError: the kind is missing or unknown, or its model refuses the table.
        """
        kind = data.get("kind")
        if kind is None:
            raise _wrong_kind("missing", data)
        if not isinstance(kind, str):
            raise _wrong_kind("string_type", kind)
        if kind not in self.names:
            raise _wrong_kind(_unknown(kind, self.names), kind)
        return self.model(kind).model_validate(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """All kinds of warehouses and executors that a pipeline file may name."""

    warehouses: Kinds[WarehouseSettings]
    executors: Kinds[ExecutorSettings]


def _wrong_kind(error: str | PydanticCustomError, value: object) -> ValidationError:
    details = InitErrorDetails(type=error, loc=("kind",), input=value)
    return ValidationError.from_exception_data("kind", [details])


def _unknown(kind: str, known: tuple[str, ...]) -> PydanticCustomError:
    words = " or ".join(repr(name) for name in known)
    nearest = nearest_name(kind, known)
    hint = f"; did you mean '{nearest}'?" if nearest else ""
    message = f"{kind!r} is not known; write {words}{hint}"
    return PydanticCustomError("unknown_kind", "{message}", {"message": message})


def _parse_warehouse(data: Any, info: ValidationInfo) -> Any:
    return _adapters(info).warehouses.parse(data) if isinstance(data, dict) else data


def _parse_executor(data: Any, info: ValidationInfo) -> Any:
    return _adapters(info).executors.parse(data) if isinstance(data, dict) else data


def _adapters(info: ValidationInfo) -> Adapters:
    if not isinstance(info.context, Adapters):
        raise TypeError("a Pipeline is made by backfilld.state.pipeline.loading, which knows the adapters")
    return info.context


def _named(data: Any, info: ValidationInfo) -> Any:
    """Every table with its kind, which is its name unless it says otherwise; `local` is always there."""
    if not isinstance(data, dict):
        return data
    kinds = _adapters(info).executors.names
    tables = {LOCAL: {"kind": LOCAL}}
    for name, table in data.items():
        tables[name] = {"kind": name, **table} if isinstance(table, dict) else table
        if isinstance(table, dict) and name in kinds and tables[name]["kind"] != name:
            raise ValueError(f"'{name}' is a kind of executor; choose another name")
    return tables


ExecutorName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=80)]
WarehouseSection = Annotated[SerializeAsAny[WarehouseSettings], BeforeValidator(_parse_warehouse)]
ExecutorSection = Annotated[SerializeAsAny[ExecutorSettings], BeforeValidator(_parse_executor)]
ExecutorSections = Annotated[Mapping[ExecutorName, ExecutorSection], BeforeValidator(_named)]
