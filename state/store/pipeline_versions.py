"""By which pipeline file, and which version of the program, all dates were last looked at."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from backfilld.state.store.schema import pipeline_versions


def record(tx: Connection, fingerprint: str) -> bool:
    """Go by another file from now on; False when it is the one that dates go by already."""
    if tx.execute(select(pipeline_versions.c.fingerprint)).scalar() == fingerprint:
        return False
    tx.execute(delete(pipeline_versions))
    tx.execute(insert(pipeline_versions).values(fingerprint=fingerprint))
    return True
