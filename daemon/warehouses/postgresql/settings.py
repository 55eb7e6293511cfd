"""The settings of a PostgreSQL warehouse."""

from __future__ import annotations

from typing import ClassVar, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, field_validator, model_validator

from backfilld.daemon.warehouses.sql.settings import SqlWarehouseSettings

_SECRETS = ("password", "sslpassword")


class PostgresqlSettings(SqlWarehouseSettings):
    """A PostgreSQL database."""

    has_partitions: ClassVar[bool] = True
    sql_dialect: ClassVar[str] = "postgres"

    url: str | None = None
    """Where the database is, without a password: `postgresql://reader@db.example/platform`. libpq's own
    sources have the password: `PGPASSWORD`, or a password file (`PGPASSFILE`, `~/.pgpass`)."""
    url_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that has the whole URL, password included; instead of `url`."""
    connections: int = Field(default=4, ge=1, le=50)
    """The most connections that are open at once."""

    @field_validator("url")
    @classmethod
    def _without_password(cls, url: str | None) -> str | None:
        """The URL as it is. No message shows it: it may well contain a password.

        Raises:
            ValueError: it is no URL of PostgreSQL, or has a password.
        """
        if url is None:
            return None
        try:
            parts = urlsplit(url)
        except ValueError:
            raise ValueError("is not a URL; write it like postgresql://reader@db.example/platform") from None
        if parts.scheme not in ("postgresql", "postgres"):
            raise ValueError("must begin with postgresql://, such as postgresql://reader@db.example/platform")
        if parts.password is not None or any(name in parse_qs(parts.query) for name in _SECRETS):
            raise ValueError(
                "has a password, which does not belong into this file; set PGPASSWORD or a password file, or "
                "put the whole URL into an environment variable and name it with url_env"
            )
        return url

    @model_validator(mode="after")
    def _one_url(self) -> Self:
        if (self.url is None) is (self.url_env is None):
            raise ValueError("url and url_env exclude each other, and one of them is required")
        return self
