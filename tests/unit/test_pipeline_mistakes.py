"""Every mistake in a pipeline file is told with the file, the key, what is wrong and the remedy."""
# ruff: noqa: E501  (one mistake, one line: they are read side by side)

import tomllib
from typing import Any

import pytest

from backfilld.daemon.adapters import parse_pipeline
from backfilld.state.pipeline.loading import PipelineError
from tests.factories import phase, pipeline, pipeline_data, processor
from tests.unit.test_pipeline_file import HERE, VALID, valid


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
        parse_pipeline(tomllib.loads(text), HERE)
    assert str(raised.value) == "\n".join(f"{HERE}: {problem}" for problem in raised.value.problems)
    return raised.value.problems


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
        ('location = "us -> region = "us', "warehouse: unknown key 'region'; known are kind, query_timeout, daily_bytes, project, location"),
        ('date_column -> date_colunm', f"{TEAM}: unknown key 'date_colunm'; did you mean 'date_column'?"),
        ('expect.rows_per -> expect.rows_per_game', f"{TEAM}.expect: unknown key 'rows_per_game'; did you mean 'rows_per'"),
        ('expect.distinct -> expect.distinct_of', f"{TEAM}.expect: unknown key 'distinct_of'; did you mean 'distinct'"),
        ('expect.distinct -> expect.games_column', f"{TEAM}.expect: unknown key 'games_column'; known are "),
        ('name = "phase3" -> nam = "phase3"', "phase[0]: unknown key 'nam'; did you mean 'name'?"),
        ('timezone -> time_zone', "top level: unknown key 'time_zone'; did you mean 'timezone'?"),
        ('timezone -> path', "top level: unknown key 'path'; the lake's belongs under [warehouse]"),
        ('name = "team" -> name = "team"\nretries = 3', f"{TEAM}: unknown key 'retries'; did you mean 'max_attempts'?"),
        ('name = "team" -> name = "team"\nschedule = "@daily"', f"{TEAM}: unknown key 'schedule'; did you mean 'days'?"),
        ('name = "team" -> name = "team"\ndepends_on = ["a"]', f"{TEAM}: unknown key 'depends_on'; did you mean 'needs'?"),
        # what is required
        ('table = "nba_analytics. -> #', f"{TEAM}.table: is required; add it"),
        ('kind = "bigquery" -> ', "warehouse.kind: is required; add it"),
        ('project = "nba-props-platform" -> ', "warehouse.project: is required; add it"),
        ('kind = "bigquery" -> kind = "lake"', "warehouse: unknown key 'project'; known are kind, query_timeout, daily_bytes, path"),
        ('kind = "bigquery" -> kind = "big-query"', "warehouse.kind: 'big-query' is not known; write 'bigquery' or 'duckdb' or 'lake' or 'postgresql'; did you mean 'bigquery'?"),
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
        # keys of another table
        ('name = "team" -> name = "team"\nlookback = 2', "unknown key 'lookback'; move it to [[phase]], or state"),
        ('name = "phase4" -> name = "phase4"\nneeds = []', "unknown key 'needs'; move it to a [[phase.processor]]"),
        # tables, columns and other words that reach SQL
        ('"nba_precompute.team_defense_zone_analysis" -> "zones"', f"{ZONES}.table: 'zones' {NOT_A_TABLE}"),
        ('"nba_precompute.team_defense_zone_analysis" -> "a.b.c.d"', f"{ZONES}.table: 'a.b.c.d' {NOT_A_TABLE}"),
        ('"nba_precompute.team_defense_zone_analysis" -> "a.b`; DROP TABLE x; --"', f"{ZONES}.table: 'a.b`; DROP"),
        ('"nba_precompute.team_defense_zone_analysis" -> "../etc.passwd"', f"{ZONES}.table: '../etc.passwd' {NOT_A_TABLE}"),
        ('"nba_precompute.team_defense_zone_analysis" -> "a.b\\n"', f"{ZONES}.table: 'a.b\\n' {NOT_A_TABLE}"),
        ('date_column = "game_date" -> date_column = "1=1 OR d"', f"{TEAM}.date_column: '1=1 OR d' {NOT_A_COLUMN}"),
        ('"game_id" -> "game_id) FROM x; --"', f"{TEAM}.expect.distinct[0].column: 'game_id) FROM x; --' {NOT_A_COLUMN}"),
        ('["paint_defense"] -> ["a", "b c"]', f"{ZONES}.expect.filled.columns[1]: 'b c' {NOT_A_COLUMN}"),
        ('["paint_defense"] -> []', f"{ZONES}.expect.filled.columns: is empty; fill it in"),
        ('"completeness_percentage >= 95" -> ""', f"{PLAYER}.expect.quality.where: '' is empty; fill it in"),
        ('table = "nba_reference. -> table = "nba reference.', "history.table: 'nba reference.processor"),
        # expectations that cannot hold or cannot be judged
        ('[30, 30] -> [31, 30]', f"{ZONES}.expect.rows: can never hold: the minimum 31 is above the maximum 30"),
        ('[2, 2] -> [3, 2]', f"{TEAM}.expect.rows_per.games: can never hold"),
        ('[2, 2] -> 2', f"{TEAM}.expect.rows_per.games: 2 is not a range; write [min] or [min, max]"),
        ('[2, 2] -> [1, 2, 3]', f"{TEAM}.expect.rows_per.games: is not a range; write [min] or [min, max]"),
        ('[2, 2] -> [-2, 2]', f"{TEAM}.expect.rows_per.games[0]: -2 is too small; write 0 or more"),
        ('min = 0.9, max = 12 -> min = 0.9, max = 0.5', f"{PLAYER}.expect.ratio: can never hold"),
        ('min = 0.9, max = 12 -> min = 0.9, max = inf', f"{PLAYER}.expect.ratio.max: inf is not a usable number"),
        ('min = 0.9, max = 12 -> min = nan', f"{PLAYER}.expect.ratio.min: nan is too small"),
        ('of = "team" -> of = "player"', f"{PLAYER}.expect.ratio.of: 'player' is not settled before 'player'"),
        ('of = "team" -> of = "zone"', "name a processor of an earlier state, or put it in after; did you mean 'zones'?"),
        ('until_day = 35 -> until_day = 0', f"{ZONES}.expect.ramp[0].until_day: 0 is too small; write more than 0"),
        ('rows = [0, 30] }] -> rows = [0, 30] }, { until_day = 5, rows = [0] }]', f"{ZONES}.expect.ramp: ramp steps must"),
        ('file = "calendar.csv" -> ', f"{TEAM}.expect: rows_per, distinct and per need a calendar with query or"),
        # references
        ('fallbacks = ["team"] -> fallbacks = ["teams"]', f"{PLAYER}.fallbacks: 'teams' is not another processor of"),
        ('fallbacks = ["team"] -> fallbacks = ["zones"]', f"{PLAYER}.fallbacks: 'zones' is not another processor of"),
        ('after = ["team"] -> after = ["tem"]', f"{PLAYER}.after: 'tem' is not another processor of this phase; did you"),
        ('after = ["team"] -> after = ["player"]', f"{PLAYER}.after: 'player' is not another processor of this phase: it is this one; remove it"),
        ('after = ["team"] -> after = ["zones"]', f"{PLAYER}.after: 'zones' is not another processor of this phase: it is in phase4; remove it"),
        ('history_names = -> after = ["player"] #', "phase[phase3]: after, needs and fallbacks run in a circle: team -> player"),
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
        ('"--date", "{date}"] -> "{{ ds }}"]', f"{TEAM}.command: {{{{ ds }}}} is a template, and no template is rendered; write {{date}}"),
        ('"--date", "{date}"] -> "{{ macros.ds_add(ds, -1) }}"]', f"{TEAM}.command: {{{{ macros.ds_add(ds, -1) }}}} is a template"),
        ('"--date", "{date}"] -> "{% if x %}a{% endif %}"]', f"{TEAM}.command: {{% if x %}} is a template"),
        ('"--date", "{date}"] -> "{ds}"]', f"{TEAM}.command: unknown placeholder {{ds}}; write {{date}}"),
        ('"--date", "{date}"] -> "{ ds }"]', f"{TEAM}.command: {{ ds }} is not a placeholder; did you mean {{date}}?"),
        ('"--date", "{date}"] -> "{date:%Y%m%d}"]', f"{TEAM}.command: {{date:%Y%m%d}} is not a placeholder, which has a name alone; write {{date}}, such as 2024-03-01"),
        ('"--date", "{date}"] -> "{date - 1}"]', f"{TEAM}.command: {{date - 1}} is not a placeholder"),
        ('"python3", "jobs/team.py", "--date", "{date}" -> "{python} jobs/team.py {date}"', f'{TEAM}.command: the first word is not a program; write each argument as a word: "{{python}}", "jobs/team.py", "{{date}}"'),
        ('history_names = -> source_command = ["load", "{ ds }"] #', f"{TEAM}.source_command: {{ ds }} is not a placeholder"),
        ('["python3", "jobs/team.py", "--date", "{date}"] -> []', f"{TEAM}.command: is empty; fill it in"),
        ('["python3", "jobs/team.py", "--date", "{date}"] -> [" "]', f"{TEAM}.command: the first word is empty; write"),
        ('["python3", "jobs/team.py", "--date", "{date}"] -> "t {date}"', f"{TEAM}.command: 't {{date}}' is not a list"),
        ('"jobs/team.py" -> "a\\u0000b"', f"{TEAM}.command[1]: holds a NUL character; remove it"),
        ('"{start}", "--to", "{end}" -> "all"', f"{PLAYER}: batch above 1 needs {{dates}}, {{start}} and {{end}}, or"),
        ('"{start}", "--to", "{end}" -> "{date}", "{end}"', f"{PLAYER}: {{date}} is one date and batch is above 1; use"),
        ('slots = 8 -> executor = "dusk"', "jobs.executor: there is no [executor.dusk]; add it, or write local"),
        ('slots = 8 -> executor = "dask"', "jobs.executor: there is no [executor.dask]; add it"),
        ('name = "team" -> name = "team"\nexecutor = "k8s"', f"{TEAM}.executor: there is no [executor.k8s]; add it, or write local"),
        ('slots = 8 -> executor = "cloud_run"', "jobs.executor: there is no [executor.cloud_run]; add it, or write local"),
        ('name = "team" -> name = "team"\ncloud_run_job = "Team"', f"{TEAM}.cloud_run_job: 'Team' is not the name of a Cloud Run job"),
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
        (
            {"executor": {"dusk": {}}},
            "executor.dusk.kind: 'dusk' is not known; write 'cloud-run' or 'dask' or 'local'; did you mean 'dask'?",
        ),
        (
            {"executor": {"dask": {"kind": "local"}}},
            "executor: 'dask' is a kind of executor; choose another name",
        ),
        ({"executor": {"gpu": {"kind": "dask"}}}, "executor.gpu.scheduler: is required; add it"),
        (
            {"executor": {"gpu": {"kind": "local", "slots": 0}}},
            "executor.gpu.slots: 0 is too small; write 1 or more",
        ),
        ({"executor": {"gpu": {"kind": 7}}}, "executor.gpu.kind: 7 is not a text"),
        ({"executor": {"gpu": 7}}, "executor.gpu: 7 is not a table"),
        ({"executor": {"G P U": {"kind": "local"}}}, "executor.G P U"),
        ({"warehouse": {"path": "lake"}}, "warehouse.kind: is required; add it"),
        ({"executor": {"dask": {}}}, "executor.dask.scheduler: is required; add it"),
        (
            {"executor": {"cloud_run": {}}},
            "executor.cloud_run.kind: 'cloud_run' is not known; write 'cloud-run' or 'dask' or 'local'; did you mean 'c",
        ),
        ({"executor": {"cloud-run": {"project": "p"}}}, "executor.cloud-run.region: is required; add it"),
        (
            {"executor": {"cloud-run": {"project": "p", "region": "r", "look": "0s"}}},
            "executor.cloud-run.look: 0.0 is too small; write more than 0.0",
        ),
        (
            {"executor": {"dask": {"scheduler": "10.0.0.5"}}},
            "executor.dask.scheduler: '10.0.0.5' is not an address; write one like tcp://10.0.0.5:8786",
        ),
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
        parse_pipeline({**valid(), **data}, HERE)
    assert complaint in str(raised.value)


