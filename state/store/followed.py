"""By which pipeline file, and which version of the program, all dates were last looked at."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from state.tables import followed


def follow(tx: Connection, fingerprint: str) -> bool:
    """Go by another file from now on; False when it is the one that dates go by already."""
    if tx.execute(select(followed.c.fingerprint)).scalar() == fingerprint:
        return False
    tx.execute(delete(followed))
    tx.execute(insert(followed).values(fingerprint=fingerprint))
    return True
