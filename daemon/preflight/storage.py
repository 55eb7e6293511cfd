"""Checks of what the daemon itself needs on this machine: state database, room for logs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.findings import Finding, failed, passed, skipped, warned
from backfilld.state.store.database import Database
from backfilld.state.store.errors import DatabaseUnavailable
from backfilld.state.store.schema_version import schema_version

ENOUGH_BYTES = 2 * 2**30
LEAST_BYTES = 200 * 2**20
"""Below this the state database itself may soon not be written."""


def state_database(site: PreflightContext) -> Iterator[Finding]:
    """It can be written, and its schema is one that this program knows."""
    if site.state_dir is None or site.database_url is None:
        yield skipped("no --state-dir was given")
        return
    database = Database(site.database_url)
    try:
        if not database.exists:
            yield _new(database.path.parent)
            return
        with database.write() as tx:
            found = schema_version(tx)
    except DatabaseUnavailable as error:
        hint = "check its owner and rights, or restore the latest backup beside it" if database.sqlite else ""
        yield failed(str(error), hint)
        return
    finally:
        database.close()
    if found.first_edition:
        yield failed(found.problem, "")
    elif not found.known:
        hint = "install the version that wrote it, or restore a backup"
        yield failed(
            f"its schema {found.current} is newer than this program, which knows {found.newest}", hint
        )
    elif found.current != found.newest:
        copied = ", after a backup" if database.sqlite else ""
        yield passed(f"schema {found.current or 'none yet'}; the daemon brings it to {found.newest}{copied}")
    else:
        yield passed(f"schema {found.current}, can be written")


def room_for_logs(site: PreflightContext) -> Iterator[Finding]:
    """There is room for the logs of the jobs and for backups of the database."""
    if site.state_dir is None:
        yield skipped("no --state-dir was given")
        return
    free = shutil.disk_usage(_existing(site.state_dir)).free
    line = f"{free / 2**30:.1f} GiB free for {site.state_dir}"
    if free < LEAST_BYTES:
        yield failed(line, "make room: logs and the state database need it")
    elif free < ENOUGH_BYTES:
        yield warned(line, f"a long backfill may need more than {ENOUGH_BYTES / 2**30:g} GiB for its logs")
    else:
        yield passed(line)


def _new(directory: Path) -> Finding:
    above = _existing(directory)
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        return failed(f"{above} cannot be written", "check its owner and rights, or give another --state-dir")
    return passed(f"there is none yet; it will be made in {directory}")


def _existing(path: Path) -> Path:
    """The nearest directory above that is there."""
    return next(place for place in (path, *path.parents) if os.path.exists(place))
