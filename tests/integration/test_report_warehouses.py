"""Validation, plan and quality over real warehouses: the lake, and BigQuery behind its real client."""

import datetime as dt
import time

import pytest

from backfilld.api.metrics import Metrics
from backfilld.daemon.reports.data_completeness import Validation, validation
from backfilld.daemon.reports.plan.plan import plan
from backfilld.daemon.reports.quality import quality
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.daemon.warehouses.sql.warehouse import WarehouseClient
from backfilld.state.pipeline.pipeline import Pipeline
from tests.factories import phase, pipeline, processor
from tests.integration.warehouses import DAY, BigQueryHouse, House

NEXT = DAY + dt.timedelta(days=1)
CONTEXT = {"rows": [1], "quality": {"where": "completeness >= 95", "share": 0.5}}
PHASES = (
    phase("raw", processor("box", date_column="game_date", expect={"rows": [2, 4]})),
    phase("analytics", processor("context", date_column="game_date", expect=CONTEXT)),
)
EVERY_DAY = {"season": [{"name": "s", "opens": DAY, "closes": dt.date(2022, 6, 16)}]}


def boxes(date: dt.date, count: int) -> list[dict[str, object]]:
    return [{"game_date": date, "game_id": f"g{number}"} for number in range(count)]


def validated(house: House) -> tuple[Pipeline, WarehouseClient, Validation]:
    """The report of two days, on the second of which the box is short."""
    house.put("nba.box", boxes(DAY, 2) + boxes(NEXT, 1))
    house.put("nba.context", [{"game_date": DAY, "completeness": share} for share in (90.0, 96.0, 99.0)])
    keys = {"calendar": EVERY_DAY, "history": None}
    platform, warehouse = house.pipeline(*PHASES, **keys), house.open(*PHASES, **keys)
    return platform, warehouse, validation(platform, warehouse, DAY, NEXT, now=time.time())


def test_the_report_tells_what_the_tables_hold(house: House) -> None:
    _, _, told = validated(house)
    raw, analytics = told.phases
    (box,) = raw.processors
    assert {date: (cell.verdict.value, cell.rows) for date, cell in box.dates.items()} == {
        DAY: ("complete", 2),
        NEXT: ("partial", 1),
    }
    assert (raw.ready_dates, analytics.ready_dates) == (1, 1)
    assert told.next_action == "run raw: 1 date lacks box; see the plan"
    assert house.queries[0][0] == "validation"


def test_the_plan_knows_what_asking_costs(house: House) -> None:
    platform, warehouse, told = validated(house)
    made = plan(told, platform, price=warehouse.estimate_bytes)
    assert [f"{step.dates[0]} {step.processor}" for step in made.steps] == [f"{NEXT} box", f"{NEXT} context"]
    least = 4 * 10 * 2**20 if house.kind == "bigquery" else 0
    assert made.cost.bytes is not None
    assert made.cost.bytes >= least
    assert (made.cost.dollars is None) == (house.kind != "bigquery")


def test_rows_below_their_standard_are_counted(house: House) -> None:
    platform, warehouse, _ = validated(house)
    house.queries.clear()
    (context,) = quality(platform, warehouse, DAY, NEXT, now=time.time()).processors
    assert (context.rows, context.below) == (3, 1)
    assert context.dates[DAY].below == 1
    # And the metrics tell its questions from others
    metrics = Metrics()
    for purpose, billed in house.queries:
        metrics.on_query(purpose, billed)
    counted = f'backfilld_warehouse_queries_total{{purpose="quality"}} {len(house.queries)}.0'
    assert counted in metrics.exposition("")[0].decode().splitlines()


def test_a_column_that_is_not_there_is_unknown_for_its_processor_alone(house: House) -> None:
    house.put("nba.box", boxes(DAY, 2))
    house.put("nba.context", [{"game_date": DAY, "another": 1}])
    keys = {"calendar": EVERY_DAY, "history": None}
    platform = house.pipeline(*PHASES, **keys)
    told = validation(platform, house.open(*PHASES, **keys), DAY, DAY, now=time.time())
    assert [p.symbol for each in told.phases for p in each.processors] == ["✓", "△"]
    assert "completeness" in told.phases[1].processors[0].dates[DAY].reason


def test_a_server_that_is_not_there_is_an_error_and_no_report(bigquery_house: BigQueryHouse) -> None:
    nowhere = {"endpoint": "http://127.0.0.1:9"}
    keys = {"calendar": EVERY_DAY, "warehouse": nowhere}
    warehouse = bigquery_house.open(*PHASES, **keys)
    platform = pipeline(*PHASES, calendar=EVERY_DAY)
    with pytest.raises(WarehouseError, match="cannot be reached"):
        validation(platform, warehouse, DAY, NEXT, now=time.time())
