"""A small checkout of the platform: for each job of a pipeline a script with its command line, and no work.

checkout = make(tmp_path)                        # every job is good
checkout.write("team_offense_game_summary", "")  # now one of them is empty
"""

import datetime as dt
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backfilld.daemon.adapters import load_pipeline
from backfilld.daemon.warehouses.adapter import PreflightCheck, QueryError, TableInfo
from backfilld.daemon.warehouses.bigquery.preflight import checks
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor

NBA = Path(__file__).parents[1] / "pipelines" / "nba.toml"
START, END = dt.date(2021, 11, 15), dt.date(2021, 11, 24)

_SCRIPT = '''"""A job."""
import argparse
import sys
from collections.abc import Sequence

def main():
    parser = argparse.ArgumentParser(description="a job")
{options}
    parser.add_argument("--dry-run", action="store_true")
    args = parser.parse_args()
    opts = {{"backfill_mode": True{setting}}}
    print("would process" if args.dry_run else "processing", opts)

if __name__ == "__main__":
    sys.exit(main())
'''


@dataclass(frozen=True)
class Checkout:
    """The pipeline's file beside the platform's scripts, as preflight finds them."""

    path: Path
    pipeline: Pipeline

    def script(self, name: str) -> Path:
        """Where a processor's script lies."""
        return self.root / self.pipeline.processors[name].command[1]

    @property
    def root(self) -> Path:
        """The checkout's own folder."""
        return (self.path.parent / self.pipeline.jobs.cwd).resolve()

    def write(self, name: str, text: str) -> None:
        """Put another text in the place of a script."""
        self.script(name).write_text(text, encoding="utf-8")

    def spoil(self, name: str, old: str, new: str) -> None:
        """Change a script's text."""
        text = self.script(name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))


def make(folder: Path) -> Checkout:
    """A folder with the platform's pipeline file and a checkout beside it in which every job is good."""
    path = folder / "backfilld" / "pipelines" / "nba.toml"
    path.parent.mkdir(parents=True)
    shutil.copy(NBA, path)
    made = Checkout(path=path, pipeline=load_pipeline(path))
    interpreter = made.root / ".venv" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.symlink_to(sys.executable)
    for name, processor in made.pipeline.processors.items():
        made.script(name).parent.mkdir(parents=True, exist_ok=True)
        made.write(name, good(processor))
    return made


def good(processor: Processor) -> str:
    """A script that takes what the processor's command gives it, and sets what it must."""
    given = [word for word in processor.command if word.startswith("--")]
    switch = dict.fromkeys(("--no-resume", "--no-schedule"), ', action="store_true"')
    lines = [f'    parser.add_argument("{option}"{switch.get(option, "")})' for option in given]
    setting = "".join(f', "{option}": True' for option in processor.requires)
    return _SCRIPT.format(options="\n".join(lines), setting=setting)


@dataclass
class Tables:
    """A catalog in which everything is as the pipeline says, until a test says otherwise."""

    pipeline: Pipeline
    lies_in: str | None = "us-west2"

    def __post_init__(self) -> None:
        self.known: dict[str, TableInfo | QueryError | None] = {}
        for processor in self.pipeline.processors.values():
            self.known[processor.table] = self._good(processor)
        history = self.pipeline.history
        assert history is not None
        columns = {history.date, history.processor, history.status, history.started_at, history.run_id}
        columns |= {history.ended_at, history.detail, history.controller or history.date}
        self.known[history.table] = TableInfo(columns=frozenset(columns), partition_column=history.date)

    def describe_connection(self) -> str:
        return "project nba-props-platform"

    def preflight_checks(self) -> Sequence[PreflightCheck]:
        return checks(self.location)

    def location(self, table: str) -> str | None:
        return self.lies_in

    def describe(self, table: str) -> TableInfo | None:
        found = self.known[table]
        if isinstance(found, QueryError):
            raise found
        return found

    def close(self) -> None:
        pass

    def change(self, table: str, **options: object) -> None:
        """Keep a table in another way."""
        known = self.known[table]
        assert isinstance(known, TableInfo)
        kept = {name: getattr(known, name) for name in TableInfo.__slots__}
        self.known[table] = TableInfo(**(kept | options))

    def _good(self, processor: Processor) -> TableInfo:
        expect = processor.expect
        columns = {processor.date_column, "game_id"}
        columns |= {column for rule in expect.rules.values() for column in rule.column_names()}
        return TableInfo(
            columns=frozenset(columns), partition_column=processor.date_column, require_filter=True
        )
