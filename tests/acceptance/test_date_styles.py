"""Jobs that take no single date: a range, a list, a file of dates; several dates in one attempt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.daemon import Daemon, daemon

FIRST, SHORT, LAST = "2021-10-19", "2021-10-20", "2021-10-21"

PIPELINE = """
name = "styles"
warehouse = { kind = "lake", path = "lake" }
calendar.season = [{ name = "2021-22", opens = 2021-10-19, closes = 2022-06-16 }]
jobs = { backoff = "1s" }

[[phase]]
name = "raw"
"""
PROCESSOR = """
[[phase.processor]]
name = "{name}"
table = "nba.{name}"
date_column = "day"
batch = {batch}
command = ["{{python}}", "job.py", "{name}", {words}]
expect.rows = [2, 2]
"""
STYLES = {
    "ranged": '"--start", "{start}", "--end={end}"',
    "listed": '"--dates", "{dates}"',
    "filed": '"--dates-file", "{dates_file}"',
    "single": '"--date", "{date}"',
}
# It says which dates it was told, and writes two rows for each; at first only one for 2021-10-20.
JOB = """
import argparse, datetime as dt, pathlib, duckdb

parser = argparse.ArgumentParser()
for option in ("--start", "--end", "--dates", "--dates-file", "--date"):
    parser.add_argument(option)
parser.add_argument("name")
args = parser.parse_args()
if args.start:
    first, last = map(dt.date.fromisoformat, (args.start, args.end))
    dates = [str(first + dt.timedelta(days=n)) for n in range((last - first).days + 1)]
elif args.dates_file:
    dates = pathlib.Path(args.dates_file).read_text().split()
else:
    dates = (args.dates or args.date).split(",")
with open(f"{args.name}.calls", "a") as calls:
    print(*dates, file=calls)
first_time = not pathlib.Path(f"{args.name}.tried").exists()
for date in dates:
    folder = pathlib.Path("lake", "nba", args.name, f"day={date}")
    folder.mkdir(parents=True, exist_ok=True)
    rows = 1 if date == "2021-10-20" and first_time else 2
    if date == "2021-10-20":
        pathlib.Path(f"{args.name}.tried").touch()
    duckdb.sql(f"COPY (SELECT * FROM range({rows})) TO '{folder / 'new'}' (FORMAT parquet)")
    (folder / "new").rename(folder / "part-0.parquet")
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with one job of each style, three dates at a time where the style allows."""
    processors = [
        PROCESSOR.format(name=name, words=words, batch=1 if name == "single" else 3)
        for name, words in STYLES.items()
    ]
    with daemon(tmp_path / "d", start=False) as one:
        one.pipeline.write_text(PIPELINE + "".join(processors))
        (one.folder / "job.py").write_text(JOB)
        one.start()
        yield one


def test_a_batch_is_one_attempt_and_each_of_its_dates_is_judged_alone(served: Daemon) -> None:
    # When three dates are run, of which the middle one comes out short at first
    served.finish(served.enqueue(FIRST, LAST))
    # Then all end well
    assert set(served.outcomes(FIRST, LAST).values()) == {"complete"}
    # And each job was told its dates as it wants them: all three, then the short one alone
    calls = {name: (served.folder / f"{name}.calls").read_text().splitlines() for name in STYLES}
    for name in ("ranged", "listed", "filed"):
        assert calls[name] == [f"{FIRST} {SHORT} {LAST}", SHORT], name
    assert sorted(calls["single"]) == [FIRST, SHORT, SHORT, LAST]
    # And no file of dates outlives its attempt
    assert (served.state / "dates").is_dir()
    assert list((served.state / "dates").iterdir()) == []
    # And an attempt knows the dates that it was for
    dates = defaultdict(list)
    for attempt in served.client.all("/v1/attempts"):
        dates[attempt["processor"]].append(attempt["dates"])
    assert dates["filed"] == [[SHORT], [FIRST, SHORT, LAST]]
