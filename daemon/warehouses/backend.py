"""What a warehouse's engine must do for the questions: answer them, or say what it refuses."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from backfilld.daemon.warehouses.adapter import Purpose
from backfilld.daemon.warehouses.budget import InMemoryLedger, Ledger
from backfilld.daemon.warehouses.sql.queries import Query
from backfilld.state.errors import BackfilldError
from backfilld.state.formatting import first_line
from backfilld.state.pipeline.sections import DEFAULT_QUOTA_TIMEZONE

Row = Mapping[str, Any]


class QueryError(BackfilldError):
    """A question that cannot be answered for a reason of its own: a table, a column, a right, its length.

    Asked apart, the rest of the question may well be answered. `unseen`: a table that is missing, denied or
    too slow; where all are, it is the place, the account or the warehouse itself that is wrong.
    `of_these_dates`: a table of files, whose columns may be others on other dates. `in_a_file`: some of them
    cannot be read, and of the others' dates there may well be an answer.
    """

    def __init__(
        self, message: str, *, unseen: bool = False, of_these_dates: bool = False, in_a_file: bool = False
    ) -> None:
        self.unseen = unseen
        self.of_these_dates = of_these_dates
        self.in_a_file = in_a_file
        super().__init__(first_line(message))


class Backend(Protocol):
    """Something that answers SQL in BigQuery's dialect. Called from several threads at once."""

    def query(self, question: Query, *, purpose: Purpose) -> list[Row]:
        """The rows of the answer, values as Python's dates, integers, texts and lists.

        Raises:
            Refusal: this question cannot be answered.
            WarehouseError: no question can be answered now.
        """

    def price(self, question: Query) -> int:
        """About how many bytes asking it would be billed.

        Raises:
            Refusal: this question cannot be answered.
            WarehouseError: no question can be answered now.
        """

    def close(self) -> None:
        """Let go of connections."""


def noop(*_: object) -> None:
    """For a count that nobody keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryHooks:
    """Who is told of queries and errors, and the clock."""

    on_query: Callable[[Purpose, int], None] = noop
    """Purpose and bytes billed, once for each query that was sent."""
    on_error: Callable[[], None] = noop
    """Once for each query that was not answered."""
    now: Callable[[], float] = time.time
    """Epoch seconds."""
    ledger: Ledger = field(default_factory=InMemoryLedger)
    """Where the bytes of each quota day are written down."""
    quota_zone: str = DEFAULT_QUOTA_TIMEZONE
    """The time zone at whose midnight a quota day ends."""
