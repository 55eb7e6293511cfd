"""An HTTP server that answers as Cloud Run's v2 API does; an execution is a real process of this machine."""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from backfilld.daemon.executors.local.descendant_processes import ATTEMPT, RUN, Marks, ProcessFinder
from tests.integration.real_jobs import lives, until
from tests.integration.served_api import Answer, Json, served

PARENT = "projects/p/locations/us-west2/jobs"
PAGE = 2
"""Executions, or lines of output, on one page of a listing."""
_SUCCEEDED, _FAILED, _PENDING = 4, 3, 1
_PATH = re.compile(
    r"/v2/(?P<job>projects/[^/]+/locations/[^/]+/jobs/[^/:]+)"
    r"(?:/executions(?:/(?P<execution>[^/:]+))?)?(?P<tasks>/tasks)?(?P<verb>:\w+)?$"
)


def refuse(status: int, message: str) -> Answer:
    """An error as Google's APIs word it."""
    return Answer(status, {"error": {"code": status, "message": message, "status": "X"}})


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


@dataclass
class Execution:
    """One execution and its only task, a process group."""

    name: str
    job: str
    template: Json
    process: subprocess.Popen[bytes] | None
    """None when its image is not there."""
    created: str = field(default_factory=_now)
    completed: str = ""
    cancelled: bool = False
    conditions: list[Json] = field(default_factory=list)
    """What is told of it while it runs."""

    @property
    def code(self) -> int | None:
        """The exit status; negative for a signal, None while it runs."""
        if self.process is None:
            return 1
        return self.process.poll()

    def shown(self) -> Json:
        """As the API shows it."""
        shape: Json = {
            "name": self.name,
            "job": self.job,
            "createTime": self.created,
            "taskCount": 1,
            "template": self.template,
            "logUri": f"https://console.example.com/logs/{self.name.rpartition('/')[2]}",
            "conditions": [{"type": "Completed", "state": _PENDING}, *self.conditions],
        }
        if self.process is not None:
            shape["startTime"] = self.created
        if self.code is None:
            return {**shape, "runningCount": 1}
        self.kill_leftovers()
        self.completed = self.completed or _now()
        state = _SUCCEEDED if self.code == 0 else _FAILED
        count = "cancelledCount" if self.cancelled else "succeededCount" if self.code == 0 else "failedCount"
        told = [{"type": "Completed", "state": state, "message": self.message}]
        return {**shape, "completionTime": self.completed, count: 1, "conditions": told}

    @property
    def message(self) -> str:
        if self.process is None:
            return "Image 'gcr.io/p/nowhere' not found."
        if self.cancelled:
            return "Execution cancelled."
        if self.code == -signal.SIGKILL:
            return "Memory limit of 512 MiB exceeded with 516 MiB used."
        return (
            "Execution completed successfully." if self.code == 0 else "The container exited with an error."
        )

    def tasks(self) -> Json:
        """Its task as the API shows it."""
        task: Json = {"name": f"{self.name}/tasks/{self.name.rpartition('/')[2]}-task0"}
        if self.code is not None and self.process is not None:
            result = {"exitCode": self.code} if self.code >= 0 else {"termSignal": -self.code}
            task["lastAttemptResult"] = {**result, "status": {"code": 0 if self.code == 0 else 2}}
        return {"tasks": [task]}

    def kill_leftovers(self) -> None:
        """A container ends with its first process, and all others with it."""
        (container,) = self.template["containers"]
        env = {entry["name"]: entry["value"] for entry in container["env"]}
        if self.process is not None and RUN in env:
            marks = Marks(0, f"{RUN}={env[RUN]}\0{ATTEMPT}={env[ATTEMPT]}".encode())
            found = [*ProcessFinder().find(marks, excluding=self.process.pid)]
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            until(lambda: not any(map(lives, found)), "the container's processes to end")

    def kill(self, number: signal.Signals) -> None:
        """Signal the process group."""
        if self.process is not None and self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


