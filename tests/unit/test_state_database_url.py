"""A mistake in the URL of the state database is a sentence at the start. No server is asked for that."""

import re

import pytest

from backfilld.daemon.settings import SettingsError, settings, state_database

SERVER = "postgresql://nba:secret@127.0.0.1:1/nba"


def chosen(url: str) -> str:
    return settings(pipeline="p.toml", state_dir="s", environment={"BACKFILLD_DATABASE": url}).database_url


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("sslmod=require", "'sslmod' is not an option of such a URL; did you mean 'sslmode'?"),
        ("plugin=nothing", "'plugin' is not an option of such a URL; known are "),
        ("sslmode=requir", "sslmode 'requir' cannot be used; did you mean 'require'?"),
        ("sslmode=on", "sslmode 'on' cannot be used; known are disable, allow, prefer, require, verify-ca"),
        ("sslmode=require&sslmode=disable", "sslmode is given twice; give it once"),
        ("sslmode=", "sslmode is empty; give it a value, or leave it out"),
        ("channel_binding=yes", "channel_binding 'yes' cannot be used; known are disable, prefer, require"),
        ("target_session_attrs=read-writ", "target_session_attrs 'read-writ' cannot be used; did you mean"),
        ("target_session_attrs=standby", "target_session_attrs 'standby' cannot be used; known are any, "),
        ("connect_timeout=abc", "connect_timeout 'abc' is not a whole number from 1 to 3600"),
        ("connect_timeout=-3", "connect_timeout '-3' is not a whole number from 1 to 3600"),
        ("connect_timeout=0", "connect_timeout '0' is not a whole number from 1 to 3600"),
        ("keepalives_idle=often", "keepalives_idle 'often' is not a whole number"),
        ("port=70000", "port '70000' is not a whole number from 1 to 65535"),
        ("host=", "host is empty; give it a value, or leave it out"),
    ],
)
def test_an_option_that_libpq_could_not_use_is_refused_by_name(options, sentence):
    with pytest.raises(SettingsError, match=re.escape(f"BACKFILLD_DATABASE: {sentence}")) as told:
        chosen(f"{SERVER}?{options}")
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://nba:secret@db:99999/nba", "port '99999' is not a whole number from 1 to 65535"),
        ("postgresql://nba:secret@db:0/nba", "port '0' is not a whole number"),
        ("postgresql://nba:secret@db:54b/nba", "it is not a URL of PostgreSQL"),
        ("postgresql://nba:secret@:5432/nba", "it has a port and no host; write it like postgresql://USER@"),
        ("postgresql://nba:secret@db", "it names no database; write it like postgresql://USER@HOST/NAME"),
        ("postgresql://", "it names no database"),
    ],
)
def test_a_part_that_is_missing_or_out_of_range_is_refused_by_name(url, sentence):
    with pytest.raises(SettingsError, match=re.escape(f"BACKFILLD_DATABASE: {sentence}")) as told:
        chosen(url)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    "url",
    [
        f"{SERVER}?sslmode=verify-full&sslrootcert=/etc/ssl/ca.pem&connect_timeout=3&target_session_attrs=primary",
        "postgresql://nba@one,two/nba?port=5432,5433",
        "postgresql://nba@/nba?host=one:5432&host=two:5433",
        "postgresql:///nba?host=/run/postgresql&port=5433",
        "postgresql:///?service=nba",
        "postgresql://[::1]:5432/nba?application_name=night&options=-c%20work_mem%3D8MB",
    ],
)
def test_whatever_libpq_can_use_is_taken_as_it_is(url):
    assert chosen(url) == url


def test_commands_without_a_daemon_refuse_the_same():
    with pytest.raises(SettingsError, match="did you mean 'require'"):
        state_database("s", {"BACKFILLD_DATABASE": f"{SERVER}?sslmode=requir"})


def test_a_credential_is_named_as_the_source(tmp_path):
    (tmp_path / "database").write_text(f"{SERVER}?sslmode=requir\n")
    with pytest.raises(SettingsError, match="the credential `database`: sslmode 'requir'"):
        state_database("s", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
