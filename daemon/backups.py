"""Periodic copies of an SQLite state database. The latest few are kept."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from backfilld.daemon.settings import SettingsError
from backfilld.state.store.database import Database
from backfilld.state.store.database_errors import DatabaseUnavailable

FOLDER = "backups"
ABANDONED_SECONDS = 3600.0
"""A partial copy that was not written to for this long belongs to a process that was killed."""
_FILE_NAME = re.compile(r"state-(\d{8}T\d{6})Z\.db")
_STAMP = "%Y%m%dT%H%M%S"


class Backups:
    """The copies beside one state database, named by their time in UTC.

    Raises:
        SettingsError: it is in PostgreSQL, which has its own tools for backups.
    """

    def __init__(self, db: Database, *, now: Callable[[], float]) -> None:
        if not db.sqlite:
            raise SettingsError(
                f"{db.name} is in PostgreSQL, which has its own tools for backups: pg_dump --format=custom"
            )
        self._db = db
        self._now = now
        self.folder = db.path.parent / FOLDER

    def create(self, target: Path | None = None) -> Path:
        """Copy the database to `target`: a file, a directory, or None for the default one. Returns the path.

        Raises:
            DatabaseUnavailable: the database is damaged or missing, or the copy cannot be written.
            SettingsError: `target` is the database itself.
        """
        if target is None:
            target = self.folder
            try:
                target.mkdir(mode=0o700, exist_ok=True)
            except OSError as error:
                raise DatabaseUnavailable(f"{target} cannot be created: {error.strerror}") from error
            self._remove_abandoned()
        if os.path.isdir(target):
            target /= dt.datetime.fromtimestamp(self._now(), dt.UTC).strftime(f"state-{_STAMP}Z.db")
        if target.resolve() == self._db.path.resolve():
            raise SettingsError(f"{target} is the database itself; name another file")
        self._db.backup(target)
        if os.geteuid() == 0:
            self._give_to_owner(target, self.folder if target.parent == self.folder else target)
        return target

    def _give_to_owner(self, *paths: Path) -> None:
        """Give what root has made to the owner of the database, whose daemon must be able to read it.

        Raises:
            DatabaseUnavailable: the filesystem has no owners, or refuses.
        """
        owner = self._db.path.stat()
        for path in paths:
            try:
                os.chown(path, owner.st_uid, owner.st_gid)
            except OSError as error:
                raise DatabaseUnavailable(f"{path} cannot be given to its owner: {error.strerror}") from error

    def is_due(self, every: float) -> bool:
        """Whether the latest copy is at least `every` seconds old. Copies from the future do not count."""
        latest = self.latest_at
        return latest is None or self._now() - latest >= every

    def prune(self, keep: int) -> list[Path]:
        """Remove all but the latest `keep` copies. Returns the removed paths."""
        now = self._now()
        by_age = sorted(self._known().items(), key=lambda copy: (copy[1] <= now, copy[1]))
        old = [path for path, _ in by_age[: max(len(by_age) - keep, 0)]]
        for path in old:
            path.unlink(missing_ok=True)
        return old

    def _remove_abandoned(self) -> None:
        """Remove partial copies whose process was killed."""
        for path in self.folder.glob(".state-*.db.partial*"):
            with suppress(FileNotFoundError):  # it was completed meanwhile
                if self._now() - path.stat().st_mtime > ABANDONED_SECONDS:
                    path.unlink()

    @property
    def latest_at(self) -> float | None:
        """When the latest copy was made, in epoch seconds; None without one."""
        now = self._now()
        return max((at for at in self._known().values() if at <= now), default=None)

    def _known(self) -> dict[Path, float]:
        created_at_by_path = {}
        for path in self.folder.glob("state-*.db"):
            if match := _FILE_NAME.fullmatch(path.name):
                created_at_by_path[path] = (
                    dt.datetime.strptime(match[1], _STAMP).replace(tzinfo=dt.UTC).timestamp()
                )
        return created_at_by_path


def refuse_empty_database(db: Database, state_dir: Path) -> None:
    """Refuse an empty database in a state directory that has had one.

    Attempt ids would start from 1 again while jobs of the lost attempts may still run.

    Raises:
        DatabaseUnavailable: the database is missing or empty, but logs or backups of one exist.
    """
    leftovers = [name for name in (FOLDER, "attempts") if any((state_dir / name).glob("*"))]
    if leftovers and db.empty:
        where = "beside it" if db.sqlite else f"in {state_dir}"
        raise DatabaseUnavailable(
            f"{db.name} is missing or empty, but {' and '.join(leftovers)} {where} are not:"
            " restore the latest"
            " backup, or start afresh with another state directory"
        )
