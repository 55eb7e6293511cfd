"""Circles of after, needs and fallbacks within a phase are refused with their names."""

from typing import Any

import pytest

from backfilld.daemon.adapters import parse_pipeline
from backfilld.state.pipeline.loading import PipelineError
from tests.factories import phase, pipeline, pipeline_data, processor
from tests.unit.test_pipeline_file import HERE


@pytest.mark.parametrize(
    ("c", "circle"),
    [({"after": ["a"]}, "a -> b -> a"), ({}, "a -> b -> a"), ({"fallbacks": ["b"]}, "a -> b -> a")],
)
def test_a_fallback_that_waits_for_what_it_stands_in_for_is_a_circle(c: dict[str, Any], circle: str) -> None:
    a, b = processor("a", fallbacks=["b"]), processor("b", after=["a"])
    file = pipeline_data(phase("p", a, b, processor("c", **c)))
    with pytest.raises(PipelineError, match=f"after, needs and fallbacks run in a circle: {circle}; remove"):
        parse_pipeline(file, HERE)


def test_a_longer_circle_names_its_fallbacks_too() -> None:
    members = (
        processor("a", fallbacks=["x", "b"]),
        processor("b", after=["c"]),
        processor("c", after=["a"]),
        processor("x"),
    )
    with pytest.raises(PipelineError) as raised:
        pipeline(phase("p", *members))
    circles = [f"in a circle: {circle};" for circle in ("c -> b -> a -> c", "a -> c -> b -> a")]
    assert any(circle in raised.value.problems[0] for circle in circles)


def test_two_processors_may_stand_in_for_each_other() -> None:
    both = phase("p", processor("a", fallbacks=["b"]), processor("b", fallbacks=["a"]))
    assert set(pipeline(both).processors) == {"a", "b"}
