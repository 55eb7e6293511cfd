"""Every word that the API and the metrics use stands in a table of `docs/reference/words.md`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backfilld.api.grid_encoding import LEGEND
from backfilld.api.problem_responses import SLUGS
from backfilld.daemon.service import Service
from backfilld.daemon.settings import Settings
from tests.documents import ROOT
from tests.integration.api_world import Api
from tests.reference_words import WORDS
from tests.simulation.world import Work

PIPELINE_FILE = (ROOT / "docs/reference/pipeline-file.md").read_text(encoding="utf-8")
LABELS = {
    ("backfilld_attempts", "result"): "result",
    ("backfilld_gate_evaluations", "result"): "gate",
    ("backfilld_incidents", "kind"): "incident",
    ("backfilld_holds", "kind"): "hold",
    ("backfilld_holds", "by"): "placed_by",
    ("backfilld_processor_paused", "by"): "placed_by",
    ("backfilld_waiting_dates", "reason"): "waiting",
    ("backfilld_ended_dates", "outcome"): "outcome",
    ("backfilld_backfills", "status"): "backfill",
    ("backfilld_processor_dates", "verdict"): "verdict",
    ("backfilld_warehouse_queries", "purpose"): "purpose",
    ("backfilld_warehouse_billed_bytes", "purpose"): "purpose",
    ("backfilld_healthy", "check"): "check",
}
FREE = {"phase", "processor", "state", "to", "version", "le"}
"""Labels whose values are names of the pipeline file, and two that are no words."""


def enumerations(schema: Any, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """Every closed set of a document, with where it stands."""
    if isinstance(schema, dict):
        if isinstance(schema.get("enum"), list):
            yield path, schema["enum"]
        for key, value in schema.items():
            yield from enumerations(value, f"{path}/{key}")
    elif isinstance(schema, list):
        for value in schema:
            yield from enumerations(value, path)


def test_every_closed_set_of_the_api_is_in_one_table(api: Api) -> None:
    found = list(enumerations(api.get("/openapi.json")))
    assert len(found) > 15
    missing = {
        path: words for path, words in found if not any(set(words) <= set(table) for table in WORDS.values())
    }
    # The order of a phase is a key of the pipeline file, which says both words
    assert all(
        "`parallel`" in PIPELINE_FILE and words == ["parallel", "sequential"] for words in missing.values()
    )


def test_every_label_of_the_metrics_has_only_words_of_its_table(api: Api) -> None:
    # Given dates that are done, that failed until the breaker held a processor, and a pause
    api.enqueue("2021-10-19", "2021-10-20")
    api.world.run()
    api.world.script = lambda job: Work(code=1)
    api.enqueue("2021-10-21", "2021-10-28")
    api.world.run()
    api.post("/v1/pause")
    # Then every value of a label is in the table of that label
    unknown = {
        (family.name, label, value)
        for family in api.metrics.registry.collect()
        for sample in family.samples
        for label, value in sample.labels.items()
        if label not in FREE and value not in WORDS[LABELS[family.name, label]]
    }
    assert unknown == set()


def test_every_health_check_of_a_daemon_is_in_its_table(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.toml"
    file.write_text(
        'name = "small"\nwarehouse = { kind = "lake", path = "lake" }\n'
        '[[phase]]\nname = "raw"\nprocessor = [{ name = "box", table = "nba.box", command = ["true"] }]\n'
    )
    service = Service(Settings(pipeline=file, state_dir=tmp_path / "state", host="127.0.0.1", port=0))
    checks = {"executor NAME" if name.startswith("executor ") else name for name in service.health()}
    assert checks | {"standby"} == set(WORDS["check"])


@pytest.mark.parametrize(
    ("used", "tables"),
    [(LEGEND.values(), ("verdict", "grid")), (SLUGS, ("problem",))],
    ids=["grid", "problems"],
)
def test_words_without_an_enumeration_are_in_their_tables(used: Any, tables: tuple[str, ...]) -> None:
    assert set(used) == {word for table in tables for word in WORDS[table]}
