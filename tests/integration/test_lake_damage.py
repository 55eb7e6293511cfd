"""Files of a lake that are damaged or half written: their dates alone are unknown, and say what helps."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from backfilld.daemon.warehouses.adapter import CORRECT
from backfilld.daemon.warehouses.lake.query_errors import named_files, query_error
from backfilld.state.rules.evidence import UNTIL_CORRECTED
from tests.factories import phase, processor
from tests.integration.warehouses import LakeHouse

ALONE, BESIDE, WHOLE = (dt.date(2024, 3, day) for day in (1, 2, 3))
BOX = phase("raw", processor("box", date_column="date", expect={"unique": {"columns": ["name"]}}))

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "half": lambda whole: whole[: len(whole) // 2],
    "text between the marks": lambda whole: b"PAR1 hello PAR1",
    "a length of the footer that is wrong": lambda whole: whole[:-8] + b"\x07" + whole[-7:],
    "a footer of other bytes": lambda whole: whole[:-160] + b"\xff" * 100 + whole[-60:],
    "pages of zeros": lambda whole: whole[:4] + bytes(len(whole) - 1504) + whole[-1500:],
    "a middle that is gone": lambda whole: whole[:100] + whole[-1500:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_makes_its_own_date_unknown_until_an_operator_repairs_it(
    lake_house: LakeHouse, damage: str
) -> None:
    folder = lake_house.root / "nba" / "box"
    for date, name in ((ALONE, "a"), (BESIDE, "a"), (BESIDE, "b"), (WHOLE, "a")):
        (folder / f"date={date}").mkdir(parents=True, exist_ok=True)
        query = f"SELECT n AS id, '{name}' || n AS name FROM range(2000) AS r (n)"
        duckdb.execute(f"COPY ({query}) TO '{folder}/date={date}/{name}.parquet' (FORMAT parquet)")
    damaged = [folder / f"date={date}" / "a.parquet" for date in (ALONE, BESIDE)]
    for file in damaged:
        file.write_bytes(DAMAGE[damage](file.read_bytes()))
    answers = lake_house.open(BOX, history=None).evidence({"box": [ALONE, BESIDE, WHOLE]}, purpose="gate")
    assert (answers["box", WHOLE].error, answers["box", WHOLE].distinct_keys) == ("", 2000)
    for file, date in zip(damaged, (ALONE, BESIDE), strict=True):
        error = answers["box", date].error
        assert str(file) in error or f"one of 2 files in {file.parent}" in error
        assert error.endswith(f"; write the file again, or remove it; {UNTIL_CORRECTED}")


RUN_TIME_ERRORS = {
    "a pattern": ("regexp_matches(name, '[' || name)", "missing ]"),
    "a format": ("strptime(name, '%Y') IS NULL", "Could not parse string"),
    "JSON": ("json_extract(name, '$.a') IS NULL", "Malformed JSON"),
    "a cast": ("name::INT > 1", "Could not convert string"),
    "its own error": ("error(name)", "Invalid Input Error: a0"),
}


@pytest.mark.parametrize("files", [1, 2])
@pytest.mark.parametrize("rule", RUN_TIME_ERRORS)
def test_a_rule_that_fails_on_values_of_a_whole_file_blames_the_rule_and_not_the_file(
    lake_house: LakeHouse, rule: str, files: int
) -> None:
    condition, words = RUN_TIME_ERRORS[rule]
    folder = lake_house.root / "nba" / "box" / f"date={WHOLE}"
    folder.mkdir(parents=True)
    for number in range(files):
        duckdb.execute(f"COPY (SELECT 'a0' AS name) TO '{folder}/{number}.parquet' (FORMAT parquet)")
    box = phase("raw", processor("box", date_column="date", expect={"quality": {"where": condition}}))
    error = lake_house.open(box, history=None).evidence({"box": [WHOLE]}, purpose="gate")["box", WHOLE].error
    place = f"{folder}/0.parquet" if files == 1 else f"one of 2 files in {folder}"
    assert words in error
    assert error.endswith(f"({place}); {CORRECT}; {UNTIL_CORRECTED}")


def test_want_of_memory_is_neither_damage_nor_a_mistake_of_the_file() -> None:
    error = duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate data")
    with pytest.raises(duckdb.OutOfMemoryException), named_files([["/lake/a.parquet"]]):
        raise error
    assert not query_error(error, Path("/lake")).permanent


@pytest.mark.parametrize(
    ("why", "remedy", "permanent"),
    [("Permission denied", "; let the daemon's user read it", True), ("Too many open files", "", False)],
)
def test_a_file_that_the_system_does_not_open_is_not_called_damaged(
    why: str, remedy: str, permanent: bool
) -> None:
    error = query_error(
        duckdb.IOException(f'IO Error: Cannot open file "/lake/a.parquet": {why}'), Path("/lake")
    )
    assert str(error) == f'IO Error: Cannot open file "/lake/a.parquet": {why}{remedy}'
    assert (error.permanent, error.file_scoped, error.inaccessible) == (permanent, True, False)
