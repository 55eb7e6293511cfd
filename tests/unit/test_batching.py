"""Which dates one attempt takes together, for the engine as for the plan."""

import datetime as dt
from dataclasses import dataclass

import pytest

from backfilld.state.rules.batching import batches
from tests.factories import phase, pipeline, processor

FIRST = dt.date(2021, 10, 19)


@dataclass(frozen=True)
class Job:
    date: dt.date
    processor: str
    backfill: int = 1


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def batched(
    jobs: list[Job], *command: str, batch: int = 3, expected: tuple[int, ...] = ()
) -> list[list[int]]:
    """The batches of some jobs as numbers of days, where `expected` are the days that the calendar has."""
    command = command or ("true", "{start}", "{end}")
    names = {job.processor for job in jobs}
    made = pipeline(
        phase("raw", *(processor(name, command=list(command), batch=batch) for name in sorted(names)))
    )
    days = {day(number) for number in expected}
    groups = batches(
        jobs,
        made.processors,
        nothing_between=lambda _, first, last: not any(first < date < last for date in days),
        owner=lambda job: job.backfill,
    )
    return [[(job.date - FIRST).days for job in group] for group in groups]


def test_a_batch_takes_no_more_dates_than_its_processor_allows() -> None:
    assert batched([Job(day(n), "box") for n in range(7)]) == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_range_does_not_cover_an_expected_date_that_it_does_not_claim() -> None:
    jobs = [Job(day(n), "box") for n in (0, 1, 3)]
    assert batched(jobs, expected=(0, 1, 2, 3)) == [[0, 1], [3]]
    # And it goes on over a date on which nothing is expected
    assert batched(jobs, expected=(0, 1, 3)) == [[0, 1, 3]]


@pytest.mark.parametrize("placeholder", ["{dates}", "{dates_file}"])
def test_a_list_of_dates_may_have_gaps(placeholder: str) -> None:
    jobs = [Job(day(n), "box") for n in (0, 2, 5)]
    assert batched(jobs, "true", placeholder, expected=tuple(range(6))) == [[0, 2, 5]]


def test_a_range_never_goes_back_to_an_earlier_date() -> None:
    assert batched([Job(day(n), "box") for n in (4, 1)]) == [[4], [1]]


def test_processors_and_backfills_have_batches_of_their_own_in_the_order_of_their_first_date() -> None:
    jobs = [Job(day(0), "box"), Job(day(0), "teams"), Job(day(1), "box", 2), Job(day(1), "teams")]
    assert batched(jobs) == [[0], [0, 1], [1]]
