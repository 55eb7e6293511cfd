"""The documents say what the code says: tables, links, and every name that they mention."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

import click
import pytest

from backfilld.api.cli.main import cli
from backfilld.api.endpoint_definition import Endpoint
from backfilld.api.routes import SECTIONS
from backfilld.daemon.settings import VARIABLES
from backfilld.state.pipeline.pipeline import Pipeline
from tests.documents import DOCUMENTS, ROOT
from tests.reference import FOLDER, KINDS, MODELS, TABLES, docstrings, metrics, rewritten

JOB_VARIABLES = {f"BACKFILLD_{name}" for name in ("DATE", "DATES", "PROCESSOR", "ATTEMPT", "RUN")}
_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@cache
def text(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def name(document: Path) -> str:
    return str(document.relative_to(ROOT))


each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=name)


@pytest.mark.parametrize("document", sorted(FOLDER.glob("*.md")), ids=name)
def test_the_reference_is_what_the_code_says(document: Path):
    assert text(document) == rewritten(text(document)), "run make docs"


def test_every_table_of_the_reference_stands_in_one_document():
    placed = re.findall(r"<!-- table: ([\w.-]+) -->", "".join(map(text, FOLDER.glob("*.md"))))
    assert sorted(placed) == sorted(TABLES)


@pytest.mark.parametrize(
    "model", [*MODELS.values(), *(m for kinds in KINDS.values() for m in kinds.values())]
)
def test_every_key_of_the_pipeline_file_says_what_it_is_for(model):
    assert [key for key, said in docstrings(model).items() if not said] in ([], ["path"])


def test_every_table_of_the_pipeline_file_is_told():
    tables = {name for name, kind in Pipeline.model_json_schema()["$defs"].items() if "properties" in kind}
    assert {*tables, "Pipeline"} == {model.__name__ for model in MODELS.values()}


def test_every_setting_is_told():
    told = set(re.findall(r"BACKFILLD_[A-Z_]*[A-Z]", text(FOLDER / "settings.md")))
    assert told == {*VARIABLES, *JOB_VARIABLES}


@each_document
def test_every_link_leads_somewhere(document: Path):
    for link in (one or other for one, other in _LINK.findall(_FENCE.sub("", text(document)))):
        path, _, part = link.partition("#")
        if not re.match(r"https?:", link):
            target = (document.parent / path).resolve() if path else document
            assert target.exists(), link
            assert not part or part in anchors(target), link


def anchors(document: Path) -> set[str]:
    """What GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", text(document)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_document
def test_no_metric_is_told_that_does_not_exist(document: Path):
    told = set(re.findall(r"\bbackfilld_\w*\w(?![\w*])", text(document)))
    assert told <= known_metrics()


@cache
def known_metrics() -> set[str]:
    return set(re.findall(r"`(backfilld_\w+)`", metrics()))


@each_document
def test_no_variable_is_told_that_does_not_exist(document: Path):
    told = set(re.findall(r"\bBACKFILLD_[A-Z_]*[A-Z]\b", text(document)))
    assert told <= {*VARIABLES, *JOB_VARIABLES}


@each_document
def test_every_command_that_is_shown_can_be_typed(document: Path):
    for words in commands(text(document)):
        command, name, rest = cli, "backfilld", words
        while isinstance(command, click.Group):
            assert rest, words
            if rest[0].startswith("--"):  # such as --version
                return
            name, *rest = rest
            command = command.get_command(click.Context(command), name)
            assert command is not None, words
        command.make_context(name, rest)


def commands(document: str) -> Iterator[list[str]]:
    """The words after `backfilld` of every command in a block of a document."""
    for line in re.findall(r"^[$#] .*?\bbackfilld (\w.*)$", document, re.MULTILINE):
        words = shlex.split(line, comments=True)
        end = next((n for n, word in enumerate(words) if word in (">>", "|", "&&", "...")), len(words))
        yield words[:end]


@each_document
def test_every_request_that_is_shown_is_one_that_the_api_takes(document: Path):
    for method, url, body in requests(text(document)):
        found = [one for one in endpoints() if one.method == method and _is_at(one, url.path)]
        assert found, f"{method} {url.path}"
        asked = dict(parse_qsl(url.query, keep_blank_values=True))
        assert asked.keys() <= (found[0].query.model_fields.keys() if found[0].query else set()), url
        if body:
            assert found[0].body is not None, url
            found[0].body.model_validate_json(body)


def requests(document: str) -> Iterator[tuple[str, SplitResult, str]]:
    """Method, URL and body of every request by curl."""
    for line in re.findall(r"\bcurl ((?:\\\n|[^\n`])*)", document):
        words = shlex.split(line, comments=True)
        after = dict(pairwise(words))
        for word in words:
            if "localhost:8484" in word:
                yield (
                    after.get("-X", "GET"),
                    urlsplit(f"//{word.removeprefix('http://')}"),
                    after.get("-d", ""),
                )


def endpoints() -> Iterator[Endpoint]:
    return (one for section in SECTIONS for one in section.endpoints)


def _is_at(one: Endpoint, path: str) -> bool:
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", one.route), path) is not None


def test_every_test_that_the_architecture_names_exists():
    named = set(re.findall(r"`(test_\w+)`", text(ROOT / "docs" / "architecture.md")))
    sources = "".join(map(text, sorted((ROOT / "tests").rglob("test_*.py"))))
    assert len(named) >= 9
    assert named - set(re.findall(r"^def (test_\w+)\(", sources, re.MULTILINE)) == set()


def test_every_file_that_the_architecture_names_exists():
    named = re.findall(r"`((?:state|daemon|api|tests)/[\w/.]*)`", text(ROOT / "docs" / "architecture.md"))
    assert len(named) > 8
    assert [path for path in named if not (ROOT / path).exists()] == []
