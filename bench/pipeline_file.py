"""The 5 + 5 + 4 shape of the first user's platform as a pipeline file, for every benchmark that needs one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

PHASES = (("phase2", "parallel", 5), ("phase3", "parallel", 5), ("phase4", "sequential", 4))
JOBS = sum(count for _, _, count in PHASES)
SLOTS = 8


def toml(
    command: Sequence[str],
    *,
    writers: int = 1,
    lookback: int = 0,
    phases: Sequence[tuple[str, str, int]] = PHASES,
    **jobs: str,
) -> str:
    """Every date is expected, there is no history, and each job is `command`; `jobs` are keys of [jobs]."""
    lines = ['name = "bench"', "[warehouse]", 'kind = "lake"', 'path = "lake"']
    lines += ["[jobs]", f"slots = {SLOTS}", *_keys(jobs)]
    for phase, order, count in phases:
        lines += ["[[phase]]", f'name = "{phase}"', f'order = "{order}"']
        lines += [f"lookback = {lookback}"] if order == "sequential" else []
        for number in range(count):
            name = f"{phase}_{number}"
            lines += ["[[phase.processor]]", f'name = "{name}"', f'table = "bench.{name}"']
            lines += [f"command = {json.dumps(list(command))}", f"writers = {writers}"]
    return "\n".join(lines)


def _keys(values: Mapping[str, str]) -> list[str]:
    return [f'{key} = "{value}"' for key, value in values.items()]
