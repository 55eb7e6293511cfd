"""One instance of the service on a booted machine, installed as docs/operations.md says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from backfilld.api.cli.client import Client
from tests.acceptance.daemon import PATIENT
from tests.documents import ROOT
from tests.machine import PREFIX, Machine
from tests.ports import free_port
from tests.timeouts import PATIENCE

DAY = "2021-10-19"
COMMAND = f"{PREFIX}/bin/backfilld"

_OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
_PREPARE = """
import sys, pathlib
from backfilld.demo import environment
environment.prepare(pathlib.Path(sys.argv[1]), pace=sys.argv[2])
"""
_JOBS = """
import json, os, pathlib, pwd, sys
user, found = pwd.getpwnam(sys.argv[1]).pw_uid, {}
for entry in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        words = (entry / "environ").read_bytes().split(b"\\0")
        own = entry.stat().st_uid == user and os.getsid(int(entry.name)) == int(entry.name)
    except OSError:
        continue
    attempts = [word[18:].decode() for word in words if word.startswith(b"BACKFILLD_ATTEMPT=")]
    found.update({attempt: int(entry.name) for attempt in attempts if own})
print(json.dumps(found))
"""


GATED = {
    'command = ["{python}"': 'command = ["/bin/sh", "-c", "until test -e $HOME/gate; do sleep 0.2; done;'
    ' exec \\"$0\\" \\"$@\\"", "{python}"'
}
"""A change of the pipeline file: jobs wait at a gate in their home."""


def documented(after: str) -> str:
    """The first block of root's commands after a text in docs/operations.md, as lines of a shell."""
    block = _OPERATIONS.partition(after)[2].partition("```console\n")[2].partition("```")[0]
    assert block, f"no commands after {after!r}"
    return "\n".join(line.removeprefix("# ") for line in block.splitlines())


