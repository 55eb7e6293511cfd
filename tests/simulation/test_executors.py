"""What the engine does for executors: limits their attempts, hands resources on, gives attempts back."""

import datetime as dt

import pytest

from backfilld.daemon.executors.adapter import JobResult
from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.pipeline.loading import PipelineError
from tests.factories import phase, pipeline, processor
from tests.simulation.fakes import SimExecutor
from tests.simulation.season import DAY, OPENER, SEASON, shape
from tests.simulation.world import World


@pytest.fixture
def worlds(tmp_path, state_url):
    opened = []

    def open_world(made):
        opened.append(World(made, SEASON, tmp_path, url=state_url))
        return opened[-1]

    yield open_world
    for world in opened:
        world.db.close()


def test_an_executor_runs_no_more_attempts_than_its_slots_and_what_waits_names_it(worlds):
    made = pipeline(
        phase("raw", processor("box", writers=5)),
        jobs={"slots": 5},
        executor={"local": {"slots": 2}},
    )
    world = worlds(made)
    world.enqueue(OPENER, DAY)
    world.settle()
    assert len(world.executor.alive) == 2
    with world.db.read() as tx:
        waiting = waiting_on(tx, world.context, world.live()).values()
    assert "a slot of the executor local: 2 of 2 are taken" in waiting
    most = 0
    while world.step():
        most = max(most, len(world.executor.alive))
    assert most == 2
    assert not world.live()


def test_each_executor_of_a_kind_has_slots_of_its_own_and_a_wait_names_the_one_that_is_full(worlds):
    cluster = {"kind": "dask", "scheduler": "tcp://127.0.0.1:1"}
    executors = {"dask": {**cluster, "slots": 1}, "gpu": {**cluster, "slots": 2}}
    third = OPENER + dt.timedelta(days=2)
    deep = processor("deep", executor="gpu", writers=4, until=third)
    plain = processor("plain", executor="dask", writers=4, since=third + dt.timedelta(days=1))
    world = worlds(pipeline(phase("raw", deep, plain), executor=executors))
    both = {name: SimExecutor(world.clock, world._play) for name in executors}
    world.engine.launcher._executors = world.engine.attempt_monitor._executors = both
    world.enqueue(OPENER, OPENER + dt.timedelta(days=4))
    world.settle()
    with world.db.read() as tx:
        waiting = waiting_on(tx, world.context, world.live())
    assert [waiting[date] for date in sorted(waiting)] == [
        "attempt 1 of deep",
        "attempt 2 of deep",
        "a slot of the executor gpu: 2 of 2 are taken",
        "attempt 3 of plain",
        "a slot of the executor dask: 1 of 1 are taken",
    ]
    assert [job.processor for job in both["gpu"].launched] == ["deep", "deep"]
    assert [job.processor for job in both["dask"].launched] == ["plain"]


def test_a_preempted_job_uses_up_no_attempt(worlds):
    world = worlds(shape(max_attempts=1))
    world.enqueue(OPENER, OPENER)
    world.settle()
    (number, *_) = world.executor.alive
    del world.executor.alive[number]
    world.executor.ended[number] = JobResult.preempted("its worker was closed", at=world.clock())
    world.run()
    assert world.dates()[OPENER].outcome == "bootstrap"


def test_a_job_gets_the_resources_that_its_processor_asks_for(worlds):
    dask = {"dask": {"scheduler": "tcp://127.0.0.1:1", "resources": {"slot": 1}}}
    wants = processor("box", executor="dask", resources={"GPU": 2})
    world = worlds(pipeline(phase("raw", wants), executor=dask))
    world.engine.launcher._executors = {"dask": world.executor}
    world.enqueue(OPENER, OPENER)
    world.settle()
    assert [job.resources for job in world.executor.launched] == [{"GPU": 2}]


@pytest.mark.parametrize(
    ("executor", "resources", "problem"),
    [
        ("dask", {"GPU": 0}, "GPU: 0.0 is not an amount of a Dask resource; write a number above 0"),
        ("dask", {"GPU": "two"}, "GPU: 'two' is not an amount of a Dask resource; write a number above 0"),
        ("local", {"GPU": 1}, "GPU: this kind of executor takes no resources; remove it"),
    ],
)
def test_resources_that_the_executor_does_not_know_are_refused(executor, resources, problem):
    wants = processor("box", executor=executor, resources=resources)
    with pytest.raises(PipelineError) as raised:
        pipeline(phase("raw", wants), executor={"dask": {"scheduler": "tcp://127.0.0.1:1"}})
    assert raised.value.problems == [f"phase[raw].processor[box].resources.{problem}"]
