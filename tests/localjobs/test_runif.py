from __future__ import annotations

import pytest

from localjobs.runif import run_result, verdict

_ALL_FINE = ["SUCCESS", "SUCCESS"]
_MIXED = ["SUCCESS", "FAILED"]
_ALL_BAD = ["FAILED", "TIMEDOUT"]
_ONE_EXCLUDED = ["SUCCESS", "EXCLUDED"]
_SKIPPED = ["SUCCESS", "UPSTREAM_FAILED"]

# What becomes of a task: rows are its run_if, columns how the two tasks before it ended.
_TABLE = [
    #                        all fine    mixed              all bad            one excluded  one upstream failed
    ("ALL_SUCCESS", ("RUN", "UPSTREAM_FAILED", "UPSTREAM_FAILED", "RUN", "UPSTREAM_FAILED")),
    ("NONE_FAILED", ("RUN", "UPSTREAM_FAILED", "UPSTREAM_FAILED", "RUN", "UPSTREAM_FAILED")),
    ("AT_LEAST_ONE_SUCCESS", ("RUN", "RUN", "UPSTREAM_FAILED", "RUN", "RUN")),
    ("ALL_DONE", ("RUN", "RUN", "RUN", "RUN", "RUN")),
    ("AT_LEAST_ONE_FAILED", ("EXCLUDED", "RUN", "RUN", "EXCLUDED", "RUN")),
    ("ALL_FAILED", ("EXCLUDED", "EXCLUDED", "RUN", "EXCLUDED", "EXCLUDED")),
]
_CASES = [
    (run_if, upstream, expected)
    for run_if, row in _TABLE
    for upstream, expected in zip([_ALL_FINE, _MIXED, _ALL_BAD, _ONE_EXCLUDED, _SKIPPED], row, strict=True)
]


@pytest.mark.parametrize(("run_if", "upstream", "expected"), _CASES)
def test_the_six_values(run_if: str, upstream: list[str], expected: str) -> None:
    assert verdict(run_if, upstream) == expected


@pytest.mark.parametrize("run_if", [row[0] for row in _TABLE])
def test_a_task_without_dependencies_runs(run_if: str) -> None:
    assert verdict(run_if, []) == "RUN"


@pytest.mark.parametrize("run_if", [row[0] for row in _TABLE])
def test_a_task_whose_dependencies_are_all_excluded_is_too(run_if: str) -> None:
    assert verdict(run_if, ["EXCLUDED", "EXCLUDED"]) == "EXCLUDED"


def test_a_cancel_propagates() -> None:
    assert verdict("ALL_SUCCESS", ["SUCCESS", "CANCELED"]) == "UPSTREAM_CANCELED"
    assert verdict("ALL_SUCCESS", ["FAILED", "CANCELED"]) == "UPSTREAM_FAILED"


def test_a_disabled_task_disables_what_needs_its_success() -> None:
    assert verdict("ALL_SUCCESS", ["SUCCESS", "DISABLED"]) == "DISABLED"
    assert verdict("ALL_DONE", ["SUCCESS", "DISABLED"]) == "RUN"


@pytest.mark.parametrize(
    ("leaves", "others", "expected"),
    [
        (["SUCCESS"], ["SUCCESS"], "SUCCESS"),
        (["SUCCESS", "EXCLUDED"], ["SUCCESS"], "SUCCESS"),
        (["SUCCESS"], ["FAILED"], "SUCCESS_WITH_FAILURES"),
        (["SUCCESS"], ["UPSTREAM_FAILED"], "SUCCESS_WITH_FAILURES"),
        (["SUCCESS", "FAILED"], ["SUCCESS"], "FAILED"),
        (["UPSTREAM_FAILED"], ["FAILED"], "FAILED"),
        (["TIMEDOUT"], [], "FAILED"),
    ],
)
def test_the_leaves_decide_the_run(leaves: list[str], others: list[str], expected: str) -> None:
    assert run_result(leaves, others) == expected
