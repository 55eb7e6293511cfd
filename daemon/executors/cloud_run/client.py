"""A client of Cloud Run's API: runs a job, finds its execution again, cancels it, reads how it ended."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from backfilld.daemon.executors.local.descendant_processes import ATTEMPT, RUN
from backfilld.daemon.executors.process_identity import Identity
from backfilld.daemon.google_error_causes import FAILURES, root_cause
from backfilld.state.base_errors import BackfilldError
from backfilld.state.formatting import first_line
from backfilld.state.pipeline.pipeline import Pipeline

HTTP_TIMEOUT = 10.0
"""Seconds for one request."""
_MARGIN = 60.0
"""Seconds after the job's timeout at which Cloud Run ends a job that no daemon has stopped."""
_AMBIGUOUS = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, 499)
"""Statuses below 500 after which the request may have been executed; 499: client closed request."""

_REQUEST = re.compile(r"^[A-Z]+ \S+: ")
"""What the client library puts before the API's message."""
_OUT_OF_MEMORY = re.compile(r"memory limit|out of memory", re.IGNORECASE)
"""In what Cloud Run says of a container that needed more memory than its job allows."""


class ApiUnavailable(BackfilldError):
    """The API did not answer. The request may have been executed all the same."""


class RequestDenied(ApiUnavailable):
    """The API refused the request: it was not executed."""


class NotFound(RequestDenied):
    """The resource does not exist."""


class InvalidRequest(RequestDenied):
    """The request is invalid: a retry would be refused too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudRunHandle:
    """The correlation id of an attempt's execution, and which process may request it until when.

    `job` is the Cloud Run job's full name, `until` epoch seconds.
    """

    job: str
    correlation_id: str
    launcher: Identity
    until: float

    @classmethod
    def parse(cls, text: Handle) -> CloudRunHandle:
        """Parse a handle. Raises ValueError for anything else."""
        try:
            fields = json.loads(text)
            launcher = Identity.parse(fields["launcher"])
            job, correlation_id = str(fields["job"]), str(fields["correlation_id"])
            return cls(
                job=job, correlation_id=correlation_id, launcher=launcher, until=float(fields["until"])
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"not a handle of a Cloud Run execution: {text!r}") from error

    def text(self) -> Handle:
        """The handle as JSON."""
        return json.dumps({**asdict(self), "launcher": self.launcher.text()})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionStatus:
    """The state of an execution. `result` is None while it runs."""

    lines: Sequence[str]
    """What Cloud Run reports of it, for the log."""
    created: str
    """In RFC 3339."""
    result: JobResult | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigProblem:
    """Why a Cloud Run job cannot be used, and the command that corrects it."""

    why: str
    remedy: str


class CloudRunClient:
    """Cloud Run's API, for one thread. Each request raises ApiUnavailable or a subclass within HTTP_TIMEOUT.

    `on_answer` is called after each request, including failed ones; its errors are raised to the caller.
    """

    def __init__(self, settings: CloudRunSettings, on_answer: Callable[[], None] = lambda: None) -> None:
        self._settings = settings
        self._on_answer = on_answer

    def config_problem(self, job: str) -> ConfigProblem | None:
        """Why a Cloud Run job cannot be used; None when it can.

        Overrides of an execution cannot turn off retries, and a retry would be an uncounted attempt.
        """
        with self._request():
            template = self._jobs.get_job(name=job, timeout=HTTP_TIMEOUT).template
        where = f"--project {self._settings.project} --region {self._settings.region}"
        update = f"gcloud run jobs update {_short(job)} {where}"
        if "max_retries" not in template.template or template.template.max_retries:
            times = template.template.max_retries or 3
            why = f"{_short(job)} retries a failed task by itself, {times} times"
            return ConfigProblem(why=why, remedy=f"{update} --max-retries 0")
        if template.task_count > 1:
            why = f"{_short(job)} is split into {template.task_count} tasks"
            return ConfigProblem(why=why, remedy=f"{update} --tasks 1")
        return None

    def run(self, job: Job, handle: CloudRunHandle) -> str:
        """Run the job, and return the name of its execution; empty when the answer has none.

        The command's words are passed as arguments: an override cannot replace the image's entry point.
        """
        env = {**job.env, ATTEMPT: str(job.attempt), RUN: handle.correlation_id}
        container = RunJobRequest.Overrides.ContainerOverride(
            args=job.argv, env=[EnvVar(name=name, value=text) for name, text in env.items()]
        )
        overrides = RunJobRequest.Overrides(
            container_overrides=[container],
            task_count=1,
            timeout=dt.timedelta(seconds=math.ceil(job.timeout + _MARGIN)),
        )
        with self._request():
            request = RunJobRequest(name=handle.job, overrides=overrides)
            execution = self._jobs.run_job(request, timeout=HTTP_TIMEOUT).metadata
        return str(execution.name) if execution else ""

    def find(self, handle: CloudRunHandle) -> str:
        """The name of the execution with the handle's correlation id; empty when there is none."""
        with self._request():
            for execution in self._executions.list_executions(parent=handle.job, timeout=HTTP_TIMEOUT):
                if handle.correlation_id in _correlation_ids(execution):
                    return str(execution.name)
        return ""

    def status(self, name: str) -> ExecutionStatus:
        """The state of an execution. Raises NotFound when there is none of that name."""
        with self._request():
            execution = self._executions.get_execution(name=name, timeout=HTTP_TIMEOUT)
            over = execution.completion_time is not None
            tasks = list(self._tasks.list_tasks(parent=name, timeout=HTTP_TIMEOUT)) if over else []
            created = execution.create_time.isoformat()
        return ExecutionStatus(
            lines=_lines(execution), created=created, result=_result(execution, tasks) if over else None
        )

    def cancel(self, name: str) -> None:
        """Cancel an execution: SIGTERM, and SIGKILL ten seconds later."""
        with self._request():
            self._executions.cancel_execution(name=name, timeout=HTTP_TIMEOUT)

    @contextmanager
    def _request(self) -> Iterator[None]:
        try:
            with _translated_errors():
                yield
        finally:
            self._on_answer()

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
        """The arguments of every client."""
        options = ClientOptions(api_endpoint=self._settings.endpoint)
        return {"transport": "rest", "credentials": credentials(self._settings), "client_options": options}


