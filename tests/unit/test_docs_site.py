"""The documents build into a site without a warning: every link and anchor leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs_site import build
from tests.documents import DOCUMENTS, ROOT

FOREIGN = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*(?:src|srcset|href)=\"?https?://[^>]*>")


def test_the_documents_build_into_a_site_that_reads_as_they_do(tmp_path: Path) -> None:
    done = build(tmp_path / "docs")
    assert done.returncode == 0, done.stderr
    site = tmp_path / "docs" / "site"
    # Then each document is a page, and the README the first one
    names = {path.relative_to(ROOT).with_suffix(".html").as_posix() for path in DOCUMENTS}
    pages = {re.sub(r"README\.html$", "index.html", name): name for name in names}
    assert [page for page in pages if not (site / page).is_file()] == []
    texts = {page: (site / page).read_text(encoding="utf-8") for page in pages}
    # Then every list is one (here it needs an empty line before it), and nothing is loaded from other hosts
    assert [page for page, text in texts.items() if re.search(r"<p>[^<]*\n- ", text)] == []
    assert {page: found for page, text in texts.items() if (found := FOREIGN.findall(text))} == {}
