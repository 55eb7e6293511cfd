"""`pipeline check` warns of rules that accept a silent zero, and of durations that defeat their key."""

import datetime as dt
import json

import pytest

from backfilld.daemon.preflight.checklist import preflight
from backfilld.state.pipeline.semantic_validation import warnings
from tests.factories import NOW, phase, pipeline, processor
from tests.integration.command_line import CommandLine

FILE = """
name = "small"
warehouse = { kind = "lake", path = "lake" }
calendar.season = [{ name = "2021-22", opens = 2021-10-19, closes = 2022-06-16 }]
[[phase]]
name = "raw"
[[phase.processor]]
name = "box"
table = "nba.box"
command = ["true", "{date}"]
expect.rows = [30, 30]
expect.ramp = [{ until_day = 35, rows = [0, 30] }]
"""


def warned(**expect):
    base = processor("players")
    return list(warnings(pipeline(phase("raw", base), phase("mid", processor("box", expect=expect)))))


@pytest.mark.parametrize(
    ("expect", "keys"),
    [
        ({"ramp": [{"until_day": 35, "rows": [0, 30]}], "rows": [30, 30]}, ["ramp"]),
        ({"rows": [0, 600]}, ["rows"]),
        ({"rows_per": {"games": [0, 2]}}, ["rows_per.games"]),
        ({"ratio": {"of": "players", "max": 1.1}}, ["ratio.min"]),
        ({"rows": [0, 9], "rows_per": {"games": [0, 2]}}, ["rows", "rows_per.games"]),
        ({"rows": [0, 9], "rows_per": {"games": [1, 2]}}, []),
        ({"ramp": [{"until_day": 35, "rows": [1, 30]}], "rows": [30, 30]}, []),
        ({"rows": [1, 9]}, []),
        ({"distinct": [{"column": "game_id", "per": "games"}]}, []),
        ({}, []),
    ],
)
def test_a_minimum_of_zero_rows_is_warned_of_where_it_decides(expect, keys):
    lines = warned(**expect)
    assert [line.split(":")[0] for line in lines] == [f"phase[mid].processor[box].expect.{k}" for k in keys]
    assert all("accepts a silent zero" in line and "; write 1 or more" in line for line in lines)


SHARED = "is also the output of 'orders', and no rule distinguishes their rows"


@pytest.mark.parametrize(
    ("first", "second", "warned_of"),
    [
        ({}, {}, True),
        ({"expect": {"rows": [1, 9]}}, {"expect": {"rows": [1, 200]}}, True),
        ({"until": dt.date(2024, 5, 1)}, {"since": dt.date(2024, 4, 1)}, True),
        ({"until": dt.date(2024, 3, 1)}, {"since": dt.date(2024, 4, 1)}, False),
        ({}, {"expect": {"filled": {"columns": ["score"]}}}, False),
        ({"expect": {"unique": {"columns": ["id"]}}}, {"expect": {"unique": {"columns": ["id"]}}}, True),
        ({"fallbacks": ["daily"]}, {}, False),
    ],
)
def test_a_second_processor_of_a_table_is_warned_of_where_the_first_makes_it_complete(
    first, second, warned_of
):
    orders = processor("orders", table="raw.orders", **first)
    daily = processor("daily", table="raw.orders", **second)
    lines = [line for line in warnings(pipeline(phase("raw", orders, daily))) if SHARED in line]
    assert [line.split(":")[0] for line in lines] == ["phase[raw].processor[daily].table"] * warned_of


def test_a_calendar_file_that_is_not_there_is_refused_by_pipeline_check(tmp_path, monkeypatch, capsys):
    path = tmp_path / "small.toml"
    path.write_text(FILE.replace("[[phase]]", 'calendar.file = "cal.csv"\n[[phase]]', 1))
    command = CommandLine(monkeypatch, capsys)
    refused = command("pipeline", "check", "--pipeline", path)
    assert refused.code == 1
    assert f"calendar.file: {tmp_path}/cal.csv cannot be read: No such file or directory" in refused.err
    assert "; write the file, or correct calendar.file" in refused.err
    (tmp_path / "cal.csv").write_text("date,games\n2021-10-32,1\n")
    refused = command("pipeline", "check", "--json", "--pipeline", path)
    assert refused.code == 1
    (problem,) = json.loads(refused.out)["problems"]
    assert "cal.csv:2: '2021-10-32' is not a date" in problem
    (tmp_path / "cal.csv").write_text("date,games\n2021-10-19,1\n")
    assert command("pipeline", "check", "--pipeline", path).code == 0


def test_pipeline_check_prints_the_warning_and_still_passes(tmp_path, monkeypatch, capsys):
    path = tmp_path / "small.toml"
    path.write_text(FILE)
    (tmp_path / "lake").mkdir()
    command = CommandLine(monkeypatch, capsys)
    ended = command("pipeline", "check", "--pipeline", path)
    assert ended.code == 0
    assert "warning: phase[raw].processor[box].expect.ramp: a minimum of 0 rows accepts" in ended.err
    assert ended.out.startswith("small: 1 processor in 1 phase, no error, 1 warning\n")
    listed = command("pipeline", "check", "--json", "--pipeline", path)
    assert listed.code == 0
    assert len(json.loads(listed.out)["warnings"]) == 1


def test_preflight_warns_of_it_under_configuration_with_the_remedy(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(FILE)
    configuration = preflight(path, now=NOW, quick=True).results[0]
    assert (configuration.group, configuration.status.value) == ("pipeline", "warn")
    finding = configuration.findings[0]
    assert finding.line.startswith("phase[raw].processor[box].expect.ramp: a minimum of 0 rows")
    assert finding.hint.startswith("write 1 or more")


@pytest.mark.parametrize(
    ("keys", "warning"),
    [
        ({"history": {"table": "nba.runs", "stale_after": "0s"}}, "history.stale_after: at 0 no open run"),
        ({"engine": {"batch_window": "1d"}}, "engine.batch_window: a query waits up to "),
        ({"engine": {"log_retention": "1s"}}, "engine.log_retention: logs are removed after "),
        ({"engine": {"log_retention": "0s"}, "history": {"table": "nba.runs"}}, ""),
    ],
)
def test_a_duration_that_defeats_its_key_is_warned_of(keys, warning):
    found = list(warnings(pipeline(phase("raw", processor("box")), **keys)))
    assert len(found) == bool(warning)
    assert all(line.startswith(warning) for line in found)
