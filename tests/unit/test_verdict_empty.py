"""No rows where the partition exists: `expect.empty = "partition"`."""

from dataclasses import replace

import pytest

from backfilld.daemon.warehouses.adapter import Partition
from backfilld.daemon.warehouses.bigquery.write_stamps import NO_PARTITION, stamps_of
from backfilld.daemon.warehouses.lake.settings import LakeSettings
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.judge import JudgeContext, judge
from tests.factories import about, day, expectation, open_run, phase, pipeline, processor, run, seen
from tests.integration.warehouses import DAY

EMPTY = seen(has_partition=True)
COMPLETE = ("complete", "no rows, and the partition exists")


def judged(evidence: Evidence, context: JudgeContext | None = None) -> tuple[str, str]:
    found = judge(evidence, expectation(empty="partition", rows=[5]), day(), context or about())
    return found.verdict.value, found.reason


@pytest.mark.parametrize("closed", [None, run()])
def test_an_existing_partition_without_rows_is_complete_whatever_rows_says(closed: object) -> None:
    assert judged(replace(EMPTY, closed=closed)) == COMPLETE


def test_without_the_partition_a_date_is_judged_as_without_the_rule() -> None:
    absent = seen(has_partition=False)
    assert judged(absent)[0] == "never_ran"
    assert judged(replace(absent, closed=run()))[0] == "no_data"


def test_a_failed_or_open_run_explains_an_empty_partition() -> None:
    assert judged(replace(EMPTY, closed=run(succeeded=False)))[0] == "failed"
    assert judged(replace(EMPTY, open=open_run()))[0] == "running"
    assert judged(replace(EMPTY, open=open_run(hours_ago=9))) == COMPLETE


def test_too_few_rows_are_partial_in_an_existing_partition() -> None:
    assert judged(seen(rows=4, has_partition=True))[0] == "partial"


def test_a_partition_that_was_not_read_is_unknown() -> None:
    assert judged(seen()) == ("unknown", "whether the partition exists was not read")


def test_a_rerun_that_leaves_the_empty_partition_alone_is_untouched() -> None:
    stamped = replace(EMPTY, write_stamp="s1")
    rerun = about(last_attempt=run(), rewrite=True, stamp_before="s1")
    assert judged(stamped, rerun)[0] == "untouched"
    assert judged(replace(stamped, write_stamp="s2"), rerun) == COMPLETE


def test_bigquery_reports_a_partition_without_rows() -> None:
    partition = Partition("nba.box", "game_date", DAY)
    empty = {"table_name": "box", "partition_id": f"{DAY:%Y%m%d}", "last_modified_time": 1}
    (stamp,) = stamps_of([{**empty, "total_rows": 0, "total_logical_bytes": 0}], [partition]).values()
    assert stamp != NO_PARTITION


@pytest.mark.parametrize(
    ("value", "keys", "problem"),
    [
        ("file", {}, "expect.empty: 'file' is not known; write 'partition'"),
        (
            "partition",
            {"table": "nba.box_*", "date_column": "_TABLE_SUFFIX"},
            "expect.empty: nba.box_* has a table for each date and no partitions; remove it",
        ),
    ],
)
def test_a_mistake_is_refused_with_its_remedy(value: str, keys: dict[str, str], problem: str) -> None:
    warehouse = {"kind": "bigquery", "project": "nba"}
    with pytest.raises(PipelineError) as raised:
        pipeline(phase("raw", processor("box", **keys, expect={"empty": value})), warehouse=warehouse)
    assert raised.value.problems == [f"phase[raw].processor[box].{problem}"]


def test_a_kind_of_warehouse_that_does_not_tell_partitions_refuses_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LakeSettings, "has_partitions", False)
    with pytest.raises(PipelineError, match=r"empty: this kind of warehouse .* write expect.rows = \[0\]"):
        pipeline(phase("raw", processor("box", expect={"empty": "partition"})))
