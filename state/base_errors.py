"""The one tree of the product's errors."""

from __future__ import annotations


class BackfilldError(Exception):
    """The root of every error that backfilld raises itself.

    The message says what is wrong. `hint` says what a person can do about it; it is empty where the message
    says so itself, or where no action is needed.
    """

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        self.hint = hint
        super().__init__(message)


class UserError(BackfilldError):
    """A mistake or a condition that only a person can fix: a command line ends with it."""

    exit_code = 2
    """2 for wrong usage and wrong settings; a subclass for operations that failed has 1."""
