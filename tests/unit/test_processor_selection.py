"""The grammar of selections, over the processors and phases of a pipeline."""

import re

import pytest

from backfilld.state.rules.processor_selection import UnknownSelection, downstream, resolve, upstream
from tests.factories import phase, pipeline, processor

PIPELINE = pipeline(
    phase("raw", processor("box"), processor("lines", after=["box"])),
    phase("analytics", processor("team"), processor("player")),
    phase("features", processor("zones"), processor("cache"), order="sequential"),
)


@pytest.mark.parametrize(
    ("select", "exclude", "chosen"),
    [
        (["player"], [], "player"),
        (["player+"], [], "player zones cache"),
        (["+team"], [], "box lines team"),
        (["+zones+"], [], "box lines team player zones cache"),
        (["phase:analytics"], [], "team player"),
        (["phase:analytics+"], [], "team player zones cache"),
        (["+phase:analytics"], [], "box lines team player"),
        (["zones+"], [], "zones cache"),
        (["+lines"], [], "box lines"),
        (["cache", "box"], [], "box cache"),
        (["player+"], ["cache"], "player zones"),
        ([], ["phase:features", "lines"], "box team player"),
    ],
)
def test_terms_select_processors_in_the_order_of_the_file(select, exclude, chosen):
    assert resolve(PIPELINE, select, exclude) == tuple(chosen.split())


def test_without_terms_nothing_is_selected_apart():
    assert resolve(PIPELINE, [], []) is None


def test_with_upstream_adds_what_the_selected_are_computed_from():
    assert resolve(PIPELINE, ["team"], with_upstream=True) == ("box", "lines", "team")
    assert resolve(PIPELINE, ["team"], ["box"], with_upstream=True) == ("lines", "team")


@pytest.mark.parametrize(
    ("select", "exclude", "field", "message"),
    [
        (["playr"], [], "select", "there is no processor 'playr'; did you mean 'player'?"),
        (["+playr+"], [], "select", "did you mean 'player'?"),
        (["phase:analytic"], [], "select", "there is no phase 'analytic'; did you mean 'analytics'?"),
        (["analytics"], [], "select", "there is no processor 'analytics'"),
        (["player"], ["zonez"], "exclude", "did you mean 'zones'?"),
        (["player"], ["phase:analytics"], "exclude", "leaves no processor selected"),
        (["+"], [], "select", "there is no processor ''"),
    ],
)
def test_a_term_that_matches_nothing_is_refused_with_the_nearest(select, exclude, field, message):
    with pytest.raises(UnknownSelection, match=re.escape(message)) as refused:
        resolve(PIPELINE, select, exclude)
    assert refused.value.field == field


def test_upstream_and_downstream_leave_out_the_names_themselves():
    assert upstream(PIPELINE, ["cache"]) == {"box", "lines", "team", "player", "zones"}
    assert downstream(PIPELINE, ["box"]) == {"lines", "team", "player", "zones", "cache"}
    assert downstream(PIPELINE, ["cache"]) == set()
