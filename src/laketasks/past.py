"""The present load compared with the last success: what differs, and whether the load goes on, reads all or refuses.

`identity.py` has the decision table; here its parts are found out from the source as it was opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from laketasks.column import IS_CURRENT, JOB_RUN_ID, SEQUENCE, VALID_FROM, VALID_TO, WATERMARK, type_text
from laketasks.commits import TableState
from laketasks.error import SourceError, TargetError
from laketasks.guard import overridden
from laketasks.identity import READ_ALL, REFUSE, Difference, differences, row_identity
from laketasks.run_log import LastLoad
from laketasks.source import RawSource, carried_columns
from laketasks.spec import CHANGE_SOURCES, LoadSpec, RunContext
from laketasks.sql_fingerprint import fingerprint
from laketasks.stored import stores_other_order
from laketasks.target import Target

_FAMILIES: tuple[tuple[type[DataType], str], ...] = (
    (NumericType, "number"),
    (DateType, "time"),
    (TimestampType, "time"),
    (TimestampNTZType, "time"),
    (StringType, "text"),
    (BinaryType, "bytes"),
    (BooleanType, "boolean"),
)


def fingerprint_of(sql: str) -> str:
    """Return the fingerprint of a SQL file's text; empty for a row without one."""
    return fingerprint(sql) if sql else ""


def refuse_other_sql(spec: LoadSpec, sql: str) -> None:
    """Raise SourceError for a SQL file that is not the one from which the job file was generated."""
    if sql and spec.sql_fingerprint and fingerprint(sql) != spec.sql_fingerprint:
        raise SourceError(
            f"{spec.sql_file_path}: the SQL is not the one from which the job file was generated, so that its reads "
            "and its order may be others. Run `python -m generator generate`, and deploy both together"
        )


def identity_of(
    spec: LoadSpec, keys: tuple[str, ...], raw: RawSource, sources: Mapping[str, TableState], sql: str
) -> dict[str, Any]:
    """Return what the load is made of, part by part."""
    kind, by_table = raw.watermark_type, ", by source table" if raw.watermark_sources else ""
    return {
        **row_identity(spec, keys),
        "SQL": fingerprint_of(sql),
        "source tables": {table: state.id for table, state in sources.items()},
        "sequence_by": ", ".join(f"{name.lower()} ({_family(raw.types[name])})" for name in raw.sequence_by),
        "watermark": f"{raw.watermark.lower()} ({type_text(kind)}{by_table})" if kind is not None else "",
        "columns": sorted(name.lower() for name in carried_columns(raw, spec, keys)),
    }


def compare_identity(
    spec: LoadSpec,
    context: RunContext,
    now: Mapping[str, Any],
    last: LastLoad | None,
    *,
    stored: Target | None,
    untouched: bool,
) -> tuple[Difference, ...]:
    """Compare the load with the last success of a target that has rows; `stored` is None where it has none.

    The rows are asked of which column their sequences are, unless the last success wrote them in an order.
    """
    if stored is None:
        return ()
    before = dict(last.parts) if last else {"contract": now["contract"]}
    now = dict(now)
    if not (untouched and last and merged_before(last) and before.get("sequence_by")):
        before |= _stored_order(spec, before.get("sequence_by") or "", str(now["sequence_by"]), stored)
    if last is not None:
        before["target table"] = f"version {last.target.version}" if last.target.version is not None else "unknown"
        now["target table"] = before["target table"] if untouched else "what somebody else, or a killed load, left"
    if last is not None and spec.cdc_source_config.source_mode == "cdf":
        now.pop("target table")  # the feed is compared with the whole table then
    by_reload = context.reloads_from is not None
    found = differences(before, now, spec, overridden=overridden(context))
    return tuple(
        difference if not (by_reload and difference.part == "SQL") else _passed(difference) for difference in found
    )


def _stored_order(spec: LoadSpec, logged: object, now: str, stored: Target) -> dict[str, str]:
    """Return the part `sequence_by` of a past of which the run log does not tell it, where the rows do.

    Nothing is known of them where they were restored or changed by somebody else, or where the last success was an
    overwrite, which may have found equal rows and left theirs.
    """
    column = _one_column(now)
    if spec.execution_pipeline == "fact_overwrite" or logged not in ("", now) or not column:
        return {}
    by_changes = spec.cdc_source_config.source_mode in CHANGE_SOURCES
    other = stores_other_order(stored, column, by_changes=by_changes)
    return {"sequence_by": "another column"} if other else {}


