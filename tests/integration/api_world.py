"""The real API over the real store and engine, in a simulated world; and the same behind a real server."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from backfilld.api.app import create_app
from backfilld.api.auth.request_guard import guard_of
from backfilld.api.http.server import Server
from backfilld.api.metrics import Metrics
from backfilld.daemon.event_types import Event, EventSink
from backfilld.daemon.executors.adapter import Executor
from backfilld.daemon.settings import Settings
from backfilld.daemon.warehouses.adapter import Wanted
from backfilld.state.pipeline.pipeline import Pipeline
from tests.factories import phase, pipeline, processor
from tests.integration.compiled_rules import share_compiled_rules
from tests.integration.compiled_templates import COMPILED_TEMPLATES
from tests.simulation.fakes import SimWarehouse
from tests.simulation.world import World

OPENER = dt.date(2021, 10, 19)
GAMES = {OPENER + dt.timedelta(days=n): 3 for n in range(40)}


def small_pipeline(**keys: Any) -> Pipeline:
    """Two sources, one of them optional, and two strict steps without bootstrap or lookback."""
    return pipeline(
        phase("phase2", processor("box"), processor("extra", priority="fallback")),
        phase("phase4", processor("zones"), processor("cache"), order="sequential", lookback=0),
        **keys,
    )


class Priced:
    """The simulated warehouse, which costs a byte for each pair that is asked about."""

    def __init__(self, warehouse: SimWarehouse) -> None:
        self._warehouse = warehouse
        self.counts = warehouse.counts
        self.evidence = warehouse.evidence
        self.close = warehouse.close

    def estimate_bytes(self, wanted: Wanted) -> int:
        return sum(len(chosen) for chosen in wanted.values())


class Behind:
    """A world with the attributes of the service, so that the app takes it for one."""

    def __init__(self, world: World, **keys: Any) -> None:
        self.world = world
        self.pipeline = world.pipeline
        self.context = world.context
        self.commands = world.commands
        self.enqueuer = world.enqueuer
        self.executors: Mapping[str, Executor] = {"local": world.executor}
        # No limit of requests, unless it is what a test is about.
        chosen = {"host": "127.0.0.1", "port": 8484, "rate": 1e6, **keys}
        self.settings = Settings(pipeline=Path("p.toml"), state_dir=world.folder, **chosen)
        self.warehouse = Priced(world.warehouse)
        self.alive = True
        self.standby = ""
        self.last_backup_at: float | None = None
        self.wrong: dict[str, str] = {"engine": "", "warehouse": ""}
        self.woken = 0

    def health(self) -> Mapping[str, str]:
        return self.wrong

    def wake(self) -> None:
        self.woken += 1

    def subscribe(self, on_event: EventSink) -> None:
        """Every event from now on, as the service would tell it."""
        told = self.world.events

        class Both(list[Event]):
            def append(self, event: Event) -> None:
                super().append(event)
                on_event(event)

        both = Both(told)
        object.__setattr__(self.context, "emit", both.append)


class Api:
    """A client of the app, with the world behind it."""

    def __init__(self, world: World, **keys: Any) -> None:
        self.world = world
        self.behind = Behind(world, **keys)
        self.metrics = Metrics()
        share_compiled_rules()
        self.app: Flask = create_app(self.behind, self.metrics)
        self.app.jinja_env.bytecode_cache = COMPILED_TEMPLATES
        self.client: FlaskClient = self.app.test_client()

    def get(self, path: str, **keys: Any) -> Any:
        """The JSON of a good answer."""
        return self._good(self.client.get(path, **keys))

    def post(self, path: str, body: object = None, **keys: Any) -> Any:
        """The JSON of a good answer."""
        return self._good(self.client.post(path, json=body if body is not None else {}, **keys))

    def delete(self, path: str) -> Any:
        """The JSON of a good answer."""
        return self._good(self.client.delete(path))

    def enqueue(self, start: str, end: str | None = None, **options: Any) -> int:
        """Ask for a range; the backfill's id."""
        return int(self.post("/v1/backfills", {"start": start, "end": end, **options})["id"])

    def pages(self, path: str, limit: int) -> list[list[Any]]:
        """All pages of a list."""
        found: list[list[Any]] = []
        cursor = ""
        while True:
            sign = "&" if "?" in path else "?"
            page = self.get(f"{path}{sign}limit={limit}{cursor and f'&cursor={cursor}'}")
            found.append(page["items"])
            if page["next_cursor"] is None:
                return found
            cursor = page["next_cursor"]

    def _good(self, response: TestResponse) -> Any:
        assert response.status_code in (200, 201), response.text
        return response.json

    def scrape(self) -> dict[str, float]:
        """The samples of /metrics, by their name and labels as they are written."""
        text = self.client.get("/metrics").text
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def refused(response: TestResponse, status: int) -> tuple[str, str]:
    """The field at fault and the message of a problem that is well-formed."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    body = response.json
    assert body is not None
    assert {"type", "title", "status", "detail", "instance"} <= set(body)
    assert body["status"] == status
    if "errors" not in body:
        return "", str(body["detail"])
    return str(body["errors"][0]["field"]), str(body["errors"][0]["message"])


@contextlib.contextmanager
def listening(app: Flask) -> Iterator[str]:
    """A real server; its URL. An app without extensions is that of another program."""
    identify = [guard_of(app).identify] if app.extensions else []
    server = Server(app, "127.0.0.1", 0, *identify)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.close()


def make_api(folder: Path, *, made: Callable[[], Pipeline] = small_pipeline, **keys: Any) -> Api:
    """An API over a world in which every date from the opener on has games."""
    return Api(World(made(), GAMES, folder), **keys)
