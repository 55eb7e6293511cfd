"""`backfilld audit`: who changed what."""

from __future__ import annotations

import json

import click

from backfilld.api.cli.argument_types import DATE
from backfilld.api.cli.client import Client, Json
from backfilld.api.cli.output import example, json_option, print_json, sanitize_line, table, url_option
from backfilld.state.formatting import format_utc
from backfilld.state.records import Action

_TIMES = ("since", "until")
"""Fields of a hold that are recorded in epoch seconds."""


@click.command(epilog=example('audit --target "backfill 7"', "audit --action accept --limit 10"))
@click.option("--actor", help="Only changes by this name.")
@click.option(
    "--action",
    type=click.Choice([action.value for action in Action]),
    metavar="ACTION",
    help=f"Only this change: {', '.join(Action)}.",
)
@click.option("--target", help="Only changes of this target: `backfill 7`, `2021-10-19`, `everything`.")
@click.option("--start", type=DATE, help="From this day on (UTC).")
@click.option("--end", type=DATE, help="Up to this day (UTC), included.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")
@json_option
@url_option
def audit(url: str | None, as_json: bool, **filters: object) -> None:
    """Show who changed what, newest first.

    Each change has its actor, address and time, and the target before and after.
    """
    page = Client(url).get("/v1/audit", **filters)
    if as_json:
        print_json(page)
        return
    rows = [
        [row["at"], row["actor"], row["address"], row["action"], row["target"], _differences(row)]
        for row in page["items"]
    ]
    table("", ["at", "actor", "from", "action", "target", "change"], rows)


def _differences(row: Json) -> str:
    """What the change changed: `status: active -> paused`; a new or removed field has one value."""
    before, after = _flattened(row["before"]), _flattened(row["after"])
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    sides = {name: [side[name] for side in (before, after) if name in side] for name in names}
    return sanitize_line("; ".join(f"{name}: {' -> '.join(values)}" for name, values in sides.items()))


def _flattened(recorded: Json | None, prefix: str = "") -> dict[str, str]:
    """The recorded values by their paths, such as `accepted.by`, without empty ones."""
    values: dict[str, str] = {}
    for name, value in (recorded or {}).items():
        if isinstance(value, dict):
            values |= _flattened(value, f"{prefix}{name}.")
        elif name in _TIMES and value is not None:
            values[prefix + name] = format_utc(value)
        elif value not in (None, ""):
            values[prefix + name] = value if isinstance(value, str) else json.dumps(value)
    return values