def refuse_differences(spec: LoadSpec, found: tuple[Difference, ...]) -> None:
    """Raise TargetError for all parts that refuse."""
    refused = [str(difference) for difference in found if difference.decision is REFUSE and not difference.overridden]
    if refused:
        raise TargetError(f"{spec.target_table}: {'; '.join(refused)}")


def reads_everything(found: tuple[Difference, ...]) -> bool:
    """Return whether a difference makes the load read all of its source; so does an order that is forgotten."""
    return any(difference.decision is READ_ALL for difference in found) or forgets_order(found)


def forgets_order(found: tuple[Difference, ...]) -> bool:
    """Return whether the stored sequences are of another column and are let pass."""
    return any(difference.part == "sequence_by" and difference.overridden for difference in found)


def forgotten_columns(found: tuple[Difference, ...]) -> tuple[str, ...]:
    """Return the order columns whose stored values are of another column, so that they mean nothing any more."""
    watermark = (WATERMARK,) if any(difference.part == "watermark" for difference in found) else ()
    return (SEQUENCE, *watermark) if forgets_order(found) else watermark


def carried_by(last: LastLoad) -> tuple[str, ...] | None:
    """Return the columns that the last success carried, in lower case; None where it did not record them."""
    columns = last.parts.get("columns")
    return tuple(map(str, columns)) if isinstance(columns, list) else None


def merged_before(last: LastLoad) -> bool:
    """Return whether the last success was of a loader that merges, so that no key has two rows."""
    return last.parts.get("pipeline") != "fact_overwrite"


def of_this_grain(spec: LoadSpec, target: Target, last: LastLoad | None) -> LastLoad | None:
    """Return the last success; none if it was of type 1 and the rows were adopted as versions since."""
    versioned = spec.execution_pipeline == "scd2"
    before = last.parts.get("pipeline") if last else None
    adopted = versioned and _is_history(target) and before is not None and before != "scd2"
    return None if adopted else last


def _is_history(target: Target) -> bool:
    return all(target.column(name) is not None for name in (VALID_FROM, VALID_TO, IS_CURRENT))


def check_grain(spec: LoadSpec, target: Target, last: LastLoad | None, adopt_command: Callable[[], str]) -> None:
    """Raise TargetError for a table whose rows are of another grain: a history for a loader that keeps none, or not."""
    before = last.parts.get("pipeline") if last else None
    ours = target.column(JOB_RUN_ID) is not None
    history = _is_history(target)
    versioned = spec.execution_pipeline == "scd2"
    if not ours or versioned == history or (before is not None and (before == "scd2") == versioned):
        return
    if versioned:
        absent = [key for key in spec.business_key_columns if target.column(key) is None]
        made = f"{before or 'another loader'} made it"
        remedy = "Load the history into a new table"
        if absent:
            made += f", without the column {', '.join(absent)}, which the row names as a key"
        else:
            plan = "it shows a plan; --dry_run=false carries it out"
            remedy += f", or make each row a version with this command ({plan}): {adopt_command()}"
        raise TargetError(
            f"{target.name}: its rows have no versions ({VALID_FROM}, {VALID_TO}, {IS_CURRENT}): {made}. {remedy}"
        )
    if before is None and target.frame().where(f"{VALID_FROM} IS NOT NULL").limit(1).isEmpty():
        return  # a history that was emptied, and has been loaded without versions since
    raise TargetError(
        f"{target.name}: it is a history ({VALID_FROM}, {VALID_TO}, {IS_CURRENT}) that scd2 made; "
        f"{spec.execution_pipeline} would lose what only this table has. Load into a new table"
    )


def _passed(difference: Difference) -> Difference:
    return Difference(
        part=difference.part,
        subject=difference.subject,
        before=difference.before,
        now=difference.now,
        decision=difference.decision,
        overridden=True,
    )


def _family(kind: DataType) -> str:
    return next((name for known, name in _FAMILIES if isinstance(kind, known)), kind.simpleString())


def _one_column(sequence: str) -> str:
    """The name in `name (family)`; empty where there are several columns or none."""
    return sequence.rpartition(" (")[0] if sequence and ", " not in sequence else ""
