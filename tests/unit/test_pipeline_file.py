"""A pipeline file is read, or refused with the file, the key and the remedy."""

import copy
import datetime as dt
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.pipeline import Pipeline, Priority
from state.pipeline_file import PipelineError, load, parse
from tests.factories import day, nba, phase, pipeline, pipeline_data, processor

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
expect.rows_per_game = [2, 2]
expect.games_column = "game_id"

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


def edited(*changes: str) -> str:
    """The valid file with `old -> new` lines applied, each of which must fit once."""
    text = VALID
    for change in changes:
        old, new = change.split(" -> ")
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def complaints(text: str) -> list[str]:
    with pytest.raises(PipelineError) as raised:
        parse(tomllib.loads(text), HERE)
    assert str(raised.value) == "\n".join(f"{HERE}: {problem}" for problem in raised.value.problems)
    return raised.value.problems


# ------------------------------------------------------------------------------------------- what a file means


def test_a_parallel_phase_is_one_state_and_a_sequential_phase_one_per_processor() -> None:
    stages = parse(valid(), HERE).stages
    assert [stage.name for stage in stages] == ["phase3", "phase4-step-1", "phase4-step-2"]
    assert [[p.name for p in stage.processors] for stage in stages] == [
        ["team", "player"],
        ["zones"],
        ["cache"],
    ]
    assert [stage.enters_phase for stage in stages] == [True, True, False]
    assert [stage.index for stage in stages] == [0, 1, 2]


def test_a_processor_takes_from_jobs_what_it_does_not_state() -> None:
    team, player = (parse(valid(), HERE).processors[name] for name in ("team", "player"))
    assert (team.timeout, team.env) == (1800.0, {"PYTHONPATH": ".", "LEVEL": "1"})
    assert (player.timeout, player.env) == (7200.0, {"PYTHONPATH": ".", "LEVEL": "2"})
    assert (player.backoff, player.max_attempts) == (30.0, 3)


def test_what_is_left_out_is_ordinary() -> None:
    cache = parse(valid(), HERE).processors["cache"]
    assert (cache.priority, cache.writers, cache.batch) == (Priority.CRITICAL, 1, 1)
    assert cache.names_in_history == ("cache",)


def test_the_names_in_the_history_are_the_platforms() -> None:
    assert parse(valid(), HERE).processors["team"].names_in_history == ("TeamOffenseGameSummaryProcessor",)


def test_a_maximum_may_be_left_out() -> None:
    expect = parse(tomllib.loads(edited("[2, 2] -> [2]")), HERE).processors["team"].expect
    assert expect.rows_per_game == (2, None)


def test_bootstrap_days_are_the_calendars_unless_the_processor_says_otherwise() -> None:
    file = parse(valid(), HERE)
    days = {name: file.bootstrap_days(one) for name, one in file.processors.items()}
    assert days == {"team": 0, "player": 0, "zones": 14, "cache": 7}


def test_a_phase_is_bypassed_while_all_its_processors_are_in_bootstrap() -> None:
    file = parse(valid(), HERE)
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
    assert parse(valid(), HERE).path == HERE.absolute()


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "nba.toml"
    path.write_bytes(b"\xef\xbb\xbf" + VALID.encode())
    assert load(path).name == "nba"


def test_a_pipeline_of_one_job_needs_no_calendar_and_no_history() -> None:
    job = {"name": "a", "table": "d.a", "command": ["true"]}
    lake = {"kind": "lake", "path": "lake"}
    small = parse({"name": "small", "warehouse": lake, "phase": [{"name": "only", "processor": [job]}]}, HERE)
    assert small.history is None
    assert not small.seasons.counts_games
    assert small.lookback(small.phase[0]) == 0


# ----------------------------------------------------------------------------------- what cannot be read at all


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
        load(path)
    assert f"{path}: {words}" in str(raised.value)


@pytest.mark.parametrize("name", ["missing.toml", ".", "a\0b", "x" * 300])
def test_a_file_that_is_not_there_says_so(tmp_path: Path, name: str) -> None:
    with pytest.raises(PipelineError, match="cannot be read"):
        load(tmp_path / name)


# --------------------------------------------------------------------------- every mistake: key, fault and remedy

