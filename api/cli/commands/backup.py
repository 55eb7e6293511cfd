"""`backfilld backup`: a consistent copy of the state database, whether or not the daemon runs."""

from __future__ import annotations

import time
from pathlib import Path

import click

from backfilld.api.cli.output import example, json_option, print_json
from backfilld.daemon.backups import Backups
from backfilld.daemon.settings import SettingsError, state_database
from backfilld.state.store.database import Database


@click.command(epilog=example("backup", "backup /mnt/backups/"))
@click.argument("file", required=False)
@click.option("--state-dir", help="State directory of the daemon; else BACKFILLD_STATE_DIR.")
@json_option
def backup(file: str | None, state_dir: str | None, as_json: bool) -> None:
    """Copy the state database to a file.

    FILE is a file or a directory; without it the copy joins the backups of the daemon. The daemon may run.
    """
    database = Database(state_database(state_dir))
    try:
        backups = Backups(database, now=time.time)
        if not database.exists:
            remedy = "correct --state-dir or BACKFILLD_STATE_DIR"
            raise SettingsError(f"no state database in {database.path.parent}; {remedy}")
        target = backups.create(Path(file) if file else None)
    finally:
        database.close()
    size = target.stat().st_size
    if as_json:
        print_json({"file": str(target), "bytes": size})
    else:
        click.echo(f"{target}: {size / 1e6:.1f} MB, checked")
