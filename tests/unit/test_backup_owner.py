"""A backup that root makes belongs to the daemon's user, who must be able to restore it."""

import os
from pathlib import Path

import pytest

from backfilld.daemon.backups import Backups
from backfilld.state.store.database import Database

NOBODY = 65534


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    """The backups of a database that another user owns, if this is root."""
    state = tmp_path / "state"
    state.mkdir()
    database = Database(f"sqlite:///{state}/state.db")
    database.upgrade()
    database.close()
    if os.geteuid() == 0:
        for path in (state, *state.iterdir()):
            os.chown(path, NOBODY, NOBODY)
    return Backups(Database(f"sqlite:///{state}/state.db"), now=lambda: 0.0)


def owners(*paths: Path) -> set[tuple[int, int]]:
    return {(path.stat().st_uid, path.stat().st_gid) for path in paths}


def test_a_backup_beside_the_database_and_its_folder_have_its_owner(backups: Backups, tmp_path: Path) -> None:
    copy = backups.create()
    assert owners(copy, backups.folder) == owners(tmp_path / "state" / "state.db")
    assert copy.stat().st_mode & 0o777 == 0o600


def test_a_backup_elsewhere_has_the_owner_of_the_database_and_its_folder_keeps_its_own(
    backups: Backups, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    before = owners(elsewhere)
    copy = backups.create(elsewhere)
    assert owners(copy) == owners(tmp_path / "state" / "state.db")
    assert owners(elsewhere) == before


def test_no_file_beside_the_database_changes_hands(backups: Backups, tmp_path: Path) -> None:
    backups.create()
    assert owners(*(tmp_path / "state").iterdir()) == owners(tmp_path / "state" / "state.db")
