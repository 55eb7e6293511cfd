"""Bearer tokens: made once, kept as hashes in a file of lines `NAME SCOPE sha256:HEX`.

A token is 256 random bits, so plain SHA-256 keeps it safe at rest: there is no dictionary to try, which is
all that a slow hash would defend against. Text that is not such a token is refused before it is compared.
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

from backfilld.daemon.engine.context import ACTOR
from backfilld.daemon.settings import SettingsError

ANONYMOUS = "anonymous"
"""Who a change is recorded under while there are no tokens."""
SHAPE = re.compile(r"bfd_[A-Za-z0-9_-]{43}")
"""How a token looks: a mark that scanners for leaked secrets can find, and 256 bits."""
_NAME = r"[A-Za-z0-9._-]{1,80}"
_LINE = re.compile(rf"(?P<name>{_NAME})\s+(?P<scope>read|operate)\s+sha256:(?P<hex>[0-9a-f]{{64}})")
_RESERVED = (ACTOR, ANONYMOUS)
_OTHERS_WRITE = 0o022


class Scope(StrEnum):
    """What a token may do; who may operate may read."""

    READ = "read"
    OPERATE = "operate"

    def covers(self, needed: Scope) -> bool:
        """Whether it is enough for what needs `needed`."""
        return self is Scope.OPERATE or needed is Scope.READ


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the file knows it."""

    name: str
    scope: Scope
    digest: bytes


def mint(name: str, scope: Scope) -> tuple[str, str]:
    """A new token, and the line that admits it.

    Raises:
        SettingsError: the name cannot be one.
    """
    if not re.fullmatch(_NAME, name):
        raise SettingsError("the name of a token has 1 to 80 letters, digits, '.', '_' or '-'")
    token = f"bfd_{secrets.token_urlsafe(32)}"
    line = f"{name} {scope} sha256:{digest(token).hex()}"
    _parse(line, "the new line")
    return token, line


def digest(token: str) -> bytes:
    """What is kept of a token, or of a session's id."""
    return hashlib.sha256(token.encode()).digest()


def redacted(text: str) -> str:
    """The text without any token that got into it, as when a client puts one into a path."""
    return SHAPE.sub("bfd_...", text)


class Tokens:
    """The tokens of a file, which is read for every request: it is small, and a change counts at once.

    A file that cannot be used admits nobody, so that a slip while revoking a token leaves no door open.
    """

    def __init__(self, path: Path) -> None:
        """Look at the file.

        Raises:
            SettingsError: it cannot be used.
        """
        self._path = path
        _read(path)

    def find(self, text: str) -> Token | None:
        """The token that `text` is. Every known one is compared, in constant time.

        Raises:
            SettingsError: the file cannot be used.
        """
        return self.by_digest(digest(text)) if SHAPE.fullmatch(text) else None

    def by_digest(self, given: bytes) -> Token | None:
        """The token with this digest, while the file has it.

        Raises:
            SettingsError: the file cannot be used.
        """
        found = None
        for token in _read(self._path):
            if hmac.compare_digest(token.digest, given):
                found = token
        return found


def _read(path: Path) -> tuple[Token, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        remedy = "correct --tokens, or make one with backfilld token new NAME"
        raise SettingsError(f"the token file {path} cannot be read: {error}; {remedy}") from error
    if mode & _OTHERS_WRITE:
        raise SettingsError(f"others may write the token file {path}; run chmod go-w {path}")
    found = tuple(_tokens(lines, path))
    if not found:
        raise SettingsError(f"the token file {path} has no token; backfilld token new NAME makes one")
    return found


def _tokens(lines: list[str], path: Path) -> Iterator[Token]:
    seen: set[bytes] = set()
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        where = f"line {number} of the token file {path}"
        token = _parse(text, where)
        if token.digest in seen:
            raise SettingsError(f"{where} has a token that an earlier line has; delete one of them")
        seen.add(token.digest)
        yield token


def _parse(line: str, where: str) -> Token:
    match = _LINE.fullmatch(line)
    if match is None:
        # The line is not shown: somebody may have put the token itself there.
        raise SettingsError(
            f"{where} is not NAME SCOPE sha256:HEX, with a name of up to 80 letters, digits, '.', '_' or '-'"
            f" and a scope of {' or '.join(Scope)}; backfilld token new NAME prints such a line"
        )
    if match["name"] in _RESERVED:
        raise SettingsError(
            f"{where} has the name {match['name']}, which history uses for others; choose another"
        )
    return Token(match["name"], Scope(match["scope"]), bytes.fromhex(match["hex"]))
