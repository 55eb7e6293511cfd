"""Who lets a date pass without an output."""

from __future__ import annotations

from enum import StrEnum


class WaivedBy(StrEnum):
    """Who waives an output that is missing or wrong."""

    FALLBACK = "fallback"
    """A complete output of one of its `fallbacks` replaces it."""
    POLICY = "policy"
    """Its `priority`, or the `sources` of the request, let the date pass without it."""
    OPERATOR = "operator"
    """An operator has accepted it."""
