"""The source distribution is a whole checkout, so that its own tests run in it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MADE = {"backfilld", "build", "dist", "var"}
"""The package, which setuptools adds by itself, and what commands leave behind."""


def test_the_source_distribution_has_every_folder_and_every_file_of_the_checkout() -> None:
    manifest = (ROOT / "MANIFEST.in").read_text(encoding="utf-8")
    grafted = set(re.findall(r"^graft (\S+)$", manifest, re.MULTILINE))
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert {name for name in folders - MADE if not name.endswith(".egg-info")} == grafted - {".ci"}
    for name in ("Makefile", "constraints.txt", "CHANGELOG.md", "CONTRIBUTING.md"):
        assert name in manifest
        assert (ROOT / name).is_file()
