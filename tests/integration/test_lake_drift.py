"""Files of one table that differ: other columns, other directories, other names, times as partitions."""

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb
import pytest
from arro3.core import Table
from deltalake import write_deltalake

from backfilld.daemon.reports.data_completeness import validation
from backfilld.daemon.warehouses.lake.table_metadata import _delta_findings, _layout_findings
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.rules.evidence import UNTIL_CORRECTED, Evidence
from backfilld.state.rules.judge import judge
from tests.factories import Table as Keys
from tests.factories import about, day, expectation, phase, pipeline, processor
from tests.integration.warehouses import LakeHouse
from tests.scratch_duckdb import scratch

DAY, NEXT, LAST = (dt.date(2024, 3, day) for day in (1, 2, 3))
PLAIN = phase("raw", processor("box", date_column="date"))
RULES: Mapping[str, Mapping[str, object]] = {
    "quality": {"quality": {"where": "amount > 0"}},
    "filled": {"filled": {"columns": ["amount"]}},
    "unique": {"unique": {"columns": ["id", "amount"]}},
    "rows_each": {"rows_each": {"group_by": ["id", "Amount"], "rows": [1, 1]}},
}


def with_rule(rule: str) -> Keys:
    return phase("raw", processor("box", date_column="date", expect=RULES[rule]))


def verdict(found: Evidence) -> tuple[str, str]:
    """The verdict of a day with that evidence, and its reason."""
    judged = judge(found, expectation(), day(), about())
    return str(judged.verdict), judged.reason


@pytest.fixture
def write(lake_house: LakeHouse) -> Callable[..., Path]:
    """Writes a file of `nba.box`: `write("date=2024-03-01/a.parquet", "n AS id")`."""

    def written(name: str, select: str = "n AS id", rows: int = 2) -> Path:
        path = lake_house.root / "nba" / "box" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch() as connection:
            connection.execute(
                f"COPY (SELECT {select} FROM range({rows}) AS r (n)) TO '{path}' (FORMAT parquet)"
            )
        return path

    return written


def arrow(select: str) -> Table:
    relation = duckdb.sql(f"SELECT {select}")
    assert relation is not None
    return Table.from_arrow(relation)


def evidence(house: LakeHouse, box: Keys, *dates: dt.date) -> list[Evidence]:
    answers = house.open(box, history=None).evidence({"box": dates}, purpose="gate")
    return [answers["box", date] for date in dates]


def rows(house: LakeHouse, *dates: dt.date) -> list[int]:
    found = evidence(house, PLAIN, *dates)
    assert [answer.error for answer in found] == [""] * len(found)
    return [answer.rows for answer in found]


@pytest.mark.parametrize("rule", RULES)
def test_a_column_that_only_other_dates_have_is_null_whichever_dates_are_queried_together(
    lake_house: LakeHouse, write: Callable[..., Path], rule: str
) -> None:
    write("date=2024-03-01/a.parquet", "n AS id")
    write("date=2024-03-02/a.parquet", "n AS id, n + 1.5 AS amount")
    (alone,) = evidence(lake_house, with_rule(rule), DAY)
    together, complete = evidence(lake_house, with_rule(rule), DAY, NEXT)
    assert alone == together
    assert (alone.rows, alone.error) == (2, "")
    assert complete.error == ""


def test_a_column_that_no_file_has_stays_an_error_beside_a_file_that_cannot_be_read(
    lake_house: LakeHouse, write: Callable[..., Path]
) -> None:
    write("date=2024-03-01/a.parquet", "n AS id")
    write("date=2024-03-02/a.parquet").write_bytes(b"not parquet")
    (alone,) = evidence(lake_house, with_rule("quality"), DAY)
    assert '"amount" not found' in alone.error


def test_a_column_of_another_type_elsewhere_changes_nothing_on_a_date_that_has_it(
    lake_house: LakeHouse, write: Callable[..., Path]
) -> None:
    write("date=2024-03-01/a.parquet", "n AS id, n + 1.5 AS amount")
    write("date=2024-03-02/a.parquet", "'x' || n AS amount")
    assert evidence(lake_house, with_rule("unique"), DAY)[0].error == ""
    assert evidence(lake_house, with_rule("unique"), NEXT)[0].rows == 2  # its id is NULL


def test_a_delta_tables_older_files_have_null_in_a_column_that_was_added_later(lake_house: LakeHouse) -> None:
    directory = lake_house.root / "nba" / "box"
    for select in (f"DATE '{DAY}' AS date, 1 AS id", f"DATE '{NEXT}' AS date, 1 AS id, 2.5 AS amount"):
        table = arrow(select)
        write_deltalake(directory, table, partition_by=["date"], mode="append", schema_mode="merge")
    (alone,) = evidence(lake_house, with_rule("filled"), DAY)
    assert (alone.error, alone.rows, dict(alone.empty_counts)) == ("", 1, {"amount": 1})


