"""The pipeline file is read again while a daemon runs: accepted, refused whole, or found unchanged."""

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from backfilld.api.auth.tokens import Scope, Tokens, mint
from backfilld.daemon import adapters
from backfilld.daemon.executors.adapter import ExecutorAdapter
from backfilld.daemon.pipeline_reload import PipelineReload
from backfilld.daemon.service import Service
from backfilld.daemon.settings import Settings, SettingsError
from backfilld.state.records import Action
from backfilld.state.store import audit

FILE = """name = "small"
warehouse = { kind = "lake", path = "lake" }
[[phase]]
name = "raw"
[[phase.processor]]
name = "box"
table = "raw.box"
command = ["true", "{date}"]
expect.rows = [1, 9]
"""
TWO_MISTAKES = FILE.replace('"raw.box"', "5").replace("[1, 9]", "[9, 1]")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """The parts of a daemon that has recorded its pipeline."""
    file = tmp_path / "pipeline.toml"
    file.write_text(FILE)
    service = Service(Settings(pipeline=file, state_dir=tmp_path / "state", host="127.0.0.1", port=0))
    service.engine.recover()
    yield service
    for executor in service.executors.values():
        executor.close()
    service._lock.release()
    service.db.close()


def audited(service: Service) -> list[Any]:
    """What the audit has of reloads, oldest first."""
    with service.db.read() as tx:
        return [row.after for row in audit.page(tx, below=None, limit=9, action=Action.RELOAD)][::-1]


def write(service: Service, text: str) -> None:
    service.settings.pipeline.write_text(text)


def test_a_changed_file_is_accepted_and_its_keys_are_logged_and_audited(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write(service, FILE.replace("[1, 9]", "[5, 9]"))
    assert PipelineReload(service.context).accept()
    assert "has changed: changed phase[raw].processor[box].expect.rows" in caplog.text
    assert audited(service) == [{"changed": ["phase[raw].processor[box].expect.rows"]}]


def test_other_comments_and_layout_change_nothing(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    write(service, "# today\n\n" + FILE.replace("[1, 9]", "[ 1,\n 9 ]"))
    assert not PipelineReload(service.context).accept()
    assert "has not changed" in caplog.text
    assert audited(service) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (FILE.replace("expect.rows", "expect.row"), "expect: unknown key 'row'; did you mean 'rows'?"),
        (FILE.replace("[1, 9]", "[9, 1]"), "expect.rows"),
        (FILE[:40], "is not TOML"),
        ("", "is required"),
        (None, "there is no such file"),
        (
            FILE.replace("small", "shop"),
            "has the state of the pipeline 'small', and this pipeline file is of",
        ),
    ],
    ids=["unknown key", "bounds", "half a file", "empty", "no file", "another pipeline"],
)
def test_a_file_that_is_wrong_is_refused_with_key_and_remedy(
    service: Service, caplog: pytest.LogCaptureFixture, text: str | None, problem: str
) -> None:
    if text is None:
        service.settings.pipeline.unlink()
    else:
        write(service, text)
    reload = PipelineReload(service.context)
    assert not reload.accept()
    # The log, the note of /readyz and the audit say why
    assert "the reload is refused" in caplog.text
    assert problem in caplog.text
    assert problem in reload.health_notes()["pipeline file"]
    assert "the earlier one stays in force" in reload.health_notes()["pipeline file"]
    assert problem in str(audited(service)[0]["refused"][0])
    # And the file in force is still the earlier one
    assert service.context.pipeline.processors["box"].expect.rows is not None
    # Once the file is as before, nothing is refused any more
    write(service, FILE)
    assert not reload.accept()
    assert reload.health_notes() == {}


def test_a_changed_file_is_refused_while_another_part_of_the_daemon_could_not_start_anew(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a file of tokens that was right when the daemon started, and is not any more
    tokens = service.settings.state_dir / "tokens"
    tokens.write_text(mint("ci", Scope.READ)[1])
    reload = PipelineReload(service.context, [partial(Tokens, tokens)])
    tokens.write_text("ci read\n")
    # When the pipeline file changes
    write(service, FILE.replace("[1, 9]", "[5, 9]"))
    # Then the daemon stays as it is, and says why
    assert not reload.accept()
    assert f"line 1 of the token file {tokens} is not NAME SCOPE" in reload.refusal
    assert "the earlier one stays in force" in reload.refusal
    assert "line 1 of the token file" in str(audited(service))
    # And takes the file once the tokens are right
    tokens.write_text(mint("ci", Scope.READ)[1])
    assert reload.accept()


def test_every_mistake_of_a_refused_file_is_logged_and_the_note_counts_them(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    write(service, TWO_MISTAKES)
    reload = PipelineReload(service.context)
    assert not reload.accept()
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) > 1
    assert "more, see the log)" in reload.refusal
    assert "\n" not in reload.refusal


def test_an_executor_whose_package_is_not_installed_is_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise SettingsError("the executor dask needs distributed: pip install 'backfilld[dask]'")

    settings = adapters.executor_adapter("dask").settings
    monkeypatch.setattr(
        "backfilld.daemon.executors.open_executors.executor_adapter",
        lambda kind: ExecutorAdapter(settings=settings, open=missing),  # type: ignore[arg-type]
    )
    write(service, FILE + '[executor.dask]\nscheduler = "tcp://127.0.0.1:8786"\n')
    reload = PipelineReload(service.context)
    assert not reload.accept()
    assert "pip install 'backfilld[dask]'" in reload.refusal
