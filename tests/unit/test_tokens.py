"""Tokens are random, kept as hashes, and a token file says plainly what is wrong with it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from backfilld.api.auth.request_rate_limit import BURST_SECONDS, MAX_CLIENTS, TokenBuckets
from backfilld.api.auth.sessions import LIFETIME_SECONDS, MAX_SESSIONS, Sessions
from backfilld.api.auth.token_redaction import SHAPE
from backfilld.api.auth.tokens import Scope, Token, Tokens, digest, mint
from backfilld.api.cli.main import cli
from backfilld.daemon.settings import SettingsError, settings

HEX = "0" * 64


def file_of(folder: Path, text: str) -> Path:
    path = folder / "tokens"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_token_is_256_random_bits_and_its_line_has_only_the_hash() -> None:
    made = [mint("ops", Scope.OPERATE) for _ in range(100)]
    assert len({token for token, _ in made}) == 100
    for token, line in made:
        assert SHAPE.fullmatch(token)
        assert line == f"ops operate sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def test_a_file_admits_its_tokens_and_nothing_else(tmp_path: Path) -> None:
    # Given a file with comments and two tokens of one name, as while one is rotated
    (old, first), (new, second) = mint("ops", Scope.OPERATE), mint("ops", Scope.OPERATE)
    tokens = Tokens(file_of(tmp_path, f"# who may come in\n\n{first}  # until Friday\n  {second}\n"))
    # Then both are admitted
    assert tokens.find(old) == Token("ops", Scope.OPERATE, digest(old))
    assert tokens.find(new) == Token("ops", Scope.OPERATE, digest(new))
    # And nothing that only resembles them
    stranger, _ = mint("ops", Scope.OPERATE)
    for text in ("", old[:-1], old + "=", old.swapcase(), f" {old}", digest(old).hex(), stranger):
        assert tokens.find(text) is None


def test_a_weak_token_stays_outside_although_its_hash_is_in_the_file(tmp_path: Path) -> None:
    # Because SHA-256 keeps only random tokens safe
    tokens = Tokens(file_of(tmp_path, f"ops operate sha256:{digest('hunter2').hex()}"))
    assert tokens.find("hunter2") is None


def test_a_change_of_the_file_counts_at_once(tmp_path: Path) -> None:
    (token, line), (_, other) = mint("ops", Scope.OPERATE), mint("grafana", Scope.READ)
    path = file_of(tmp_path, line)
    tokens = Tokens(path)
    path.write_text(other)
    assert tokens.find(token) is None
    path.write_text(f"{other}\n{line.replace('operate', 'read')}")
    assert tokens.find(token) == Token("ops", Scope.READ, digest(token))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no token; backfilld token new NAME makes one"),
        ("# nobody yet\n", "has no token"),
        (f"ok read sha256:{HEX}\nops write sha256:{HEX}", "line 2 .* a scope of read or operate"),
        ("ops operate bfd_plain", "line 1 .* is not NAME SCOPE sha256:HEX"),
        (f"two words read sha256:{HEX}", "line 1"),
        (f"{'x' * 81} read sha256:{HEX}", "line 1 .* up to 80 letters"),
        (f"ops read sha256:{HEX[1:]}", "line 1"),
        (f"engine operate sha256:{HEX}", "line 1 .* the name engine, which is reserved"),
        (f"anonymous read sha256:{HEX}", "the name anonymous"),
        (f"a read sha256:{HEX}\nb read sha256:{HEX}", "line 2 .* an earlier line has; delete one"),
    ],
)
def test_a_file_that_is_not_right_is_told_with_line_and_remedy(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as told:
        Tokens(file_of(tmp_path, text))
    assert "bfd_plain" not in str(told.value)


def test_a_file_that_is_missing_or_that_others_may_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read: .*No such file"):
        Tokens(tmp_path / "nowhere")
    path = file_of(tmp_path, mint("ops", Scope.READ)[1])
    path.chmod(0o620)
    with pytest.raises(SettingsError, match=r"others may write the token file .*; run chmod go-w"):
        Tokens(path)


@pytest.mark.parametrize("name", ["", "two words", "engine", "x" * 81, "a\nb operate"])
def test_a_name_that_no_file_can_hold_is_refused_before_the_token_is_shown(name: str) -> None:
    with pytest.raises(SettingsError, match="the name"):
        mint(name, Scope.READ)


def test_who_may_operate_may_read_and_not_the_other_way_round() -> None:
    assert [a.covers(b) for a in Scope for b in Scope] == [True, False, True, True]


def test_the_command_shows_the_token_on_the_screen_and_its_line_as_output(tmp_path: Path) -> None:
    # When somebody runs: backfilld token new ops --scope operate >> tokens
    done = CliRunner().invoke(cli, ["token", "new", "ops", "--scope", "operate"])
    # Then the file has the line alone, and admits the token that was shown
    path = file_of(tmp_path, done.stdout)
    shown = SHAPE.findall(done.stderr)
    assert SHAPE.search(done.stdout) is None
    assert Tokens(path).find(shown[0]) == Token("ops", Scope.OPERATE, digest(shown[0]))


def test_the_command_in_json_has_both() -> None:
    told = json.loads(CliRunner().invoke(cli, ["token", "new", "grafana", "--json"]).stdout)
    assert told["line"] == f"grafana read sha256:{digest(told['token']).hex()}"


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def test_a_session_leads_to_its_token_until_it_ends_or_is_ended() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    token = Token("ana", Scope.OPERATE, digest("t"))
    first, second = sessions.begin(token), sessions.begin(token)
    assert sessions.find(first) == sessions.find(second) == token.digest
    sessions.end(first)
    assert (sessions.find(first), sessions.find(second)) == (None, token.digest)
    clock.at += LIFETIME_SECONDS
    assert sessions.find(second) is None
    assert sessions.find("") is None


def test_the_oldest_session_ends_when_there_are_too_many() -> None:
    sessions = Sessions()
    token = Token("ana", Scope.READ, digest("t"))
    begun = [sessions.begin(token) for _ in range(MAX_SESSIONS + 1)]
    assert [sessions.find(text) is None for text in begun[:2]] == [True, False]


def test_a_client_may_burst_and_then_goes_at_the_rate() -> None:
    clock = Clock()
    buckets = TokenBuckets(2, clock)
    # Given a client that has spent its burst
    assert [buckets.take("ana") for _ in range(int(2 * BURST_SECONDS))] == [0.0] * 20
    # Then it waits for the next, and others do not
    assert buckets.take("ana") == 0.5
    assert buckets.take("bea") == 0.0
    clock.at += 0.5
    assert (buckets.take("ana"), buckets.take("ana")) == (0.0, 0.5)
    # And a long silence saves up no more than a burst
    clock.at += 3600
    assert [buckets.take("ana") for _ in range(21)] == [0.0] * 20 + [0.5]


def test_no_number_of_clients_fills_the_memory() -> None:
    buckets = TokenBuckets(1)
    for number in range(MAX_CLIENTS + 100):
        buckets.take(number)
    assert len(buckets._buckets) == MAX_CLIENTS


def chosen(**environment: str) -> Path | None:
    needed = {"BACKFILLD_PIPELINE": "p.toml", "BACKFILLD_STATE_DIR": "state"}
    return settings(environment={**needed, **environment}).tokens


def test_the_token_file_is_named_or_is_the_systemd_credential(tmp_path: Path) -> None:
    assert chosen() is None
    assert chosen(BACKFILLD_TOKENS="/etc/backfilld/tokens") == Path("/etc/backfilld/tokens")
    assert chosen(CREDENTIALS_DIRECTORY=str(tmp_path)) is None
    (tmp_path / "tokens").touch()
    assert chosen(CREDENTIALS_DIRECTORY=str(tmp_path)) == tmp_path / "tokens"
    assert chosen(CREDENTIALS_DIRECTORY=str(tmp_path), BACKFILLD_TOKENS="/mine") == Path("/mine")


@pytest.mark.parametrize("rate", ["0", "-1", "fast", "1.5"])
def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    with pytest.raises(SettingsError, match=r"BACKFILLD_RATE .* write it like 100"):
        chosen(BACKFILLD_RATE=rate)
