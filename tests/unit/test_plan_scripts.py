"""Which file a command would run, found by its words alone."""

import datetime as dt
import os
from pathlib import Path

import pytest

from backfilld.daemon.job_command_inspection import JobProgram, program
from backfilld.daemon.preflight.job_script_options import refused_options
from backfilld.daemon.reports.data_completeness import validation
from backfilld.daemon.reports.plan.plan import compare, plan
from tests.factories import NOW, phase, pipeline, processor
from tests.fake_warehouse import FakeWarehouse

DAY_N = ("--day", "-n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout with a script, a package with a main module, and an interpreter of its own."""
    for name in ("jobs/box.py", "tools/__init__.py", "tools/__main__.py", "lib/shared/load.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import sys\n")
    (tmp_path / "empty.sh").write_text("\n")
    (tmp_path / "run.sh").write_text("#!/bin/sh\ntrue\n")
    for name in ("empty.sh", "run.sh"):
        (tmp_path / name).chmod(0o755)
    return tmp_path


def found(folder: Path, *command: str, **keys: object) -> JobProgram:
    job = processor("box", command=list(command), **keys)
    made = pipeline(phase("phase2", job), at=folder / "pipeline.toml")
    return program(made, made.processors["box"])


@pytest.mark.parametrize(
    ("command", "script", "options"),
    [
        (["python3", "jobs/box.py", "--start-date", "{date}"], "jobs/box.py", ("--start-date",)),
        (["python3", "-u", "-W", "error", "jobs/box.py", "--day={date}", "-n", "-5"], "jobs/box.py", DAY_N),
        (["{python}", "-X", "dev", "-m", "tools", "--day", "{date}"], "tools/__main__.py", ("--day",)),
        (["{python}", "-um", "tools", "-v", "{date}"], "tools/__main__.py", ("-v",)),
        (["env", "A=b", "python3", "jobs/box.py", "{date}"], "jobs/box.py", ()),
        (["python3", "-m", "shared.load", "{date}"], "lib/shared/load.py", ()),
        (["./run.sh", "--day", "{date}"], "run.sh", ("--day",)),
        (["sh", "run.sh", "{date}"], "run.sh", ()),
    ],
)
def test_the_script_of_a_command_is_found(
    folder: Path, command: list[str], script: str, options: tuple[str, ...]
) -> None:
    told = found(folder, *command, env={"PYTHONPATH": "lib"})
    assert told.script is not None
    assert (told.script.relative_to(folder).as_posix(), told.options) == (script, options)
    assert told.problem == ""


@pytest.mark.parametrize(
    "command",
    [
        ["true", "{date}"],
        ["python3", "-c", "print()", "{date}"],
        ["python3", "jobs/{date}.py"],
        ["bash", "-c", "x"],
    ],
)
def test_a_command_without_a_script_to_read_is_no_problem(folder: Path, command: list[str]) -> None:
    told = found(folder, *command)
    assert (told.script, told.problem) == (None, "")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["no-such-program", "{date}"], "the program no-such-program does not exist"),
        (["jobs/box.py", "{date}"], "the program jobs/box.py does not exist or cannot be executed"),
        (["python3", "jobs/none.py", "{date}"], "none.py does not exist"),
        (["python3", "-m", "jobs.none", "{date}"], "the module jobs.none is neither in the working"),
        (["./empty.sh", "{date}"], "empty.sh is empty"),
        (["bash", "empty.sh", "{date}"], "empty.sh is empty"),
    ],
)
def test_what_cannot_start_is_told(folder: Path, command: list[str], words: str) -> None:
    assert words in found(folder, *command).problem


def test_a_working_directory_that_is_not_there_is_told(folder: Path) -> None:
    assert found(folder, "true", cwd="elsewhere").problem.endswith(
        "elsewhere does not exist or may not be reached"
    )


def test_a_path_of_the_job_s_own_is_searched(folder: Path) -> None:
    tool = folder / "bin" / "only-here"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    assert found(folder, "only-here").problem
    path = f"{tool.parent}{os.pathsep}{os.environ['PATH']}"
    assert found(folder, "only-here", env={"PATH": path}).argv0 == str(tool)


def test_a_module_that_is_installed_beside_us_is_found_for_our_own_interpreter(folder: Path) -> None:
    told = found(
        folder, "{python}", "-m", "backfilld.demo.jobs.player_game_summary", "--start-date", "{date}"
    )
    assert told.script is not None
    assert told.script.name == "player_game_summary.py"
    # And its neighbours are found too
    assert any((place / "demo" / "job_options.py").exists() for place in told.places)


def test_a_script_that_refuses_an_option_of_its_command_is_not_planned(folder: Path) -> None:
    # Given a script without the end date that its command gives it
    (folder / "jobs" / "box.py").write_text(
        "import argparse\nparser = argparse.ArgumentParser()\n"
        "parser.add_argument('--start-date')\nparser.parse_args()\n"
    )
    command = ["{python}", "jobs/box.py", "--start-date", "{date}", "--end-date", "{date}"]
    made = pipeline(
        phase("raw", processor("box", command=command), processor("teams")), at=folder / "pipeline.toml"
    )
    day = dt.date(2021, 10, 19)
    report = validation(made, FakeWarehouse(made, calendar={day: 8}), day, day, now=NOW)
    refused = refused_options(made)
    assert refused == {"box": "the script does not take --end-date"}
    # When its date is planned
    planned = plan(report, made, refused_options=refused)
    # Then its command is not printed, is no coverage, and the reason is given
    assert [step.processor for step in planned.steps] == ["teams"]
    assert [(one.complete, one.expected) for one in planned.coverage] == [(1, 2)]
    (stop,) = planned.cannot_run
    assert (stop.processors, stop.reason) == (["box"], "box: the script does not take --end-date")
    # And the same holds for every choice of sources
    options = compare(report, made, refused_options=refused).options
    assert {step.processor for option in options for step in option.steps} == {"teams"}


def test_each_job_that_cannot_start_is_named_with_its_reason(folder: Path) -> None:
    lost = [processor(name, command=["python3", f"jobs/{name}.py", "{date}"]) for name in "abcdefg"]
    made = pipeline(phase("raw", *lost, processor("teams")), at=folder / "pipeline.toml")
    day = dt.date(2021, 10, 19)
    report = validation(made, FakeWarehouse(made, calendar={day: 8}), day, day, now=NOW)
    (stop,) = plan(report, made).cannot_run
    first, *_, more = stop.reason.split("; ")
    assert first.startswith("a: ")
    assert more.startswith("e: ")
    assert more.endswith(" and 2 more")


def test_options_that_the_source_or_the_help_shows_are_not_refused(folder: Path) -> None:
    (folder / "jobs" / "box.py").write_text(
        "import argparse\nparser = argparse.ArgumentParser()\n"
        "for name in ('start', 'end'):\n    parser.add_argument(f'--{name}-date')\nparser.parse_args()\n"
    )
    command = ["{python}", "jobs/box.py", "--start-date", "{date}", "--end", "{date}"]
    made = pipeline(phase("raw", processor("box", command=command)), at=folder / "pipeline.toml")
    assert refused_options(made) == {}
