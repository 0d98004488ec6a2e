"""How a run or a task of the Jobs API ended, in its own words. Standard library only: the monitor reads records too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SUCCEEDED = ("SUCCESS", "SUCCESS_WITH_FAILURES")
SKIPPED = ("UPSTREAM_FAILED", "UPSTREAM_CANCELED", "EXCLUDED", "DISABLED")
_ENDED = ("TERMINATED", "SKIPPED", "INTERNAL_ERROR")
_CODES = {  # what `status` calls what `state` has another word for
    "USER_CANCELED": "CANCELED",
    "MAX_CONCURRENT_RUNS_EXCEEDED": "MAXIMUM_CONCURRENT_RUNS_REACHED",
    "MAX_JOB_QUEUE_SIZE_EXCEEDED": "MAXIMUM_CONCURRENT_RUNS_REACHED",
}


def read_state(element: Mapping[str, Any]) -> tuple[str, str]:
    """Return the word and the message of a run or a task: of `state`, or of `status`, which version 2.2 has instead.

    >>> read_state({"status": {"state": "TERMINATED", "termination_details": {"code": "SUCCESS"}}})
    ('SUCCESS', '')
    """
    state, status = element.get("state") or {}, element.get("status") or {}
    details = status.get("termination_details") or {}
    life, code = state.get("life_cycle_state") or status.get("state") or "", details.get("code") or ""
    result = state.get("result_state") or ("" if state else _CODES.get(code, code))
    message = str(state.get("state_message") or details.get("message") or "").strip()
    ended = life in _ENDED or not life
    return str((result or life or "UNKNOWN") if ended else life), message


def attempt_order(element: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return the key by which the attempts at a task are sorted, the latest last."""
    numbers = (element.get(name) for name in ("attempt_number", "start_time", "run_id"))
    first, second, third = (number if isinstance(number, int) else 0 for number in numbers)
    return first, second, third
