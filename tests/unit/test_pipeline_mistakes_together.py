"""All mistakes of a pipeline file are reported in one round, each once, without those that only follow."""

import datetime as dt

import pytest

from backfilld.daemon.adapters import parse_pipeline
from backfilld.state.pipeline.loading import PipelineError
from tests.factories import phase, pipeline_data, processor
from tests.unit.test_pipeline_file import HERE
from tests.unit.test_pipeline_mistakes import TEAM, complaints, edited


def test_all_mistakes_are_told_at_once() -> None:
    found = complaints(edited("slots = 8 -> slots = 0", '"game_id" -> "game id"', '"30s" -> "soon"'))
    keys = {line.split(":")[0] for line in found}
    assert keys == {"jobs.slots", "jobs.backoff", f"{TEAM}.expect.distinct[0].column"}


def test_mistakes_of_shape_and_of_references_are_told_in_one_round() -> None:
    # Given three mistakes of shape, one of them in a key that others need, and four of references
    box = processor("box", after=["bok"], tabel="nba.box", timeout="soon")
    zones = processor("zones", fallbacks=["zone"], pool="api", expect={"ratio": {"of": "boks", "min": 0.5}})
    data = pipeline_data(phase("raw", box, processor("zones2")), phase("late", zones), jobs={"slots": "8"})
    with pytest.raises(PipelineError) as raised:
        parse_pipeline(data, HERE)
    # Then each is told once, and nothing that only follows from another
    keys = [line.split(": ")[0] for line in raised.value.problems]
    of_box, of_zones = "phase[raw].processor[box]", "phase[late].processor[zones]"
    assert sorted(keys) == sorted(
        [
            "jobs.slots",
            of_box,
            f"{of_box}.timeout",
            f"{of_box}.after",
            f"{of_zones}.fallbacks",
            f"{of_zones}.pool",
            f"{of_zones}.expect.ratio.of",
        ]
    )


def test_all_unknown_keys_are_told_and_a_misspelt_one_is_not_missing_too() -> None:
    found = complaints(
        edited('table = "nba_analytics. -> tabel = "nba_analytics.', "date_column -> date_colunm")
    )
    assert found == [
        f"{TEAM}: unknown key 'tabel'; did you mean 'table'?",
        f"{TEAM}: unknown key 'date_colunm'; did you mean 'date_column'?",
    ]


@pytest.mark.parametrize("keys", [{"retries": "x"}, {"refres": 3}, {"after": ["b"], "aftr": 3}])
def test_a_misspelt_key_has_no_second_mistake_at_a_key_that_is_not_there(keys: dict[str, object]) -> None:
    with pytest.raises(PipelineError) as raised:
        parse_pipeline(pipeline_data(phase("p", processor("a", **keys), processor("b"))), HERE)
    (problem,) = raised.value.problems
    assert problem.startswith("phase[p].processor[a]: unknown key ")


def test_what_refers_to_a_table_at_fault_is_no_mistake_of_its_own() -> None:
    one = processor("a", pool="api", days="mondays", expect={"ramp": [{"until_day": 5, "rows": [1]}]})
    season = {"name": "2021-22", "opens": "soon", "closes": dt.date(2022, 6, 16)}
    data = pipeline_data(
        phase("p", one, processor("b", after=["c"]), processor("c", table="no table")),
        pool=[{"name": "api", "size": 0}],
        calendar={"season": [season], "days": [{"name": "mondays", "weekdays": ["monday"]}]},
    )
    with pytest.raises(PipelineError) as raised:
        parse_pipeline(data, HERE)
    assert [line.split(": ")[0] for line in raised.value.problems] == [
        "calendar.days[mondays].weekdays[0]",
        "calendar.season[2021-22].opens",
        "pool[api].size",
        "phase[p].processor[c].table",
    ]


def test_an_unreadable_file_of_dates_does_not_hide_other_mistakes() -> None:
    days = {"name": "closed", "holidays": "missing.csv"}
    data = pipeline_data(phase("p", processor("a", after=["b"])), calendar={"days": [days]}, path="lake")
    with pytest.raises(PipelineError) as raised:
        parse_pipeline(data, HERE)
    assert {line.split(": ")[0] for line in raised.value.problems} >= {
        "top level",
        "calendar.days[closed].holidays",
        "phase[p].processor[a].after",
    }
    assert not [line for line in raised.value.problems if "names every day" in line]


def test_a_mistake_in_jobs_is_told_once_and_not_for_every_processor() -> None:
    for change in (
        'timeout = "30m" -> timeout = "x"',
        'LEVEL = "1" -> LEVEL = 1',
        'cwd = "." -> cwd = "\\u0000"',
    ):
        assert len(complaints(edited(change))) == 1
