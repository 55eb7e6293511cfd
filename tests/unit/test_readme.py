"""What the README shows is what the code does."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from state.machine import Machine
from state.pipeline_file import load
from tests.integration.api_world import make_api, small_pipeline

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_diagram_is_the_machines():
    shown = re.search(r"<!-- diagram -->\n```mermaid\n(.*?)\n```\n<!-- /diagram -->", README, re.DOTALL)
    assert shown is not None
    assert shown[1] == Machine(load(ROOT / "demo" / "pipeline.toml")).diagram()


def test_every_metric_is_told(tmp_path):
    api = make_api(tmp_path, made=lambda: small_pipeline(jobs={"daily_attempts": 9}))
    families = text_string_to_metric_families(api.client.get("/metrics").text)
    exposed = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    assert exposed == set(re.findall(r"`(backfilld_\w+)", README))
