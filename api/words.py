"""Figures as people say them, on the terminal and on the page."""

from __future__ import annotations


def span(seconds: float | None) -> str:
    """A duration as people say it: 42 s, 3 min 10 s, 2 h 5 min."""
    if seconds is None:
        return "unknown"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
