"""What a condition_task comes out as."""

from __future__ import annotations

import operator
from decimal import Decimal, InvalidOperation

from localjobs.job import ConditionTask

_TEXT = {"EQUAL_TO": operator.eq, "NOT_EQUAL": operator.ne}
_NUMBER = {
    "GREATER_THAN": operator.gt,
    "GREATER_THAN_OR_EQUAL": operator.ge,
    "LESS_THAN": operator.lt,
    "LESS_THAN_OR_EQUAL": operator.le,
}


def outcome(condition: ConditionTask) -> str:
    """`true` or `false`; raises ValueError where numbers are compared and there is none.

    >>> outcome(ConditionTask(left="12.0", op="EQUAL_TO", right="12"))
    'false'
    >>> outcome(ConditionTask(left="12.0", op="GREATER_THAN_OR_EQUAL", right="12"))
    'true'
    """
    if condition.op in _TEXT:
        return str(_TEXT[condition.op](condition.left, condition.right)).lower()
    return str(_NUMBER[condition.op](_number(condition.left), _number(condition.right))).lower()


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"the comparison needs a number, found {text!r}") from None
