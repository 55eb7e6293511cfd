"""`warehouse check` over a lake whose answers are falsified in one way each."""

import datetime as dt
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from backfilld.api.cli.main import cli
from backfilld.daemon.reports import warehouse_adapter_conformance
from backfilld.daemon.reports.warehouse_adapter_conformance import NO_COLUMN, warehouse_check
from backfilld.daemon.warehouses.adapter import Answers, DescribedWarehouse
from backfilld.daemon.warehouses.open_warehouse import open_warehouse
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.evidence import Evidence
from tests.conformance.builders import NEXT, box, rows
from tests.factories import phase, processor
from tests.integration.warehouses import DAY, HISTORY, House, LakeHouse, closed

Falsify = Callable[[Answers], Answers]

QUERY = (
    "SELECT game_date AS date, COUNT(*) AS games FROM nba.box"
    " WHERE game_date BETWEEN @start AND @end GROUP BY 1"
)
FAR_DAY = DAY + warehouse_adapter_conformance.FAR


class Falsified:
    """A warehouse whose evidence is changed before it is given."""

    def __init__(self, warehouse: DescribedWarehouse, falsify: Falsify) -> None:
        self._warehouse = warehouse
        self._falsify = falsify

    def evidence(self, *words: Any, **options: Any) -> Answers:
        return self._falsify(self._warehouse.evidence(*words, **options))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._warehouse, name)


def changed(answers: Answers, change: Callable[[str, Evidence], Evidence]) -> Answers:
    return {(name, date): change(name, found) for (name, date), found in answers.items()}


def more_alone(answers: Answers) -> Answers:
    """A date alone has one row more."""
    return changed(answers, lambda _, e: replace(e, rows=e.rows + 1)) if len(answers) == 1 else answers


def lost_when_sparse(answers: Answers) -> Answers:
    """Dates far apart have no rows."""
    dates = [date for _, date in answers]
    return (
        changed(answers, lambda _, e: Evidence())
        if max(dates) - min(dates) > warehouse_adapter_conformance.FAR / 2
        else answers
    )


def silent_faults(answers: Answers) -> Answers:
    """A column that does not exist is no error."""
    return changed(answers, lambda name, e: Evidence() if name == NO_COLUMN else e)


def denied(answers: Answers) -> Answers:
    """Every table is an error."""
    return changed(answers, lambda _, e: Evidence(error="nba.box: denied"))


def restless_stamps() -> Falsify:
    """Each stamp is another one."""
    numbers = itertools.count()
    return lambda answers: changed(answers, lambda _, e: replace(e, write_stamp=str(next(numbers))))


@pytest.fixture
def pipeline(lake_house: LakeHouse) -> Pipeline:
    """A lake with one table of two dates."""
    lake_house.put("nba.box", rows(3) + rows(2, date=NEXT))
    return lake_house.pipeline(box(unique={"columns": ["game_id"]}), calendar={"query": QUERY}, history=None)


def findings(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, falsify: Falsify
) -> Mapping[str, tuple[str, list[str]]]:
    """The status of each check, and what it found."""
    opened = lambda of: Falsified(open_warehouse(of), falsify)  # noqa: E731
    monkeypatch.setattr(warehouse_adapter_conformance, "open_warehouse", opened)
    results = warehouse_check(pipeline, DAY, NEXT).results
    return {r.check: (r.status.value, [finding.line for finding in r.findings]) for r in results}


@pytest.mark.parametrize(
    ("falsify", "check", "status", "line"),
    [
        (more_alone, "alone", "fail", f"box {DAY}: 3 rows among other dates, 4 alone"),
        (
            lost_when_sparse,
            "apart",
            "fail",
            f"box {DAY}: 3 rows among other dates, 0 beside {FAR_DAY}",
        ),
        (silent_faults, "faults", "fail", "a column that does not exist is no error"),
        (denied, "answers", "fail", "box: nba.box: denied"),
        (denied, "rules", "fail", "box: preflight says nothing, gates say nba.box: denied"),
        (denied, "faults", "warn", "no table has rows on these dates"),
    ],
)
def test_a_false_answer_is_found_by_the_check_that_is_for_it(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, falsify: Falsify, check: str, status: str, line: str
) -> None:
    found = findings(pipeline, monkeypatch, falsify)
    assert found[check][0] == status
    assert line in found[check][1]
    if falsify is not denied:
        assert [name for name, (other, _) in found.items() if other != "pass"] == [check]


