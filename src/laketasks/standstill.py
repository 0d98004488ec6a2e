"""Skip a load whose metadata row, sources and target are unchanged since the last successful load.

A load is made of these alone, so that comparing source and target again would find every row as it should be. Tables
are known by their ids and the versions of their Delta logs. A view is read each time, and so is a SQL file that reads
one or that depends on the time, the session or chance. OPTIMIZE and VACUUM rewrite files and change no row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from laketasks.commits import Commit, TableState, changes_since
from laketasks.identity import metadata_hash
from laketasks.run_log import LastLoad
from laketasks.spec import CdcSourceConfig, LoadSpec, RunContext, names_task

_CALL = re.compile(r"([\w.`]*)\s*\(")
_OPERATORS = {"", "in", "and", "or", "not"}
_NO_CALL = re.compile(r"\b(current_\w+|localtimestamp|user|session_user|now|today|tomorrow|yesterday)\b", re.IGNORECASE)


def is_up_to_date(
    spec: LoadSpec, context: RunContext, sources: Mapping[str, TableState], last: LastLoad, sql: str
) -> bool:
    """Return whether a target that is as the last success left it would stay so, and nobody asks to look all the same.

    `sql` is the fingerprint of the row's SQL file as it is now.
    """
    if last.row_hash != metadata_hash(spec) or last.stale_inputs:
        return False
    named = (context.full_refresh, context.override_guards, context.reconcile)
    if context.reloads_from or any(names_task(tasks, context.task_key) for tasks in named):
        return False
    if varies(spec.cdc_source_config):
        return False
    if spec.sql_file_path and not (spec.sql_repeatable and sql == last.parts.get("SQL")):
        return False
    known = last.sources
    return bool(sources) and all(table in known and state.has_rows_of(known[table]) for table, state in sources.items())


def version_left(before: tuple[Commit, ...], after: tuple[Commit, ...], own: int) -> int | None:
    """The version that a load left, if its `own` commits are all that changed rows since it looked; else None."""
    if changes_since(after, before[0].version if before else -1) != own:
        return None
    return after[0].version


def varies(config: CdcSourceConfig) -> bool:
    """Return whether the same rows may mean something else tomorrow, or have a note each time they are read.

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
