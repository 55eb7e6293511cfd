"""Rows for `nba.box` as an Iceberg table, and what the lake says of it."""

import datetime as dt
from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from backfilld.state.rules.evidence import Evidence
from tests.factories import phase, processor
from tests.integration.iceberg_house import IcebergHouse

DAY, NEXT, THIRD = (dt.date(2024, 3, day) for day in (1, 2, 3))
DATES = (DAY, NEXT, THIRD)


def box(**keys: object) -> dict[str, object]:
    rules = {"unique": {"columns": ["id"]}, "quality": {"where": "id > 0"}}
    return phase("raw", processor("box", **{"date_column": "date", "expect": rules, **keys}))


def made(select: str) -> pa.Table:
    return duckdb.sql(select).to_arrow_table()


def days(*counts: int, start: dt.date = DAY, column: str = "s") -> pa.Table:
    """So many rows of each date from `start`."""
    dates = [start + dt.timedelta(days=number) for number, count in enumerate(counts) for _ in range(count)]
    kinds = {"date": pa.date32(), "id": pa.int64(), column: pa.string()}
    values = {"date": dates, "id": range(1, len(dates) + 1), column: ["x"] * len(dates)}
    return pa.table({name: pa.array(values[name], kind) for name, kind in kinds.items()})


def evidence(
    house: IcebergHouse, *dates: dt.date, of: dict[str, object] | None = None
) -> Mapping[dt.date, Evidence]:
    """The evidence of `nba.box`, with write stamps."""
    wanted = {"box": dates or DATES}
    answers = house.open(of or box(), history=None).evidence(wanted, purpose="gate", stamps=wanted)
    return {date: found for (_, date), found in answers.items()}


def rows(house: IcebergHouse, **keys: object) -> list[int]:
    found = evidence(house, of=box(**keys))
    assert [answer.error for answer in found.values()] == [""] * len(found)
    return [answer.rows for answer in found.values()]


def stamps(house: IcebergHouse, *, of: dict[str, object] | None = None) -> Sequence[str | None]:
    found = [answer.write_stamp for answer in evidence(house, of=of).values()]
    assert None not in found
    return found


def changed(before: Sequence[str | None], after: Sequence[str | None]) -> list[bool]:
    return [one != other for one, other in zip(before, after, strict=True)]


def error(house: IcebergHouse) -> str:
    """The one error of all dates."""
    (found,) = {answer.error for answer in evidence(house).values()}
    return found


def findings(house: IcebergHouse) -> list[tuple[str, str]]:
    warehouse = house.open(box(), history=None)
    (check,) = warehouse.catalog.preflight_checks()
    scope = type("Scope", (), {"pipeline": house.pipeline(box())})
    return [(finding.status.value, finding.line) for finding in check.run(scope)]
