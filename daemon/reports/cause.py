"""The cause of a wait, as reports show it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a date waits, as a sentence with its remedy, and whether only a person can end the wait."""

    text: str
    needs_operator: bool
