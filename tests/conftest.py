"""What all tests share: how far property tests look; servers and a browser for each worker."""

import gc
import itertools
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser

from tests import browser, postgresql
from tests.integration import emulator
from tests.scheduler import ByModule
from tests.simulation import seeds

PACKAGED = frozenset({"chromium", "postgresql_server"})
"""Fixtures whose servers come from Debian packages."""
SHARED = {"bigquery_endpoint": "bigquery", "calm": "dask", "chromium": "chromium"}
"""Fixtures of more than a module, and the group of tests that share one: each worker would start its own.

Other tests are together with those of their module.
"""
BIGQUERY_FOLDERS = frozenset({"acceptance", "conformance", "integration"})
"""Their tests with BigQuery in the name ask for its emulator by a parameter: they share one in one worker."""
BETWEEN = 3
"""How many other modules come between two with long tests, so that those begin before the unit tests.

The unit tests are last, short and many: no processor is idle while the last long test ends.
"""
POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.packages)

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", PATIENT, max_examples=50, derandomize=True)
settings.register_profile("thorough", PATIENT, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_report_header() -> str:
    """The seeds of the simulated worlds, which differ from commit to commit."""
    return seeds.described()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage meanwhile or in it later: all that is imported and collected stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a Debian package by the fixture that starts it; keep together what shares one."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if PACKAGED & fixtures:
            item.add_marker(pytest.mark.packages)
        if "bigquery" in item.nodeid.lower() and BIGQUERY_FOLDERS & set(item.path.parts):
            item.add_marker(pytest.mark.xdist_group("bigquery"))
        elif shared := fixtures & SHARED.keys():
            item.add_marker(pytest.mark.xdist_group(SHARED[min(shared)]))
    if items and getattr(items[0].config.option, "loadgroup", False):
        items[:] = interleaved(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object | None:
    """Share the tests by module, where groups have an effect."""
    return ByModule(config, log) if config.getoption("dist") == "loadgroup" else None


def interleaved(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """The tests in the order in which workers take their modules: long ones among the others.

    The tests of real daemons wait most of their time, and the others compute: side by side they keep all
    processors busy.
    """
    modules = [list(tests) for _, tests in itertools.groupby(items, key=lambda item: item.path)]
    long = [tests for tests in modules if tests[0].path.parent.name == "acceptance"]
    others = [tests for tests in modules if tests[0].path.parent.name != "acceptance"]
    for start in range(0, max(len(others), len(long) * BETWEEN), BETWEEN):
        for tests in (*long[start // BETWEEN : start // BETWEEN + 1], *others[start : start + BETWEEN]):
            yield from tests


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fail where groups are without effect, which costs minutes and shows nowhere else."""
    if getattr(session.config.option, "loadgroup", False):
        for item in session.items:
            assert not list(item.iter_markers("xdist_group")) or "@" in item.nodeid, item.nodeid


@pytest.fixture(scope="session")
def bigquery_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a BigQuery emulator of this session's own."""
    with emulator.running(tmp_path_factory.mktemp("emulator")) as address:
        yield address


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    with browser.running() as found:
        yield found


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[postgresql.Server]:
    """A PostgreSQL server of this session's own."""
    with postgresql.running() as found:
        yield found


@pytest.fixture(scope="session")
def postgresql_warehouse(postgresql_server: postgresql.Server) -> str:
    """The URL of a database for warehouses, which tests use one after another."""
    return postgresql_server.empty()


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """Where a real daemon keeps its state, if not in a file."""
    if not postgresql.chosen():
        return ""
    server: postgresql.Server = request.getfixturevalue("postgresql_server")
    return server.empty()


@pytest.fixture(params=["sqlite", POSTGRESQL])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a state database can be: what holds of one kind must hold of the other."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    server: postgresql.Server = request.getfixturevalue("postgresql_server")
    return server.migrated()
