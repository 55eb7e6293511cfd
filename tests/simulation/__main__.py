"""`python -m tests.simulation --seeds N`: live through many worlds; `--seed S` tells the story of one."""

from __future__ import annotations

import argparse
import functools
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.simulation import generators, harder
from tests.simulation.run import Simulator, Summary

DRAWS = {"plain": generators.generate, "harder": harder.generate}
BLOCK = 20
"""How many worlds a process lives through before it reports."""
MAX_REPORTS = 3
"""How many failures are told as a story."""


def main() -> int:
    """0 when every invariant held, 1 when one was broken."""
    given = _arguments()
    if given.seed is not None:
        told = Simulator(DRAWS[given.draw]).explain(given.seed)
        print(told)
        return int(not told.endswith("does not fail"))
    started = time.monotonic()
    summary = Summary()
    run = functools.partial(_run, given.draw)
    for block in _blocks(run, given.first, given.seeds, given.jobs):
        summary.merge(block)
        for seed, error in block.failures.items():
            print(f"\rseed {seed}: {error}", flush=True)
        told = f"\r{summary.worlds} of {given.seeds} worlds, {len(summary.failures)} failures"
        print(told, end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for seed in sorted(summary.failures)[:MAX_REPORTS]:
        print(f"\n{Simulator(DRAWS[given.draw]).explain(seed)}")
    seconds = time.monotonic() - started
    print(f"{summary}; {seconds:.0f} s, {summary.worlds / seconds:.1f} worlds a second")
    for point, kills in summary.kills.most_common():
        print(f"  killed {kills} times: {point}")
    return int(bool(summary.failures))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many worlds (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="one seed alone: shrink it and tell its story")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)"
    )
    parser.add_argument(
        "--draw", choices=DRAWS, default="harder", help="how worlds are drawn (default: %(default)s)"
    )
    return parser.parse_args()


def _blocks(run: Callable[[range], Summary], first: int, seeds: int, jobs: int) -> Iterator[Summary]:
    ranges = [range(n, min(n + BLOCK, first + seeds)) for n in range(first, first + seeds, BLOCK)]
    if jobs == 1:
        yield from map(run, ranges)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from (done.result() for done in as_completed([pool.submit(run, block) for block in ranges]))


def _run(draw: str, block: range) -> Summary:
    return _simulator(draw).run(block)


@functools.cache
def _simulator(draw: str) -> Simulator:
    """One for each process: its database is made but once."""
    simulator = Simulator(DRAWS[draw])
    gc.freeze()  # what is there by now stays, so the collector need not look at it again
    return simulator


if __name__ == "__main__":
    sys.exit(main())
