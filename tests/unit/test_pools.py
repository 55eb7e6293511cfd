"""Pools: how many attempts may start, and which mistakes of the file are refused."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfilld.daemon.engine.free_slots import FreeSlots, in_pool
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import AttemptRow, AttemptStatus
from tests.factories import phase, pipeline, processor

DAY = dt.date(2022, 3, 16)
NAMES = ("a", "b", "c", "s1", "s2")


def platform(**keys: Any) -> Pipeline:
    """Three parallel processors, and two steps of a sequential phase."""
    pools = {"a": {"pool": "api"}, "b": {"pool": "api", "writers": 3}, "s2": {"pool": "file"}}
    made = {name: processor(name, **pools.get(name, {})) for name in NAMES}
    return pipeline(
        phase("raw", made["a"], made["b"], made["c"]),
        phase("steps", made["s1"], made["s2"], order="sequential"),
        **keys,
    )


def attempt(made: Pipeline, number: int, name: str, writer: int = 0) -> AttemptRow:
    own = made.processors.get(name)
    return AttemptRow(
        id=number,
        date=DAY,
        processor=name,
        phase="raw",
        backfill_id=1,
        executor="local",
        output=own.table if own else f"nba.{name}",
        writer=writer,
        sequence=made.sequence_of(own) if own else None,
        status=AttemptStatus.RUNNING,
        handle=None,
        stopping=None,
        claimed_at=0.0,
        started_at=0.0,
        ended_at=None,
        exit_code=None,
        detail="",
        tail="",
        max_rss_bytes=None,
        cpu_seconds=None,
    )


@given(
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(1, 2),
    st.lists(st.sampled_from(NAMES), max_size=12),
    st.integers(0, 12),
)
def test_no_order_of_claims_and_restarts_exceeds_a_limit(
    slots: int, api: int, file: int, wanted: list[str], restart: int
) -> None:
    # Given a pipeline with pools, and processors that want to start in any order
    pools = [{"name": "api", "size": api}, {"name": "file", "size": file}]
    made = platform(jobs={"slots": slots}, pool=pools)
    running: list[AttemptRow] = []
    free = FreeSlots(made, running)
    for number, name in enumerate(wanted):
        if number == restart:  # what is free follows from the running attempts alone
            free = FreeSlots(made, running)
        chosen = made.processors[name]
        in_use = [row.processor for row in running]
        room = [
            len(running) < slots,
            in_use.count(name) < chosen.writers,
            chosen.pool is None or len(in_pool(made, chosen.pool, running)) < made.pool_sizes[chosen.pool],
            name not in ("s1", "s2") or not {"s1", "s2"} & set(in_use),
        ]
        # Then one starts exactly where all its limits leave room, with a writer of its own
        assert (free.count(chosen) > 0) == all(room)
        if all(room):
            running.append(attempt(made, number, name, free.take(chosen)))
    writers = [(row.output, row.writer) for row in running]
    assert len(set(writers)) == len(writers)


def test_an_attempt_takes_a_slot_of_the_pool_that_its_processor_names_now() -> None:
    # Given running attempts, one of them of a processor that the file no longer has
    made = platform(pool=[{"name": "api", "size": 2}, {"name": "file", "size": 1}])
    running = [attempt(made, 1, "a"), attempt(made, 2, "gone"), attempt(made, 3, "c")]
    # Then the first takes a slot of its pool
    assert [row.id for row in in_pool(made, "api", running)] == [1]
    assert FreeSlots(made, running).count(made.processors["b"]) == 1


def test_a_full_pool_leaves_slots_and_writers_to_other_processors() -> None:
    made = platform(jobs={"slots": 4}, pool=[{"name": "api", "size": 1}, {"name": "file", "size": 1}])
    free = FreeSlots(made, [attempt(made, 1, "a")])
    assert {name: free.count(made.processors[name]) for name in NAMES} == {
        "a": 0,
        "b": 0,
        "c": 1,
        "s1": 1,
        "s2": 1,
    }


def test_fewer_writers_than_run_start_no_further_one() -> None:
    made = platform(pool=[{"name": "api", "size": 9}, {"name": "file", "size": 1}])
    assert FreeSlots(made, [attempt(made, 1, "a", writer=2)]).count(made.processors["a"]) == 0


@pytest.mark.parametrize(
    ("pools", "complaint"),
    [
        (
            [],
            "phase[raw].processor[box].pool: there is no [[pool]] named 'vendor_api'; add it, with its size",
        ),
        (
            [{"name": "vendor_apy", "size": 4}],
            "phase[raw].processor[box].pool: there is no [[pool]] named 'vendor_api'; add it, with its size;"
            " did you mean 'vendor_apy'?",
        ),
        (
            [{"name": "vendor_api", "size": 4}, {"name": "vendor_api", "size": 2}],
            "pool[vendor_api]: the name is used twice; rename one",
        ),
        ([{"name": "vendor_api", "size": 0}], "pool[vendor_api].size: 0 is too small; write 1 or more"),
        ([{"name": "vendor_api"}], "pool[vendor_api].size: is required; add it"),
        (
            [{"name": "vendor_api", "slots": 3, "size": 4}],
            "pool[vendor_api]: unknown key 'slots'; known are name, size",
        ),
    ],
)
def test_a_pool_that_cannot_be_used_is_refused(pools: list[dict[str, Any]], complaint: str) -> None:
    with pytest.raises(PipelineError) as raised:
        pipeline(phase("raw", processor("box", pool="vendor_api")), pool=pools)
    assert raised.value.problems == [complaint]
