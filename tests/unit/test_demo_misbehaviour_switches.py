"""Switches for misbehaviour: per processor and date, for a number of runs or for good."""

from datetime import date
from pathlib import Path

import pytest

from backfilld.demo import misbehaviour_switches

JOB, DAY, OTHER = "nbac_team_boxscore", date(2021, 10, 26), date(2021, 10, 27)


def test_without_a_file_all_is_well(tmp_path: Path) -> None:
    assert misbehaviour_switches.next_kind(tmp_path, JOB, DAY) is None


def test_a_switch_holds_for_its_processor_and_date_alone(tmp_path: Path) -> None:
    misbehaviour_switches.switch(tmp_path, JOB, DAY, "nothing")
    assert [misbehaviour_switches.next_kind(tmp_path, JOB, DAY) for _ in range(3)] == ["nothing"] * 3
    assert misbehaviour_switches.next_kind(tmp_path, JOB, OTHER) is None
    assert misbehaviour_switches.next_kind(tmp_path, "player_daily_cache", DAY) is None


def test_a_switch_for_some_runs_lets_the_next_recover(tmp_path: Path) -> None:
    misbehaviour_switches.switch(tmp_path, JOB, DAY, "partial", times=2)
    assert [misbehaviour_switches.next_kind(tmp_path, JOB, DAY) for _ in range(3)] == [
        "partial",
        "partial",
        None,
    ]


def test_a_switch_for_every_date_counts_each_date_apart(tmp_path: Path) -> None:
    misbehaviour_switches.switch(tmp_path, JOB, None, "crash", times=1)
    assert [misbehaviour_switches.next_kind(tmp_path, JOB, day) for day in (DAY, OTHER, DAY)] == [
        "crash",
        "crash",
        None,
    ]


def test_a_switch_for_the_date_goes_before_one_for_every_date(tmp_path: Path) -> None:
    misbehaviour_switches.switch(tmp_path, JOB, None, "partial")
    misbehaviour_switches.switch(tmp_path, JOB, DAY, "hang", times=1)
    assert [misbehaviour_switches.next_kind(tmp_path, JOB, day) for day in (OTHER, DAY, DAY)] == [
        "partial",
        "hang",
        "partial",
    ]


def test_switching_again_replaces_and_counts_afresh(tmp_path: Path) -> None:
    misbehaviour_switches.switch(tmp_path, JOB, DAY, "partial", times=1)
    misbehaviour_switches.next_kind(tmp_path, JOB, DAY)
    misbehaviour_switches.switch(tmp_path, JOB, DAY, "fail", times=1)
    assert [misbehaviour_switches.next_kind(tmp_path, JOB, DAY) for _ in range(2)] == ["fail", None]


def test_well_takes_a_switch_back(tmp_path: Path) -> None:
    misbehaviour_switches.switch(tmp_path, JOB, DAY, "fail")
    misbehaviour_switches.switch(tmp_path, JOB, DAY, misbehaviour_switches.WELL)
    assert misbehaviour_switches.next_kind(tmp_path, JOB, DAY) is None


@pytest.mark.parametrize(
    ("processor", "kind", "times"),
    [("nobody", "fail", None), (JOB, "sulk", None), (JOB, "fail", 0), (JOB, "degraded", None)],
)
def test_what_cannot_be_is_refused(tmp_path: Path, processor: str, kind: str, times: int | None) -> None:
    with pytest.raises(ValueError):
        misbehaviour_switches.switch(tmp_path, processor, DAY, kind, times)


def test_the_command_line_sets_a_switch(tmp_path: Path) -> None:
    assert misbehaviour_switches.main([str(tmp_path), JOB, "2021-10-26", "partial", "--times", "1"]) == 0
    assert misbehaviour_switches.main([str(tmp_path), JOB, "every", "fail"]) == 0
    assert [misbehaviour_switches.next_kind(tmp_path, JOB, day) for day in (DAY, DAY, OTHER)] == [
        "partial",
        "fail",
        "fail",
    ]


@pytest.mark.parametrize("wrong", [["degraded"], ["sulk"], ["fail", "--times", "0"]])
def test_the_command_line_refuses_nonsense(
    tmp_path: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        misbehaviour_switches.main([str(tmp_path), JOB, "2021-10-26", *wrong])
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err
