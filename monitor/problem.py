"""How this room says no: every reason at once, each with its place and its remedy."""

from __future__ import annotations

from collections.abc import Iterable


class ProblemsError(Exception):
    """A run that cannot be shown; `problems` holds every reason."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class UsageError(ProblemsError):
    """The command line itself is wrong."""
