"""One booted machine for the session, and an instance of the service for each test."""

from collections.abc import Iterator

import pytest

from tests import wheel
from tests.acceptance.boot.service import Service
from tests.machine import Machine, booted


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with the wheel of this checkout in /opt/backfilld."""
    folder = tmp_path_factory.mktemp("boot")
    with booted(folder, wheel.build(folder)) as found:
        yield found


@pytest.fixture
def service(machine: Machine, request: pytest.FixtureRequest) -> Iterator[Service]:
    """An instance that is not installed yet, removed with the test."""
    yield from _removed(Service(_name(request), machine))


@pytest.fixture
def neighbour(machine: Machine, request: pytest.FixtureRequest) -> Iterator[Service]:
    """Another instance on the same machine."""
    yield from _removed(Service(f"{_name(request)}-neighbour", machine))


def _name(request: pytest.FixtureRequest) -> str:
    return f"nba{request.session.items.index(request.node)}"


def _removed(service: Service) -> Iterator[Service]:
    yield service
    service.remove()
