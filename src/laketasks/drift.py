"""What must not change silently under a table that has rows: its keys, and the columns whose history it keeps.

Both are kept in the run log with each load, and compared with the last successful one. The order, the case and the
quoting of names do not matter. Source for the idea: the key and history drift checks of Spark's AUTO CDC.
"""

from __future__ import annotations

from laketasks.error import TargetError
from laketasks.run_log import LastLoad
from laketasks.spec import LoadSpec


def keys_of(spec: LoadSpec, keys: tuple[str, ...]) -> str:
    """The keys in one form, for the run log; empty where the loader needs none."""
    return _listed(keys) if spec.execution_pipeline != "fact_overwrite" else ""


def history_of(spec: LoadSpec) -> str:
    """Which columns make a version, in one form; empty for loaders that keep no history."""
    if spec.execution_pipeline != "scd2":
        return ""
    config = spec.cdc_source_config
    if config.track_history_column_list:
        return f"only {_listed(config.track_history_column_list)}"
    if config.track_history_except_column_list:
        return f"all except {_listed(config.track_history_except_column_list)}"
    return "all"


def refuse_drift(spec: LoadSpec, keys: tuple[str, ...], last: LastLoad | None, *, overridden: bool) -> None:
    """Raise TargetError when keys or history columns are not those of the last load.

    The history's columns may change in a run with override_guards; keys never, because rows would stand twice.
    """
    if last is None:
        return
    now, before = keys_of(spec, keys), last.keys
    if before and now and now != before:
        refresh = "" if spec.execution_pipeline == "scd2" else "use full_refresh, or "
        raise TargetError(
            f"{spec.target_table}: the keys were {before} and are now {now}, so rows would stand twice; {refresh}load "
            "into a new table"
        )
    now, before = history_of(spec), last.history
    if before and now and now != before and not overridden:
        raise TargetError(
            f"{spec.target_table}: the columns that make a version were {before} and are now {now}. If that is meant, "
            "run once with override_guards: the stored versions stay as they are, new ones follow the new rule"
        )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(sorted(name.strip("`").lower() for name in names))
