"""The graph of states: what leads where, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfilld.state.rules.state_machine import FINAL, IllegalMove, Machine, Trigger
from tests.factories import nba, phase, pipeline, processor

MACHINE = Machine(nba())


def test_states_are_derived_from_the_pipeline():
    assert MACHINE.states == (
        "pending", "phase2", "phase3", "phase4-step-1", "phase4-step-2", "done", "failed",
    )  # fmt: skip


def test_a_date_advances_state_by_state_to_done():
    path, state = [], MACHINE.step("pending", Trigger.ADMIT)
    while state not in FINAL:
        path.append(state)
        state = MACHINE.step(state, Trigger.ADVANCE)
    assert path == ["phase2", "phase3", "phase4-step-1", "phase4-step-2"]


def test_a_bootstrap_date_bypasses_only_the_phase_that_skips_it():
    steps = phase("p4", processor("c"), processor("d"), order="sequential", skip_bootstrap=True)
    machine = Machine(pipeline(phase("p3", processor("b")), steps, phase("p5", processor("e"))))
    assert machine.step("p3", Trigger.BYPASS) == "p5"
    with pytest.raises(IllegalMove, match="a date in p4-step-1 cannot bypass"):
        machine.step("p4-step-1", Trigger.BYPASS)


@given(st.lists(st.sampled_from(list(Trigger)), max_size=60))
def test_no_sequence_of_triggers_leaves_the_graph(triggers):
    state = "pending"
    for trigger in triggers:
        try:
            state = MACHINE.step(state, trigger)
        except IllegalMove:
            continue
        assert state in MACHINE.states


@given(st.sampled_from(list(Trigger)), st.sampled_from(sorted(FINAL)))
def test_only_a_retry_leaves_a_final_state_and_a_failed_one_can_recover(trigger, state):
    if trigger is Trigger.RETRY or (trigger is Trigger.RECOVER and state == "failed"):
        assert MACHINE.step(state, trigger) == "pending"
    else:
        with pytest.raises(IllegalMove):
            MACHINE.step(state, trigger)
