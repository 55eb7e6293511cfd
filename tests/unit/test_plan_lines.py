"""What a plan tells to type: argument vectors, lines to paste, batches."""

import datetime as dt
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from backfilld.api.cli import show_plan
from tests.factories import phase, pipeline, processor
from tests.fake_warehouse import FakeWarehouse
from tests.platform import OPENING
from tests.unit.plans import date, planned


def test_a_step_tells_the_argument_vector_and_a_line_to_paste(tmp_path: Path) -> None:
    where = tmp_path / "a folder"
    where.mkdir()
    writes = processor(
        "box", command=["touch", "{date} & more"], cwd="a folder", env={"GREETING": "it's fine"}
    )
    one = pipeline(phase("phase2", writes), at=tmp_path / "pipeline.toml")
    (step,) = planned(one, FakeWarehouse(one, calendar=OPENING), "2021-10-19").steps
    assert step.argv == ("touch", "2021-10-19 & more")
    assert (step.cwd, step.env) == (str(where), {"GREETING": "it's fine"})
    # When the line is pasted into a shell
    subprocess.run(["bash", "-ec", step.shell], check=True, cwd="/")
    # Then it runs where and as the job would
    assert [path.name for path in where.iterdir()] == ["2021-10-19 & more"]


def test_a_line_to_paste_for_a_cloud_run_job_asks_for_an_execution() -> None:
    words = ["--dates", "{date}", "--note", "a|b, c"]
    away = processor("box_scores", executor="cloud-run", command=words, env={"LEVEL": "1,2"})
    place = {"cloud-run": {"project": "p", "region": "us-west2"}}
    one = pipeline(phase("phase2", away), executor=place)
    (step,) = planned(one, FakeWarehouse(one, calendar=OPENING), "2021-10-19").steps
    execute = "gcloud run jobs execute box-scores --project p --region us-west2 --wait"
    lists = ["--args=^;^--dates;2021-10-19;--note;a|b, c", "--update-env-vars=^|^LEVEL=1,2"]
    assert shlex.split(step.shell) == [*shlex.split(execute), *lists]


def test_consecutive_dates_are_batched_where_the_processor_takes_batches() -> None:
    batches = pipeline(
        phase("phase2", processor("box", command=["true", "{start}", "{end}"], batch=3)),
    )
    facts = FakeWarehouse(batches, calendar=OPENING)
    facts.fill(["box"], [date("2021-10-21")])
    made = planned(batches, facts, "2021-10-19", "2021-10-26")
    # The 21st is complete, so no range sweeps over it
    assert [step.argv[1:] for step in made.steps] == [
        ("2021-10-19", "2021-10-20"),
        ("2021-10-22", "2021-10-24"),
        ("2021-10-25", "2021-10-26"),
    ]
    assert made.steps[0].reason == "never ran: no rows, no run recorded"


def test_a_batch_may_pass_over_off_days_but_not_over_claimed_ones() -> None:
    batches = pipeline(phase("phase2", processor("box", command=["true", "{start}", "{end}"], batch=5)))
    facts = FakeWarehouse(batches, calendar={day: n for day, n in OPENING.items() if day.day != 21})
    (step,) = planned(batches, facts, "2021-10-19", "2021-10-23").steps
    assert [day.day for day in step.dates] == [19, 20, 22, 23]


def test_a_list_of_dates_may_leave_dates_out() -> None:
    listing = pipeline(phase("phase2", processor("props", command=["true", "{dates}"], batch=5)))
    facts = FakeWarehouse(listing, calendar=OPENING)
    facts.fill(["props"], [date("2021-10-20")])
    (step,) = planned(listing, facts, "2021-10-19", "2021-10-21").steps
    assert step.argv[1] == "2021-10-19,2021-10-21"


@pytest.mark.parametrize("word", ["{dates_file}", "/{dates_file}", "//../{dates_file}"])
def test_a_file_of_dates_that_no_other_user_can_foresee_is_written_before_it_is_read(
    tmp_path: Path, word: str
) -> None:
    command = ["sh", "-c", "cat \"$1\"; echo '$2' a b", "", word, ""]
    filing = pipeline(phase("phase2", processor("bdl", command=command, batch=2)), jobs={"cwd": "/"})
    (step,) = planned(filing, FakeWarehouse(filing, calendar=OPENING), "2021-10-19", "2021-10-20").steps
    private = {**os.environ, "TMPDIR": str(tmp_path)}
    for _ in range(2):
        out = subprocess.run(
            ["sh", "-ec", step.shell], env=private, check=True, capture_output=True, text=True
        )
        assert out.stdout == "2021-10-19\n2021-10-20\n$2 a b\n"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_job_that_reads_its_date_from_the_environment_is_told_it() -> None:
    silent = pipeline(phase("phase2", processor("box", command=["true"])))
    (step,) = planned(silent, FakeWarehouse(silent, calendar=OPENING), "2021-10-19").steps
    assert step.env == {"BACKFILLD_DATE": "2021-10-19", "BACKFILLD_DATES": "2021-10-19"}


@pytest.mark.parametrize("content", [None, "", "  \n\n"])
def test_a_script_that_is_missing_or_empty_is_not_suggested_nor_what_depends_on_it(
    tmp_path: Path, content: str | None
) -> None:
    script = tmp_path / "jobs.py"
    if content is not None:
        script.write_text(content)
    broken = pipeline(
        phase("phase2", processor("box", command=[sys.executable, "jobs.py", "{date}"])),
        phase("phase3", processor("teams")),
        at=tmp_path / "pipeline.toml",
    )
    made = planned(broken, FakeWarehouse(broken, calendar=OPENING), "2021-10-19")
    assert made.steps == []
    (stop,) = made.cannot_run
    told = "does not exist or may not be reached" if content is None else "is empty"
    assert stop.reason == f"box: the script {script} {told}"


def test_where_every_later_date_may_become_stale_the_plan_says_so_without_a_last_date() -> None:
    def stale_line(lost: str, **keys: object) -> str:
        books = phase("books", processor("balance", **keys))
        one = pipeline(phase("raw", processor("moves")), books, calendar={})
        facts = FakeWarehouse(one)
        facts.fill(one.processors, [dt.date(2021, 10, 19) + dt.timedelta(days=n) for n in range(3)])
        facts.rows[lost, date("2021-10-19")] = 0
        made = planned(one, facts, "2021-10-19", "2021-10-21")
        (line,) = (text.plain for text in show_plan.lines(made) if "becomes stale" in text.plain)
        return line.split("; ")[0]

    every = ", all later dates that have rows"
    assert stale_line("balance", depends_on_past=True).endswith(every)
    # Also where only the balance of the same date is computed from what runs, and the next one from that
    assert stale_line("moves", depends_on_past=True).endswith(f": at most balance on 3 dates{every}")
    own = [{"of": "moves"}, {"self": True, "days_back": 1}]
    assert stale_line("moves", needs=own, since=date("2021-10-19")).endswith(every)
    needs = [{"of": "moves", "days_back": 5}]
    assert stale_line("moves", needs=needs).endswith(", later dates up to 2021-10-24 that have rows")
