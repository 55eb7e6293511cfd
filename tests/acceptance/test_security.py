"""What a real daemon never lets out: secrets, files of others, a shell for the words of a request."""

from __future__ import annotations

import base64
import http.client
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from backfilld.api.auth.token_redaction import SHAPE
from backfilld.api.auth.tokens import Scope, mint
from backfilld.api.cli.client import Client
from backfilld.daemon.settings import prepare
from tests.acceptance.daemon import FEW, Daemon, daemon, jobs_alive
from tests.timeouts import PATIENCE

DATES = ("2021-10-19", "2021-10-19")
PLANTED = "planted-secret-7f3a"
HOSTILE = (
    "$(touch {0})",
    "`touch {0}`",
    "; touch {0} #",
    "| touch {0}",
    "\n touch {0}\n",
    "{{0.__class__}} %s {0}",
)
PATHS = (
    "/v1/attempts/../../../../../etc/passwd",
    "/v1/attempts/1/log/../../../../etc/passwd",
    "/v1/attempts/..%2f..%2f..%2fetc%2fpasswd/log",
    "/v1/attempts/%2e%2e/log",
    "/v1/attempts//etc/passwd/log",
    "/v1/attempts/1%00/log",
    "/v1/attempts/000%2f1.log",
    "/v1/attempts/1/../../state.db",
    "/v1/attempts/1/log?tail=../../etc/passwd",
    "//etc/passwd",
    "/etc/passwd",
    "/state.db",
    "/attempts/000/1.log",
    "http://localhost/etc/passwd",
    "/..;/..;/etc/passwd",
    "/\\..\\..\\etc\\passwd",
)


