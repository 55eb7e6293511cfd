"""A mistake in the options of a database's URL is a sentence. No server is asked for that."""

import contextlib
import re

import pytest
import sqlalchemy as sa

from backfilld.state.store.database import Database
from backfilld.state.store.errors import DatabaseUnavailable

URL = "postgresql://nba:secret@127.0.0.1:1/nba"


def read(url: str) -> None:
    with contextlib.closing(Database(url)) as database, database.read() as tx:
        tx.execute(sa.text("SELECT 1"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("sslmod=require", 'invalid connection option "sslmod"'),
        ("sslmode=requir", 'invalid sslmode value: "requir"'),
        ("keepalives=often", 'connection option "keepalives"|keepalives parameter must be an integer'),
        ("plugin=nothing", "nothing"),
    ],
)
def test_a_mistake_in_the_options_is_named_and_the_password_is_not(options: str, words: str) -> None:
    with pytest.raises(DatabaseUnavailable) as raised:
        read(f"{URL}?{options}")
    # In the words of whichever libpq is installed
    assert re.search(words, str(raised.value))
    assert "the URL" in str(raised.value)
    assert "secret" not in str(raised.value)
