from __future__ import annotations

import pytest

from localjobs.condition import outcome
from localjobs.job import ConditionTask


@pytest.mark.parametrize(
    ("left", "op", "right", "expected"),
    [
        ("1", "EQUAL_TO", "1", "true"),
        ("12.0", "EQUAL_TO", "12", "false"),
        ("a", "NOT_EQUAL", "b", "true"),
        ("12.0", "GREATER_THAN_OR_EQUAL", "12", "true"),
        ("9", "GREATER_THAN", "10", "false"),
        ("9", "LESS_THAN", "10", "true"),
        ("10", "LESS_THAN_OR_EQUAL", "9", "false"),
    ],
)
def test_texts_are_equal_and_numbers_are_greater(left: str, op: str, right: str, expected: str) -> None:
    assert outcome(ConditionTask(left=left, op=op, right=right)) == expected


def test_a_text_is_not_greater() -> None:
    with pytest.raises(ValueError, match="needs a number, found 'many'"):
        outcome(ConditionTask(left="many", op="GREATER_THAN", right="1"))
