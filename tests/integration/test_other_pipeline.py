"""A state database knows whose it is: another pipeline's daemon is refused, also as a standby."""

import contextlib
from pathlib import Path

import pytest

from backfilld.daemon.service import Service
from backfilld.daemon.settings import settings
from backfilld.state.store import pipeline_fingerprint
from backfilld.state.store.database import Database
from backfilld.state.store.pipeline_fingerprint import OtherPipeline

FILE = """
name = "{name}"
warehouse = {{ kind = "lake", path = "lake" }}
[[phase]]
name = "raw"
[[phase.processor]]
name = "{processor}"
table = "raw.box"
command = ["true", "{{date}}"]
expect.rows = [1, 9]
"""


def serve(folder: Path, name: str, *, processor: str = "box", url: str = "") -> Service:
    """A daemon of a pipeline with this name, that was started on the folder's state."""
    (folder / "lake").mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(FILE.format(name=name, processor=processor))
    chosen = settings(
        pipeline=str(folder / f"{name}.toml"),
        state_dir=str(folder / "state"),
        environment={"BACKFILLD_DATABASE": url} if url else {},
    )
    return Service(chosen)


def start_once(folder: Path, name: str, **options: str) -> None:
    service = serve(folder, name, **options)
    service.start()
    service.stop()


def test_the_daemon_of_another_pipeline_is_refused_with_both_names(tmp_path: Path) -> None:
    start_once(tmp_path, "nba")
    with pytest.raises(OtherPipeline) as raised:
        serve(tmp_path, "shop")
    assert "has the state of the pipeline 'nba', and this pipeline file is of 'shop'" in str(raised.value)
    assert 'or write name = "nba" if it is the same one' in str(raised.value)
    # And neither the lock nor the name is taken from the first
    start_once(tmp_path, "nba")


def test_a_changed_file_of_the_same_pipeline_is_served(tmp_path: Path) -> None:
    start_once(tmp_path, "nba")
    start_once(tmp_path, "nba", processor="teams")
    with contextlib.closing(Database(f"sqlite:///{tmp_path}/state/state.db")) as db, db.read() as tx:
        assert pipeline_fingerprint.owner(tx) == "nba"


@pytest.mark.packages
def test_the_daemon_of_another_pipeline_does_not_stand_by(tmp_path: Path, postgresql_server) -> None:  # type: ignore[no-untyped-def]
    url = postgresql_server.empty()
    leader = serve(tmp_path, "nba", url=url)
    leader.start()
    try:
        with pytest.raises(OtherPipeline, match="the pipeline 'nba'"):
            serve(tmp_path, "shop", url=url)
    finally:
        leader.stop()
