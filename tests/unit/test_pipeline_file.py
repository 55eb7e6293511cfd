"""A pipeline file is read, or refused with the file, the key and the remedy."""

import copy
import datetime as dt
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfilld.daemon.adapters import load_pipeline, parse_pipeline
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Priority
from tests.factories import day, nba, phase, pipeline, processor

VALID = """
name = "nba"
timezone = "America/New_York"

[warehouse]
kind = "bigquery"
project = "nba-props-platform"
location = "us-west2"

[history]
table = "nba_reference.processor_run_history"
stale_after = "4h"

[calendar]
file = "calendar.csv"
bootstrap_days = 7
[[calendar.season]]
name = "2021-22"
opens = 2021-10-19
closes = 2022-06-16
[[calendar.season]]
name = "2022-23"
opens = 2022-10-18
closes = 2023-06-12

[jobs]
cwd = "."
env = { PYTHONPATH = ".", LEVEL = "1" }
slots = 8
timeout = "30m"
backoff = "30s"

[[phase]]
name = "phase3"

[[phase.processor]]
name = "team"
table = "nba_analytics.team_offense_game_summary"
date_column = "game_date"
history_names = ["TeamOffenseGameSummaryProcessor"]
command = ["python3", "jobs/team.py", "--date", "{date}"]
expect.rows_per = { games = [2, 2] }
expect.distinct = [{ column = "game_id", per = "games", count = [1, 1] }]

[[phase.processor]]
name = "player"
table = "my-project.nba_analytics.player_game_summary"
priority = "important"
fallbacks = ["team"]
after = ["team"]
batch = 7
env = { LEVEL = "2" }
timeout = "2h"
command = ["python3", "jobs/player.py", "--from", "{start}", "--to", "{end}"]
expect.ratio = { of = "team", min = 0.9, max = 12 }
expect.quality = { where = "completeness_percentage >= 95", share = 0.9 }

[[phase]]
name = "phase4"
order = "sequential"
skip_bootstrap = true
lookback = "season"

[[phase.processor]]
name = "zones"
table = "nba_precompute.team_defense_zone_analysis"
command = ["true", "{date}"]
expect.rows = [30, 30]
expect.filled = { columns = ["paint_defense"], share = 0.05 }
expect.ramp = [{ until_day = 35, rows = [0, 30] }]
expect.bootstrap_days = 14

[[phase.processor]]
name = "cache"
table = "nba_precompute.player_daily_cache"
command = ["true", "{date}"]
"""
HERE = Path("pipelines/nba.toml")


def valid() -> dict[str, Any]:
    return tomllib.loads(VALID)


# ----------------------------------------------------------------------------------- what a file means


def test_a_parallel_phase_is_one_state_and_a_sequential_phase_one_per_processor() -> None:
    stages = parse_pipeline(valid(), HERE).stages
    assert [stage.name for stage in stages] == ["phase3", "phase4-step-1", "phase4-step-2"]
    assert [[p.name for p in stage.processors] for stage in stages] == [
        ["team", "player"],
        ["zones"],
        ["cache"],
    ]
    assert [stage.enters_phase for stage in stages] == [True, True, False]
    assert [stage.index for stage in stages] == [0, 1, 2]


def test_a_processor_takes_from_jobs_what_it_does_not_state() -> None:
    team, player = (parse_pipeline(valid(), HERE).processors[name] for name in ("team", "player"))
    assert (team.timeout, team.env) == (1800.0, {"PYTHONPATH": ".", "LEVEL": "1"})
    assert (player.timeout, player.env) == (7200.0, {"PYTHONPATH": ".", "LEVEL": "2"})
    assert (player.backoff, player.max_attempts) == (30.0, 3)


def test_what_is_left_out_is_ordinary() -> None:
    cache = parse_pipeline(valid(), HERE).processors["cache"]
    assert (cache.priority, cache.writers, cache.batch) == (Priority.CRITICAL, 1, 1)
    assert cache.names_in_history == ("cache",)


def test_the_names_in_the_history_are_the_platforms() -> None:
    team = parse_pipeline(valid(), HERE).processors["team"]
    assert team.names_in_history == ("TeamOffenseGameSummaryProcessor",)


def test_a_maximum_may_be_left_out() -> None:
    expect = (
        parse_pipeline(tomllib.loads(VALID.replace("games = [2, 2]", "games = [2]")), HERE)
        .processors["team"]
        .expect
    )
    assert expect.rows_per
    assert expect.rows_per.root == {"games": (2, None)}


def test_bootstrap_days_are_the_calendars_unless_the_processor_says_otherwise() -> None:
    file = parse_pipeline(valid(), HERE)
    days = {name: file.bootstrap_days(one) for name, one in file.processors.items()}
    assert days == {"team": 0, "player": 0, "zones": 14, "cache": 7}


def test_a_phase_is_bypassed_while_all_its_processors_are_in_bootstrap() -> None:
    file = parse_pipeline(valid(), HERE)
    parallel, first_step, second_step = file.stages
    assert file.bypassed(first_step, day("2021-10-25"))
    assert file.bypassed(second_step, day("2021-10-25"))
    assert not file.bypassed(first_step, day("2021-10-26"))
    assert not file.bypassed(parallel, day("2021-10-19"))


def test_a_sequential_phase_looks_back_on_its_season_unless_told_otherwise() -> None:
    file = nba()
    assert [file.lookback(each) for each in file.phase] == [0, 0, "season"]
    short = pipeline(phase("p", processor("a"), order="sequential", lookback=30))
    assert short.lookback(short.phase[0]) == 30


