"""DuckDB for a test's own statements: to open a database takes longer than most of them."""

import functools
import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

_numbers = itertools.count()


@contextmanager
def scratch() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to an empty database in memory, which is gone afterwards."""
    name = f"scratch_{next(_numbers)}"
    with _instance().cursor() as connection:
        connection.execute(f"ATTACH ':memory:' AS {name}; USE {name}")
        try:
            yield connection
        finally:
            connection.execute(f"USE memory; DETACH {name}")


@functools.cache
def _instance() -> duckdb.DuckDBPyConnection:
    # A file that a test replaced must not be answered from its predecessor's pages.
    return duckdb.connect(config={"enable_external_file_cache": False})
