"""Settings of one daemon, from options and `BACKFILLD_*` variables. Unknown variables are refused."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backfilld.daemon import database_url
from backfilld.state.base_errors import UserError
from backfilld.state.pipeline.durations import parse_duration
from backfilld.state.spelling_suggestions import did_you_mean

DEFAULT_LISTEN = "127.0.0.1:8484"
DEFAULT_BACKUP_EVERY = "24h"

VARIABLES: Mapping[str, str] = {
    "BACKFILLD_PIPELINE": "the pipeline file",
    "BACKFILLD_STATE_DIR": "the directory of the state database and the logs",
    "BACKFILLD_DATABASE": "the URL of a PostgreSQL database instead of the file there, a secret",
    "BACKFILLD_LISTEN": "HOST:PORT of the API",
    "BACKFILLD_TOKENS": "the file of tokens that the API accepts",
    "BACKFILLD_ALLOWED_HOSTS": "further host names of the API, with commas between them",
    "BACKFILLD_RATE": "requests per second that each client of the API may make",
    "BACKFILLD_BACKUP_EVERY": "the interval between backups, such as 24h; 0 for none",
    "BACKFILLD_BACKUP_KEEP": "how many backups are kept",
    "BACKFILLD_WEBHOOK": "the URL that receives messages about backfills, a secret",
    "BACKFILLD_URL": "where clients find the API",
    "BACKFILLD_TOKEN": "the bearer token of clients",
}
"""Every variable that backfilld reads. The five that jobs receive are not settings."""

_PREFIX = "BACKFILLD_"
_FOR_JOBS = {
    "BACKFILLD_DATE",
    "BACKFILLD_DATES",
    "BACKFILLD_PROCESSOR",
    "BACKFILLD_ATTEMPT",
    "BACKFILLD_RUN",
}
_TOKENS, _WEBHOOK, _DATABASE = "tokens", "webhook", "database"
"""The systemd credentials that hold the file of tokens, and the URLs of webhook and database."""
DATABASE = "state.db"
"""The state database in the state directory."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class SettingsError(UserError):
    """A setting is missing or wrong; the message names it and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Paths, database, address and limits of one daemon."""

    pipeline: Path
    state_dir: Path
    host: str
    port: int
    database: str = field(default="", repr=False)
    """The URL of a PostgreSQL database, which may contain a password; empty for the SQLite file."""
    tokens: Path | None = None
    """The file of tokens. Without one, the API is open to every user of this host and to no other host."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that requests may use, besides the address and localhost."""
    rate: float = 100.0
    """Requests per second that each client may make, with bursts of ten times as many."""

    backup_every: float = float(str(parse_duration(DEFAULT_BACKUP_EVERY)))
    """Seconds between backups of the state database; 0 for none."""
    backup_keep: int = 7
    """How many backups are kept."""
    webhook: str = field(default="", repr=False)
    """The URL that receives messages about backfills. It is a secret: whoever knows it can post there."""

    @property
    def database_url(self) -> str:
        """The URL of the state database."""
        return self.database or _file_url(self.state_dir)

    @property
    def listen(self) -> str:
        """HOST:PORT of the API. Port 0 means any free port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this host can reach the API."""
        return self.host in _LOOPBACK


