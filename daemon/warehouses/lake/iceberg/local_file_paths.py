"""Where the files of an Iceberg table lie: its metadata has them by the location that its writer used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from backfilld.daemon.warehouses.adapter import QueryError

_LOCAL = re.compile(r"(?:file:(?://(?:localhost)?)?)?(/.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Locations:
    """The paths of a table's files: what lies below its location lies below its directory here."""

    directory: Path
    location: str

    def path(self, name: str) -> str:
        """The path of a file by its name in the metadata.

        Raises:
            QueryError: it lies in another place, such as a bucket.
        """
        location, local = _without_scheme(self.location).rstrip("/"), _without_scheme(name)
        if local.startswith(f"{location}/"):
            return str(self.directory / local.removeprefix(location).lstrip("/"))
        if local.startswith("/"):
            return local
        raise QueryError(f"its file {name} is not below the table's location {location}; move it there")


def _without_scheme(name: str) -> str:
    match = _LOCAL.fullmatch(name)
    return match[1] if match else name
