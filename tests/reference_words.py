"""The words of the API, the log and the metrics, as `docs/reference/words.md` lists them."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from enum import StrEnum

from backfilld.api.auth.tokens import Scope
from backfilld.api.grid_encoding import WITHOUT_VERDICT
from backfilld.api.metrics import GATE_RESULTS, HOLDS, INCIDENTS, PLACED_BY, PURPOSES, RESULTS
from backfilld.api.problem_responses import PROBLEMS
from backfilld.api.routes.probes import HEALTH_CHECKS
from backfilld.api.schemas.field_types import BackfillStatus
from backfilld.daemon.preflight.findings import FindingStatus
from backfilld.daemon.reports.data_completeness import STATUSES, Readiness
from backfilld.daemon.reports.plan.steps import BASES
from backfilld.state.pipeline.processor import Priority
from backfilld.state.records import Action, AttemptStatus, EnqueueOutcome, Mark, Sources
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.gates import WaitReason, WaivedBy
from backfilld.state.rules.simulated_data_damage import DAMAGES
from backfilld.state.rules.state_machine import Trigger
from backfilld.state.rules.verdict import Verdict
from tests.reference_routes import table_rows

_ENUMS: Mapping[str, type[StrEnum]] = {
    "verdict": Verdict,
    "outcome": Outcome,
    "waiting": WaitReason,
    "attempt": AttemptStatus,
    "backfill": BackfillStatus,
    "answer": EnqueueOutcome,
    "sources": Sources,
    "trigger": Trigger,
    "mark": Mark,
    "waived_by": WaivedBy,
    "priority": Priority,
    "readiness": Readiness,
    "preflight": FindingStatus,
    "action": Action,
    "scope": Scope,
}
"""The closed sets of words, by the names of their tables in the reference."""

_LABELS: Mapping[str, Mapping[str, str]] = {
    "incident": INCIDENTS,
    "hold": HOLDS,
    "placed_by": PLACED_BY,
    "gate": GATE_RESULTS,
    "result": RESULTS,
    "purpose": PURPOSES,
    "check": HEALTH_CHECKS,
    "report_status": STATUSES,
    "basis": BASES,
    "grid": WITHOUT_VERDICT,
    "damage": {name: f"{text[0].upper()}{text[1:]}." for name, text in DAMAGES.items()},
    "problem": PROBLEMS,
}
"""Words that are no enumeration, with what each means."""


def declared(kind: type) -> Iterator[tuple[ast.stmt, str]]:
    """The statements of a class, each with the docstring below it on one line."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0].body  # type: ignore[attr-defined]
    for one, after in zip(body, [*body[1:], None], strict=True):
        said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        yield one, " ".join(after.value.value.split()) if said else ""


def meanings(kind: type[StrEnum]) -> dict[str, str]:
    """What a closed set says of each of its words."""
    told = {ast.unparse(one.targets[0]): text for one, text in declared(kind) if isinstance(one, ast.Assign)}
    return {word.value: told[word.name] for word in kind}


def words(told: Mapping[str, str]) -> str:
    """The words of a closed set, and what each means."""
    return table_rows(["word", "meaning"], [[f"`{word}`", meaning] for word, meaning in told.items()])


WORDS: Mapping[str, Mapping[str, str]] = {
    **{name: meanings(kind) for name, kind in _ENUMS.items()},
    **_LABELS,
}
"""Every table of words: the words with their meanings, by the name of the table."""
