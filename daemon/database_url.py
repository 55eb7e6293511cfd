"""The URL of a PostgreSQL state database, with its mistakes found before anything connects.

libpq would report most of them as a server that cannot be reached, and some not at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

from backfilld.state.spelling_suggestions import did_you_mean

FORM = "postgresql://USER@HOST/NAME"

_SHAPE = re.compile(
    r"postgres(ql)?://([^\s@]*@)?(?P<host>\[[^\s@\]]*\]|[^\s@:/?]*)(:(?P<port>\d+))?"
    r"(/(?P<name>[^\s@?]*))?(\?(?P<options>[^\s@]*))?"
)
"""A URL that SQLAlchemy parses as intended: one @, before the host, and a numeric port."""
_TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_CHOICES: Mapping[str, Sequence[str]] = {
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "load_balance_hosts": ("disable", "random"),
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "sslcertmode": ("disable", "allow", "require"),
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "read-write", "primary"),  # the others may lead to a read-only server
}
"""The values of options that have a few."""
_NUMBERS: Mapping[str, range] = {
    "connect_timeout": range(1, 3601),  # 0 would be to wait without end
    "keepalives": range(2),
    "keepalives_count": range(128),
    "keepalives_idle": range(32768),
    "keepalives_interval": range(32768),
    "port": range(1, 65536),
    "tcp_user_timeout": range(1 << 31),
}
"""The values of options that are whole numbers; the limits are those of Linux."""


def mistake(url: str) -> str:
    """What is wrong with the URL, and the remedy; empty if nothing is. Never shows what may be a secret."""
    shape = _SHAPE.fullmatch(url)
    if shape is None:
        return f"it is not a URL of PostgreSQL; write it like {FORM}, and @ : / in a password as %40 %3A %2F"
    try:
        from psycopg.pq import Conninfo  # noqa: PLC0415  an extra of the package
    except ModuleNotFoundError:
        return "PostgreSQL needs its driver: pip install 'backfilld[postgres]'"
    known = [option.keyword.decode() for option in Conninfo.get_defaults()]
    options = parse_qsl(shape["options"] or "", keep_blank_values=True)
    names = [name for name, _ in options]
    found = [_wrong_option(name, value, known) for name, value in options]
    found += [f"{name} is given twice; give it once" for name in _repeated(names)]
    if shape["port"]:
        found.append(_wrong_option("port", shape["port"], known))
    if shape["port"] and not (shape["host"] or {"host", "hostaddr", "service"} & set(names)):
        found.append(f"it has a port and no host; write it like {FORM}")
    if not (shape["name"] or {"dbname", "service"} & set(names)):
        found.append(f"it names no database; write it like {FORM}")
    return next(filter(None, found), "")


def _wrong_option(name: str, value: str, known: Sequence[str]) -> str:
    """What is wrong with one option."""
    if name not in known:
        return f"{name!r} is not an option of such a URL; {did_you_mean(name, known)}"
    if not value.strip():
        return f"{name} is empty; give it a value, or leave it out"
    if name in _CHOICES and value not in _CHOICES[name]:
        return f"{name} {value!r} cannot be used; {did_you_mean(value, _CHOICES[name])}"
    numbers = _NUMBERS.get(name)
    # Several hosts have several ports: 5432,5433
    if numbers and not all(text.isdecimal() and int(text) in numbers for text in value.split(",")):
        return f"{name} {value!r} is not a whole number from {numbers[0]} to {numbers[-1]}; correct it"
    return ""


def _repeated(names: Sequence[str]) -> list[str]:
    """The options that are there more than once. Hosts may be."""
    return [name for name in dict.fromkeys(names) if name != "host" and names.count(name) > 1]