def test_a_ramp_and_a_seasons_lookback_need_a_season() -> None:
    ramp = processor("a", expect={"ramp": [{"until_day": 5, "rows": [0]}]})
    data = pipeline_data(phase("p", ramp, lookback="season"), calendar={})
    with pytest.raises(PipelineError) as raised:
        parse_pipeline(data, HERE)
    assert raised.value.problems == [
        "phase[p].processor[a].expect.ramp: counts days of a season; add [[calendar.season]]",
        "phase[p].lookback: there is no season; add [[calendar.season]] or give days",
    ]


@pytest.mark.parametrize("key", ["after", "fallbacks"])
def test_a_processor_that_names_itself_is_told_once(key: str) -> None:
    with pytest.raises(PipelineError) as raised:
        pipeline(phase("p", processor("a", **{key: ["a"]})))
    assert [line.split(": ")[0] for line in raised.value.problems] == [f"phase[p].processor[a].{key}"]


@pytest.mark.parametrize(
    "word",
    [
        '{"run_date": "{date}"}',
        "{run_date: {date}}",
        "{date: {date}}",
        "--format={{.Names}}",
        "{ print $1 }",
        "${HOME}/x",
    ],
)
def test_other_braces_reach_the_job_as_they_are(word: str) -> None:
    one = pipeline(phase("p", processor("a", command=["job", word]))).processors["a"]
    assert one.argv({"date": "2024-03-01"})[1] == word.replace("{date}", "2024-03-01")


