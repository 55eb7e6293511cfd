"""What differs between two pipeline files: the keys, as error messages name them."""

from typing import Any

import pytest

from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.pipeline_changes import PipelineChanges
from tests.factories import SEASON, phase, pipeline, processor


def file(*processors: dict[str, Any], **keys: Any) -> Pipeline:
    """A file with one phase: `box` and `teams`, unless it has other processors."""
    return pipeline(phase("raw", *(processors or (processor("box"), processor("teams")))), **keys)


BOX, TEAMS = processor("box"), processor("teams")


@pytest.mark.parametrize(
    ("new", "summary"),
    [
        (file(), ""),
        (file(BOX, TEAMS, processor("props")), "added phase[raw].processor[props]"),
        (file(BOX), "removed phase[raw].processor[teams]"),
        (file(TEAMS, BOX), "changed phase[raw].processor (order)"),
        (
            file(processor("box", expect={"rows": [5, 9]}), TEAMS),
            "added phase[raw].processor[box].expect.rows",
        ),
        (
            file(processor("box", command=["false", "{date}"]), TEAMS),
            "changed phase[raw].processor[box].command",
        ),
        (file(jobs={"slots": 2, "timeout": "5m"}), "changed jobs.timeout, jobs.slots"),
        (file(jobs={"env": {"A": "secret"}}), "added jobs.env.A"),
        (
            file(calendar={"season": [{"name": "2021-22", "opens": SEASON.opens, "closes": SEASON.opens}]}),
            "removed calendar.file; changed calendar.bootstrap_days, calendar.season[2021-22].closes",
        ),
        (
            file(pool=[{"name": "api", "size": 2}], engine={"recheck_interval": "1m"}),
            "added pool[api]; changed engine.recheck_interval",
        ),
        (
            pipeline(phase("raw", BOX, TEAMS), phase("clean", processor("sums"))),
            "added phase[clean]",
        ),
    ],
)
def test_only_the_keys_that_differ_are_named_without_their_values(new: Pipeline, summary: str) -> None:
    assert str(PipelineChanges.between(file(), new)) == summary


def test_a_processors_own_value_that_changes_with_jobs_is_named_too() -> None:
    old = file(processor("box", timeout="1m"), TEAMS, jobs={"timeout": "2m"})
    new = file(processor("box", timeout="3m"), TEAMS, jobs={"timeout": "4m"})
    assert PipelineChanges.between(old, new).facts == {
        "changed": ["jobs.timeout", "phase[raw].processor[box].timeout"]
    }


def test_a_long_list_is_shortened_in_the_summary_and_complete_in_the_facts() -> None:
    names = [f"p{n}" for n in range(8)]
    changes = PipelineChanges.between(file(), file(BOX, TEAMS, *map(processor, names)))
    assert str(changes).endswith("phase[raw].processor[p4] and 3 more")
    assert changes.facts == {"added": [f"phase[raw].processor[{name}]" for name in names]}
