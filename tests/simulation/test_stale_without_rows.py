"""Outputs without rows: stale until they have run again, and no cause of staleness themselves."""

from backfilld.state.records import Mark
from tests.simulation.external_events import retry_marked
from tests.simulation.test_accepted_after_retry import DAY, DAYS, opt_does, run, shape, stale_with_waiver
from tests.simulation.test_cascade import causes, stale
from tests.simulation.world import ME, Work, World


def without_rows(tmp_path, of=None, *works: Work) -> World:
    """`opt` has run, left nothing and was waived, and its input has run again since."""
    world = World(of or shape("important"), dict.fromkeys(DAYS, 5), tmp_path)
    opt_does(world, *(works or [Work()]))
    world.enqueue(DAYS[0], DAYS[-1])
    world.run()
    world.time += 3600
    world.commands.retry_processor(DAY, "src", by=ME)
    assert run(world) == ["src"]
    return world


def retry_stale(world: World) -> list[str]:
    retry_marked(world.commands, Mark.STALE, DAYS[0], DAYS[-1])
    return run(world)


def test_what_has_run_since_and_left_nothing_is_stale_no_longer(tmp_path):
    # Given an output without rows that was computed before its input changed
    world = without_rows(tmp_path)
    assert causes(world, DAY) == {"opt": [(DAY, "src")], "rep": [(DAY, "src")]}
    # When it has run again without rows, then nothing is stale, and nothing is left to run
    assert retry_stale(world) == ["opt", "opt", "rep"]
    assert world.dates()[DAY].outcome == "waived"
    assert (causes(world, DAY), stale(world), retry_stale(world)) == ({}, [], [])


def test_what_is_accepted_after_it_has_run_again_and_left_nothing_is_stale_no_longer(tmp_path):
    # Given an output without rows that nothing but an operator lets pass
    world = stale_with_waiver(tmp_path)
    assert retry_stale(world)[:2] == ["opt", "opt"]
    assert world.dates()[DAY].outcome == "blocked"
    # When it is accepted once more, then nothing is stale, and nothing is left to run
    world.commands.accept(DAY, "opt", by=ME, reason="second")
    run(world)
    assert (causes(world, DAY), stale(world), retry_stale(world)) == ({}, [], [])


def test_what_failed_and_left_nothing_is_not_stale(tmp_path):
    # Given an output without rows whose job fails, before and after its input changed
    world = without_rows(tmp_path, None, Work(code=1))
    assert "opt" not in causes(world, DAY)
    retry_stale(world)
    assert (causes(world, DAY), stale(world), retry_stale(world)) == ({}, [], [])
