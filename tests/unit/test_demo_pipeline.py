"""The demo's pipeline file says of its jobs what they do."""

import importlib.util
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import backfilld.demo
from backfilld.daemon.adapters import load_pipeline
from backfilld.demo import environment
from backfilld.demo.job_options import CommandLine
from backfilld.demo.processor_definitions import PROCESSORS

PIPELINE = load_pipeline(Path(backfilld.demo.__file__).parent / "pipeline.toml")
PHASE3 = [processor.name for processor in PIPELINE.phase[1].processor]


def argv(name: str) -> Sequence[str]:
    known = {"date": "2021-10-26", "dates_file": "dates.txt", "python": sys.executable}
    return [word.format(**known) for word in PIPELINE.processors[name].command]


def test_it_has_two_parallel_phases_of_five_and_a_sequence_of_four() -> None:
    shape = [(phase.name, phase.order, len(phase.processor)) for phase in PIPELINE.phase]
    assert shape == [("phase2", "parallel", 5), ("phase3", "parallel", 5), ("phase4", "sequential", 4)]


def test_it_names_the_fourteen_processors_and_no_other() -> None:
    assert set(PIPELINE.processors) == set(PROCESSORS)


@pytest.mark.parametrize("name", PROCESSORS)
def test_tables_columns_and_history_names_are_those_the_job_writes(name: str) -> None:
    stated, written = PIPELINE.processors[name], PROCESSORS[name]
    assert stated.table == written.table
    assert stated.date_column == written.date_column
    assert written.history_name in stated.history_names
    assert (name in {step.name for step in PIPELINE.phase[2].processor}) is written.skips_bootstrap


@pytest.mark.parametrize("name", PROCESSORS)
def test_every_command_starts_a_module_that_takes_its_options(name: str) -> None:
    interpreter, flag, module, *options = argv(name)
    assert (interpreter, flag, module) == (sys.executable, "-m", f"backfilld.demo.jobs.{name}")
    command_line: CommandLine = importlib.import_module(module).COMMAND_LINE
    command_line.parser(None).parse_args(options)


@pytest.mark.parametrize("name", PHASE3)
def test_phase_3_skips_the_downstream_trigger_of_its_platform(name: str) -> None:
    assert PIPELINE.processors[name].requires == ("skip_downstream_trigger",)
    assert importlib.import_module(f"backfilld.demo.jobs.{name}").OPTIONS["skip_downstream_trigger"] is True


def test_a_processor_that_knows_its_quality_is_judged_by_it() -> None:
    judged = {name for name, processor in PIPELINE.processors.items() if processor.expect.quality}
    assert judged == {name for name, processor in PROCESSORS.items() if processor.has_quality}


def test_what_a_job_reads_stands_before_it() -> None:
    order = list(PROCESSORS)
    phases = {name: PIPELINE.stage_of[name].index for name in order}
    for name, processor in PROCESSORS.items():
        after = PIPELINE.processors[name].after
        for source in processor.reads:
            assert phases[source] < phases[name] or source in after, f"{name} reads {source}"


def test_the_stage_of_an_earlier_demo_is_cleared(tmp_path: Path) -> None:
    environment.prepare(tmp_path)
    (tmp_path / "state").mkdir()
    environment.prepare(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake", "pipeline.toml"]


def test_a_folder_with_other_files_is_not_emptied(tmp_path: Path) -> None:
    for name in ("thesis.txt", "pipeline.toml"):
        (tmp_path / name).write_text('name = "nba"\n')
        with pytest.raises(FileExistsError, match="contains more than an earlier demo: choose another"):
            environment.prepare(tmp_path)
        assert (tmp_path / "thesis.txt").exists()


def test_no_daemon_of_a_demo_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given one that does not hear SIGTERM
    deaf = tmp_path / "python"
    deaf.write_text("#!/bin/sh\ntrap '' TERM\ntouch deaf\nwhile :; do sleep 0.02; done\n")
    deaf.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(deaf))
    monkeypatch.setattr(environment, "STOP_SECONDS", 0.1)
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)

    # When
    with environment.daemon(tmp_path / "pipeline.toml", "127.0.0.1:9") as process:
        while not Path("deaf").exists():
            time.sleep(0.002)

    # Then
    assert process.returncode == -signal.SIGKILL
    assert signal.getsignal(signal.SIGTERM) is before
