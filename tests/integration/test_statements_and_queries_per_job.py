"""What a job costs the engine, in counts that do not depend on the load of the machine."""

from __future__ import annotations

import json

from bench.statements_and_queries_per_job import LIMITS, figures


def test_no_job_costs_more_statements_transactions_commits_queries_or_processes_than_allowed() -> None:
    limits = json.loads(LIMITS.read_text(encoding="utf-8"))
    found = figures()
    assert {name: counts.keys() for name, counts in found.items()} == {n: c.keys() for n, c in limits.items()}
    exceeded = {
        (scenario, name): (count, limits[scenario][name])
        for scenario, counts in found.items()
        for name, count in counts.items()
        if count > limits[scenario][name]
    }
    assert not exceeded, (
        "more per job than bench/statements_and_queries_per_job.json allows; CONTRIBUTING.md says what to do"
    )
