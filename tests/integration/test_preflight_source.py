"""What is read off a script's syntax tree."""

import ast
import textwrap
from pathlib import Path

import pytest

from backfilld.daemon.preflight.python_source import (
    NotPython,
    imported,
    options,
    parsed,
    parses_a_command_line,
    settings,
)


def tree(text: str) -> ast.Module:
    return ast.parse(textwrap.dedent(text))


def test_options_come_from_groups_and_from_functions_of_the_same_file() -> None:
    found = options(
        tree("""
            import argparse
            def add(parser):
                parser.add_argument("--workers", type=int)
            parser = argparse.ArgumentParser()
            group = parser.add_mutually_exclusive_group()
            group.add_argument("-d", "--dates")
            add(parser)
        """)
    )
    assert set(found.known) == {"--workers", "-d", "--dates"}
    assert (found.parser_line, found.open, found.abbreviated) == (5, False, True)


@pytest.mark.parametrize(
    "line",
    [
        "parser.add_argument(f'--{name}-date')",
        "parser.add_argument(*names)",
        "common.add_dates(parser)",
        "add_dates(parser=parser)",
        "child = argparse.ArgumentParser(parents=[parser])",
    ],
)
def test_a_parser_that_others_may_add_to_is_open(line: str) -> None:
    text = f"import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--end')\n{line}\n"
    assert options(ast.parse(text)).open


def test_click_is_read_too_and_another_option_method_is_not() -> None:
    clicked = tree("""
        import click
        @click.command()
        @click.option("--start-date", "start")
        @click.option("--shout/--no-shout")
        def main(): ...
    """)
    assert set(options(clicked).known) == {"--start-date", "--shout", "--no-shout"}
    assert options(tree('reader.option("--header", True)')).known == {}


def test_a_parser_may_refuse_abbreviations() -> None:
    assert not options(tree("p = ArgumentParser(allow_abbrev=False)")).abbreviated


def test_every_way_to_set_an_option_is_seen_with_its_line() -> None:
    found = settings(
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
        parsed(path)
    assert caught.value.line == 2


def test_a_text_that_is_no_text_does_not_compile(tmp_path: Path) -> None:
    path = tmp_path / "job.py"
    path.write_bytes(b"\x00\x01")
    with pytest.raises(NotPython):
        parsed(path)


def test_a_doubtful_escape_is_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "job.py"
    path.write_text("pattern = '\\d+'\n")
    assert parsed(path)


def test_relative_imports_are_resolved() -> None:
    assert "jobs.common" in set(imported(tree("from . import common"), "jobs"))
    assert "jobs.common" in set(imported(tree("from ..common import parser"), "jobs.raw"))


def test_a_command_line_is_found_through_modules_of_the_script_s_own(tmp_path: Path) -> None:
    (tmp_path / "outer.py").write_text("import inner\n")
    (tmp_path / "inner.py").write_text("import argparse\n")
    assert parses_a_command_line(tree("import outer"), [tmp_path])
    assert not parses_a_command_line(tree("import sys"), [tmp_path])


def test_modules_that_import_each_other_are_looked_at_once(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("import two\n")
    (tmp_path / "two.py").write_text("import one\nthis is broken(\n")
    assert not parses_a_command_line(tree("import one"), [tmp_path])
