"""Which metadata file of an Iceberg table is current, by the names in its directory alone.

A catalog knows that; a directory shows it by the number in the names, `v3.metadata.json` or
`00003-<uuid>.metadata.json`, and by `version-hint.text`. Where these leave it open, the table is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from backfilld.daemon.warehouses.adapter import QueryError

_METADATA = re.compile(r"(?:v(\d+)|(\d+)-.+|.+?)(?:\.gz)?\.metadata\.json(?:\.gz)?")
HINT = "version-hint.text"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataFile:
    """A metadata file of a table."""

    path: str
    number: int
    """The version in its name; -1 for a name without one."""
    status: tuple[int, int, int]
    """Time of change in nanoseconds, size in bytes and inode: another file of this name has others."""

    @property
    def name(self) -> str:
        """The name without the directory."""
        return os.path.basename(self.path)


def is_iceberg(directory: Path) -> bool:
    """Whether a directory is an Iceberg table.

    Raises:
        OSError: it cannot be read.
    """
    try:
        names = os.listdir(directory / "metadata")
    except (FileNotFoundError, NotADirectoryError):
        return False
    # Without metadata files, what the others say that are left, its data files are no plain files either.
    return any(name == HINT or name.endswith(".avro") or _METADATA.fullmatch(name) for name in names)


def current(directory: Path) -> tuple[MetadataFile, Sequence[MetadataFile]]:
    """The metadata file with the highest number, and those of lower numbers that were written after it.

    The latter are of no commit of the table, unless it was made anew in this directory or moved back.

    Raises:
        QueryError: there is none, two have the highest number, or the one of
            `version-hint.text` is missing.
        OSError: the directory cannot be read.
    """
    files = sorted(_files(directory), key=lambda file: (file.number, file.name))
    if not files:
        raise QueryError(f"there is no metadata file in {directory / 'metadata'}; restore it", permanent=True)
    newest = [file for file in files if file.number == files[-1].number]
    hint = _hint(directory)
    if hint.isdigit() and int(hint) > newest[0].number:
        raise QueryError(
            f"{HINT} names version {hint}, whose metadata is missing in {directory / 'metadata'}; restore it",
            permanent=True,
        )
    if len(newest) > 1 or (newest[0].number < 0 and len(files) > 1):
        names = (hint, f"{hint}.metadata.json", f"v{hint}.metadata.json")
        newest = [file for file in newest if file.name in names]
    if len(newest) != 1:
        unclear = " or ".join(file.name for file in files if file.number == files[-1].number)
        raise QueryError(
            f"it is unclear whether {unclear} is current in {directory / 'metadata'}; remove the one that the"
            f" catalog does not name, or write the name of the current one into {HINT}",
            permanent=True,
        )
    later = [
        file for file in files if file.number < newest[0].number and file.status[0] > newest[0].status[0]
    ]
    return newest[0], later


def _files(directory: Path) -> Iterator[MetadataFile]:
    with os.scandir(directory / "metadata") as entries:
        for entry in entries:
            if match := _METADATA.fullmatch(entry.name):
                number, status = match[1] or match[2] or "-1", entry.stat()
                yield MetadataFile(
                    path=entry.path,
                    number=int(number),
                    status=(status.st_mtime_ns, status.st_size, status.st_ino),
                )


def _hint(directory: Path) -> str:
    try:
        return (directory / "metadata" / HINT).read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""
