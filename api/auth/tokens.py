"""Bearer tokens: shown once, stored as hashes in a file of lines `NAME SCOPE sha256:HEX`.

A token has 256 random bits, so plain SHA-256 is safe at rest: slow hashes only defend against dictionary
attacks. Text that does not have the shape of a token is rejected before it is compared.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from backfilld.api.auth.token_redaction import SHAPE
from backfilld.daemon.engine.context import ACTOR
from backfilld.daemon.settings import SettingsError

ANONYMOUS = "anonymous"
"""Actor of changes while the daemon has no tokens."""
_NAME = r"[A-Za-z0-9._-]{1,80}"
_LINE = re.compile(rf"(?P<name>{_NAME})\s+(?P<scope>read|operate)\s+sha256:(?P<hex>[0-9a-f]{{64}})")
_RESERVED = (ACTOR, ANONYMOUS)
_OTHERS_WRITE = 0o022


class Scope(StrEnum):
    """What a token allows; `operate` includes `read`."""

    READ = "read"
    """Every route that changes nothing."""
    OPERATE = "operate"
    """These, and every change."""

    def covers(self, needed: Scope) -> bool:
        """Whether this scope allows what needs `needed`."""
        return self is Scope.OPERATE or needed is Scope.READ


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the file, without its secret."""

    name: str
    scope: Scope
    digest: bytes


def mint(name: str, scope: Scope) -> tuple[str, str]:
    """Make a new token. Returns the token and its line for the token file.

    Raises:
        SettingsError: the name is not a valid token name.
    """
    if not re.fullmatch(_NAME, name):
        raise SettingsError("the name of a token has 1 to 80 letters, digits, '.', '_' or '-'")
    token = f"bfd_{secrets.token_urlsafe(32)}"
    line = f"{name} {scope} sha256:{digest(token).hex()}"
    _parse(line, "the new line")
    return token, line


def digest(token: str) -> bytes:
    """The SHA-256 hash of a token or a session id."""
    return hashlib.sha256(token.encode()).digest()


class Tokens:
    """The tokens of a file. It is small and read for every request, so that a change takes effect at once.

    An unusable file admits no client: a mistake while revoking a token must not leave access open.
    """

    def __init__(self, path: Path) -> None:
        """Check the file.

        Raises:
            SettingsError: the file cannot be used.
        """
        self._path = path
        _read(path)

    def find(self, text: str) -> Token | None:
        """The token with the secret `text`; None if unknown. All tokens are compared, in constant time.

        Raises:
            SettingsError: the file cannot be used.
        """
        return self.by_digest(digest(text)) if SHAPE.fullmatch(text) else None

    def by_digest(self, wanted: bytes) -> Token | None:
        """The token with this digest; None if the file does not have it.

        Raises:
            SettingsError: the file cannot be used.
        """
        match = None
        for token in _read(self._path):
            if hmac.compare_digest(token.digest, wanted):
                match = token
        return match


def _read(path: Path) -> tuple[Token, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        remedy = "correct --tokens, or make one with backfilld token new NAME"
        raise SettingsError(f"the token file {path} cannot be read: {error}; {remedy}") from error
    if mode & _OTHERS_WRITE:
        raise SettingsError(f"others may write the token file {path}; run chmod go-w {path}")
    tokens = tuple(_tokens(lines, path))
    if not tokens:
        raise SettingsError(f"the token file {path} has no token; backfilld token new NAME makes one")
    return tokens


def _tokens(lines: list[str], path: Path) -> Iterator[Token]:
    digests: set[bytes] = set()
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        where = f"line {number} of the token file {path}"
        token = _parse(text, where)
        if token.digest in digests:
            raise SettingsError(f"{where} has a token that an earlier line has; delete one of them")
        digests.add(token.digest)
        yield token


def _parse(line: str, where: str) -> Token:
    match = _LINE.fullmatch(line)
    if match is None:
        # The line is not shown: it may contain the token itself.
        raise SettingsError(
            f"{where} is not NAME SCOPE sha256:HEX, with a name of up to 80 letters, digits, '.', '_' or '-'"
            f" and a scope of {' or '.join(Scope)}; backfilld token new NAME prints such a line"
        )
    if match["name"] in _RESERVED:
        raise SettingsError(f"{where} has the name {match['name']}, which is reserved; choose another")
    return Token(match["name"], Scope(match["scope"]), bytes.fromhex(match["hex"]))
