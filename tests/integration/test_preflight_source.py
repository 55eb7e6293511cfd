"""What preflight reads in a script's syntax tree."""

import ast
import textwrap
from pathlib import Path

import pytest

from backfilld.daemon.preflight.checklist import preflight
from backfilld.daemon.preflight.python_source import (
    NotPython,
    answers_help,
    imported_modules,
    option_settings,
    parse,
)
from tests.factories import NOW
from tests.integration.preflight_fixture import troubles


def tree(text: str) -> ast.Module:
    return ast.parse(textwrap.dedent(text))


def test_every_way_to_set_an_option_is_seen_with_its_line() -> None:
    found = option_settings(
        tree("""
            opts = {"skip": True, **other}
            run(skip=True)
            opts["skip"] = False
            opts = dict(skip=flag)
            skip = True
        """),
        "skip",
    )
    assert (found.true, found.otherwise) == ((2, 3), (4, 5))


def test_a_return_outside_of_a_function_does_not_compile(tmp_path: Path) -> None:
    path = tmp_path / "job.py"
    path.write_text("import sys\nreturn 3\n")
    with pytest.raises(NotPython, match="'return' outside function") as caught:
        parse(path)
    assert caught.value.line == 2


def test_a_text_that_is_no_text_does_not_compile(tmp_path: Path) -> None:
    path = tmp_path / "job.py"
    path.write_bytes(b"\x00\x01")
    with pytest.raises(NotPython):
        parse(path)


def test_a_doubtful_escape_is_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "job.py"
    path.write_text("pattern = '\\d+'\n")
    assert parse(path)


def test_relative_imports_are_resolved() -> None:
    assert "jobs.common" in set(imported_modules(tree("from . import common"), "jobs"))
    assert "jobs.common" in set(imported_modules(tree("from ..common import parser"), "jobs.raw"))


def test_a_command_line_is_found_through_modules_of_the_script_s_own(tmp_path: Path) -> None:
    (tmp_path / "outer.py").write_text("import inner\n")
    (tmp_path / "inner.py").write_text("import argparse\n")
    assert answers_help(tree("import outer"), [tmp_path])
    assert not answers_help(tree("import sys"), [tmp_path])


def test_modules_that_import_each_other_are_looked_at_once(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("import two\n")
    (tmp_path / "two.py").write_text("import one\nthis is broken(\n")
    assert not answers_help(tree("import one"), [tmp_path])


DATED_AND_NOT = """
name = "small"
warehouse = { kind = "lake", path = "." }
[[phase]]
name = "raw"
[[phase.processor]]
name = "box"
table = "raw.box"
command = ["true", "{date}"]
[[phase.processor]]
name = "lonely"
table = "raw.lonely"
command = ["{python}", "lonely.py", "5"]
"""


def test_a_job_without_a_date_is_a_warning_unless_its_script_reads_the_variable(tmp_path: Path) -> None:
    path, script = tmp_path / "small.toml", tmp_path / "lonely.py"
    path.write_text(DATED_AND_NOT)
    script.write_text("print('rows')\n")
    (trouble,) = troubles(preflight(path, now=NOW, quick=True), "dates")
    assert trouble == (
        "warn",
        "lonely: its command has no date, and its script does not read BACKFILLD_DATE",
    )
    (tmp_path / "dates_of_job.py").write_text("NAME = 'BACKFILLD_DATES'\n")
    for source in ("import os\nprint(os.environ['BACKFILLD_DATE'])\n", "import dates_of_job\n"):
        script.write_text(source)
        assert troubles(preflight(path, now=NOW, quick=True), "dates") == []
