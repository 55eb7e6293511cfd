"""Rows, phases and questions of the warehouses' conformance suite."""

import datetime as dt
from typing import Any

from backfilld.state.rules.evidence import Evidence
from tests.factories import phase, processor
from tests.integration.warehouses import DAY, House

NEXT = DAY + dt.timedelta(days=1)


def rows(count: int, *, date: dt.date = DAY, **columns: Any) -> list[dict[str, Any]]:
    """Rows of one game each."""
    return [{"game_date": date, "game_id": f"g{number}", **columns} for number in range(count)]


def box(**expect: object) -> dict[str, object]:
    """A phase of one processor."""
    return phase("raw", processor("box", date_column="game_date", expect=expect))


def ask(house: House, *phases: object, date: dt.date = DAY, history: object = None) -> dict[str, Evidence]:
    """The evidence of every processor for one date."""
    warehouse = house.open(*phases, history=history)
    wanted = {name: [date] for name in house.pipeline(*phases).processors}
    return {name: found for (name, _), found in warehouse.evidence(wanted, purpose="gate").items()}


def stamps(house: House) -> dict[dt.date, str | None]:
    """The write stamps of `nba.box` on DAY and NEXT."""
    wanted = {"box": [DAY, NEXT]}
    answers = house.open(box(), history=None).evidence(wanted, purpose="sweep", stamps=wanted)
    return {date: evidence.write_stamp for (_, date), evidence in answers.items()}


def measured(**of: object) -> tuple[dict[str, object], dict[str, object]]:
    """A processor that is measured against another's rows."""
    first = phase("raw", processor("box", date_column="game_date", **of))
    ratio = {"ratio": {"of": "box", "min": 0.5}}
    return first, phase("made", processor("summary", date_column="game_date", expect=ratio))
