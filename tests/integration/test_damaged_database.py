"""A damaged state database is refused at start with a remedy, or served whole: never a traceback.

DAMAGES=1000 tries that many.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from backfilld.daemon.backups import refuse_empty_database
from backfilld.state.store.database import Database
from backfilld.state.store.database_errors import DatabaseUnavailable
from tests.integration.api_world import Api, make_api

DAMAGES = int(os.environ.get("DAMAGES", "20"))
PAGE = 4096
PATHS = (
    *(
        "/v1/dates?limit=1000",
        "/v1/backfills",
        "/v1/attempts?limit=1000",
        "/v1/audit?limit=1000",
        "/v1/holds",
    ),
    *("/v1/progress", "/v1/activity", "/v1/backfills/1", "/v1/backfills/1/dates", "/v1/dates/2021-10-20"),
    *("/", "/dates/2021-10-21", "/backfills", "/metrics", "/readyz"),
)
Damage = Callable[[random.Random, Path], None]


def flip(bits: int, suffix: str = "") -> Damage:
    """Flip random bits of a file."""

    def damage(rng: random.Random, path: Path) -> None:
        file = Path(f"{path}{suffix}")
        data = bytearray(file.read_bytes())
        for _ in range(bits):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        file.write_bytes(data)

    return damage


def truncate(suffix: str = "") -> Damage:
    """Cut a file at a random place."""

    def damage(rng: random.Random, path: Path) -> None:
        file = Path(f"{path}{suffix}")
        os.truncate(file, rng.randrange(file.stat().st_size))

    return damage


def overwrite_page(content: Callable[[random.Random], bytes]) -> Damage:
    """Write another content over a random page."""

    def damage(rng: random.Random, path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(rng.randrange(path.stat().st_size // PAGE) * PAGE)
            file.write(content(rng))

    return damage


def remove(*suffixes: str) -> Damage:
    """Remove files beside the database."""

    def damage(rng: random.Random, path: Path) -> None:
        for suffix in suffixes:
            Path(f"{path}{suffix}").unlink()

    return damage


def garbage(rng: random.Random, path: Path) -> None:
    """Write a file that is no database."""
    path.write_bytes(b"not a database at all" * 1000)


def write_byte(at: int, value: int) -> Damage:
    """Write one byte of the file."""

    def damage(rng: random.Random, path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes([value]))

    return damage


def halve(rng: random.Random, path: Path) -> None:
    """Cut off the second half."""
    os.truncate(path, path.stat().st_size // 2)


def empty(rng: random.Random, path: Path) -> None:
    """Leave an empty file."""
    os.truncate(path, 0)


def from_the_future(rng: random.Random, path: Path) -> None:
    """Give it a version that is not known."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")


def second_version(rng: random.Random, path: Path) -> None:
    """Record another version beside the first one."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO alembic_version VALUES ('9999')")


def edit_schema(old: str, new: str) -> Damage:
    """Change texts of the schema, as a flipped bit does: the structure of the file stays right."""

    def damage(rng: random.Random, path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute("PRAGMA writable_schema = ON")
            edit = "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE instr(sql, ?)"
            assert db.execute(edit, (old, new, old)).rowcount

    return damage


def forget(what: str) -> Damage:
    """Drop a part of the schema."""

    def damage(rng: random.Random, path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute(f"DROP {what}")

    return damage


REFUSALS: dict[Damage, str] = {
    garbage: "no database at all; restore the latest good backup",
    halve: "damaged",
    empty: "state.db is missing or empty, but attempts beside it are not: restore",
    remove(""): "state.db is missing or empty, but attempts beside it are not: restore",
    write_byte(47, 5): "restore the latest good backup (unsupported file format)",
    from_the_future: "schema version 9999, which this backfilld does not know",
    second_version: "schema version 9999, v2_0002, which this backfilld does not know",
    edit_schema("address", "addrdss"): "the table audit has other columns",
    edit_schema("version_num", "vershon_num"): "restore the latest good backup (no such column: ",
    edit_schema("alembic_version", "alembic_persion"): "malformed database schema",
    edit_schema(
        "DEFAULT 'unknown'", "DEFAULT 'unknoun'"
    ): "table, index or trigger checks is not as it was made",
    edit_schema("INTEGER DEFAULT '0'", "INTEGER DEFAUDT '0'"): "is not as it was made); restore",
    edit_schema("'running'", "'runnine'"): "index or trigger attempts is not as it was made); restore",
    edit_schema(".n + ", ".n * "): "is not as it was made); restore the latest good backup",
    edit_schema("SET n =", "SET m ="): "restore the latest good backup (no such column: m)",
    forget("TABLE alembic_version"): "restore the latest good backup (table audit already exists)",
    forget("TABLE holds"): "the table holds has other columns); restore",
    forget("TRIGGER dates_recounted"): "dates_recounted is not as it was made); restore",
}
KINDS: dict[str, Damage] = {
    "one bit": flip(1),
    "20 bits": flip(20),
    "200 bits": flip(200),
    "truncated": truncate(),
    "a zeroed page": overwrite_page(lambda rng: bytes(PAGE)),
    "a page of noise": overwrite_page(lambda rng: rng.randbytes(PAGE)),
    "bits of the log": flip(20, "-wal"),
    "a truncated log": truncate("-wal"),
    "no log": remove("-wal"),
    "no log, no index of it": remove("-wal", "-shm"),
    "bits of the index of the log": flip(20, "-shm"),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with something of everything, and a log of changes that are not in the file yet."""
    folder = tmp_path_factory.mktemp("template")
    api = make_api(folder)
    api.enqueue("2021-10-18", "2021-10-24", note="first: größer")
    api.world.run()
    api.post("/v1/pause", {"reason": "a reason"})
    api.world.db.close()
    api.enqueue("2021-10-25", "2021-10-27", note="second")
    api.post("/v1/dates/2021-10-20/retry", {"force": True})
    copy = folder / "copy"
    copy.mkdir()
    for file in folder.glob("state.db*"):
        shutil.copy(file, copy)
    return copy