def test_a_stamp_that_does_not_stay_is_a_warning(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    status, lines = findings(pipeline, monkeypatch, restless_stamps())["stamps"]
    assert status == "warn"
    assert lines[0] == f"box {DAY}: the write stamp changed between two reads, and no figure did"


@pytest.mark.parametrize(
    "house", ["lake", "duckdb", pytest.param("postgresql", marks=pytest.mark.packages)], indirect=True
)
def test_nothing_wrong_is_found_where_nothing_is(house: House) -> None:
    house.put("nba.box", rows(3, pct=0.5) + rows(2, date=NEXT, pct=None))
    house.put(HISTORY, closed("box", "r1", "success"), by="data_date")
    rules = {
        "quality": {"where": "pct > 0"},
        "unique": {"columns": ["game_id"]},
        "rows_each": {"group_by": ["game_id"], "rows": [1, 1]},
    }
    found = warehouse_check(house.pipeline(box(**rules), calendar={}), DAY, NEXT)
    lines = [finding.line for result in found.results for finding in result.findings]
    assert (found.exit_code, found.summary) == (0, "the warehouse answers as it should"), lines
    assert "1 of 1 table, 2 dates, 5 rows" in lines


@pytest.mark.parametrize(
    "rule", [{"ratio": {"of": "box", "min": 0.5}}, {"keys": {"of": "box", "columns": ["game_id"]}}]
)
def test_a_table_that_is_compared_with_an_empty_one_is_queried_beside_faults(
    lake_house: LakeHouse, rule: dict[str, Any]
) -> None:
    lake_house.put("nba.team", rows(3) + rows(2, date=NEXT))
    team = processor("team", table="nba.team", date_column="game_date", expect=rule)
    compared = lake_house.pipeline(box(), phase("analytics", team), calendar={}, history=None)
    results = {result.check: result for result in warehouse_check(compared, DAY, NEXT).results}
    lines = [finding.line for finding in results["faults"].findings]
    assert lines == ["a missing table and a missing column are errors of their own"]


def test_a_calendar_that_depends_on_the_range_is_found(lake_house: LakeHouse) -> None:
    lake_house.put("nba.box", rows(3) + rows(2, date=NEXT))
    running = QUERY.replace("COUNT(*)", "SUM(COUNT(*)) OVER (ORDER BY game_date)::BIGINT")
    ours = lake_house.pipeline(box(), calendar={"query": running}, history=None)
    results = {result.check: result for result in warehouse_check(ours, DAY, NEXT).results}
    assert results["calendar"].findings[0].line == f"{NEXT}: {{'games': 5}} in a range, {{'games': 2}} alone"


def test_a_warehouse_that_is_away_is_one_failure(pipeline: Pipeline, lake_house: LakeHouse) -> None:
    lake_house.root.rename(lake_house.root.with_name("elsewhere"))
    found = warehouse_check(pipeline, DAY, NEXT)
    assert [(r.check, r.status.value) for r in found.results] == [("answers", "fail")]


def test_the_verb_prints_the_checks_and_its_json(lake_house: LakeHouse, tmp_path: Path) -> None:
    lake_house.put("nba.box", rows(3))
    path = tmp_path / "pipeline.toml"
    path.write_text(
        'name = "nba"\n[warehouse]\nkind = "lake"\npath = "lake"\n[[phase]]\nname = "raw"\n'
        '[[phase.processor]]\nname = "box"\ntable = "nba.box"\ndate_column = "game_date"\n'
        'command = ["true", "{date}"]\n'
    )
    words = ["warehouse", "check", str(DAY), "--pipeline", str(path)]
    printed = CliRunner().invoke(cli, words)
    assert (printed.exit_code, printed.stdout.splitlines()[-1]) == (0, "the warehouse answers as it should")
    assert "✓ dates alone" in printed.stdout
    report = json.loads(CliRunner().invoke(cli, [*words, "--json"]).stdout)
    assert {result["status"] for result in report["results"]} == {"pass"}
    later = DAY + dt.timedelta(days=9)
    assert CliRunner().invoke(cli, [*words[:2], str(later), *words[3:]]).exit_code == 2, "no rows there"
