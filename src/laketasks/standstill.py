"""Whether a load can have nothing to do: its row, its source and its table are what its last success left.

A load is made of these three alone, so that comparing source and table again would find every row as it should be. Both
are known by the versions of their Delta logs; where an engine tells none, and of a view, nothing stands still and every
load compares. What rewrites files without changing rows (OPTIMIZE, VACUUM) counts as standing still.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from pyspark.sql import SparkSession

from laketasks.commits import Commit, changes_since, existed
from laketasks.run_log import LastLoad, wheel_version
from laketasks.spec import CdcSourceConfig, LoadSpec, RunContext, names_task

_CALL = re.compile(r"([\w.`]*)\s*\(")
_OPERATORS = {"", "in", "and", "or", "not"}
_NO_CALL = re.compile(r"\b(current_\w+|localtimestamp|user|session_user|now|today|tomorrow|yesterday)\b", re.IGNORECASE)


def stands_still(
    spark: SparkSession, spec: LoadSpec, context: RunContext, source: tuple[Commit, ...], last: LastLoad
) -> bool:
    """Whether a table that is as the last success left it would stay so, and nobody asks to look all the same."""
    if last.row_hash != row_hash(spec):
        return False
    named = (context.full_refresh, context.override_guards, context.reconcile)
    if context.reloads_from or any(names_task(tasks, context.task_key) for tasks in named):
        return False
    if spec.sql_file_path or varies(spec.cdc_source_config):
        return False
    return _still(spark, spec.source_table, source, last.source_version, last.started_at)


def untouched(spark: SparkSession, target: str, commits: tuple[Commit, ...], last: LastLoad) -> bool:
    """Whether the table has the rows that the last success left, checked then; no where no version is told."""
    return _still(spark, target, commits, last.target_version, last.ended_at)


def version_left(before: tuple[Commit, ...], after: tuple[Commit, ...], own: int) -> int | None:
    """The version that a load left, if its `own` commits are all that changed rows since it looked; else None."""
    if changes_since(after, before[0].version if before else -1) != own:
        return None
    return after[0].version


def row_hash(spec: LoadSpec) -> str:
    """What the row of `execution_table` says and which wheel carries it out, as 32 hexadecimal digits."""
    told: Mapping[str, str] = {**spec.to_parameters(), "": wheel_version()}
    return hashlib.md5(json.dumps(told, sort_keys=True).encode(), usedforsecurity=False).hexdigest()


def varies(config: CdcSourceConfig) -> bool:
    """Whether the same rows may mean something else tomorrow, or have something to say each time they are read.

    A condition that calls a function is taken for one that depends on the day.

    >>> varies(CdcSourceConfig(where="region IN ('N', 'S') AND NOT (id < 3)"))
    False
    >>> varies(CdcSourceConfig(where="sold_on > current_date - 30"))
    True
    >>> varies(CdcSourceConfig(where="lower(region) = 'n'"))
    True
    """
    conditions = (config.where, config.replace_where, config.apply_as_deletes)
    return bool(config.expectations) or any(map(_may_vary, conditions))


def _may_vary(condition: str) -> bool:
    called = {name.lower() for name in _CALL.findall(condition)}
    return bool(called - _OPERATORS or _NO_CALL.search(condition))


def _still(spark: SparkSession, table: str, commits: tuple[Commit, ...], version: int | None, then: int) -> bool:
    """Whether a table has the rows of this version, and is the table that it was then: none of that name made since."""
    if version is None or changes_since(commits, version) != 0:
        return False
    made = next((commit.at for commit in commits if commit.version == version), None)
    return made <= then if made is not None else existed(spark, table, then)
