"""What is asked of Cloud Run's API: to begin an execution, to find it again, to end it, and how it ended."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any

import google.auth
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud.run_v2 import (
    EnvVar,
    Execution,
    ExecutionsClient,
    JobsClient,
    RunJobRequest,
    Task,
    TaskAttemptResult,
    TasksClient,
)
from google.protobuf.json_format import ParseError

from backfilld.daemon.executors.adapter import Handle, Job, JobResult
from backfilld.daemon.executors.cloud_run.settings import CloudRunSettings
from backfilld.daemon.executors.local.process import Identity
from backfilld.daemon.executors.local.process_finder import ATTEMPT, RUN
from backfilld.daemon.google_errors import FAILURES, root_cause
from backfilld.state.formatting import first_line
from backfilld.state.pipeline.models import Pipeline

HTTP_TIMEOUT = 10.0
"""Seconds for one request."""
_MARGIN = 60.0
"""Seconds after the daemon's own limit at which Cloud Run ends a job that no daemon has ended."""
_UNDECIDED = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, 499)
"""Statuses below 500 that do not say that nothing was done; 499: the client went away."""

_REQUEST = re.compile(r"^[A-Z]+ \S+: ")
"""What the client puts before the API's own words."""


class ApiUnavailable(Exception):
    """There is no answer. What was asked for may have come to pass all the same."""


class RequestDenied(ApiUnavailable):
    """The answer is no: nothing came of what was asked for."""


class NotFound(RequestDenied):
    """What was asked about is not there."""


class InvalidRequest(RequestDenied):
    """What is asked for can never be: to ask once more would bring the same answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudRunHandle:
    """The mark by which an attempt's execution is found, and who may ask for one, until when.

    `job` is the Cloud Run job's full name, `until` epoch seconds.
    """

    job: str
    mark: str
    launcher: Identity
    until: float

    @classmethod
    def parse(cls, text: Handle) -> CloudRunHandle:
        """Read a handle. Raises ValueError for anything else."""
        try:
            fields = json.loads(text)
            launcher = Identity.parse(fields["launcher"])
            until = float(fields["until"])
            return cls(job=str(fields["job"]), mark=str(fields["mark"]), launcher=launcher, until=until)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"not a handle of a Cloud Run execution: {text!r}") from error

    def text(self) -> Handle:
        """The handle."""
        return json.dumps({**asdict(self), "launcher": self.launcher.text()})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionStatus:
    """An execution as it is now: what there is to tell of it, since when, and how it ended once it has."""

    lines: Sequence[str]
    created: str
    """As RFC 3339 has it."""
    exit: JobResult | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigProblem:
    """Why a Cloud Run job cannot be used, and the command that mends it."""

    why: str
    remedy: str


class CloudRunClient:
    """Cloud Run's API, for one thread. Each request raises Away, or what is more precise, in HTTP_TIMEOUT."""

    def __init__(self, source: CloudRunSettings) -> None:
        self._source = source

    def objection(self, job: str) -> ConfigProblem | None:
        """Why a Cloud Run job cannot be used; None when it can.

        Overrides of an execution cannot switch off retries, and a retry would be an attempt nobody counts.
        """
        with _asking():
            template = self._jobs.get_job(name=job, timeout=HTTP_TIMEOUT).template
        where = f"--project {self._source.project} --region {self._source.region}"
        update = f"gcloud run jobs update {_short(job)} {where}"
        if "max_retries" not in template.template or template.template.max_retries:
            times = template.template.max_retries or 3
            why = f"{_short(job)} runs a failed task again by itself, {times} times"
            return ConfigProblem(why=why, remedy=f"{update} --max-retries 0")
        if template.task_count > 1:
            why = f"{_short(job)} is split into {template.task_count} tasks"
            return ConfigProblem(why=why, remedy=f"{update} --tasks 1")
        return None

    def begin(self, job: Job, ticket: CloudRunHandle) -> str:
        """Ask for an execution, and return its name; empty when the answer has none.

        The job's words are its arguments: what program takes them the image says, which no override can.
        """
        env = {**job.env, ATTEMPT: str(job.attempt), RUN: ticket.mark}
        container = RunJobRequest.Overrides.ContainerOverride(
            args=job.argv, env=[EnvVar(name=name, value=text) for name, text in env.items()]
        )
        overrides = RunJobRequest.Overrides(
            container_overrides=[container],
            task_count=1,
            timeout=dt.timedelta(seconds=math.ceil(job.timeout + _MARGIN)),
        )
        with _asking():
            asked = RunJobRequest(name=ticket.job, overrides=overrides)
            begun = self._jobs.run_job(asked, timeout=HTTP_TIMEOUT).metadata
        return str(begun.name) if begun else ""

    def find(self, ticket: CloudRunHandle) -> str:
        """The name of the execution with the ticket's mark; empty when there is none."""
        with _asking():
            for execution in self._executions.list_executions(parent=ticket.job, timeout=HTTP_TIMEOUT):
                marks = [e.value for one in execution.template.containers for e in one.env if e.name == RUN]
                if ticket.mark in marks:
                    return str(execution.name)
        return ""

    def look(self, name: str) -> ExecutionStatus:
        """An execution as it is now. Raises Missing when there is none of that name."""
        with _asking():
            execution = self._executions.get_execution(name=name, timeout=HTTP_TIMEOUT)
            over = execution.completion_time is not None
            tasks = list(self._tasks.list_tasks(parent=name, timeout=HTTP_TIMEOUT)) if over else []
            created = execution.create_time.isoformat()
        return ExecutionStatus(
            lines=_lines(execution), created=created, exit=_exit(execution, tasks) if over else None
        )

    def cancel(self, name: str) -> None:
        """Have an execution ended: SIGTERM, and SIGKILL ten seconds later."""
        with _asking():
            self._executions.cancel_execution(name=name, timeout=HTTP_TIMEOUT)

    @cached_property
    def _jobs(self) -> JobsClient:
        return JobsClient(**self._access)

    @cached_property
    def _executions(self) -> ExecutionsClient:
        return ExecutionsClient(**self._access)

    @cached_property
    def _tasks(self) -> TasksClient:
        return TasksClient(**self._access)

    @cached_property
    def _access(self) -> dict[str, Any]:
        """What every client is made with."""
        options = ClientOptions(api_endpoint=self._source.endpoint)
        return {"transport": "rest", "credentials": credentials(self._source), "client_options": options}