DEPTHS = {
    "a level more on one date": ["date=2024-03-02/hour=1/a.parquet", "date=2024-03-02/hour=2/a.parquet"],
    "another level on one date": ["date=2024-03-02/shop=1/a.parquet", "date=2024-03-02/region=2/a.parquet"],
    "two depths on one date": ["date=2024-03-02/hour=1/a.parquet", "date=2024-03-02/a.parquet"],
    "another case": ["Date=2024-03-02/a.parquet", "Date=2024-03-02/b.parquet"],
}


@pytest.mark.parametrize("depth", DEPTHS)
def test_directories_of_one_date_with_other_keys_spoil_no_date(
    lake_house: LakeHouse, write: Callable[..., Path], depth: str
) -> None:
    for name in ("date=2024-03-01/a.parquet", *DEPTHS[depth], "date=2024-03-03/a.parquet"):
        write(name)
    assert rows(lake_house, DAY, NEXT, LAST) == [2, 4, 2]
    assert rows(lake_house, NEXT) == [4]


@pytest.mark.parametrize("name", ["a.PARQUET", "a.Parquet", "a.snappy.PARQUET"])
def test_an_ending_in_capitals_is_an_ending(
    lake_house: LakeHouse, write: Callable[..., Path], name: str
) -> None:
    write(f"date=2024-03-01/{name}")
    assert rows(lake_house, DAY) == [2]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet.gz", "hour=03/part-0.orc"])
def test_a_date_whose_files_are_not_read_is_named_in_preflight_and_in_its_verdict(
    lake_house: LakeHouse, write: Callable[..., Path], name: str
) -> None:
    write("date=2024-03-01/a.parquet")
    (lake_house.root / "nba/box/date=2024-03-01/notes.txt").write_text("a file beside one that is read")
    write(f"date=2024-03-02/{name}")
    (finding,) = _layout_findings("nba.box", "date", lake_house.root / "nba" / "box")
    line = finding.line
    assert finding.status.value == "warn"
    assert line.startswith("nba.box: 1 date without a file that is read, but with others, such as ")
    assert line.endswith(f"date=2024-03-02/{name}")
    first, second, third = map(verdict, evidence(lake_house, PLAIN, DAY, NEXT, LAST))
    assert first == ("complete", "")
    assert second == (
        "never_ran",
        f"no rows, no run recorded; files such as {lake_house.root}/nba/box/date=2024-03-02/{name} are not"
        " read; write Parquet files whose names end in .parquet",
    )
    assert third == ("never_ran", "no rows, no run recorded")


def test_a_table_of_which_no_file_is_read_says_so_on_each_date(lake_house: LakeHouse) -> None:
    file = lake_house.root / "nba/box/2024-03-01.csv"
    file.parent.mkdir(parents=True)
    file.write_text("date,id\n2024-03-01,1\n")
    for found in evidence(lake_house, PLAIN, DAY, NEXT):
        assert f"files such as {file} are not read" in verdict(found)[1]
    (finding,) = _layout_findings("nba.box", "date", file.parent)
    assert finding.line == f"nba.box: a table without a file that is read, but with others, such as {file}"


@pytest.mark.parametrize("name", ["b.csv", "b.CSV.gz", "hour=03/b.orc", "b.parquet.zst"])
@pytest.mark.parametrize("folder", ["date=2024-03-01", "."])
def test_rows_in_files_of_another_kind_beside_those_that_are_read_are_named_in_preflight(
    lake_house: LakeHouse, write: Callable[..., Path], folder: str, name: str
) -> None:
    write(f"{folder}/a.parquet", "n AS id, DATE '2024-03-01' AS date")
    table = lake_house.root / "nba" / "box"
    for beside in ("notes.txt", "manifest.json", ".hidden.csv", "_temporary/c.csv", "c.parquet.tmp", name):
        (table / folder / beside).parent.mkdir(exist_ok=True)
        (table / folder / beside).write_text("rows")
    found = [f.line for f in _layout_findings("nba.box", "date", table) if "do not count" in f.line]
    which = "a table" if folder == "." else "1 date"
    assert found == [
        f"nba.box: {which} with rows that do not count, in files such as {table / folder / name}"
    ]
    assert rows(lake_house, DAY) == [2]


def test_a_file_beside_the_directories_of_dates_is_named_on_dates_that_have_none(
    lake_house: LakeHouse, write: Callable[..., Path]
) -> None:
    # Given rows of the next date in a file that no date leads to
    write(f"date={DAY}/part-0.parquet")
    stray = write("all.parquet", f"DATE '{NEXT}' AS date, n AS id")
    first, second = map(verdict, evidence(lake_house, PLAIN, DAY, NEXT))
    assert first == ("complete", "")
    assert second == (
        "never_ran",
        f"no rows, no run recorded; files outside of all dates, such as {stray}, are not read;"
        " move each to the directory of its date, such as date=2024-03-01",
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [("'2024-03-01'", "VARCHAR"), ("20240301", "INTEGER"), ("20240301.0::DOUBLE", "DOUBLE")],
)
def test_dates_that_are_texts_or_numbers_are_refused_with_the_remedy(
    lake_house: LakeHouse, write: Callable[..., Path], value: str, kind: str
) -> None:
    write("all.parquet", f"{value} AS date, n AS id")
    (found,) = evidence(lake_house, with_rule("unique"), DAY)
    refused = f"its dates must be of the type DATE, not {kind}; write date as a DATE, or correct date_column"
    assert found.error == f"nba.box: {refused}; {UNTIL_CORRECTED}"


