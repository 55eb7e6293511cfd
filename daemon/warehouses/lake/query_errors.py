"""Errors of queries over files: which file causes them, and what helps."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from backfilld.daemon.warehouses.adapter import CORRECT, QueryError
from backfilld.daemon.warehouses.lake import outside_links
from backfilld.daemon.warehouses.lake.table_scan import drifted_file
from backfilld.daemon.warehouses.sql.duckdb_session import QUERY_ERRORS
from backfilld.state.formatting import first_line

_REWRITE = "write the file again, or remove it"
READABLE = "let the daemon's user read it"
_OF_ANY_FILE = (
    duckdb.IOException,
    duckdb.InterruptException,
    duckdb.FatalException,
    duckdb.InternalException,
    duckdb.OutOfMemoryException,
)
"""Errors that are not caused by what is in a file."""
_NAMES_FILE = re.compile("file ['\"]|decompress", re.IGNORECASE)
"""What errors of a damaged file say. Functions of SQL raise the same class for values that they refuse."""
_DATE_AND_BIGINT = re.compile(r"[+-]\((?:DATE, BIGINT|BIGINT, DATE)\)")
"""DuckDB adds an INTEGER to a DATE. A whole number in BigQuery's SQL is a BIGINT."""
_REFUSED_FILE = re.compile('Cannot access file "(.+)"')
"""A file outside of the lake, in DuckDB's words."""


def query_error(error: Exception, root: Path) -> QueryError:
    """An error of DuckDB or of the file system as a QueryError, with the remedy where there is one."""
    if known := _outside_of_lake(error, root) or _no_directory(error):
        return QueryError(known, date_scoped=True, file_scoped=True, permanent=True)
    text, of_query = _shown(error), isinstance(error, QUERY_ERRORS)
    inaccessible = isinstance(error, PermissionError)
    if inaccessible or _is_unopened(error, "Permission denied"):
        remedy = READABLE
    elif of_query:
        remedy = CORRECT
    else:
        remedy = _REWRITE if _is_damage(error) and str(root) in text else ""
    return QueryError(
        f"{first_line(text)}; {remedy}" if remedy else text,
        inaccessible=inaccessible,
        date_scoped=True,
        file_scoped=not inaccessible and not of_query,
        permanent=bool(remedy),
    )


def _shown(error: Exception) -> str:
    """What an error says, or the remedy where DuckDB does not know it."""
    text = str(error)
    if isinstance(error, duckdb.BinderException) and (operation := _DATE_AND_BIGINT.search(text)):
        remedy = "DATE_ADD or DATE_SUB in BigQuery's SQL, CAST(n AS INTEGER) in DuckDB's"
        return f"there is no {operation[0]}; write {remedy}"
    return text


def _outside_of_lake(error: Exception, root: Path) -> str:
    """The file that DuckDB may not read, or the link by which it leaves the lake; else empty."""
    refused = _REFUSED_FILE.search(str(error)) if isinstance(error, duckdb.PermissionException) else None
    if refused is None:
        return ""
    if link := outside_links.outside_link(root, Path(refused[1])):
        return f"{link}; {outside_links.REMEDY}"
    outside = outside_links.outside_files(root, [refused[1]])
    return f"{outside[0]}; {outside_links.NAME_FILES_WITHIN}" if outside else ""


def _no_directory(error: Exception) -> str:
    """The file in the place of a directory, such as of a table or a date; else empty."""
    if not isinstance(error, NotADirectoryError) or not error.filename:
        return ""
    path = Path(error.filename)
    file = next((place for place in reversed([path, *path.parents]) if not place.is_dir()), path)
    return f"{file} is a file, not a directory; remove it"


@contextmanager
def named_files(tables: Sequence[Sequence[str]]) -> Iterator[None]:
    """Name the file that a query fails on, so that only its own date is unknown.

    `tables` are the files of each table of a query that reads one date column; none for a longer query.

    Raises:
        QueryError: one file has other columns than the others, or these files alone cause the error.
    """
    try:
        yield
    except _OF_ANY_FILE:
        raise
    except duckdb.Error as error:
        text, of_query = first_line(_shown(error)), isinstance(error, QUERY_ERRORS)
        files = [path for of_table in tables for path in of_table]
        if not files or any(path in text for path in files):
            raise
        if cause := _cause(tables, files, of_query=of_query):
            remedy = _REWRITE if _is_damage(error) else CORRECT
            text = f"{text} ({cause}); {remedy}"
            raise QueryError(text, date_scoped=True, file_scoped=not of_query, permanent=True) from error
        found = (drifted_file([*of_table]) for of_table in tables if of_table) if of_query else ()
        drifted = next(filter(None, found), None)
        if drifted is None:
            raise
        text = f"{text} ({drifted} has other columns than the other files); write that file again"
        raise QueryError(text, date_scoped=True, file_scoped=True, permanent=True) from error


def _cause(tables: Sequence[Sequence[str]], files: Sequence[str], *, of_query: bool) -> str:
    """The only file of each table; or where those lie whose bytes or values are the cause; else empty."""
    if all(len(of_table) == 1 for of_table in tables):
        # A processor's own file comes first, and was read for its rows before.
        return " or ".join(reversed(files))
    if not of_query:
        return f"one of {len(files)} files in {os.path.commonpath(files)}"
    return ""


def _is_damage(error: Exception) -> bool:
    """Whether a file is missing or is no whole Parquet file. Errors of metadata have no subclass."""
    if _is_unopened(error):
        return False
    if isinstance(error, duckdb.InvalidInputException):
        return bool(_NAMES_FILE.search(first_line(str(error))))
    return isinstance(error, duckdb.IOException) or type(error) is duckdb.Error


def _is_unopened(error: Exception, why: str = "") -> bool:
    """Whether the system refused to open a file, such as for want of descriptors."""
    text = first_line(str(error))
    return isinstance(error, duckdb.IOException) and "Cannot open file" in text and text.endswith(why)
