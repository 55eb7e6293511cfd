"""The examples run for three months of dates: each planted fault is caught with the sentence of its page."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backfilld.state.records import Mark
from tests.acceptance.example_platform import ExamplePlatform, faults

QUARTER = ("2024-01-01", "2024-03-31")


@pytest.fixture
def shops(tmp_path: Path) -> Iterator[ExamplePlatform]:
    found = ExamplePlatform("shops", tmp_path)
    yield found
    found.close()


def test_the_shops_show_each_of_their_faults(shops: ExamplePlatform) -> None:
    told, late = faults(shops.page), {"2024-02-12": "computed before returns of 2024-02-12 was repaired"}
    assert len(told) == 7
    assert late.items() <= told.items()
    # The first run finds what the sources have wrong
    assert shops.enqueue(*QUARTER).outcomes == {"enqueued": 91}
    failed = {str(date) for date, row in shops.dates().items() if row.state == "failed"}
    assert failed == {"2024-01-17", "2024-02-08", "2024-02-20", "2024-03-11"}
    assert {date: shops.sentences()[date] for date in failed} == {date: told[date] for date in failed}
    # With the sources repaired, a balance fails, and the next one does not pass it
    shops.python("make_data.py", "repaired")
    assert {str(date) for date in shops.retry(*QUARTER)} == failed
    assert shops.sentences() == {date: told[date] for date in ("2024-02-29", "2024-03-29")}
    corrections = shops.folder / "source" / "corrections.csv"
    corrections.write_text(corrections.read_text().replace("1O0", "100"))
    shops.retry("2024-02-29")
    assert shops.sentences() == {}
    # A late return makes stale what was computed without it, and nothing else
    with (shops.folder / "source" / "returns.csv").open("a") as returns:
        returns.write("2024-02-12,3,30\n")
    shops.retry("2024-02-12", processors=("returns",))
    assert shops.sentences() == late
    assert {str(date) for date in shops.retry(*QUARTER, mark=Mark.STALE)} == late.keys()
    assert {row.outcome for row in shops.dates().values()} == {"complete"}