def credentials(source: CloudRunSettings) -> Any:
    """None for a stand-in; else the environment's own. Raises GoogleAuthError when there are none."""
    if source.endpoint:
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    found, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    return found


def job_names(pipeline: Pipeline, executor: str, source: CloudRunSettings) -> Mapping[str, str]:
    """The full name of the Cloud Run job of each processor that has one executed."""
    parent = f"projects/{source.project}/locations/{source.region}/jobs"
    used = [p for p in pipeline.processors.values() if p.executor == executor]
    return {p.name: f"{parent}/{p.in_cloud_run}" for p in used}


@contextmanager
def _asking() -> Iterator[None]:
    """Errors of the client, in the words of this module."""
    try:
        yield
    except exceptions.GoogleAPICallError as error:
        said = f"Cloud Run answers {error.code}: {first_line(_REQUEST.sub('', error.message))}"
        if isinstance(error, exceptions.NotFound):
            raise NotFound(said) from error
        if isinstance(error, exceptions.BadRequest):
            raise InvalidRequest(said) from error
        denied = (error.code or 500) < 500 and error.code not in _UNDECIDED
        raise (RequestDenied if denied else ApiUnavailable)(said) from error
    except FAILURES as error:
        raise ApiUnavailable(f"Cloud Run cannot be reached: {root_cause(error)}") from error
    except (ParseError, ValueError, TypeError, AttributeError) as error:  # JSON of another shape
        raise ApiUnavailable(f"Cloud Run gives no usable answer: {first_line(str(error))}") from error


def _short(name: str) -> str:
    return name.rpartition("/")[2]


def _lines(execution: Execution) -> list[str]:
    """What Cloud Run says of an execution; the last line says most."""
    conditions = [c for c in execution.conditions if c.message]
    conditions.sort(key=lambda one: one.type_ == "Completed")
    return [
        f"execution {_short(execution.name)} of the Cloud Run job {_short(execution.job)}",
        f"output: {execution.log_uri}",
        *([f"retried by Cloud Run: {execution.retried_count}"] if execution.retried_count else []),
        *(f"{one.type_}: {one.message}" for one in conditions),
    ]


def _exit(execution: Execution, tasks: list[Task]) -> JobResult:
    """How an execution ended, by its only task; a signal as a shell tells it."""
    ended_at = execution.completion_time.timestamp()
    if execution.succeeded_count:
        return JobResult(code=0, ended_at=ended_at)
    result = tasks[0].last_attempt_result if tasks else TaskAttemptResult()
    code = result.exit_code or (result.term_signal and 128 + result.term_signal)
    if code:
        return JobResult(code=code, ended_at=ended_at)
    said = [one.message for one in execution.conditions if one.type_ == "Completed" and one.message]
    why = first_line(said[0] if said else "no reason given")
    return (JobResult.lost if execution.start_time else JobResult.cannot_start)(why, at=ended_at)
