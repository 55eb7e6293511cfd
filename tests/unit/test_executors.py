"""Which executors a daemon opens: what its pipeline uses, and what its installation has."""

import sys
from pathlib import Path

import pytest

from daemon.config import SettingsError
from daemon.executors.factory import open_executors
from state.pipeline import Pipeline
from tests.factories import phase, pipeline, processor

CLUSTER = {"dask": {"scheduler": "tcp://127.0.0.1:1"}}


def opened(made: Pipeline, folder: Path) -> list[str]:
    found = open_executors(made, folder, on_end=lambda: None)
    for executor in found.values():
        executor.close()
    return list(found)


def test_a_cluster_that_no_processor_uses_is_not_opened(tmp_path: Path) -> None:
    made = pipeline(phase("raw", processor("a")), executor=CLUSTER)
    assert opened(made, tmp_path) == ["local"]


def test_without_the_package_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pipeline(phase("raw", processor("a", executor="dask")), executor=CLUSTER)
    for name in [name for name in sys.modules if name.startswith("daemon.executors.dask")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SettingsError, match=r"pip install 'backfilld\[dask\]'"):
        opened(made, tmp_path)
