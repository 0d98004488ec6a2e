"""The task keys of a job in one parameter: a list where they fit, a Bloom filter where they do not."""

from __future__ import annotations

import pytest

from laketasks.known_tasks import list_tasks, listed, unknown_tasks

MOST = 6_000


@pytest.mark.parametrize("tables", [1, 100, 400, 1_000, 3_000])
def test_every_task_of_the_job_is_known_and_a_wrong_name_hardly_ever(tables: int) -> None:
    keys = [f"dim_of_a_longer_name_{number}" for number in range(tables)]
    text = list_tasks(keys, MOST)
    assert len(text) <= MOST
    assert listed(text) == (tuple(sorted(keys)) if tables <= 100 else ())
    for start in range(0, tables, 200):
        assert unknown_tasks({"task_keys": text, "full_refresh": ",".join(keys[start : start + 200])}) == []
    wrong = [f"dim_of_another_name_{number}" for number in range(1_000)]
    found = unknown_tasks({"task_keys": text, "reconcile": ",".join(wrong)})
    assert len(found) == 1_000 if tables <= 100 else len(found) >= 980


def test_a_layer_of_ten_thousand_tables_still_refuses_most_wrong_names() -> None:
    text = list_tasks([f"t_{number}" for number in range(10_000)], MOST)
    assert unknown_tasks({"task_keys": text, "full_refresh": "t_1,t_9999"}) == []
    assert len(unknown_tasks({"task_keys": text, "full_refresh": ",".join(f"x{n}" for n in range(100))})) > 60


def test_all_and_nothing_name_no_single_task() -> None:
    given = {"task_keys": "a, b", "full_refresh": "all", "reload_from": "2024-05-01", "dry_run": "true"}
    assert unknown_tasks({**given, "reconcile": ""}) == []
    assert unknown_tasks({"full_refresh": "typo"}) == []  # a load by hand: no job, no names
    assert unknown_tasks({"task_keys": "dim_date, b", "full_refresh": "dim_dat"}) == [
        "full_refresh names dim_dat: no such task in this job; did you mean dim_date?"
    ]
