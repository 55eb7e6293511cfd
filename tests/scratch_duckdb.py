"""DuckDB for a test's own statements: to start one takes longer than most of them."""

import functools
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

_numbers = itertools.count()


@contextmanager
def scratch(file: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a file under its own name, or to an empty database in memory; closed afterwards."""
    name = file.stem if file else f"scratch_{next(_numbers)}"
    with _instance().cursor() as connection:
        connection.execute(f"ATTACH '{file or ':memory:'}' AS {name}; USE {name}")
        try:
            yield connection
        finally:
            connection.execute(f"USE memory; DETACH {name}")


@functools.cache
def _instance() -> duckdb.DuckDBPyConnection:
    # A file that a test replaced must not be answered from its predecessor's pages.
    return duckdb.connect(config={"enable_external_file_cache": False})
