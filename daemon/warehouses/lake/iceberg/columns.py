"""The columns of an Iceberg table for DuckDB, which reads files by field ids: a renamed column stays one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pyiceberg.schema import Schema
from pyiceberg.types import (
    DecimalType,
    FixedType,
    IcebergType,
    ListType,
    MapType,
    NestedField,
    PrimitiveType,
    StructType,
)

from backfilld.daemon.warehouses.adapter import TimeType
from backfilld.daemon.warehouses.lake.bigquery_transpiler.quoting_and_refusal import quoted, quoted_text

_TYPES = {
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "long": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
    "timestamp_ns": "TIMESTAMP_NS",
    "string": "VARCHAR",
    "uuid": "UUID",
    "binary": "BLOB",
}
_TIMES: Mapping[str, TimeType] = {
    "timestamp": "datetime",
    "timestamp_ns": "datetime",
    "timestamptz": "timestamp",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the current schema that DuckDB can read."""

    field_id: int
    name: str
    type: str
    """DuckDB's type."""
    default: str | None = None
    """The value in files that were written before the column was added, as text."""

    @property
    def time_type(self) -> TimeType | None:
        """The type of a column of times; None for all others."""
        return next((kind for name, kind in _TIMES.items() if _TYPES[name] == self.type), None)


def columns_of(current: Schema, schemas: Iterable[Schema]) -> Mapping[str, Column]:
    """The columns of the current schema by name in lower case.

    Columns that DuckDB would read wrong are left out: types that it does not have, and structs in which a
    field was renamed or replaced, because DuckDB finds fields of a struct by name.
    """
    renamed = _renamed_structs(schemas)
    return {field.name.lower(): column for field in current.fields if (column := _column(field, renamed))}


def schema_text(columns: Iterable[Column]) -> str:
    """The option `schema` of DuckDB's `read_parquet`."""
    fields = (
        f"{column.field_id}: {{'name': {quoted_text(column.name)}, 'type': {quoted_text(column.type)},"
        f" 'default_value': {'NULL' if column.default is None else quoted_text(column.default)}}}"
        for column in columns
    )
    return f"MAP {{{', '.join(fields)}}}"


def _column(field: NestedField, renamed: Collection[int]) -> Column | None:
    default = field.initial_default
    if default is not None and not isinstance(default, str | int | float):
        return None
    try:
        kind = _duckdb_type(field, renamed)
    except NotImplementedError:
        return None
    text = None if default is None else str(default)
    return Column(field_id=field.field_id, name=field.name, type=kind, default=text)


def _duckdb_type(field: NestedField, renamed: Collection[int]) -> str:
    """DuckDB's type for a field.

    Raises:
        NotImplementedError: DuckDB has none, or would read it wrong.
    """
    kind = field.field_type
    inner = [_duckdb_type(part, renamed) for part in _parts(kind)]
    match kind:
        case StructType() if field.field_id not in renamed:
            named = zip(kind.fields, inner, strict=True)
            return f"STRUCT({', '.join(f'{quoted(part.name)} {text}' for part, text in named)})"
        case ListType():
            return f"{inner[0]}[]"
        case MapType():
            return f"MAP({inner[0]}, {inner[1]})"
        case DecimalType():
            return f"DECIMAL({kind.precision}, {kind.scale})"
        case FixedType():
            return "BLOB"
        case PrimitiveType() if str(kind) in _TYPES:
            return _TYPES[str(kind)]
        case _:
            raise NotImplementedError


def _renamed_structs(schemas: Iterable[Schema]) -> Collection[int]:
    """The ids of the fields with a struct in which a name had several ids, or an id several names."""
    pairs: dict[int, set[tuple[int, str]]] = defaultdict(set)
    for schema in schemas:
        for field in schema.fields:
            for struct, part in _fields_of_structs(field):
                pairs[struct].add((part.field_id, part.name.lower()))
    return {
        struct
        for struct, fields in pairs.items()
        if not len({number for number, _ in fields}) == len({name for _, name in fields}) == len(fields)
    }


def _fields_of_structs(field: NestedField) -> Iterator[tuple[int, NestedField]]:
    """Each field of a struct at any depth, with the id of the field that has the struct."""
    for part in _parts(field.field_type):
        if isinstance(field.field_type, StructType):
            yield field.field_id, part
        yield from _fields_of_structs(part)


def _parts(kind: IcebergType) -> Sequence[NestedField]:
    match kind:
        case StructType():
            return kind.fields
        case ListType():
            return (kind.element_field,)
        case MapType():
            return (kind.key_field, kind.value_field)
        case _:
            return ()
