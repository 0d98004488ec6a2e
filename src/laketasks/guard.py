"""What stops a load before it writes: a row that means nothing, and data that looks like an accident.

Guards over the source alone stand in `settle.py`, those over the target's keys in `stored.py`, of types in `target.py`.
"""

from __future__ import annotations

from collections.abc import Collection

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from laketasks.counts import Counts
from laketasks.error import GuardError, LoadError
from laketasks.soft_delete import MARKS
from laketasks.source import Source
from laketasks.spec import FIVETRAN_ID, LoadSpec, RunContext, contradictions, names_task
from laketasks.sql import quote
from laketasks.target import Target

_GUARDED_FROM = 100  # current rows from which max_delete_ratio protects
_SAMPLE = 5


def check_spec(spec: LoadSpec, keys: tuple[str, ...]) -> None:
    """Raise LoadError for a row that has no meaning; the generator refuses such rows before they are deployed."""
    problems = contradictions(spec.cdc_source_config)
    if not keys and spec.execution_pipeline != "fact_overwrite":
        problems.append(f"{spec.execution_pipeline} needs key columns; name them in the row")
    history = spec.cdc_source_config.source_mode == "fivetran_history"
    if history and spec.load_type == "incremental" and not spec.cdc_source_config.reconcile:
        problems.append(
            "an incremental read of a Fivetran history misses rows that ended, whose _fivetran_synced stays; "
            "set load_type full, or reconcile"
        )
    feed = spec.cdc_source_config.source_mode == "cdf"
    if feed and spec.load_type != "incremental":
        problems.append("source_mode cdf reads what changed since the last load; set load_type incremental")
    if feed and spec.sql_file_path:
        problems.append("source_mode cdf reads the change feed of a table, which SQL has not; name the table")
    if feed and (spec.cdc_source_config.sequence_by or spec.cdc_source_config.watermark):
        problems.append("a change feed is in the order of its commits; remove sequence_by and watermark")
    if spec.execution_pipeline == "scd2" and FIVETRAN_ID in {key.lower() for key in keys}:
        problems.append(
            f"with {FIVETRAN_ID} as the key an update makes a new key, so no row would have a history; name the "
            "natural key, or use scd1 with delete_mode: hard"
        )
    if bool(spec.sql_file_path) == bool(spec.source_table):
        problems.append("give source_table or sql_file_path, one of the two")
    if problems:
        raise LoadError(f"{spec.target_table}: {'; '.join(problems)}")


def overridden(context: RunContext) -> bool:
    """Whether this run lets this table pass its guards."""
    return names_task(context.override_guards, context.task_key)


def refuse_own_names(
    spec: LoadSpec,
    source: Source,
    system: tuple[str, ...],
    target: Target | None,
    carried_before: Collection[str] | None,
) -> None:
    """Raise LoadError where the source carries a column that the loader makes itself, or has made in this table.

    `target` is None where it is written anew, `carried_before` where no run log tells which columns were carried.
    """
    lower = {name.lower() for name in source.carried}
    clash = sorted({name for name in source.carried if name.lower() in {own.lower() for own in system}})
    if clash:
        raise LoadError(
            f"{spec.target_table}: the loader makes {', '.join(clash)} itself, and the source carries a column of "
            "that name. Rename it in the SQL file or leave it out with except_column_list"
        )
    if target is None or spec.execution_pipeline == "scd2":
        return
    made = [name for name in MARKS if name in system and target.column(name)]
    known = {name.lower() for name in carried_before} if carried_before is not None else None
    if known is None:
        taken = made if len([name for name in MARKS if target.column(name)]) < len(MARKS) else []
    else:
        taken = [name for name in made if name in known]
    if taken:
        raise LoadError(
            f"{spec.target_table}: {', '.join(taken)} in the table came from the source until now, and the loader is "
            "to mark deleted rows there. Run once with full_refresh, or load into a new table"
        )
    given = [
        name for name in MARKS if name in lower and known is not None and name not in known and target.column(name)
    ]
    if given:
        raise LoadError(
            f"{spec.target_table}: the loader has marked deleted rows in {', '.join(given)}, and the source carries a "
            "column of that name. Rename it in the SQL file, leave it out with except_column_list, or run once with "
            "full_refresh"
        )


def refuse_conflicts(spec: LoadSpec, keys: tuple[str, ...], clash: DataFrame) -> None:
    """Raise GuardError when there is any row in `clash`, the rows of keys that have a conflict."""
    found = clash.groupBy(*map(quote, keys)).agg(F.expr("count(*) AS n")).where("n > 0").drop("n")
    sample = found.limit(_SAMPLE).collect()
    if sample:
        shown = ", ".join(str(tuple(row)) for row in sorted(sample, key=str))
        raise GuardError(
            f"{spec.target_table}: {found.count()} keys come more than once with the same sequence and different "
            f"values, such as ({', '.join(keys)}) = {shown}. Name a sequence_by that orders them, or set "
            "on_conflict: latest"
        )


def refuse_deletes(spec: LoadSpec, context: RunContext, counts: Counts, current: int, *, gone: int) -> None:
    """Raise GuardError when more of the current rows would be deleted or closed than max_delete_ratio allows.

    `gone` are those that a delete or their absence ends; of an overwrite, those that the table would shrink by.
    """
    limit = spec.cdc_source_config.max_delete_ratio
    if spec.execution_pipeline == "fact_overwrite":
        gone = max(0, counts.rows_deleted - counts.rows_inserted)
    if overridden(context) or current < _GUARDED_FROM or gone <= limit * current:
        return
    raise GuardError(
        f"{spec.target_table}: {gone} of {current} current rows would be deleted or closed ({gone / current:.0%}), "
        f"more than max_delete_ratio {limit:.0%}. Check the source; if this is right, run with "
        f"override_guards={context.task_key}, or raise max_delete_ratio"
    )


def idle_words(spec: LoadSpec, *, deletes: bool, ordered: bool) -> list[str]:
    """Return a sentence for each key of cdc_source_config that has no effect on a source with these columns.

    `deletes`: the source can delete keys. `ordered`: it has a sequence or a watermark.
    """
    given = spec.cdc_source_config.to_dict()
    idle = []
    if not deletes and spec.execution_pipeline != "fact_overwrite":
        why = "nothing deletes here: the row has no apply_as_deletes, and the source no column _fivetran_deleted"
        idle += [(key, why) for key in ("delete_mode", "max_delete_ratio")]
    if not ordered:
        why = "nothing orders here: the row has no sequence_by or watermark, and the source no column _fivetran_synced"
        idle.append(("on_null_sequence", why))
    return [f"{spec.target_table}: {key} does nothing: {why}" for key, why in idle if key in given]
