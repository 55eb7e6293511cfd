"""By which pipeline file, and which version of the program, all dates were last looked at."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from backfilld.state.base_errors import UserError
from backfilld.state.store.schema import pipeline_versions
from backfilld.state.store.sql_helpers import execute, fetch_one

_RECORDED = select(pipeline_versions.c.fingerprint)
_FORGET = delete(pipeline_versions)
_RECORD = insert(pipeline_versions)


class OtherPipeline(UserError):
    """The state database belongs to another pipeline; the message names both and the remedy."""


def record(tx: Connection, name: str, version: str, fingerprint: str) -> bool:
    """Go by another file from now on; False when it is the one that dates go by already."""
    text = f"{name} {version} {fingerprint}"
    if _recorded(tx) == text:
        return False
    execute(tx, _FORGET, [{}])
    execute(tx, _RECORD, [{"fingerprint": text}])
    return True


def _recorded(tx: Connection) -> str:
    """What was recorded last; empty before the first start."""
    row = fetch_one(tx, _RECORDED)
    return row.fingerprint if row else ""


def owner(tx: Connection) -> str:
    """The name of the pipeline whose state this is; empty before its first start."""
    name, *others = _recorded(tx).split(" ")
    return name if len(others) == 2 else ""


def refuse_other(tx: Connection, name: str, where: str) -> None:
    """Refuse the state of another pipeline, whose dates would be run by the wrong processors.

    Raises:
        OtherPipeline: the database `where` is not that of the pipeline with this name.
    """
    known = owner(tx)
    if known and known != name:
        raise OtherPipeline(
            f"{where} has the state of the pipeline '{known}', and this pipeline file is of '{name}':"
            f' give each pipeline a database of its own, or write name = "{known}" if it is the same one'
        )
