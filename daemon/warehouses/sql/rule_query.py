"""The queries of rules that the rows and figures of a table cannot answer. Pure."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from backfilld.daemon.warehouses.adapter import QueryError
from backfilld.daemon.warehouses.sql.backend_interface import Row
from backfilld.daemon.warehouses.sql.evidence_queries import TableQuery
from backfilld.state.rules.evidence import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleQuery(TableQuery, ABC):
    """The query of one rule of a processor. `judged` are the dates whose evidence it completes."""

    judged: tuple[dt.date, ...]

    @property
    @abstractmethod
    def key(self) -> str:
        """The rule's key in the pipeline file, such as `expect.keys`."""

    @property
    def name(self) -> str:
        """The name of its rows in the answer; no processor has such a name."""
        return f"{self.processor.name}:{self.key}"

    @abstractmethod
    def added_to(self, evidence: Evidence, date: dt.date, rows: Mapping[dt.date, Row]) -> Evidence:
        """The evidence of a judged date with what the answer says of it; dates without an answer are absent.

        Raises:
            QueryError: the answer cannot be read.
        """


def whole(value: object) -> int:
    """A figure of an answer. NULL is 0: an aggregate over no value counts nothing.

    Raises:
        QueryError: it is not a whole number.
    """
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    raise QueryError(f"its answer has {value!r} where a whole number belongs")
