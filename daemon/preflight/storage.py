"""Checks of what the daemon needs on this machine: state database, room for logs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.findings import Finding, failed, passed, skipped, warned
from backfilld.state.store.database import Database
from backfilld.state.store.database_errors import DatabaseUnavailable
from backfilld.state.store.schema_version import schema_version

ENOUGH_BYTES = 2 * 2**30
LEAST_BYTES = 200 * 2**20
"""With less free space, writes to the state database may fail soon."""


def state_database(context: PreflightContext) -> Iterator[Finding]:
    """It can be written, and this program knows its schema."""
    if context.state_dir is None or context.database_url is None:
        yield skipped("no --state-dir was given")
        return
    database = Database(context.database_url)
    try:
        if not database.exists:
            yield _new(database.path.parent)
            return
        with database.write() as tx:
            schema = schema_version(tx)
    except DatabaseUnavailable as error:
        hint = "check its owner and rights, or restore the latest backup beside it" if database.sqlite else ""
        yield failed(str(error), hint)
        return
    finally:
        database.close()
    if schema.first_edition:
        yield failed(schema.problem, "")
    elif not schema.known:
        hint = "install the version that wrote it, or restore a backup"
        yield failed(
            f"its schema {schema.current} is newer than this program, which knows {schema.newest}", hint
        )
    elif schema.current != schema.newest:
        copied = ", after a backup" if database.sqlite else ""
        yield passed(
            f"schema {schema.current or 'none yet'}; the daemon brings it to {schema.newest}{copied}"
        )
    else:
        yield passed(f"schema {schema.current}, can be written")


def room_for_logs(context: PreflightContext) -> Iterator[Finding]:
    """There is room for the logs of the jobs and for backups of the database."""
    if context.state_dir is None:
        yield skipped("no --state-dir was given")
        return
    free = shutil.disk_usage(_existing(context.state_dir)).free
    line = f"{free / 2**30:.1f} GiB free for {context.state_dir}"
    if free < LEAST_BYTES:
        yield failed(line, "make room: logs and the state database need it")
    elif free < ENOUGH_BYTES:
        yield warned(line, f"a long backfill may need more than {ENOUGH_BYTES / 2**30:g} GiB for its logs")
    else:
        yield passed(line)


def _new(directory: Path) -> Finding:
    parent = _existing(directory)
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        return failed(
            f"{parent} cannot be written", "check its owner and rights, or give another --state-dir"
        )
    return passed(f"there is none yet; the daemon creates it in {directory}")


def _existing(path: Path) -> Path:
    """The path, or its nearest parent that exists."""
    return next(parent for parent in (path, *path.parents) if os.path.exists(parent))
