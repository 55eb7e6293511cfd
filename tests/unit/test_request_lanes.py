"""Kinds of requests have threads of their own, clients take turns, and readers use a share of a core."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from backfilld.api.http.request_lanes import (
    BURST_SECONDS,
    LIMITS,
    LONGEST_REST,
    FairQueue,
    Lane,
    Pace,
    lane_of,
)


@pytest.mark.parametrize(
    ("method", "path", "lane"),
    [
        ("GET", "/livez", Lane.LIVENESS),
        ("GET", "/healthz", Lane.LIVENESS),
        ("HEAD", "/readyz", Lane.PROBE),
        ("GET", "/metrics", Lane.PROBE),
        ("POST", "/v1/pause", Lane.STEER),
        ("DELETE", "/v1/holds/warehouse", Lane.STEER),
        ("POST", "/v1/backfills/7/cancel", Lane.STEER),
        ("POST", "/v1/backfills", Lane.ENQUEUE),
        ("POST", "/v1/dates/retry", Lane.ENQUEUE),
        ("POST", "/grid", Lane.ENQUEUE),
        ("POST", "/dates", Lane.ENQUEUE),
        ("GET", "/v1/backfills", Lane.READ),
        ("GET", "/", Lane.READ),
        ("GET", "/livez/", Lane.READ),
        ("GET", "/v1/validation", Lane.REPORT),
        ("GET", "/v1/attempts/7/log", Lane.REPORT),
        ("GET", "/v1/attempts/7", Lane.READ),
    ],
)
def test_each_kind_of_request_has_its_lane(method: str, path: str, lane: Lane) -> None:
    assert lane_of(method, path, operator=True) is lane


@pytest.mark.parametrize("path", ["/v1/pause", "/v1/backfills", "/v1/holds/warehouse"])
def test_a_client_that_may_not_operate_takes_no_thread_of_operators(path: str) -> None:
    assert lane_of("POST", path, operator=False) is Lane.READ


def test_steering_is_not_paced_and_readers_are() -> None:
    assert LIMITS[Lane.STEER].share == 1
    assert all(limits.share < 1 for lane, limits in LIMITS.items() if lane is not Lane.STEER)


@dataclass(frozen=True)
class Sent:
    client: str
    number: int


def test_clients_take_turns_and_each_keeps_its_order() -> None:
    queue: FairQueue[Sent] = FairQueue()
    for sent in (*(Sent("crowd", n) for n in range(3)), Sent("ana", 1), Sent("ben", 1)):
        queue.append(sent)
    assert len(queue) == 5
    order = [queue.popleft() for _ in range(5)]
    assert [(sent.client, sent.number) for sent in order] == [
        ("crowd", 0),
        ("ana", 1),
        ("ben", 1),
        ("crowd", 1),
        ("crowd", 2),
    ]
    assert len(queue) == 0


class Clock:
    time = 100.0

    def __call__(self) -> float:
        return self.time


def test_a_lane_rests_once_its_burst_is_used_and_until_its_share_is_kept() -> None:
    clock = Clock()
    pace = Pace(share=0.5, now=clock)
    # Given a lane that has used its burst
    assert pace.rest_after(BURST_SECONDS) == 0
    # When it works on, it rests for as long as it worked
    assert pace.rest_after(0.1) == pytest.approx(0.2)
    clock.time += 0.2
    assert pace.rest_after(0.1) == pytest.approx(0.2)
    # Then an hour of rest is worth one burst, no more
    clock.time += 3600
    assert pace.rest_after(BURST_SECONDS) == 0
    assert pace.rest_after(0.01) > 0


def test_one_long_request_does_not_close_a_lane_for_long() -> None:
    assert Pace(share=0.1, now=Clock()).rest_after(100.0) == LONGEST_REST


def test_a_lane_without_a_share_never_rests() -> None:
    assert Pace(share=1, now=Clock()).rest_after(100.0) == 0
