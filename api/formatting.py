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


def lasting(seconds: float, unknown: int) -> str:
    """How long steps take together, `unknown` of which nobody can tell."""
    if not seconds and unknown:
        return "unknown time"
    return span(seconds) + (f" and {unknown} of unknown time" if unknown else "")


def size(amount: int) -> str:
    """A number of bytes as people say it: 340 B, 1.5 GiB."""
    value = float(amount)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
