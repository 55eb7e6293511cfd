"""What every error has in common that a person can mend."""

from __future__ import annotations


class UserError(Exception):
    """Something keeps the program from its work; the message says what, and what a person can do about it."""