@dataclass
class CloudRunStub:
    """Jobs by full name as the API shows them. `before` and `after` a request may raise Answer or Dropped."""

    cwd: Path
    jobs: dict[str, Json] = field(default_factory=dict)
    before: Callable[[str, str], None] = lambda method, path: None
    after: Callable[[str, str], None] = lambda method, path: None
    images: bool = True
    grace: float = 10.0
    address: str = ""
    executions: dict[str, Execution] = field(default_factory=dict)
    logging: Callable[[], None] = lambda: None
    """Called before output is shown; may raise an Answer."""
    runs: list[Json] = field(default_factory=list)
    """The overrides of the requests to run."""

    def add(self, *names: str, retries: int | None = 0, tasks: int = 1) -> None:
        """Jobs of this project and region."""
        task = {"containers": [{"image": "i", "env": [{"name": "OF_THE_JOB", "value": "1"}]}]}
        template = {
            "taskCount": tasks,
            "template": task if retries is None else {**task, "maxRetries": retries},
        }
        self.jobs |= {
            f"{PARENT}/{name}": {"name": f"{PARENT}/{name}", "template": template} for name in names
        }

    def answer(self, method: str, path: str, query: str, body: Json) -> Json:
        """One request's answer."""
        if path == "/v2/entries:list":
            self.logging()
            return self._entries(body)
        found = _PATH.fullmatch(path)
        job = self.jobs.get(found["job"]) if found else None
        if found is None or job is None:
            raise refuse(404, f"Resource {path.rpartition('/')[2]!r} of kind 'JOB' does not exist.")
        if found["verb"] == ":run":
            return self._operation(self._run(job, body["overrides"]))
        if found["execution"]:
            return self._one(f"{job['name']}/executions/{found['execution']}", found)
        return self._page(job["name"], query) if path.endswith("/executions") else job

    def _one(self, name: str, found: re.Match[str]) -> Json:
        execution = self.executions.get(name)
        if execution is None:
            raise refuse(404, f"Resource {found['execution']!r} of kind 'EXECUTION' does not exist.")
        if found["verb"] == ":cancel":
            if execution.code is not None:
                raise refuse(400, "The execution has completed.")
            execution.cancelled = True
            execution.kill(signal.SIGTERM)
            threading.Timer(self.grace, execution.kill, [signal.SIGKILL]).start()
            return self._operation(execution)
        return execution.tasks() if found["tasks"] else execution.shown()

    def _entries(self, asked: Json) -> Json:
        """What Cloud Logging has of an execution's output, the newest first; one line is of JSON.

        It never finds anything in the time that it takes for the first page.
        """
        found = re.search(r'execution_name"="([^"]+)".* timestamp>="([^"]+)"', asked["filter"])
        assert found is not None
        (created,) = [one.created for name, one in self.executions.items() if name.endswith(f"/{found[1]}")]
        assert datetime.fromisoformat(found[2]) == datetime.fromisoformat(created)
        assert (asked["resourceNames"], asked["orderBy"]) == (["projects/p"], "timestamp desc")
        if "pageToken" not in asked:
            return {"nextPageToken": "0"}
        output = self.cwd / f"{found[1]}.out"
        lines = output.read_text().splitlines() if output.exists() else []
        entries = [
            {"jsonPayload": json.loads(text)} if text[:1] == "{" else {"textPayload": text} for text in lines
        ]
        start = int(asked["pageToken"])
        more = {"nextPageToken": str(start + PAGE)} if len(entries) > start + PAGE else {}
        return {"entries": entries[::-1][start : start + PAGE], **more}

    def _run(self, job: Json, overrides: Json) -> Execution:
        self.runs.append(overrides)
        (container,), (override,) = job["template"]["template"]["containers"], overrides["containerOverrides"]
        env = container["env"] + override["env"]
        template = {**job["template"]["template"], "containers": [{**override, "env": env}]}
        name = f"{job['name']}/executions/{job['name'].rpartition('/')[2]}-{len(self.executions):05d}"
        process = self._process(override["args"], env, name.rpartition("/")[2]) if self.images else None
        self.executions[name] = Execution(name=name, job=job["name"], template=template, process=process)
        return self.executions[name]

    def _process(self, words: list[str], env: list[Json], name: str) -> subprocess.Popen[bytes]:
        variables = {"PATH": os.environ["PATH"], **{one["name"]: one["value"] for one in env}}
        with (self.cwd / f"{name}.out").open("wb") as output:
            return subprocess.Popen(
                words,
                cwd=self.cwd,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _page(self, job: str, query: str) -> Json:
        """The newest first, as the API lists them."""
        start = int(dict(part.split("=") for part in query.split("&") if part).get("pageToken", 0))
        own = [one.shown() for one in reversed(self.executions.values()) if one.job == job]
        more = {"nextPageToken": str(start + PAGE)} if len(own) > start + PAGE else {}
        return {"executions": own[start : start + PAGE], **more}

    @staticmethod
    def _operation(execution: Execution) -> Json:
        kind = "type.googleapis.com/google.cloud.run.v2.Execution"
        return {
            "name": "projects/p/locations/us-west2/operations/o",
            "metadata": {"@type": kind, **execution.shown()},
        }


@contextmanager
def serving(cwd: Path, *names: str) -> Iterator[CloudRunStub]:
    """The API with some jobs behind a port of its own; processes in `cwd`, ended with the context."""
    stub = CloudRunStub(cwd=cwd)
    stub.add(*names)

    def answer(request: BaseHTTPRequestHandler, body: bytes) -> Json:
        path, _, query = request.path.partition("?")
        stub.before(request.command, path)
        told = stub.answer(request.command, path, query, json.loads(body or b"{}"))
        stub.after(request.command, path)
        return told

    try:
        with served(answer) as stub.address:
            yield stub
    finally:
        for execution in stub.executions.values():
            execution.kill(signal.SIGKILL)
            if execution.process is not None:
                execution.process.wait()
