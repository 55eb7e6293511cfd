"""Clients that are generated from the OpenAPI document make a backfill and read it back."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from backfilld.api.openapi import document
from backfilld.api.routes import SECTIONS
from tests.clients import python_client, typescript_client
from tests.integration.api_with_tokens import make_door
from tests.integration.api_world import OPENER, listening

pytestmark = pytest.mark.packages

FIRST, LAST = str(OPENER), "2021-10-20"


@pytest.mark.parametrize("generate", [python_client, typescript_client], ids=["python", "typescript"])
def test_a_generated_client_makes_a_backfill_and_reads_it_back_by_its_types(
    tmp_path: Path, generate: Callable[[Path, Path], list[str]]
) -> None:
    # Given a date that is done, and a client that a generator made without a warning
    door = make_door(tmp_path)
    door.api.world.enqueue(OPENER, OPENER)
    door.api.world.run()
    path, folder = tmp_path / "openapi.json", tmp_path / "client"
    folder.mkdir()
    path.write_text(json.dumps(document(SECTIONS)))
    command = generate(path, folder)
    # When a program uses it, also wrongly
    with listening(door.api.app) as url:
        environment = {**os.environ, "BACKFILLD_URL": url, "BACKFILLD_TOKEN": door.operate}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    # Then it has everything under its name and type
    assert json.loads(ended.stdout) == {
        "ids": [2, 2],
        "active": True,
        "note": "by a generated client",
        "outcomes": {"already_done": 1, "enqueued": 1},
        "dates": [FIRST, LAST],
        "verdicts": ["complete"],
        "refused": [422, ["end"]],
        "absent": [404, "urn:backfilld:problem:not-found"],
    }
