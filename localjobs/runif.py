"""Whether a task runs, by how the tasks before it ended; pure, the table of the Jobs service."""

from __future__ import annotations

from collections.abc import Collection

RUN = "RUN"
SUCCEEDED = frozenset({"SUCCESS", "SUCCESS_WITH_FAILURES", "EXCLUDED", "DISABLED"})
_CANCELED = frozenset({"CANCELED", "UPSTREAM_CANCELED"})


def verdict(run_if: str, upstream: Collection[str]) -> str:
    """RUN, or the result the task gets without running, once all of the tasks before it have ended.

    `upstream` holds their results; a condition task that came out otherwise than needed counts as EXCLUDED.

    >>> verdict("ALL_SUCCESS", ["SUCCESS", "FAILED"])
    'UPSTREAM_FAILED'
    >>> verdict("ALL_DONE", ["SUCCESS", "FAILED"])
    'RUN'
    """
    if not upstream:
        return RUN
    if all(result == "EXCLUDED" for result in upstream):
        return "EXCLUDED"
    others = [result for result in upstream if result != "DISABLED"]
    if _disables(run_if, len(others), len(upstream)):
        return "DISABLED"
    return RUN if _holds(run_if, others) else _unmet(run_if, others)


def _disables(run_if: str, others: int, all_of_them: int) -> bool:
    """Whether the disabled tasks before it leave a task no way to run, however the others end."""
    if run_if in ("ALL_SUCCESS", "ALL_FAILED"):
        return others < all_of_them
    return run_if != "ALL_DONE" and others == 0


def _holds(run_if: str, upstream: Collection[str]) -> bool:
    """Whether the condition is met; a disabled task neither failed nor succeeded and is not among these."""
    failed = sum(result not in SUCCEEDED for result in upstream)
    return {
        "ALL_SUCCESS": failed == 0,
        "NONE_FAILED": failed == 0,
        "AT_LEAST_ONE_SUCCESS": failed < len(upstream),
        "ALL_DONE": True,
        "AT_LEAST_ONE_FAILED": failed > 0,
        "ALL_FAILED": failed == len(upstream),
    }[run_if]


def _unmet(run_if: str, upstream: Collection[str]) -> str:
    if run_if in ("AT_LEAST_ONE_FAILED", "ALL_FAILED"):
        return "EXCLUDED"
    bad = {result for result in upstream if result not in SUCCEEDED}
    return "UPSTREAM_CANCELED" if bad <= _CANCELED else "UPSTREAM_FAILED"


def run_result(leaves: Collection[str], others: Collection[str]) -> str:
    """The result of a run: its leaf tasks decide, and what else failed shows as SUCCESS_WITH_FAILURES."""
    if not set(leaves) <= SUCCEEDED:
        return "FAILED"
    fine = set(others) <= SUCCEEDED and "SUCCESS_WITH_FAILURES" not in {*leaves, *others}
    return "SUCCESS" if fine else "SUCCESS_WITH_FAILURES"