@pytest.fixture(scope="module")
def closed(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same database after an orderly stop: without a log, with a checksum."""
    folder = tmp_path_factory.mktemp("closed") / "state"
    shutil.copytree(template, folder)
    db = Database(f"sqlite:///{folder / 'state.db'}")
    db.open()
    db.close()
    db.record_checksum()
    assert not (folder / "state.db-wal").exists()
    return folder


def served(folder: Path) -> str:
    """Open the database as a daemon does, move dates, and read everything. Returns why it was refused."""
    db = Database(f"sqlite:///{folder / 'state.db'}")
    (folder / "attempts").mkdir(exist_ok=True)
    (folder / "attempts" / "1.log").touch()
    try:
        refuse_empty_database(db, folder)
        db.open(trusting_checksum=True)
    except DatabaseUnavailable as error:
        return str(error)
    finally:
        db.close()
    api = make_api(folder)
    try:
        _use(api)
    finally:
        api.world.db.close()
    return ""


def _use(api: Api) -> None:
    api.post("/v1/resume")
    api.world.run()
    for path in PATHS:
        assert api.client.get(path).status_code == 200, path


@pytest.mark.parametrize("number", range(DAMAGES))
def test_a_damaged_database_is_refused_with_a_remedy_or_served_whole(
    template: Path, tmp_path: Path, number: int
) -> None:
    rng = random.Random(number)
    folder = tmp_path / "state"
    shutil.copytree(template, folder)
    kind = list(KINDS)[number % len(KINDS)]
    KINDS[kind](rng, folder / "state.db")
    refusal = served(folder)
    if refusal:
        assert "restore the latest" in refusal or "start afresh" in refusal, (kind, refusal)


@pytest.mark.parametrize("number", range(DAMAGES))
def test_damage_after_an_orderly_stop_is_refused_as_without_a_checksum(
    closed: Path, tmp_path: Path, number: int
) -> None:
    kinds = [kind for name, kind in KINDS.items() if "log" not in name]
    refusals = []
    for name in ("with", "without"):
        folder = tmp_path / name
        shutil.copytree(closed, folder)
        kinds[number % len(kinds)](random.Random(number), folder / "state.db")
        if name == "without":
            (folder / "state.db.sha256").unlink()
        refusals.append(served(folder).replace(str(folder), ""))
    assert refusals[0] == refusals[1]


def test_only_a_file_with_its_checksum_and_without_a_log_is_not_checked_again(
    closed: Path, template: Path, tmp_path: Path
) -> None:
    file = tmp_path / "state.db"
    shutil.copy(closed / file.name, file)
    # Given damage that the checksum includes, as of a file that was damaged while a daemon ran
    forget("TRIGGER dates_recounted")(random.Random(0), file)
    db = Database(f"sqlite:///{file}")
    db.record_checksum()
    # Then only a start that does not trust the checksum sees it
    db.open(trusting_checksum=True)
    db.close()
    with pytest.raises(DatabaseUnavailable, match="dates_recounted is not as it was made"):
        db.open()
    db.close()
    # And so does every start once there is a log, or another file
    (tmp_path / "state.db-wal").touch()
    with pytest.raises(DatabaseUnavailable, match="dates_recounted is not as it was made"):
        db.open(trusting_checksum=True)
    db.close()
    with file.open("ab") as end:
        end.write(b"\0")
    with pytest.raises(DatabaseUnavailable, match="dates_recounted is not as it was made"):
        db.open(trusting_checksum=True)
    db.close()


@pytest.mark.parametrize(("damage", "refusal"), REFUSALS.items())
def test_an_unusable_database_is_refused_with_its_remedy(
    template: Path, tmp_path: Path, damage: Damage, refusal: str
) -> None:
    folder = tmp_path / "state"
    shutil.copytree(template, folder)
    damage(random.Random(0), folder / "state.db")
    assert refusal in served(folder)


@pytest.mark.parametrize("replace", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_in_the_place_of_the_checksum_keeps_no_daemon_from_starting_or_stopping(
    closed: Path, tmp_path: Path, replace: Callable[[str], None]
) -> None:
    folder = tmp_path / "state"
    shutil.copytree(closed, folder)
    checksum = folder / "state.db.sha256"
    checksum.unlink()
    replace(str(checksum))
    assert served(folder) == ""
    Database(f"sqlite:///{folder / 'state.db'}").record_checksum()
