"""What deploy/ holds, as tests read it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"
RULES = DEPLOY / "prometheus" / "backfilld.rules.yml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "backfilld.json").read_text(encoding="utf-8"))


def rules() -> Iterator[dict[str, Any]]:
    """Every rule, recording and alerting."""
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        yield from group["rules"]


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard that show something."""
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> list[str]:
    """Every query of the dashboard, as it is written."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def run(*words: str | Path, text: str = "") -> str:
    """What a tool says, good or bad; fails with it where the tool does."""
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False, cwd=DEPLOY)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
