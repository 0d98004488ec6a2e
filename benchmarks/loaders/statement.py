"""The other tools' methods as the statements that they run on the engine, written from their documentation.

All compare the same columns and give the same versions; what they leave out (counts, guards, a run log, a safe rerun
after a conflict) is not added. The first load of each is a CREATE TABLE AS of the columns that its later loads need.
"""

from __future__ import annotations

from benchmarks.loaders.data import ATTRIBUTES, KEY, SYNCED
from benchmarks.loaders.side import COLUMNS, Side, Step, by_statements


def sides(loader: str) -> list[Side]:
    return {"scd2": _SCD2, "scd1": _SCD1, "merge": _MERGE, "overwrite": _OVERWRITE}[loader]


# --- SCD2 ---


def textbook_scd2(step: Step) -> list[str]:
    """The MERGE of the Delta Lake documentation ("SCD type 2 MERGE operation", Delta 4.1) over the whole snapshot.

    Changed rows come twice: with their key to close the current version, with a NULL key to be inserted.
    """
    if step.first:
        return [
            _create(
                step, f"{_listed()}, {SYNCED} AS valid_from, cast(NULL AS TIMESTAMP) AS valid_to, true AS is_current"
            )
        ]
    changed = _differs("t", "s")
    staged = (
        f"SELECT s.{KEY} AS merge_key, s.* FROM {step.source} s UNION ALL "
        f"SELECT cast(NULL AS BIGINT) AS merge_key, s.* FROM {step.source} s JOIN {step.target} t ON s.{KEY} = t.{KEY} "
        f"WHERE t.is_current AND {changed}"
    )
    return [
        (
            f"MERGE INTO {step.target} t USING ({staged}) s ON t.{KEY} = s.merge_key "
            f"WHEN MATCHED AND t.is_current AND {changed} THEN UPDATE SET is_current = false, valid_to = s.{SYNCED} "
            f"WHEN NOT MATCHED THEN INSERT ({_listed()}, valid_from, valid_to, is_current) "
            f"VALUES ({_listed('s')}, s.{SYNCED}, NULL, true)"
        )
    ]


def mack_scd2(step: Step) -> list[str]:
    """`type_2_scd_upsert` of mack 0.5: the same idea, attributes compared by `<>`, so that NULL differs from nothing.

    mack itself does not run here: delta-spark's DeltaTable asks a Connect server for relations that Sail refuses
    ("extension relation") and Spark has only with Delta's plugin. This is its statement.
    """
    columns, values = ", ".join((KEY, *ATTRIBUTES)), ", ".join(f"s.{c}" for c in (KEY, *ATTRIBUTES))
    if step.first:
        return [
            _create(
                step, f"{columns}, true AS is_current, {SYNCED} AS effective_time, cast(NULL AS TIMESTAMP) AS end_time"
            )
        ]
    changed = " OR ".join(f"s.{c} <> t.{c}" for c in ATTRIBUTES)
    updates = f"(SELECT {columns}, {SYNCED} AS effective_time FROM {step.source})"
    staged = (
        f"SELECT cast(NULL AS BIGINT) AS merge_key, s.* FROM {updates} s JOIN {step.target} t ON s.{KEY} = t.{KEY} "
        f"WHERE t.is_current = true AND ({changed}) UNION ALL SELECT s.{KEY} AS merge_key, s.* FROM {updates} s"
    )
    return [
        (
            f"MERGE INTO {step.target} t USING ({staged}) s ON t.{KEY} = s.merge_key "
            f"WHEN MATCHED AND t.is_current = true AND ({changed}) "
            "THEN UPDATE SET is_current = false, end_time = s.effective_time "
            f"WHEN NOT MATCHED THEN INSERT ({columns}, is_current, effective_time, end_time) "
            f"VALUES ({values}, true, s.effective_time, NULL)"
        )
    ]


def dbt_check_snapshot(step: Step) -> list[str]:
    """dbt-spark 1.11's snapshot, strategy `check`: every column compared, versions dated by the clock."""
    changed = " OR ".join(
        f"o.{c} != s.{c} OR (o.{c} IS NULL AND s.{c} IS NOT NULL) OR (o.{c} IS NOT NULL AND s.{c} IS NULL)"
        for c in ATTRIBUTES
    )
    return _dbt_snapshot(step, step.now, changed)


def dbt_timestamp_snapshot(step: Step) -> list[str]:
    """dbt-spark 1.11's snapshot, strategy `timestamp`: a row with a later updated_at has changed, values unseen."""
    return _dbt_snapshot(step, SYNCED, f"o.dbt_valid_from < s.{SYNCED}")


