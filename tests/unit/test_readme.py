"""The documents show the states as the code has them."""

import re
from pathlib import Path

from backfilld.daemon.adapters import load_pipeline
from backfilld.state.rules.state_machine import Machine

ROOT = Path(__file__).parents[2]
CONCEPTS = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")


def test_the_diagram_is_the_machines():
    shown = re.search(r"<!-- diagram -->\n```mermaid\n(.*?)\n```\n<!-- /diagram -->", CONCEPTS, re.DOTALL)
    assert shown is not None
    assert shown[1] == Machine(load_pipeline(ROOT / "demo" / "pipeline.toml")).diagram()