def test_it_knows_where_it_lies() -> None:
    assert parse_pipeline(valid(), HERE).path == HERE.absolute()


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "nba.toml"
    path.write_bytes(b"\xef\xbb\xbf" + VALID.encode())
    assert load_pipeline(path).name == "nba"


def test_a_pipeline_of_one_job_needs_no_calendar_and_no_history() -> None:
    job = {"name": "a", "table": "d.a", "command": ["true"]}
    lake = {"kind": "lake", "path": "lake"}
    small = parse_pipeline(
        {"name": "small", "warehouse": lake, "phase": [{"name": "only", "processor": [job]}]}, HERE
    )
    assert small.history is None
    assert not small.seasons.counted
    assert small.lookback(small.phase[0]) == 0


# -------------------------------------------------------------------------- what cannot be read at all


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name = ", "is not TOML: Invalid value"),
        (b"[a]\n[a]\n", "is not TOML: Cannot declare"),
        (b"a = " + b"[" * 20_000, "is not TOML: brackets within brackets"),
        (b"a = " + b"9" * 5_000, "cannot be read: Exceeds the limit"),
        (b"\xff\xfen\x00", "cannot be read: 'utf-8' codec can't decode"),
        (b"", "name: is required; add it"),
    ],
)
def test_a_file_that_is_no_pipeline_says_so(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(PipelineError) as raised:
        load_pipeline(path)
    assert f"{path}: {words}" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".", "it is a directory; name the pipeline file in it"),
        ("file/x.toml", "Not a directory; correct the path, or let this user read it"),
        ("x" * 300, "File name too long; correct the path"),
        ("a\0b", "embedded null byte"),
    ],
)
def test_what_cannot_be_a_file_says_so(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PipelineError, match=f"cannot be read: {reason}"):
        load_pipeline(tmp_path / name)


def test_a_file_that_is_not_there_says_where_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no such file; correct --pipeline or BACKFILLD_PIPELINE"):
        load_pipeline(tmp_path / "missing.toml")


# ------------------------------------------------------------- whatever the file says, nothing crashes

scalars = st.one_of(
    st.none().map(lambda _: ""),
    st.booleans(),
    st.integers(-3, 10),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "team", "phase3", "{date}", "30m", "season", "a.b", "é", "\0"]),
    st.dates(),
    st.datetimes(),
    st.times(),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) within a parsed file."""
    keys = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    inner = [place for key in keys for place in places(value[key])]
    return [(value, key) for key in keys] + inner


def mutate(data: dict[str, Any], draw: st.DrawFn) -> None:
    container, key = draw(st.sampled_from(places(data)))
    what = draw(st.sampled_from(["drop", "replace", "rename", "repeat"]))
    if what == "drop":
        del container[key]
    elif what == "replace":
        container[key] = draw(values)
    elif what == "rename" and isinstance(container, dict):
        container[draw(st.text(max_size=6) | st.sampled_from(["name", "table", "path", "rows"]))] = (
            container.pop(key)
        )
    elif isinstance(container, list):
        container.append(copy.deepcopy(container[key]))


@st.composite
def mutated_files(draw: st.DrawFn) -> dict[str, Any]:
    data = valid()
    for _ in range(draw(st.integers(1, 3))):
        mutate(data, draw)
    return data


@given(mutated_files())
def test_a_mutated_file_is_read_or_refused_and_never_crashes(data: dict[str, Any]) -> None:
    before = repr(data)
    found = read(data)
    assert repr(data) == before, "reading must not change what was read"
    if isinstance(found, Pipeline):
        assert_usable(found)
    else:
        assert found
        assert all(problem.isprintable() and ":" in problem for problem in found)


def read(data: dict[str, Any]) -> Pipeline | list[str]:
    try:
        return parse_pipeline(data, HERE)
    except PipelineError as error:
        return error.problems


def assert_usable(pipeline: Pipeline) -> None:
    """What the rest of the program asks of a pipeline works on every one that was accepted."""
    assert pipeline.stages
    assert len({stage.name for stage in pipeline.stages}) == len(pipeline.stages)
    date = dt.date(2021, 10, 26)
    for one in pipeline.processors.values():
        stage = pipeline.stage_of[one.name]
        assert pipeline.bootstrap_days(one) >= 0
        assert pipeline.seasons.lookback_start(date, pipeline.lookback(stage.phase)) <= date
        assert one.timeout > 0


@given(st.recursive(scalars, lambda inner: st.dictionaries(st.text(max_size=6), inner, max_size=4)))
def test_a_file_of_anything_is_refused_and_never_crashes(value: Any) -> None:
    with pytest.raises(PipelineError):
        parse_pipeline(value if isinstance(value, dict) else {"name": value}, HERE)


def test_executors_have_names_of_their_own_and_are_their_kind_without_another() -> None:
    cluster = {"scheduler": "tcp://10.0.0.5:8786", "slots": 3}
    executors = {"dask": cluster, "gpu": {**cluster, "kind": "dask", "resources": {"GPU": 1}}}
    file = pipeline(phase("p", processor("a", executor="gpu"), processor("b")), executor=executors)
    assert {name: (one.kind, one.slots) for name, one in file.executor.items()} == {
        "local": ("local", None),
        "dask": ("dask", 3),
        "gpu": ("dask", 3),
    }
    assert [file.executor_of(one).kind for one in file.processors.values()] == ["dask", "local"]


def test_what_an_adapter_alone_knows_of_is_part_of_the_fingerprint() -> None:
    one, other = (pipeline(phase("p", processor("a")), warehouse={"kind": "lake", "path": p}) for p in "ab")
    assert one.fingerprint != other.fingerprint