def _dbt_snapshot(step: Step, updated_at: str, changed: str) -> list[str]:
    """A view of what is to be inserted and closed, with a hash of key and time as each version's id, and its MERGE."""
    scd_id = f"md5(coalesce(cast({KEY} AS STRING), '') || '|' || coalesce(cast({updated_at} AS STRING), ''))"
    made = (
        f"{updated_at} AS dbt_updated_at, {updated_at} AS dbt_valid_from, "
        f"nullif({updated_at}, {updated_at}) AS dbt_valid_to"
    )
    if step.first:
        return [_create(step, f"{_listed()}, {scd_id} AS dbt_scd_id, {made}")]
    staging = (
        f"WITH arriving AS (SELECT * FROM {step.source}), "
        f"stored AS (SELECT *, {KEY} AS dbt_unique_key FROM {step.target} WHERE dbt_valid_to IS NULL), "
        f"inserting AS (SELECT *, {KEY} AS dbt_unique_key, {made}, {scd_id} AS dbt_scd_id FROM arriving), "
        f"updating AS (SELECT *, {KEY} AS dbt_unique_key, {updated_at} AS dbt_updated_at, "
        f"{updated_at} AS dbt_valid_from, {updated_at} AS dbt_valid_to FROM arriving), "
        f"insertions AS (SELECT 'insert' AS dbt_change_type, {_listed('s')}, s.dbt_updated_at, s.dbt_valid_from, "
        "s.dbt_valid_to, s.dbt_scd_id FROM inserting s LEFT OUTER JOIN stored o ON o.dbt_unique_key = s.dbt_unique_key "
        f"WHERE o.dbt_unique_key IS NULL OR (o.dbt_unique_key IS NOT NULL AND ({changed}))), "
        f"updates AS (SELECT 'update' AS dbt_change_type, {_listed('s')}, s.dbt_updated_at, s.dbt_valid_from, "
        "s.dbt_valid_to, o.dbt_scd_id FROM updating s JOIN stored o ON o.dbt_unique_key = s.dbt_unique_key "
        f"WHERE {changed}) "
        "SELECT * FROM insertions UNION ALL SELECT * FROM updates"
    )
    columns = (*COLUMNS, "dbt_updated_at", "dbt_valid_from", "dbt_valid_to", "dbt_scd_id")
    return [
        f"CREATE OR REPLACE TEMPORARY VIEW dbt_tmp AS {staging}",
        (
            f"MERGE INTO {step.target} d USING dbt_tmp s ON s.dbt_scd_id = d.dbt_scd_id "
            "WHEN MATCHED AND d.dbt_valid_to IS NULL AND s.dbt_change_type IN ('update', 'delete') "
            "THEN UPDATE SET dbt_valid_to = s.dbt_valid_to "
            "WHEN NOT MATCHED AND s.dbt_change_type = 'insert' "
            f"THEN INSERT ({', '.join(columns)}) VALUES ({', '.join(f's.{c}' for c in columns)})"
        ),
    ]


def sqlmesh_scd2(step: Step) -> list[str]:
    """SQLMesh 0.236's SCD_TYPE_2_BY_COLUMN on Spark: the whole table is computed anew and overwritten.

    Closed versions stay; open ones meet the source, made unique by key, in both directions; changed ones come twice.
    """
    columns = _listed()
    if step.first:
        return [_create(step, f"{columns}, timestamp_micros(0) AS valid_from, cast(NULL AS TIMESTAMP) AS valid_to")]
    changed = " OR ".join(f"({_other(f'j.t_{c}', f'j.{c}')})" for c in ATTRIBUTES)
    changed = f"(j.t_{KEY} IS NOT NULL AND j.{KEY} IS NOT NULL AND ({changed}))"
    both = f"{', '.join(f'l.{c} AS t_{c}' for c in COLUMNS)}, l.valid_from AS t_valid_from, l.valid_to AS t_valid_to"
    query = (
        f"WITH source AS (SELECT true AS _exists, {columns} FROM (SELECT {columns}, "
        f"row_number() OVER (PARTITION BY {KEY} ORDER BY {KEY}) AS _row_number FROM {step.source}) "
        "WHERE _row_number = 1), "
        f"static AS (SELECT {columns}, valid_from, valid_to, true AS _exists FROM {step.target} "
        "WHERE valid_to IS NOT NULL), "
        f"latest AS (SELECT {columns}, valid_from, valid_to, true AS _exists FROM {step.target} "
        "WHERE valid_to IS NULL), "
        f"deleted AS (SELECT c.* FROM static c LEFT JOIN latest l ON c.{KEY} = l.{KEY} WHERE l.valid_to IS NULL), "
        f"latest_deleted AS (SELECT true AS _exists, {KEY} AS _key, max(valid_to) AS valid_to FROM deleted "
        f"GROUP BY {KEY}), "
        f"joined AS (SELECT s._exists, {both}, {_listed('s')} FROM latest l LEFT JOIN source s ON l.{KEY} = s.{KEY} "
        f"UNION ALL SELECT s._exists, {both}, {_listed('s')} FROM latest l RIGHT JOIN source s ON l.{KEY} = s.{KEY} "
        "WHERE l._exists IS NULL), "
        f"updated AS (SELECT {', '.join(f'coalesce(j.t_{c}, j.{c}) AS {c}' for c in COLUMNS)}, "
        f"coalesce(j.t_valid_from, {step.now}) AS valid_from, "
        f"CASE WHEN {changed} THEN {step.now} ELSE j.t_valid_to END AS valid_to "
        f"FROM joined j LEFT JOIN latest_deleted d ON j.{KEY} = d._key), "
        f"inserted AS (SELECT {_listed('j')}, {step.now} AS valid_from, cast(NULL AS TIMESTAMP) AS valid_to "
        f"FROM joined j WHERE {changed}) "
        f"SELECT {columns}, valid_from, valid_to FROM static "
        "UNION ALL SELECT * FROM updated UNION ALL SELECT * FROM inserted"
    )
    return [f"INSERT OVERWRITE {step.target} {query}"]