TEAM = "phase[phase3].processor[team]"
PLAYER = "phase[phase3].processor[player]"
ZONES = "phase[phase4].processor[zones]"
NOT_TOML_NAME = "is not a name; write small letters, digits and _, a letter first"
NOT_A_TABLE = "is not a table's name; write dataset.table or project.dataset.table"
NOT_A_COLUMN = "is not a column's name; write letters, digits and _, no digit first"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        # unknown keys, with the nearest known one
        ('slots = 8 -> slotz = 8', "jobs: unknown key 'slotz'; did you mean 'slots'?"),
        ('location = "us -> region = "us', "warehouse: unknown key 'region'; known are kind, path, project"),
        ('date_column -> date_colunm', f"{TEAM}: unknown key 'date_colunm'; did you mean 'date_column'?"),
        ('expect.games_column -> expect.game_column', f"{TEAM}.expect: unknown key 'game_column'; did you mean 'games"),
        ('name = "phase3" -> nam = "phase3"', "phase[0]: unknown key 'nam'; did you mean 'name'?"),
        ('timezone -> time_zone', "top level: unknown key 'time_zone'; did you mean 'timezone'?"),
        ('timezone -> path', "top level: unknown key 'path'; the lake's belongs under [warehouse]"),
        # what is required
        ('table = "nba_analytics. -> #', f"{TEAM}.table: is required; add it"),
        ('kind = "bigquery" -> ', "warehouse.kind: is required; add it"),
        ('project = "nba-props-platform" -> ', "warehouse: BigQuery needs project; write project = "),
        ('kind = "bigquery" -> kind = "lake"', 'warehouse: a lake needs path; write path = "lake"'),
        ('opens = 2021-10-19 -> ', "calendar.season[2021-22].opens: is required; add it"),
        # types
        ('slots = 8 -> slots = "8"', "jobs.slots: '8' is not a whole number; write it without quotes and point"),
        ('slots = 8 -> slots = true', "jobs.slots: True is not a whole number"),
        ('slots = 8 -> slots = 0', "jobs.slots: 0 is too small; write 1 or more"),
        ('slots = 8 -> slots = 1001', "jobs.slots: 1001 is too large; write 1000 or less"),
        ('skip_bootstrap = true -> skip_bootstrap = 1', "phase[phase4].skip_bootstrap: 1 is neither true nor false"),
        ('opens = 2021-10-19 -> opens = "2021-10-19"', "season[2021-22].opens: '2021-10-19' is not a date; write it like"),
        ('opens = 2021-10-19 -> opens = 2021-10-19T00:00:00', "season[2021-22].opens: is not a date"),
        ('fallbacks = ["team"] -> fallbacks = "team"', f"{PLAYER}.fallbacks: 'team' is not a list; put it in [ ]"),
        ('"--date", "{date}"] -> "--date", 3]', f'{TEAM}.command[3]: 3 is not a text; put it in "quotes"'),
        ('share = 0.9 -> share = "90 %"', f"{PLAYER}.expect.quality.share: '90 %' is not a number"),
        ('share = 0.9 -> share = 90', f"{PLAYER}.expect.quality.share: 90 is too large; write 1.0 or less"),
        ('LEVEL = "1" -> LEVEL = 1', 'jobs.env.LEVEL: 1 is not a text; put it in "quotes"'),
        ('order = "sequential" -> order = "serial"', "phase[phase4].order: 'serial' is not known; write 'parallel' or"),
        ('priority = "important" -> priority = "high"', f"{PLAYER}.priority: 'high' is not known; write 'critical', "),
        ('kind = "bigquery" -> kind = "snowflake"', "warehouse.kind: 'snowflake' is not known; write 'bigquery' or"),
        # durations
        ('timeout = "30m" -> timeout = 30', 'jobs.timeout: 30 is not a duration; write it like "90s", "30m" or "4h"'),
        ('timeout = "30m" -> timeout = "30 min"', "jobs.timeout: '30 min' is not a duration"),
        ('timeout = "30m" -> timeout = "-30m"', "jobs.timeout: '-30m' is not a duration"),
        ('timeout = "30m" -> timeout = "0s"', "jobs.timeout: ends every job at once; write a longer time"),
        ('timeout = "2h" -> timeout = "0s"', f"{PLAYER}.timeout: ends every job at once"),
        (f'timeout = "30m" -> timeout = "{"9" * 400}d"', "jobs.timeout: inf is not a usable number"),
        ('stale_after = "4h" -> stale_after = ""', "history.stale_after: '' is not a duration"),
        # names
        ('name = "nba" -> name = "NBA"', f"name: 'NBA' {NOT_TOML_NAME}"),
        ('name = "team" -> name = "Größe"', f"phase[phase3].processor[Größe].name: 'Größe' {NOT_TOML_NAME}"),
        ('name = "team" -> name = "te\\u0000am"', f"'te\\x00am' {NOT_TOML_NAME}"),
        ('name = "team" -> name = "te\\nam"', f"phase[phase3].processor[te\\x0aam].name: 'te\\nam' {NOT_TOML_NAME}"),
        ('name = "team" -> name = 3', 'phase[phase3].processor[0].name: 3 is not a text'),
        (f'name = "team" -> name = "{"a" * 81}"', "is too long; write 80 characters or fewer"),
        ('name = "player" -> name = "team"', "phase[phase3]: the name 'team' is used twice; rename one"),
        ('name = "zones" -> name = "team"', "phase[phase4]: the name 'team' is used twice; rename one"),
        ('name = "zones" -> name = "phase3"', "phase[phase4]: the name 'phase3' is used twice; rename one"),
        ('name = "cache" -> name = "done"', "phase[phase4]: 'done' is a state of its own; choose another name"),
        ('name = "phase4" -> name = "pending"', "phase[pending]: 'pending' is a state of its own"),
        ('name = "phase4" -> name = "failed"', "phase[failed]: 'failed' is a state of its own"),
        # tables, columns and other words that reach SQL
        ('"nba_precompute.team_defense_zone_analysis" -> "zones"', f"{ZONES}.table: 'zones' {NOT_A_TABLE}"),
        ('"nba_precompute.team_defense_zone_analysis" -> "a.b.c.d"', f"{ZONES}.table: 'a.b.c.d' {NOT_A_TABLE}"),
        ('"nba_precompute.team_defense_zone_analysis" -> "a.b`; DROP TABLE x; --"', f"{ZONES}.table: 'a.b`; DROP"),
        ('"nba_precompute.team_defense_zone_analysis" -> "../etc.passwd"', f"{ZONES}.table: '../etc.passwd' {NOT_A_TABLE}"),
        ('"nba_precompute.team_defense_zone_analysis" -> "a.b\\n"', f"{ZONES}.table: 'a.b\\n' {NOT_A_TABLE}"),
        ('date_column = "game_date" -> date_column = "1=1 OR d"', f"{TEAM}.date_column: '1=1 OR d' {NOT_A_COLUMN}"),
        ('"game_id" -> "game_id) FROM x; --"', f"{TEAM}.expect.games_column: 'game_id) FROM x; --' {NOT_A_COLUMN}"),
        ('["paint_defense"] -> ["a", "b c"]', f"{ZONES}.expect.filled.columns[1]: 'b c' {NOT_A_COLUMN}"),
        ('["paint_defense"] -> []', f"{ZONES}.expect.filled.columns: is empty; fill it in"),
        ('"completeness_percentage >= 95" -> ""', f"{PLAYER}.expect.quality.where: '' is empty; fill it in"),
        ('table = "nba_reference. -> table = "nba reference.', f"history.table: 'nba reference.processor"),
        # expectations that cannot hold or cannot be judged
        ('[30, 30] -> [31, 30]', f"{ZONES}.expect: rows can never hold: the minimum 31 is above the maximum 30"),
        ('[2, 2] -> [3, 2]', f"{TEAM}.expect: rows_per_game can never hold"),
        ('[2, 2] -> 2', f"{TEAM}.expect.rows_per_game: 2 is not a range; write [min] or [min, max]"),
        ('[2, 2] -> [1, 2, 3]', f"{TEAM}.expect.rows_per_game: is not a range; write [min] or [min, max]"),
        ('[2, 2] -> [-2, 2]', f"{TEAM}.expect.rows_per_game[0]: -2 is too small; write 0 or more"),
        ('min = 0.9, max = 12 -> min = 0.9, max = 0.5', f"{PLAYER}.expect.ratio: ratio can never hold"),
        ('min = 0.9, max = 12 -> min = 0.9, max = inf', f"{PLAYER}.expect.ratio.max: inf is not a usable number"),
        ('min = 0.9, max = 12 -> min = nan', f"{PLAYER}.expect.ratio.min: nan is too small"),
        ('of = "team" -> of = "player"', f"{PLAYER}.expect.ratio.of: 'player' is not settled before 'player'"),
        ('of = "team" -> of = "zone"', "name a processor of an earlier state, or put it in after; did you mean 'zones'?"),
        ('until_day = 35 -> until_day = 0', f"{ZONES}.expect.ramp[0].until_day: 0 is too small; write more than 0"),
        ('rows = [0, 30] }] -> rows = [0, 30] }, { until_day = 5, rows = [0] }]', f"{ZONES}.expect: ramp steps must"),
        ('file = "calendar.csv" -> ', f"{TEAM}.expect: rows_per_game and games_column need a calendar with query or"),
        # references
        ('fallbacks = ["team"] -> fallbacks = ["teams"]', f"{PLAYER}.fallbacks: 'teams' is not another processor of"),
        ('fallbacks = ["team"] -> fallbacks = ["zones"]', f"{PLAYER}.fallbacks: 'zones' is not another processor of"),
        ('after = ["team"] -> after = ["tem"]', f"{PLAYER}.after: 'tem' is not another processor of this phase; did you"),
        ('after = ["team"] -> after = ["player"]', f"{PLAYER}.after: 'player' is not another processor of this phase"),
        ('history_names = -> after = ["player"] #', "phase[phase3]: after and fallbacks run in a circle: team -> player"),
        ('name = "cache" -> name = "cache"\nafter = ["zones"]', "phase[phase4]: after has no meaning in a sequential"),
        ('name = "cache" -> name = "cache"\nfallbacks = ["zones"]', "phase[phase4]: fallbacks have no meaning in a seq"),
        # calendar
        ('opens = 2022-10-18 -> opens = 2022-06-16', "calendar: seasons 2021-22 and 2022-23 overlap; correct opens or"),
        ('closes = 2022-06-16 -> closes = 2021-06-16', "season[2021-22]: opens 2021-10-19 is after closes 2021-06-16"),
        ('file = "calendar.csv" -> file = "c.csv"\nquery = "SELECT 1"', "calendar: query and file exclude each other"),
        ('file = "calendar.csv" -> query = ""', "calendar.query: is empty; fill it in or remove the key"),
        ('bootstrap_days = 7 -> bootstrap_days = 400', "calendar.bootstrap_days: 400 is too large; write 366 or less"),
        ('timezone = "America/New_York" -> timezone = "Mars/Olympus"', "timezone: unknown time zone 'Mars/Olympus'; use"),
        ('timezone = "America/New_York" -> timezone = "../../etc/passwd"', "timezone: unknown time zone"),
        ('lookback = "season" -> lookback = "saison"', 'phase[phase4].lookback: write "season" or a number of days'),
        ('lookback = "season" -> lookback = 1.5', 'phase[phase4].lookback: write "season" or a number of days'),
        ('lookback = "season" -> lookback = -1', "phase[phase4].lookback: -1 is too small; write 0 or more days"),
        # commands
        ('"--date", "{date}"] -> "{day}"]', f"{TEAM}.command: unknown placeholder {{day}}; known are date, dates"),
        ('"--date", "{date}"] -> "{Date}"]', f"{TEAM}.command: {{Date}} is not a placeholder; did you mean {{date}}?"),
        ('"--date", "{date}"] -> "{ date }"]', f"{TEAM}.command: {{ date }} is not a placeholder; did you mean {{date}}"),
        ('["python3", "jobs/team.py", "--date", "{date}"] -> []', f"{TEAM}.command: is empty; fill it in"),
        ('["python3", "jobs/team.py", "--date", "{date}"] -> [" "]', f"{TEAM}.command: the first word is empty; write"),
        ('["python3", "jobs/team.py", "--date", "{date}"] -> "t {date}"', f"{TEAM}.command: 't {{date}}' is not a list"),
        ('"jobs/team.py" -> "a\\u0000b"', f"{TEAM}.command[1]: holds a NUL character; remove it"),
        ('"{start}", "--to", "{end}" -> "all"', f"{PLAYER}: batch above 1 needs {{dates}}, {{start}} and {{end}}, or"),
        ('"{start}", "--to", "{end}" -> "{date}", "{end}"', f"{PLAYER}: {{date}} is one date and batch is above 1; use"),
        ('LEVEL = "1" -> "A=B" = "1"', "jobs.env: 'A=B' is not a variable's name; write letters, digits and _"),
        ('LEVEL = "1" -> LEVEL = "\\u0000"', "jobs.env.LEVEL: holds a NUL character; remove it"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_key_and_its_remedy(change: str, complaint: str) -> None:
    assert [line for line in complaints(edited(change)) if complaint in line] != []


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"phase": []}, "phase: there is none; add [[phase]]"),
        (
            {"phase": {"name": "phase3"}},
            "phase: is not a list; put it in [ ], or open each of its tables with [[",
        ),
        ({"phase": "phase3"}, "phase: 'phase3' is not a list"),
        ({"phase": [3]}, "phase[0]: 3 is not a table; write its keys under a [header], or in { }"),
        ({"phase": [phase("p")]}, "phase[p].processor: there is none; add [[phase.processor]]"),
        ({"phase": [{"name": "p", "processor": ["x"]}]}, "phase[p].processor[0]: 'x' is not a table"),
        ({"phase": [{"name": "p", "processor": processor("a")}]}, "phase[p].processor: is not a list"),
        ({"jobs": [{"slots": 8}]}, "jobs: is not a table"),
        ({"jobs": {"env": "A=1"}}, "jobs.env: 'A=1' is not a table"),
        ({"calendar": [1]}, "calendar: is not a table"),
        ({"history": "d.history"}, "history: 'd.history' is not a table"),
        ({"warehouse": []}, "warehouse: is not a table"),
        (
            {"calendar": {"bootstrap_days": 7}},
            "calendar: bootstrap_days counts from a season's opener; add [[cal",
        ),
        ({"a\nb": 1}, "top level: unknown key 'a\\x0ab'; known are name"),
        ({"\x1b[2J": 1}, "top level: unknown key '\\x1b[2J'"),
    ],
)
def test_a_wrong_shape_is_told_too(data: dict[str, Any], complaint: str) -> None:
    with pytest.raises(PipelineError) as raised:
        parse({**valid(), **data}, HERE)
    assert complaint in str(raised.value)


