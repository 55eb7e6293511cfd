"""Settings of one daemon: from options and `BACKFILLD_*` variables, loud about what it does not know."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_LISTEN = "127.0.0.1:8484"

VARIABLES: Mapping[str, str] = {
    "BACKFILLD_PIPELINE": "the pipeline file",
    "BACKFILLD_STATE_DIR": "the directory of the state database and the logs",
    "BACKFILLD_LISTEN": "HOST:PORT of the API",
    "BACKFILLD_URL": "where clients find the API",
    "BACKFILLD_TOKEN": "the bearer token of clients",
}
"""Every variable that backfilld reads. The jobs' own three are not settings."""

_FOR_JOBS = {"BACKFILLD_DATE", "BACKFILLD_DATES", "BACKFILLD_PROCESSOR", "BACKFILLD_ATTEMPT"}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the daemon finds and keeps things, and where it listens."""

    pipeline: Path
    state_dir: Path
    host: str
    port: int

    @property
    def database_url(self) -> str:
        """The state database."""
        return f"sqlite:///{self.state_dir / 'state.db'}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the API."""
        return self.host in _LOOPBACK


def settings(
    *,
    pipeline: str | None = None,
    state_dir: str | None = None,
    listen: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Settings from options, which win, and the environment.

    Raises:
        SettingsError: a required one is missing, one is malformed, or a variable is unknown.
    """
    _refuse_unknown(environment)
    pipeline = pipeline or environment.get("BACKFILLD_PIPELINE")
    state_dir = state_dir or environment.get("BACKFILLD_STATE_DIR")
    if not pipeline:
        raise SettingsError("no pipeline file: give --pipeline FILE or set BACKFILLD_PIPELINE")
    if not state_dir:
        raise SettingsError("no state directory: give --state-dir DIR or set BACKFILLD_STATE_DIR")
    host, port = _address(listen or environment.get("BACKFILLD_LISTEN") or DEFAULT_LISTEN)
    return Settings(pipeline=Path(pipeline), state_dir=Path(state_dir).absolute(), host=host, port=port)


def prepare(directory: Path) -> None:
    """Make the state directory, for its owner alone.

    Raises:
        SettingsError: it cannot be made or written.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"the state directory {directory} cannot be made: {error.strerror}") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise SettingsError(f"the state directory {directory} cannot be written; check its owner and rights")


def _address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    host = host.strip("[]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise SettingsError(f"--listen {listen!r} is not HOST:PORT; write it like {DEFAULT_LISTEN}")
    return host, int(port)


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    for name in environment:
        if name.startswith("BACKFILLD_") and name not in VARIABLES and name not in _FOR_JOBS:
            nearest = difflib.get_close_matches(name, VARIABLES, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(VARIABLES)}"
            raise SettingsError(f"unknown variable {name}; {hint}")