# --- one row per key ---


def textbook_scd1(step: Step) -> list[str]:
    """The upsert of the Delta Lake documentation (Delta 4.1): the whole snapshot, every match updated."""
    if step.first:
        return [_create(step, "*")]
    return [
        (
            f"MERGE INTO {step.target} t USING {step.source} s ON t.{KEY} = s.{KEY} "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        )
    ]


def changed_only_scd1(step: Step) -> list[str]:
    """The same MERGE with a condition, so that only rows that differ are updated."""
    if step.first:
        return [_create(step, "*")]
    return [
        (
            f"MERGE INTO {step.target} t USING {step.source} s ON t.{KEY} = s.{KEY} "
            f"WHEN MATCHED AND {_differs('t', 's')} THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        )
    ]


def incremental_merge(step: Step) -> list[str]:
    """dbt's incremental model with strategy `merge`: rows from the target's highest watermark on, then that MERGE."""
    if step.first:
        return [_create(step, "*")]
    newer = f"SELECT * FROM {step.source} WHERE {SYNCED} >= (SELECT max({SYNCED}) FROM {step.target})"
    return [
        f"CREATE OR REPLACE TEMPORARY VIEW newer AS {newer}",
        (
            f"MERGE INTO {step.target} t USING newer s ON t.{KEY} = s.{KEY} "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        ),
    ]


def plain_overwrite(step: Step) -> list[str]:
    """INSERT OVERWRITE: all rows, every time."""
    if step.first:
        return [_create(step, "*")]
    return [f"INSERT OVERWRITE {step.target} SELECT * FROM {step.source}"]


# --- the floor ---


def floor(step: Step) -> list[str]:
    """Reading and writing the same files with nothing in between.

    First a copy of the source; for a change that touches every file of the target, a look at every value of the source
    and a copy of the target; for nothing new, a look at every value of both. An incremental merge looks at what is new.
    """
    if step.first:
        return [_create(step, "*")]
    since = f" WHERE {SYNCED} >= timestamp_micros(1704153600000000)" if step.loader == "merge" else ""
    look = f"SELECT bit_xor(hash({_listed()})) FROM {{}}"
    source = look.format(step.source) + since
    if step.number == 1:
        copied = step.source if step.loader == "overwrite" else step.target
        return [source, f"CREATE TABLE {step.target}_copy USING delta AS SELECT * FROM {copied}"]
    return [source] if step.loader == "merge" else [source, look.format(step.target)]


def _create(step: Step, columns: str) -> str:
    properties = " TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')" if step.vectors else ""
    return f"CREATE TABLE {step.target} USING delta{properties} AS SELECT {columns} FROM {step.source}"


def _listed(side: str = "") -> str:
    return ", ".join(f"{side}.{column}" if side else column for column in COLUMNS)


def _differs(left: str, right: str) -> str:
    return f"NOT ({' AND '.join(f'{left}.{c} <=> {right}.{c}' for c in ATTRIBUTES)})"


def _other(left: str, right: str) -> str:
    return f"{left} <> {right} OR ({left} IS NULL AND {right} IS NOT NULL) OR ({left} IS NOT NULL AND {right} IS NULL)"


def _side(name: str, statements: object, current: str = "true", *, checked: bool = True) -> Side:
    assert callable(statements)
    about = " ".join((statements.__doc__ or "").split("\n\n")[0].split())
    return Side(name=name, about=about, load=by_statements(statements), current=current, checked=checked)


_FLOOR = _side("floor: files only", floor, checked=False)
_SCD2 = [
    _side("textbook MERGE", textbook_scd2, "is_current"),
    _side("mack", mack_scd2, "is_current"),
    _side("dbt snapshot, check", dbt_check_snapshot, "dbt_valid_to IS NULL"),
    _side("dbt snapshot, timestamp", dbt_timestamp_snapshot, "dbt_valid_to IS NULL"),
    _side("SQLMesh by column", sqlmesh_scd2, "valid_to IS NULL"),
    _FLOOR,
]
_SCD1 = [_side("textbook MERGE", textbook_scd1), _side("MERGE, changed only", changed_only_scd1), _FLOOR]
_MERGE = [_side("incremental MERGE", incremental_merge), _FLOOR]
_OVERWRITE = [_side("INSERT OVERWRITE", plain_overwrite), _FLOOR]
