"""The six `run_if` values against every multiset of up to three results of the tasks before: 1,314 combinations.

What is expected stands here as a table, written from the service's documentation. It says: timeouts, cancels and tasks
that did not run because of either count as failed; excluded counts as successful, but a task whose dependencies are all
excluded is excluded; disabled is neither, and disables what cannot be met because of it. A task that does not run
otherwise is EXCLUDED where it was there for failures, else it is named for what went wrong before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations_with_replacement, permutations

import pytest

from localjobs.graph import Order
from localjobs.job import ConditionTask, Dependency, Task, WheelTask

_KIND = {
    "SUCCESS": "ok",
    "SUCCESS_WITH_FAILURES": "ok",
    "FAILED": "bad",
    "TIMEDOUT": "bad",
    "CANCELED": "bad",
    "UPSTREAM_FAILED": "bad",
    "UPSTREAM_CANCELED": "bad",
    "EXCLUDED": "excluded",
    "DISABLED": "disabled",
}
_MIXES = ("ok", "bad", "excluded", "ok bad", "ok excluded", "bad excluded", "ok bad excluded")
_RUN, _OUT, _OFF, _NOT = "RUN", "EXCLUDED", "DISABLED", "upstream"
_EXPECTED = {
    #                        ok    bad   excl. ok+bad ok+ex bad+ex all three
    "ALL_SUCCESS": (_RUN, _NOT, _OUT, _NOT, _RUN, _NOT, _NOT),
    "NONE_FAILED": (_RUN, _NOT, _OUT, _NOT, _RUN, _NOT, _NOT),
    "AT_LEAST_ONE_SUCCESS": (_RUN, _NOT, _OUT, _RUN, _RUN, _RUN, _RUN),
    "ALL_DONE": (_RUN, _RUN, _OUT, _RUN, _RUN, _RUN, _RUN),
    "AT_LEAST_ONE_FAILED": (_OUT, _RUN, _OUT, _RUN, _OUT, _RUN, _RUN),
    "ALL_FAILED": (_OUT, _RUN, _OUT, _OUT, _OUT, _OUT, _OUT),
}
_WITH_DISABLED = {  # the same mixes, and a disabled task or two with them; the first column is disabled tasks alone
    #                        alone +ok   +bad  +excl. +ok+bad +ok+ex +bad+ex
    "ALL_SUCCESS": (_OFF, _OFF, _OFF, _OFF, _OFF, _OFF, _OFF),
    "NONE_FAILED": (_OFF, _RUN, _NOT, _RUN, _NOT, _RUN, _NOT),
    "AT_LEAST_ONE_SUCCESS": (_OFF, _RUN, _NOT, _RUN, _RUN, _RUN, _RUN),
    "ALL_DONE": (_RUN, _RUN, _RUN, _RUN, _RUN, _RUN, _RUN),
    "AT_LEAST_ONE_FAILED": (_OFF, _OUT, _RUN, _OUT, _RUN, _OUT, _RUN),
    "ALL_FAILED": (_OFF, _OFF, _OFF, _OFF, _OFF, _OFF, _OFF),
}
_WHEEL = WheelTask(package_name="p", entry_point="e")
_UPSTREAMS = [mix for size in (1, 2, 3) for mix in combinations_with_replacement(_KIND, size)]
_CASES = [(run_if, upstream) for run_if in _EXPECTED for upstream in _UPSTREAMS]


def expected(run_if: str, upstream: Sequence[str]) -> str:
    kinds = {_KIND[result] for result in upstream}
    mix = " ".join(kind for kind in ("ok", "bad", "excluded") if kind in kinds)
    if "disabled" in kinds:
        cell = _WITH_DISABLED[run_if][("", *_MIXES).index(mix)]
    else:
        cell = _EXPECTED[run_if][_MIXES.index(mix)]
    if cell != _NOT:
        return cell
    failed = any(result in ("FAILED", "TIMEDOUT", "UPSTREAM_FAILED") for result in upstream)
    return "UPSTREAM_FAILED" if failed else "UPSTREAM_CANCELED"


def _task(key: str, *before: str, run_if: str = "ALL_SUCCESS") -> Task:
    return Task(
        task_key=key, body=_WHEEL, run_if=run_if, depends_on=tuple(Dependency(task_key=other) for other in before)
    )


def _judged(run_if: str, upstream: Sequence[str]) -> str:
    """What becomes of a task behind tasks that end so, one after the other."""
    keys = [f"t{number}" for number in range(len(upstream))]
    order = Order([*(_task(key) for key in keys), _task("last", *keys, run_if=run_if)])
    for key, result in zip(keys[:-1], upstream[:-1], strict=True):
        assert order.finish(key, result) == []
    (key, verdict), *more = order.finish(keys[-1], upstream[-1])
    assert (key, more) == ("last", [])
    return verdict


def test_the_table_has_every_combination() -> None:
    assert (len(_UPSTREAMS), len(_CASES)) == (9 + 45 + 165, 1314)
    told = Counter(expected(run_if, upstream) for run_if, upstream in _CASES)
    assert set(told) == {"RUN", "EXCLUDED", "DISABLED", "UPSTREAM_FAILED", "UPSTREAM_CANCELED"}


@pytest.mark.parametrize("run_if", _EXPECTED)
def test_every_combination_is_as_documented_in_whatever_order_the_tasks_end(run_if: str) -> None:
    wrong = {
        ended: (_judged(run_if, ended), expected(run_if, upstream))
        for upstream in _UPSTREAMS
        for ended in set(permutations(upstream))
        if _judged(run_if, ended) != expected(run_if, upstream)
    }
    assert wrong == {}


# --- what propagates ---


def _through(tasks: Iterable[Task], ends: dict[str, str], outcomes: dict[str, str] | None = None) -> dict[str, str]:
    """Every task's result when those that run end as `ends` says, else well."""
    order = Order(list(tasks))
    ahead = order.first()
    while ahead:
        key, verdict = ahead.pop(0)
        result = ends.get(key, "SUCCESS") if verdict == "RUN" else verdict
        ahead += order.finish(key, result, (outcomes or {}).get(key, "") if verdict == "RUN" else "")
    return order.results


