"""The prose of product and documents is plain: no private word for what has a name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documents import DOCUMENTS, ROOT

REPLACEMENTS = {
    "somebody": "an operator, a client or an external run",
    "someone": "an operator, a client or an external run",
    "nobody": "no operator, no daemon or no job",
    "of ours": "of the daemon",
    "mend": "repair, correct",
    "mends": "repairs, corrects",
    "mended": "repaired, corrected",
    "mending": "repair, correction",
    "whereabouts": "address, connection",
    "for ever": "without end, permanently",
    "comes round": "is alive, runs again",
    "what lacks": "what is missing",
    "save for": "except",
    "told": "receives, knows, was sent",
    "tells": "says, reports, sends",
    "telling": "saying, reporting, sending",
}
"""Words that a reader would have to learn, and what a technical writer puts instead."""
LINE = "\n"
KINDS = {".py", ".html", ".js", ".toml", ".rules", ".yml", ".service"}


def texts() -> list[Path]:
    """The product's files and the documents."""
    folders = ("state", "daemon", "api", "demo", "pipelines", "deploy")
    product = (path for name in folders for path in sorted((ROOT / name).rglob("*")) if path.suffix in KINDS)
    return [*product, *DOCUMENTS]


def private_words(text: str) -> list[str]:
    """Each private word of a text with its line and the words to use instead."""
    lowered = text.lower()
    return [
        f"{lowered.count(LINE, 0, found.start()) + 1}: {word!r}, better: {instead}"
        for word, instead in REPLACEMENTS.items()
        if word in lowered
        for found in re.finditer(rf"\b{word}\b", lowered)
    ]


def test_product_and_documents_use_no_private_word():
    found = {str(path.relative_to(ROOT)): private_words(path.read_text(encoding="utf-8")) for path in texts()}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("# Nobody asked for it.", "nobody"),
        ('"""What is told of a backfill."""', "told"),
        ('raise ValueError("mend the file")', "mend"),
        ("An attempt of ours, save for the last.", "of ours"),
    ],
)
def test_a_private_word_is_found_wherever_it_stands(line, word):
    assert private_words(f"first\n{line}")[0].startswith(f"2: {word!r}, better: ")


@pytest.mark.parametrize("line", ["None for every date", "a recommended setting", "foretold = 1"])
def test_words_that_only_contain_one_are_none(line):
    assert private_words(line) == []