@pytest.mark.parametrize(
    ("key", "keys"),
    [
        ("window[w].processors", {"window": [{"processors": []}]}),
        ("window[w].pools", {"window": [{"pools": []}]}),
        ("window[w].weekdays", {"window": [{"weekdays": []}]}),
        ("calendar.days[d].dates", {"calendar": {"days": [{"name": "d", "business": True, "dates": []}]}}),
        ("calendar.days[d].weekdays", {"calendar": {"days": [{"name": "d", "weekdays": []}]}}),
        ("history.succeeded", {"history": {"table": "ops.runs", "succeeded": []}}),
    ],
)
def test_an_empty_list_that_would_mean_all_is_refused(key: str, keys: dict[str, Any]) -> None:
    hours = {"name": "w", "closes": "08:00", "opens": "18:00"}
    keys = {name: [{**hours, **one} for one in v] if name == "window" else v for name, v in keys.items()}
    with pytest.raises(PipelineError) as raised:
        pipeline(phase("p", processor("a")), **keys)
    assert raised.value.problems == [f"{key}: is empty; fill it in"]


def test_a_file_of_dates_is_not_on_the_workers_of_a_cluster() -> None:
    command = ["load", "--dates", "{dates_file}"]
    one = processor("a", executor="dask", command=command)
    data = {**pipeline_data(phase("p", one)), "executor": {"dask": {"scheduler": "tcp://10.0.0.5:8786"}}}
    with pytest.raises(PipelineError) as raised:
        parse_pipeline(data, HERE)
    assert raised.value.problems == [
        "phase[p].processor[a].command: {dates_file} is a file of this machine, not of workers; write {dates}"
    ]


def test_the_python_of_this_machine_is_not_in_an_image() -> None:
    one = processor("a", executor="cloud-run", command=["{python}", "load.py", "{date}"])
    place = {"cloud-run": {"project": "p", "region": "us-west2"}}
    with pytest.raises(PipelineError) as raised:
        parse_pipeline({**pipeline_data(phase("p", one)), "executor": place}, HERE)
    assert raised.value.problems == [
        "phase[p].processor[a].command: {python} is this machine's, not the image's; write the words its job takes"
    ]


def test_the_words_of_a_named_executor_are_checked_by_its_kind() -> None:
    one = processor("a", executor="gpu", command=["load", "--dates", "{dates_file}"])
    place = {"gpu": {"kind": "dask", "scheduler": "tcp://10.0.0.5:8786"}}
    with pytest.raises(PipelineError) as raised:
        parse_pipeline({**pipeline_data(phase("p", one)), "executor": place}, HERE)
    assert raised.value.problems == [
        "phase[p].processor[a].command: {dates_file} is a file of this machine, not of workers; write {dates}"
    ]