@dataclass
class Service:
    """The instance backfilld@NAME with the demo's jobs, on a lake of its own."""

    name: str
    machine: Machine
    port: int = field(default_factory=free_port)
    token: str = ""
    """The token of its client, once it has one."""

    @property
    def unit(self) -> str:
        return f"backfilld@{self.name}.service"

    @property
    def user(self) -> str:
        return f"backfilld-{self.name}"

    @property
    def state(self) -> str:
        return f"/var/lib/backfilld/{self.name}"

    @property
    def lake(self) -> str:
        return f"/srv/{self.name}-lake"

    @property
    def client(self) -> Client:
        return Client(f"http://127.0.0.1:{self.port}", self.token)

    def install(
        self, *, pace: str = "0", job_dropin: bool = True, changes: Mapping[str, str] | None = None
    ) -> None:
        """All but the start, by the commands of the manual; `changes` are texts of the pipeline file."""
        self._unpack()
        self.machine.script(f"{PREFIX}/bin/python -c '{_PREPARE}' {self.lake} {pace}")
        commands = documented("`/opt/backfilld/share/backfilld/systemd/`):").replace("nba", self.name)
        *install, start = commands.splitlines()
        assert "systemctl" in start
        install = [line for line in install if "token new" not in line]
        self.machine.script("\n".join([f"cd /root/{self.name}", *install]))
        self.machine.write(f"/etc/backfilld/{self.name}.env", f"BACKFILLD_LISTEN=127.0.0.1:{self.port}\n")
        self.write_pipeline(changes)
        self.machine.script(
            f"install -d /home/deploy/{self.name}-platform; chown -R {self.user}: {self.lake}"
        )
        if job_dropin:
            self.add_job_dropin()

    def _unpack(self) -> None:
        """The wheel's share of files as in a checkout, for an instance of this name instead of nba."""
        root, shared = f"/root/{self.name}", f"{PREFIX}/share/backfilld"
        self.machine.script(
            f"""
            mkdir -p {root}/deploy
            cp -r {shared}/systemd {root}/deploy
            cp -r {shared}/pipelines {root}
            cd {root}
            mv deploy/systemd/nba.env deploy/systemd/{self.name}.env
            mv pipelines/nba.toml pipelines/{self.name}.toml
            sed -i 's/\\bnba\\b/{self.name}/g' deploy/systemd/*.conf deploy/systemd/*.env
            """
        )

    def write_pipeline(self, changes: Mapping[str, str] | None = None) -> None:
        """Write the demo's pipeline file with the places of this service, and these texts replaced."""
        text = (self.machine.root / f"srv/{self.name}-lake/pipeline.toml").read_text("utf-8")
        places = {
            'path = "lake"': f'path = "{self.lake}/lake"',
            'DEMO_LAKE = "lake"': f'DEMO_LAKE = "{self.lake}/lake"',
            'cwd = "."': f'cwd = "/home/deploy/{self.name}-platform"',
        }
        for old, new in {**places, **PATIENT, **(changes or {})}.items():
            assert old in text, old
            text = text.replace(old, new)
        self.machine.write(f"/etc/backfilld/{self.name}.toml", text)

    def add_job_dropin(self) -> None:
        """The drop-in for jobs, with its paths as they are here."""
        self.dropin(
            "jobs", (self.machine.root / f"root/{self.name}/deploy/systemd/jobs.conf").read_text("utf-8")
        )

    def dropin(self, name: str, text: str) -> None:
        """Add a drop-in; it holds from the next start on."""
        self.machine.write(f"/etc/systemd/system/{self.unit}.d/{name}.conf", text)
        self.machine.run("systemctl", "daemon-reload")

    def add_token(self) -> None:
        """Make a token, by the command of the manual, and use it from now on."""
        store = f"/etc/credstore/backfilld.{self.name}.tokens"
        line, _, rest = self.machine.run(COMMAND, "token", "new", "ana", "--scope", "operate").partition("\n")
        self.machine.write(store, f"{line}\n")
        self.token = next(word for word in rest.split() if word.startswith("bfd_"))

    def start(self) -> None:
        """Start and enable it, as the manual does."""
        self.machine.run("systemctl", "enable", "--now", self.unit)

    def wait_until_ready(self) -> None:
        """Wait until systemd, or an earlier command, has brought it back."""
        self.machine.wait_for(lambda: self.readyz()[0] == 200, "ready")

    def show(self, name: str) -> str:
        """A property, such as `StatusText`."""
        return self.machine.run("systemctl", "show", "--value", f"--property={name}", self.unit).strip()

    def readyz(self) -> tuple[int, str]:
        """The status and text of /readyz; status 0 when no daemon answers."""
        try:
            answer = requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=PATIENCE)
        except requests.ConnectionError:
            return 0, ""
        return answer.status_code, answer.text

    def journal(self, *words: str) -> list[dict[str, Any]]:
        """Its lines in the journal, as fields."""
        text = self.machine.run("journalctl", "--unit", self.unit, "--output=json", *words)
        return [json.loads(line) for line in text.splitlines()]

    def messages(self, *words: str) -> str:
        """The texts of its lines in the journal."""
        return "\n".join(str(line["MESSAGE"]) for line in self.journal(*words))

    def open_gate(self) -> None:
        """Let the jobs of GATED go on, and those that come."""
        self.machine.run("touch", f"{self.state}/home/gate")

    def enqueue(self, start: str = DAY, end: str = DAY) -> int:
        """Enqueue a range and return the backfill's id."""
        return int(self.client.post("/v1/backfills", {"start": start, "end": end})["id"])

    def finish(self, number: int) -> None:
        """Wait until a backfill has ended."""
        self.machine.wait_for(
            lambda: self.client.get(f"/v1/backfills/{number}")["status"] in {"finished", "cancelled"},
            "finished",
        )

    def outcome(self, date: str = DAY) -> str:
        return str(self.client.get(f"/v1/dates/{date}")["outcome"])

    def attempts(self) -> list[dict[str, Any]]:
        """All attempts, the oldest first."""
        return sorted(self.client.all("/v1/attempts"), key=lambda attempt: int(attempt["id"]))

    def results(self) -> dict[str, list[str]]:
        """How the attempts of each processor ended."""
        found: dict[str, list[str]] = {}
        for attempt in self.attempts():
            code = "" if attempt["exit_code"] is None else f" {attempt['exit_code']}"
            found.setdefault(attempt["processor"], []).append(f"{attempt['status']}{code}")
        return found

    def jobs(self) -> dict[int, int]:
        """The pid of each running job's first process, as the machine sees it, by attempt."""
        found = json.loads(self.machine.run("python3", "-c", _JOBS, self.user))
        return {int(attempt): pid for attempt, pid in found.items()}

    def wait_for_jobs(self) -> dict[int, int]:
        """Wait until every open attempt has its process, and there is one; return `jobs`."""
        self.machine.wait_for(self._all_run, "running jobs")
        return self.jobs()

    def remove(self) -> None:
        """Stop it for good, and end its jobs."""
        self.machine.run("systemctl", "disable", "--now", self.unit)
        for pid in self.jobs().values():
            self.machine.run("kill", "-KILL", "--", f"-{pid}", succeeds=False)

    def _all_run(self) -> bool:
        running = {attempt["id"] for attempt in self.attempts() if not attempt["ended_at"]}
        return bool(running) and running == self.jobs().keys()