@pytest.mark.parametrize(
    ("first", "second", "third", "cleanup"),
    [
        ("FAILED", "UPSTREAM_FAILED", "UPSTREAM_FAILED", "SUCCESS"),
        ("TIMEDOUT", "UPSTREAM_FAILED", "UPSTREAM_FAILED", "SUCCESS"),
        ("CANCELED", "UPSTREAM_CANCELED", "UPSTREAM_CANCELED", "SUCCESS"),
        ("EXCLUDED", "EXCLUDED", "EXCLUDED", "EXCLUDED"),
        ("DISABLED", "DISABLED", "DISABLED", "DISABLED"),
        ("SUCCESS", "SUCCESS", "SUCCESS", "EXCLUDED"),
    ],
)
def test_how_a_task_ended_travels_down_a_chain_and_past_it(first: str, second: str, third: str, cleanup: str) -> None:
    tasks = [
        _task("a"),
        _task("b", "a"),
        _task("c", "b"),
        _task("clean", "c", run_if="AT_LEAST_ONE_FAILED"),
        _task("last", "c", "clean", run_if="ALL_DONE"),
    ]
    results = _through(tasks, {"a": first})
    last = "EXCLUDED" if (third, cleanup) == ("EXCLUDED", "EXCLUDED") else "SUCCESS"
    assert results == {"a": first, "b": second, "c": third, "clean": cleanup, "last": last}


@pytest.mark.parametrize("run_if", _EXPECTED)
@pytest.mark.parametrize("outcome", ["true", "false"])
@pytest.mark.parametrize("beside", ["SUCCESS", "FAILED", "EXCLUDED"])
def test_the_other_outcome_of_a_condition_counts_as_excluded(run_if: str, outcome: str, beside: str) -> None:
    gate = Task(task_key="gate", body=ConditionTask(left="1", op="EQUAL_TO", right="1"))
    behind = Task(
        task_key="behind",
        body=_WHEEL,
        run_if=run_if,
        depends_on=(Dependency(task_key="gate", outcome="true"), Dependency(task_key="other")),
    )
    results = _through([gate, _task("other"), behind], {"other": beside}, {"gate": outcome})
    seen = expected(run_if, ["SUCCESS" if outcome == "true" else "EXCLUDED", beside])
    assert results["behind"] == ("SUCCESS" if seen == "RUN" else seen)


def test_both_ways_of_a_condition_that_failed_are_upstream_failed() -> None:
    gate = Task(task_key="gate", body=ConditionTask(left="x", op="GREATER_THAN", right="1"))
    ways = [
        Task(task_key=way, body=_WHEEL, depends_on=(Dependency(task_key="gate", outcome=way),))
        for way in ("true", "false")
    ]
    results = _through([gate, *ways], {"gate": "FAILED"})
    assert results == {"gate": "FAILED", "true": "UPSTREAM_FAILED", "false": "UPSTREAM_FAILED"}
