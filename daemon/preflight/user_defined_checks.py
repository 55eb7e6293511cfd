"""The platform's own checks: commands of the pipeline file, each judged by its exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from backfilld.daemon.executors.adapter import Job
from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.findings import Finding, failed, passed, skipped, warned
from backfilld.daemon.preflight.subprocesses import environment_of, run
from backfilld.state.pipeline.user_defined_preflight_settings import PreflightCheckSettings


def platform_check(context: PreflightContext, check: PreflightCheckSettings) -> Iterator[Finding]:
    """Run one command and give its verdict with the last line of its output."""
    if context.quick:
        yield skipped("left out by --quick")
        return
    jobs = context.pipeline.jobs
    words = {"start": str(context.start), "end": str(context.end), "python": sys.executable}
    argv, cwd = check.argv(words), (context.pipeline.path.parent / jobs.cwd).resolve()
    env = environment_of(Job(attempt=0, argv=argv, cwd=cwd, env=jobs.env, pass_env=jobs.pass_env))
    result = run(argv, cwd=cwd, env=env, seconds=check.timeout)
    severity = failed if check.severity == "fail" else warned
    if not result.started:
        hint = "correct command in [[preflight.check]], or cwd in [jobs]"
        yield failed(f"cannot start: {result.last_line}", hint)
    elif result.code is None:
        yield severity(result.last_line, "run it by hand, or raise its timeout")
    elif result.code:
        yield severity(f"exit {result.code}: {result.last_line}", "run it by hand")
    else:
        yield passed(result.last_line)
