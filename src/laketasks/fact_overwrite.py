"""Full overwrite: the source takes the place of the table's rows, in one commit, by column name.

Source and target are compared as multisets first, so that a rerun on the same data writes nothing. Rows that the
source marks as deleted are left out. Where `primary_key_columns` are given they must be unique in the source.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType

from laketasks.canonical import differs, groupable
from laketasks.change import Change, Load, Loader, Replace
from laketasks.column import ACT, AUDIT, DELETE, FATE, IS_DELETED, JOB_RUN_ID, LOADED_AT, UPDATED_AT
from laketasks.error import GuardError
from laketasks.source import Source
from laketasks.spec import LoadSpec
from laketasks.sql import instant, one_expression, quote, same, text
from laketasks.target import Target, changes_types


def system_columns(_spec: LoadSpec, _source: Source, _target: Target) -> dict[str, DataType]:
    return dict(AUDIT)


def change(load: Load, source: Source, target: Target) -> Change:
    """All source rows replace the stored ones, unless both are the same multiset."""
    now, run = instant(load.now), text(load.context.job_run_id)
    carried = [quote(name) for name in source.carried]
    rows = source.frame.where(f"NOT {DELETE}").selectExpr(
        f"'new' AS {FATE}",
        f"'insert' AS {ACT}",
        *carried,
        f"{now} AS {LOADED_AT}",
        f"{now} AS {UPDATED_AT}",
        f"{run} AS {JOB_RUN_ID}",
    )
    scope = load.config.replace_where
    if scope:
        _refuse_outside(load, rows, scope)
    retyped = changes_types(target, source.carried)
    marked = {} if _carries_mark(source) else {IS_DELETED: BooleanType()}
    stored = target.frame() if retyped else target.with_columns({**marked, **source.carried})
    stored = stored.where(scope) if scope and target.exists else stored
    columns = (*source.carried, LOADED_AT, UPDATED_AT, JOB_RUN_ID)
    return Change(
        rows=rows,
        write=Replace(where=scope),
        columns=columns,
        tally=_tally(source, rows, stored if target.exists else None, retyped=retyped),
        examples=_not_stored(load, source, rows, stored) if target.exists and load.keys and not retyped else None,
    )


def _not_stored(load: Load, source: Source, rows: DataFrame, stored: DataFrame) -> DataFrame:
    """The rows that the table does not have as they are."""
    equal = f"{same(load.keys)} AND NOT ({differs(source.carried)})"
    return rows.alias("s").join(stored.alias("t"), F.expr(equal), "left_anti")


def _refuse_outside(load: Load, rows: DataFrame, scope: str) -> None:
    outside = rows.where(f"NOT coalesce({one_expression(scope)}, false)").count()
    if outside:
        raise GuardError(
            f"{load.spec.target_table}: {outside} rows of the source lie outside replace_where ({scope}), and would be "
            "added again on every load. Filter the source with `where`, or widen replace_where"
        )


def _tally(source: Source, rows: DataFrame, stored: DataFrame | None, *, retyped: bool) -> DataFrame:
    """Rows by fate and act: those on both sides are unchanged, the rest is inserted or deleted.

    In a column that gets another type every value is a new one.
    """
    if stored is None or retyped:
        counted = rows.agg(F.expr("count(*) AS rows")).selectExpr(f"'new' AS {FATE}", f"'insert' AS {ACT}", "rows")
        if stored is not None:
            gone = stored.agg(F.expr("count(*) AS rows"))
            counted = counted.unionAll(gone.selectExpr(f"'gone' AS {FATE}", f"'delete' AS {ACT}", "rows"))
    else:
        counted = _compared(source, rows, stored)
    if not source.may_delete:
        return counted
    left_out = source.frame.where(DELETE).agg(F.expr("count(*) AS rows"))
    return counted.unionAll(left_out.selectExpr(f"'ignored' AS {FATE}", f"cast(NULL AS STRING) AS {ACT}", "rows"))


def _carries_mark(source: Source) -> bool:
    """Return whether `is_deleted` is a column of the source's own."""
    return any(name.lower() == IS_DELETED for name in source.carried)


def _compared(source: Source, rows: DataFrame, stored: DataFrame) -> DataFrame:
    """The rows that both sides have, counted as multisets, and what either has besides.

    A row that another loader marked as deleted is none of the source's.
    """
    none = "cast(NULL AS BOOLEAN)"
    deleted = none if _carries_mark(source) else f"nullif({IS_DELETED}, false)"
    names = [f"c{i}" for i in range(len(source.carried))]
    values = [f"{groupable(quote(c), kind)} AS {n}" for n, (c, kind) in zip(names, source.carried.items(), strict=True)]
    both = (
        rows.selectExpr(*values, f"{none} AS deleted", "1 AS arrived", "0 AS kept")
        .unionAll(stored.selectExpr(*values, f"{deleted} AS deleted", "0 AS arrived", "1 AS kept"))
        .groupBy(*names, "deleted")
        .agg(F.expr("sum(arrived) AS arrived"), F.expr("sum(kept) AS kept"))
    )
    sums = both.agg(
        F.expr("coalesce(sum(least(arrived, kept)), 0) AS same"),
        F.expr("coalesce(sum(greatest(arrived - kept, 0)), 0) AS added"),
        F.expr("coalesce(sum(greatest(kept - arrived, 0)), 0) AS removed"),
    )
    return sums.selectExpr(
        f"stack(3, 'unchanged', NULL, same, 'new', 'insert', added, 'gone', 'delete', removed) AS ({FATE}, {ACT}, rows)"
    )


LOADER = Loader(keys=lambda spec: spec.primary_key_columns, system_columns=system_columns, change=change, merges=False)
