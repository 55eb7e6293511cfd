"""The check of what a systemd service lets the jobs of its daemon read and write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from backfilld.daemon.job_command import cwd_of
from backfilld.daemon.preflight.findings import Finding, failed, passed, warned
from backfilld.daemon.preflight.job_script_options import Scripts
from backfilld.daemon.read_service_unit import ServiceUnit
from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.settings_by_kind import LOCAL


def sandbox(pipeline: Pipeline, unit: ServiceUnit) -> Iterator[Finding]:
    """The jobs' files are visible in the service's sandbox, and what they write can be written there."""
    dropin = f"/etc/systemd/system/{unit.name}.d/jobs.conf"
    scripts = Scripts(pipeline=pipeline).by_processor
    hidden: dict[Path, tuple[str, list[str]]] = {}
    for name, script in scripts.items():
        for path in (cwd_of(pipeline, pipeline.processors[name]), script.program.script):
            if path is not None and (setting := unit.hiding(path.absolute())):
                hidden.setdefault(path, (setting, []))[1].append(name)
    for path, (setting, names) in hidden.items():
        line = f"{', '.join(names)}: {path} is hidden from {unit.name} by {setting}"
        yield failed(line, f"write ProtectHome=tmpfs and BindReadOnlyPaths={path} to {dropin}")
    yield from _writes(pipeline, unit, dropin)
    if not hidden:
        yield passed(f"{unit.name} sees directory and script of {pluralize(len(scripts), 'job')}")


def _writes(pipeline: Pipeline, unit: ServiceUnit, dropin: str) -> Iterator[Finding]:
    local = any(pipeline.executor[p.executor].kind == LOCAL for p in pipeline.processors.values())
    lake = getattr(pipeline.warehouse, "path", None)
    if lake and local:
        path = (pipeline.path.parent / lake).absolute()
        if setting := unit.protecting(path):
            line = f"the lake {path} cannot be written in {unit.name}: {setting}"
            yield failed(line, f"write ReadWritePaths={path} to {dropin}")
        elif path.exists() and unit.runs_as_this_user() and not os.access(path, os.W_OK, effective_ids=True):
            line = f"the lake {path} cannot be written by {unit.user}, the user of {unit.name}"
            yield failed(line, f"chown -R {unit.user}: {path}, or add the group that may write it")
    home = unit.environment().get("HOME", "")
    if local and (not home or unit.protecting(Path(home))):
        line = f"HOME of jobs, {home or 'that of the user'}, cannot be written in {unit.name}"
        yield warned(line, f"write Environment=HOME= with a folder of StateDirectory= to {dropin}")