@dataclass
class Stage:
    """A daemon with tokens, secrets in its environment, and a client's bad habits behind it."""

    daemon: Daemon
    token: str
    folder: Path
    texts: list[str]
    """Whatever it has answered."""
    seen: list[bytes]
    """Environments and command lines of its jobs while they ran, and its own command line."""

    @property
    def touched(self) -> Path:
        return self.folder / "touched"

    def raw(self, method: str, path: str, **headers: str) -> tuple[int, str]:
        """A request whose path nobody puts in order."""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=PATIENCE)
        connection.request(method, path, headers={"Authorization": f"Bearer {self.token}", **headers})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        connection.close()
        self.texts.append(f"{answer.headers}\n{text}")
        return answer.status, text


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Two dates run while clients put tokens and hostile texts wherever a request has room for one."""
    folder = tmp_path_factory.mktemp("security")
    token, line = mint("ana", Scope.OPERATE)
    file = folder / "tokens"
    file.touch(mode=0o600)
    file.write_text(line)
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "GOOGLE_APPLICATION_CREDENTIALS",
            "AWS_SECRET_ACCESS_KEY",
            "DATABASE_URL",
            "SLACK_TOKEN",
        ):
            patch.setenv(name, PLANTED)
        before = os.umask(0)
        try:
            options = ("--tokens", str(file))
            with daemon(folder / "d", pace="0.5", processors=FEW, options=options, start=False) as one:
                one.forked = False  # its command line is looked at
                one.start()
                os.umask(before)
                one.client = Client(one.client.url, token)
                stage = Stage(one, token, folder, [], [])
                _use(stage)
                yield stage
        finally:
            os.umask(before)


def _use(stage: Stage) -> None:
    one = stage.daemon
    number = one.enqueue(*DATES)

    def a_job_was_seen() -> bool:
        for pid in jobs_alive(one.folder):
            stage.seen += [_read(Path(f"/proc/{pid}/{name}")) for name in ("cmdline", "environ")]
        return any(b"BACKFILLD_ATTEMPT" in seen for seen in stage.seen)

    one.wait_for(a_job_was_seen, "seen at work")
    assert one.process is not None
    stage.seen.append(_read(Path(f"/proc/{one.process.pid}/cmdline")))
    _put_the_token_everywhere(stage)
    for asked in (number, *_put_hostile_texts_everywhere(stage)):
        one.finish(asked)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _put_the_token_everywhere(stage: Stage) -> None:
    token = stage.token
    basic = base64.b64encode(f"ana:{token}".encode()).decode()
    for method, path, headers in (
        ("POST", f"/v1/{token}", {}),
        ("GET", f"/v1/dates?token={token}", {}),
        ("GET", f"/v1/dates/{token}", {}),
        ("POST", f"/v1/backfills/{token}/pause", {}),
        ("DELETE", f"/v1/holds/processor/{token}", {}),
        ("POST", "/v1/pause", {"Idempotency-Key": token, "Origin": f"http://{token}"}),
        ("POST", "/v1/resume", {"Host": token}),
        ("POST", "/v1/resume", {"Authorization": f"Basic {basic}"}),
        ("POST", "/v1/resume", {"Authorization": token}),
    ):
        stage.raw(method, path, **headers)
    for body in ({token: 1}, {"start": token}, {"start": DATES[0], "sources": token}):
        answer = requests.post(
            f"{stage.daemon.client.url}/v1/backfills",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
            timeout=PATIENCE,
        )
        stage.texts.append(answer.text)
    login = requests.post(f"{stage.daemon.client.url}/login", json={"token": token}, timeout=PATIENCE)
    stage.texts.append(f"{login.headers}\n{login.text}")


def _put_hostile_texts_everywhere(stage: Stage) -> list[int]:
    one, numbers = stage.daemon, []
    for text in (shape.format(stage.touched) for shape in HOSTILE):
        numbers.append(one.enqueue("2021-10-21", "2021-10-21", note=text))
        one.client.post("/v1/pause", {"reason": text})
        one.client.post("/v1/resume")
        body = {"processor": "nbac_team_boxscore", "reason": text}
        one.client.post("/v1/dates/2021-10-22/accept", body)
        for path in ("/v1/attempts/{}/log", "/v1/dates/{}", "/v1/attempts?processor={}"):
            quoted = requests.utils.quote(text, safe="")  # type: ignore[attr-defined]
            stage.raw("GET", path.format(quoted), **{"X-Request-Id": text.strip()})
    return numbers


def test_a_daemon_lets_nothing_out(stage: Stage) -> None:
    """One test of several parts, so that one daemon is enough for them all."""
    _no_secret_is_anywhere(stage)
    _no_text_reached_a_shell(stage)
    _no_path_is_one_of_a_file(stage)
    _state_is_private(stage)


def _no_secret_is_anywhere(stage: Stage) -> None:
    # Not in the environment or the command line of a job, nor in the daemon's command line
    for secret in (PLANTED, stage.token):
        assert not [seen for seen in stage.seen if secret.encode() in seen]
        # Not in an answer, whatever was asked and wherever the token was put
        assert not [text for text in stage.texts if secret in text]
        # Not in any file: database, logs of jobs, the daemon's log, the token file itself
        files = [path for path in stage.folder.rglob("*") if path.is_file()]
        assert len(files) > 50
        assert not [path for path in files if secret.encode() in path.read_bytes()]
    # And the daemon's log did tell of those requests
    assert "bfd_..." in stage.daemon.log()
    assert SHAPE.search(stage.daemon.log()) is None


def _no_text_reached_a_shell(stage: Stage) -> None:
    # Notes, reasons and paths that a shell would act on are kept as they are, and acted on by nobody
    assert not stage.touched.exists()
    reasons = [change["after"]["reason"] for change in stage.daemon.client.all("/v1/audit", action="pause")]
    assert set(reasons) == {shape.format(stage.touched) for shape in HOSTILE}


def _no_path_is_one_of_a_file(stage: Stage) -> None:
    for path in PATHS:
        status, text = stage.raw("GET", path)
        assert 400 <= status < 500, path
        assert "root:" not in text, path
        assert "SQLite" not in text, path


def _state_is_private(stage: Stage) -> None:
    # The daemon was started with a umask of 0, and nobody else may enter, read or write anything of it
    state = stage.daemon.state
    found = [state, *state.rglob("*")]
    assert {path.name for path in found} >= {"state.db", "state.db-wal", "attempts"}
    assert not [f"{path} {path.stat().st_mode:o}" for path in found if path.stat().st_mode & 0o077]


def test_a_state_directory_and_database_that_were_open_are_closed(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    (state / "state.db").touch(mode=0o644)
    prepare(state)
    assert [path.stat().st_mode & 0o777 for path in (state, state / "state.db")] == [0o700, 0o600]