def settings(
    *,
    pipeline: str | None = None,
    state_dir: str | None = None,
    listen: str | None = None,
    tokens: str | None = None,
    allowed_hosts: Sequence[str] = (),
    backup_every: str | None = None,
    backup_keep: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Settings from options, which win, and the environment.

    Raises:
        SettingsError: a required one is missing, one is malformed, or a variable is unknown.
    """
    _refuse_unknown(environment)
    pipeline = pipeline or environment.get("BACKFILLD_PIPELINE")
    if not pipeline:
        raise SettingsError("no pipeline file: give --pipeline FILE or set BACKFILLD_PIPELINE")
    host, port = _address(*_option_or_variable(listen, "listen", environment, DEFAULT_LISTEN))
    hosts = allowed_hosts or environment.get("BACKFILLD_ALLOWED_HOSTS", "").split(",")
    return Settings(
        pipeline=Path(pipeline),
        state_dir=_state_dir(state_dir, environment),
        database=_postgresql_url(environment),
        host=host,
        port=port,
        tokens=_token_file(tokens, environment),
        allowed_hosts=tuple(name.strip().lower() for name in hosts if name.strip()),
        rate=_rate(environment.get("BACKFILLD_RATE") or "100"),
        backup_every=_backup_interval(
            *_option_or_variable(backup_every, "backup-every", environment, DEFAULT_BACKUP_EVERY)
        ),
        backup_keep=_backup_count(*_option_or_variable(backup_keep, "backup-keep", environment, "7")),
        webhook=_webhook(environment),
    )


def state_database(state_dir: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """The URL of the state database, for commands that need no other setting.

    Raises:
        SettingsError: no state directory is given, or the URL is malformed.
    """
    return _postgresql_url(environment) or _file_url(_state_dir(state_dir, environment))


def prepare(directory: Path, *, with_file: bool = True) -> None:
    """Create the state directory and, for SQLite, the database file, accessible to their owner only.

    Raises:
        SettingsError: they cannot be created, written or protected.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = f"{error.strerror}; choose another --state-dir"
        raise SettingsError(f"the state directory {directory} cannot be created: {reason}") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise SettingsError(f"the state directory {directory} cannot be written; check its owner and rights")
    try:
        # SQLite would create it readable for all. Its journal files inherit these permissions.
        if with_file:
            (directory / DATABASE).touch(mode=0o600)
        for path, mode in ((directory, 0o700), (directory / DATABASE, 0o600)):
            if path.exists() and path.stat().st_mode & 0o077:
                path.chmod(mode)
    except OSError as error:
        raise SettingsError(
            f"{error.filename} cannot be kept from others: {error.strerror}; check its owner and rights"
        ) from error


def _state_dir(option: str | None, environment: Mapping[str, str]) -> Path:
    path = option or environment.get("BACKFILLD_STATE_DIR")
    if not path:
        raise SettingsError("no state directory: give --state-dir DIR or set BACKFILLD_STATE_DIR")
    return Path(path).absolute()


def _file_url(state_dir: Path) -> str:
    return f"sqlite:///{state_dir / DATABASE}"


def _postgresql_url(environment: Mapping[str, str]) -> str:
    """The URL of a PostgreSQL database; empty without one."""
    url, source = _secret("BACKFILLD_DATABASE", _DATABASE, environment)
    if url and (wrong := database_url.mistake(url)):
        raise SettingsError(f"{source}: {wrong}")
    return url.replace("postgres://", "postgresql://", 1)


def _option_or_variable(
    option: str | None, name: str, environment: Mapping[str, str], default: str
) -> tuple[str, str]:
    """The value of an option, else of its variable, else the default; and the name of its source."""
    if option:
        return option, f"--{name}"
    variable = _PREFIX + name.upper().replace("-", "_")
    return environment.get(variable) or default, variable


def _backup_interval(text: str, source: str) -> float:
    try:
        return 0.0 if text == "0" else float(str(parse_duration(text)))
    except ValueError as error:
        raise SettingsError(f"{source}: {error}, or 0 for no backups") from error


def _backup_count(text: str, source: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(f"{source} {text!r} is not a number of backups, at least 1")
    return int(text)


def _address(listen: str, source: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    host = host.strip("[]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise SettingsError(f"{source} {listen!r} is not HOST:PORT; write it like {DEFAULT_LISTEN}")
    return host, int(port)


def _token_file(option: str | None, environment: Mapping[str, str]) -> Path | None:
    """The given file, else the systemd credential if there is one."""
    path = option or environment.get("BACKFILLD_TOKENS")
    if path:
        return Path(path).absolute()
    return _credential(_TOKENS, environment)


def _webhook(environment: Mapping[str, str]) -> str:
    url, source = _secret("BACKFILLD_WEBHOOK", _WEBHOOK, environment)
    if url and not re.fullmatch(r"https?://[^\s/]+\S*", url):
        raise SettingsError(f"{source} is not a URL; write it like https://hooks.example.com/services/...")
    return url


def _secret(variable: str, name: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """A secret and its source: the variable, else the systemd credential. Errors never repeat the secret."""
    credential = _credential(name, environment)
    if environment.get(variable) or credential is None:
        return environment.get(variable, ""), variable
    try:
        return credential.read_text(encoding="utf-8").strip(), f"the credential `{name}`"
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the credential `{name}` cannot be read: {error}") from error


def _credential(name: str, environment: Mapping[str, str]) -> Path | None:
    """The path of a systemd credential of this service, if there is one."""
    credentials = environment.get("CREDENTIALS_DIRECTORY")
    credential = Path(credentials, name) if credentials else None
    return credential if credential is not None and credential.exists() else None


def _rate(text: str) -> float:
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(
            f"BACKFILLD_RATE {text!r} is not a number of requests a second; write it like 100"
        )
    return float(text)


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    for name in environment:
        if name.startswith(_PREFIX) and name not in VARIABLES and name not in _FOR_JOBS:
            suggestion = did_you_mean(name, VARIABLES, prefix=_PREFIX)
            raise SettingsError(f"unknown variable {name}: correct or unset it; {suggestion}")