def test_a_ramp_and_a_seasons_lookback_need_a_season() -> None:
    ramp = processor("a", expect={"ramp": [{"until_day": 5, "rows": [0]}]})
    data = pipeline_data(phase("p", ramp, lookback="season"), calendar={})
    with pytest.raises(PipelineError) as raised:
        parse(data, HERE)
    assert raised.value.problems == [
        "phase[p].processor[a].expect.ramp: counts days of a season; add [[calendar.season]]",
        "phase[p].lookback: there is no season; add [[calendar.season]] or give days",
    ]


def test_a_fallback_that_waits_for_what_it_stands_in_for_is_a_circle() -> None:
    file = pipeline_data(phase("p", processor("a", fallbacks=["b"]), processor("b", after=["a"])))
    with pytest.raises(PipelineError, match="after and fallbacks run in a circle: a -> a"):
        parse(file, HERE)


def test_two_processors_may_stand_in_for_each_other() -> None:
    both = phase("p", processor("a", fallbacks=["b"]), processor("b", fallbacks=["a"]))
    assert set(pipeline(both).processors) == {"a", "b"}


def test_all_mistakes_are_told_at_once() -> None:
    found = complaints(edited("slots = 8 -> slots = 0", '"game_id" -> "game id"', '"30s" -> "soon"'))
    assert [line.split(":")[0] for line in found] == [
        "jobs.backoff",
        "jobs.slots",
        f"{TEAM}.expect.games_column",
    ] or len(found) == 3


def test_a_mistake_in_jobs_is_told_once_and_not_for_every_processor() -> None:
    for change in (
        'timeout = "30m" -> timeout = "x"',
        'LEVEL = "1" -> LEVEL = 1',
        'cwd = "." -> cwd = "\\u0000"',
    ):
        assert len(complaints(edited(change))) == 1


# ------------------------------------------------------------------------ whatever the file says, nothing crashes

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
    before = copy.deepcopy(data)
    try:
        pipeline = parse(data, HERE)
    except PipelineError as error:
        assert error.problems
        assert all(problem.isprintable() and ":" in problem for problem in error.problems)
    else:
        assert_usable(pipeline)
    assert repr(data) == repr(before), "reading must not change what was read"


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
        parse(value if isinstance(value, dict) else {"name": value}, HERE)