def credentials(settings: CloudRunSettings) -> Any:
    """The environment's credentials; anonymous with an `endpoint`. Raises GoogleAuthError without any."""
    if settings.endpoint:
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    found, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    return found


def job_names(pipeline: Pipeline, executor: str, source: CloudRunSettings) -> Mapping[str, str]:
    """The full name of the Cloud Run job of each processor that has one executed."""
    parent = f"projects/{source.project}/locations/{source.region}/jobs"
    used = [p for p in pipeline.processors.values() if p.executor == executor]
    return {p.name: f"{parent}/{p.in_cloud_run}" for p in used}


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Raise the client library's errors as errors of this module."""
    try:
        yield
    except exceptions.GoogleAPICallError as error:
        message = f"Cloud Run answers {error.code}: {first_line(_REQUEST.sub('', error.message))}"
        if isinstance(error, exceptions.NotFound):
            raise NotFound(message) from error
        if isinstance(error, exceptions.BadRequest):
            raise InvalidRequest(message) from error
        denied = (error.code or 500) < 500 and error.code not in _AMBIGUOUS
        raise (RequestDenied if denied else ApiUnavailable)(message) from error
    except FAILURES as error:
        raise ApiUnavailable(f"Cloud Run cannot be reached: {root_cause(error)}") from error
    except (ParseError, ValueError, TypeError, AttributeError) as error:  # JSON of another shape
        raise ApiUnavailable(f"Cloud Run gives no usable answer: {first_line(str(error))}") from error


def _short(name: str) -> str:
    return name.rpartition("/")[2]


def _lines(execution: Execution) -> list[str]:
    """What Cloud Run reports of an execution. The last line is the most important."""
    conditions = [c for c in execution.conditions if c.message]
    conditions.sort(key=lambda condition: condition.type_ == "Completed")
    return [
        f"execution {_short(execution.name)} of the Cloud Run job {_short(execution.job)}",
        f"output: {execution.log_uri}",
        *([f"retried by Cloud Run: {execution.retried_count}"] if execution.retried_count else []),
        *(f"{condition.type_}: {condition.message}" for condition in conditions),
    ]


def _correlation_ids(execution: Execution) -> list[str]:
    return [e.value for container in execution.template.containers for e in container.env if e.name == RUN]


def _result(execution: Execution, tasks: list[Task]) -> JobResult:
    """How an execution ended, by its only task; a signal as 128 plus its number, as in a shell."""
    ended_at = execution.completion_time.timestamp()
    if execution.succeeded_count:
        return JobResult(code=0, ended_at=ended_at)
    attempt = tasks[0].last_attempt_result if tasks else TaskAttemptResult()
    for message in (attempt.status.message, *(c.message for c in execution.conditions)):
        if _OUT_OF_MEMORY.search(message):
            return JobResult.out_of_memory(first_line(message), at=ended_at)
    code = attempt.exit_code or (attempt.term_signal and 128 + attempt.term_signal)
    if code:
        return JobResult(code=code, ended_at=ended_at)
    messages = [c.message for c in execution.conditions if c.type_ == "Completed" and c.message]
    why = first_line(messages[0] if messages else "no reason given")
    return (JobResult.without_code if execution.start_time else JobResult.cannot_start)(why, at=ended_at)