def test_a_path_that_names_two_dates_is_refused_and_named_in_preflight(
    lake_house: LakeHouse, write: Callable[..., Path]
) -> None:
    path = write(f"date={DAY}/date={NEXT}/a.parquet")
    write(f"date={LAST}/a.parquet")
    first, last = evidence(lake_house, PLAIN, DAY, LAST)
    sentence = f"two directories in the path of {path} name dates"
    assert first.error == f"nba.box: {sentence}; keep one of them; {UNTIL_CORRECTED}"
    assert (last.error, last.rows) == ("", 2)
    (finding,) = _layout_findings("nba.box", "date", lake_house.root / "nba" / "box")
    assert (finding.line, finding.hint) == (f"nba.box: {sentence}", "keep one of them")


def test_files_that_are_no_output_explain_nothing(lake_house: LakeHouse) -> None:
    for name in ("_SUCCESS", ".part-0.crc", "_temporary/0/part-0.csv"):
        file = lake_house.root / "nba/box/date=2024-03-01" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (found,) = evidence(lake_house, PLAIN, DAY)
    assert verdict(found) == ("never_ran", "no rows, no run recorded")


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_a_delta_table_that_is_partitioned_by_times_is_an_error_and_never_an_absence(
    lake_house: LakeHouse, zone: str | None
) -> None:
    table = arrow("TIMESTAMPTZ '2024-03-01 05:00:00+00' AS date, 1 AS id")
    write_deltalake(lake_house.root / "nba" / "box", table, partition_by=["date"])
    box = processor("box", date_column="date", **({"date_timezone": zone} if zone else {}))
    (found,) = evidence(lake_house, phase("raw", box), DAY)
    assert "which is no date; partition it by a DATE" in found.error
    checked = pipeline(phase("raw", box), history=None).processors["box"]
    (finding,) = _delta_findings(checked, lake_house.root, lake_house.root / "nba" / "box")
    assert found.error.endswith(f"{finding.line.removeprefix('nba.box: ')}; {UNTIL_CORRECTED}")


@pytest.mark.parametrize(
    ("damaged", "missing", "lacking", "unjudged"),
    [
        ([("box", 2)], [("box", 3)], "1 date lacks box", "box cannot be judged on 1 date"),
        (
            [("box", 1), ("box", 2), ("other", 3)],
            [("other", 1), ("other", 2)],
            "2 dates lack other",
            "box cannot be judged on 2 dates, other cannot be judged on 1 date",
        ),
        (
            [("box", 1)],
            [("box", 2), ("other", 2)],
            "1 date lacks box, 1 date lacks other",
            "box cannot be judged on 1 date",
        ),
    ],
)
def test_the_next_action_counts_as_missing_what_runs_and_names_what_cannot_be_judged_beside_it(
    lake_house: LakeHouse,
    write: Callable[..., Path],
    damaged: list[tuple[str, int]],
    missing: list[tuple[str, int]],
    lacking: str,
    unjudged: str,
) -> None:
    for name in ("box", "other"):
        for number in {1, 2, 3} - {n for of, n in missing if of == name}:
            file = write(f"../{name}/date=2024-03-0{number}/a.parquet")
            if (name, number) in damaged:
                file.write_bytes(b"not parquet")
    every_day: Keys = {"history": None, "calendar": {}}
    both = phase("raw", processor("box", date_column="date"), processor("other", date_column="date"))
    report = validation(
        lake_house.pipeline(both, **every_day), lake_house.open(both, **every_day), DAY, LAST, now=0.0
    )
    assert report.next_action == f"run raw: {lacking}; see the plan; {unjudged}"


def test_names_of_columns_have_letters_of_any_language(
    lake_house: LakeHouse, write: Callable[..., Path]
) -> None:
    write("gebucht_für=2024-03-01/a.parquet", 'n AS "größe", 1 AS "表", \'x\' AS "select"')
    write("gebucht_für=20240302/a.parquet", 'n + 1 AS "größe", n AS "表"')
    expect = {"filled": {"columns": ["größe", "select"]}, "unique": {"columns": ["表"]}}
    box = phase("raw", processor("box", date_column="gebucht_für", expect=expect))
    (alone,) = evidence(lake_house, box, DAY)
    assert (alone.error, alone.rows, alone.distinct_keys) == ("", 2, 1)
    assert dict(alone.empty_counts) == {"größe": 1, "select": 0}
    assert [found.distinct_keys for found in evidence(lake_house, box, DAY, NEXT)] == [1, 2]


@pytest.mark.parametrize("name", ["two words", "a-b", "1st", 'a"b', "it's", "", "a.b"])
def test_other_names_of_columns_are_refused_with_the_remedy(name: str) -> None:
    expect = {"filled": {"columns": [name]}}
    with pytest.raises(PipelineError, match="is not a column's name; write letters, digits and _, no digit"):
        pipeline(phase("raw", processor("box", expect=expect)))
