"""Builds the documentation as a site: `python -m tests.docs_site FOLDER`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.documents import DOCUMENTS, ROOT

CONFIGURATION = ROOT / "docs" / "mkdocs.yml"
_LINK = re.compile(r"\]\(([^)\s:#]+)(?:#[^)\s]*)?\)|(?:src|srcset|href)=\"([^\":#]+)\"")


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build it in `folder`/site; every warning is an error. The documents keep their places and links."""
    shutil.rmtree(folder, ignore_errors=True)
    for path in _sources():
        copy = folder / "source" / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    shutil.copy(CONFIGURATION, folder)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]  # with --quiet no warning counts
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _sources() -> set[Path]:
    """The documents and every file that they link to, directly or through another document."""
    found: set[Path] = set()
    pending = list(DOCUMENTS)
    while pending:
        path = pending.pop()
        if path not in found and path.is_file():
            found.add(path)
            pending += _links(path) if path.suffix == ".md" else ()
    return found


def _links(document: Path) -> Iterator[Path]:
    for link in _LINK.findall(document.read_text(encoding="utf-8")):
        yield (document.parent / "".join(link)).resolve()


if __name__ == "__main__":
    done = build(Path(sys.argv[1]).absolute())
    sys.exit(done.stderr if done.returncode else 0)
