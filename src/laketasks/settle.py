"""From raw source rows to one row per key: NULL keys and sequences, duplicates, conflicts, emptiness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType

from laketasks import mark
from laketasks.canonical import row_hash
from laketasks.change import Load
from laketasks.column import DELETE, READ, SEQUENCE, WATERMARK, type_text
from laketasks.error import GuardError
from laketasks.guard import refuse_conflicts
from laketasks.source import Source
from laketasks.sql import listed, quote
from laketasks.target import Target

_ORDER = f"{SEQUENCE} DESC NULLS LAST, {WATERMARK} DESC NULLS LAST, _laketasks_hash DESC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One look at the source: rows, distinct keys, NULLs, the highest watermark (as the run log keeps it)."""

    read: int
    keys: int
    null_keys: dict[str, int]
    null_order: int
    watermark: str | None


def conform(source: Source, target: Target, types: Mapping[str, DataType]) -> Source:
    """The source in the target's words: its spelling of each column, its types."""
    named = {name: target.column(name) or name for name in source.carried}
    casts = {
        name: quote(name)
        if types[name] == kind and named[name] == name
        else f"cast({quote(name)} AS {type_text(types[name])}) AS {quote(named[name])}"
        for name, kind in source.carried.items()
    }
    meta = [name for name in source.frame.columns if name not in source.carried]
    kept = [*casts.values(), *(quote(name) for name in meta)]
    return replace(
        source,
        frame=source.frame.selectExpr(*kept),
        history=source.history.selectExpr(*kept, READ) if source.history is not None else None,
        keys=source.keys.selectExpr(*(casts[name] for name in source.keys.columns))
        if source.keys is not None
        else None,
        carried={named[name]: types[name] for name in source.carried},
        compared={named[name]: types[name] for name in source.compared},
    )


def survey(source: Source, keys: tuple[str, ...]) -> Survey:
    """Count the source in one pass over its keys."""
    nulls = _null_order(source)
    last = mark.mark_of(f"max({WATERMARK})", source.watermark_type) if source.watermark_type else "cast(NULL AS STRING)"
    if keys:
        groups = source.frame.groupBy(*[quote(key) for key in keys]).agg(
            *map(F.expr, ("count(*) AS n", f"count_if({nulls}) AS n_null", f"max({WATERMARK}) AS {WATERMARK}"))
        )
        per_key = [f"coalesce(sum(IF({quote(key)} IS NULL, n, 0)), 0) AS null_{i}" for i, key in enumerate(keys)]
        total = groups.agg(
            *map(F.expr, ("count(*) AS keys", "sum(n) AS read", "sum(n_null) AS n_null", f"{last} AS mark", *per_key))
        )
    else:
        total = source.frame.agg(
            *map(F.expr, ("0 AS keys", "count(*) AS read", f"count_if({nulls}) AS n_null", f"{last} AS mark"))
        )
    row = total.collect()[0]
    return Survey(
        read=row["read"] or 0,
        keys=row["keys"],
        null_keys={key: row[f"null_{i}"] for i, key in enumerate(keys) if row[f"null_{i}"]},
        null_order=row["n_null"] or 0,
        watermark=mark.read_mark(row["mark"], source.watermark_type) if source.watermark_type else None,
    )


def check_survey(load: Load, source: Source, found: Survey, *, target_rows: int) -> None:
    """Raise GuardError for NULL keys, NULL or future order, or an empty source, as the configuration says."""
    config, table = load.config, load.spec.target_table
    problems = []
    if found.null_keys and config.on_null_key == "fail":
        each = ", ".join(f"{key}: {rows} null" for key, rows in found.null_keys.items())
        problems.append(f"{each}. Repair the source, filter them with `where`, or set on_null_key")
    if found.null_order and config.on_null_sequence == "fail":
        problems.append(
            f"{found.null_order} rows without a sequence or watermark. Repair the source or set on_null_sequence"
        )
    if _in_future(source, found, load.now) and config.on_null_sequence == "fail":
        problems.append(
            f"the watermark {found.watermark} lies more than a day in the future. Repair the source or "
            "set on_null_sequence"
        )
    if source.full and not found.read and target_rows and config.on_empty_source == "fail":
        problems.append(
            f"the source is empty and the table has {target_rows} rows. Check the source, or set on_empty_source: allow"
        )
    if problems:
        raise GuardError(
            f"{table}: {'; '.join(problems)}; override_guards lets one run pass"
            if _only_empty(problems)
            else f"{table}: {'; '.join(problems)}"
        )


def settle(load: Load, source: Source, found: Survey) -> tuple[Source, int, int]:
    """One row per key: the source, how many rows were dropped for their order, how many were duplicates.

    The rows of a change source stay as many as they are.
    """
    dropped = found.null_order if found.null_order and load.config.on_null_sequence == "exclude" else 0
    frame = source.frame.where(f"NOT ({_null_order(source)})") if dropped else source.frame
    if source.history is not None:
        history = source.history.where(f"NOT ({_null_order(source)})") if dropped else source.history
        return replace(source, frame=frame, history=history), dropped, 0
    if not load.keys:
        return replace(source, frame=frame), dropped, 0
    keys = found.keys if not dropped else frame.select(*[quote(key) for key in load.keys]).distinct().count()
    duplicates = found.read - dropped - keys
    if duplicates:
        frame = _winners(load, source, frame)
    return replace(source, frame=frame), dropped, duplicates


def _winners(load: Load, source: Source, frame: DataFrame) -> DataFrame:
    by_key = f"(PARTITION BY {listed(load.keys)} ORDER BY {_ORDER})"
    hashed = frame.selectExpr("*", f"{row_hash({**source.compared, DELETE: BooleanType()})} AS _laketasks_hash")
    ranked = hashed.selectExpr(
        "*",
        f"row_number() OVER {by_key} AS _laketasks_rank",
        f"first_value({SEQUENCE}) OVER {by_key} AS _laketasks_top",
        f"first_value(_laketasks_hash) OVER {by_key} AS _laketasks_top_hash",
    )
    if load.config.on_conflict == "fail":
        _refuse_conflicts(load, ranked)
    return ranked.where("_laketasks_rank = 1").selectExpr(*[quote(name) for name in frame.columns])


def _refuse_conflicts(load: Load, ranked: DataFrame) -> None:
    clash = ranked.where(f"{SEQUENCE} <=> _laketasks_top AND _laketasks_hash <> _laketasks_top_hash")
    refuse_conflicts(load.spec, load.keys, clash)


def _null_order(source: Source) -> str:
    parts = [f"{SEQUENCE} IS NULL"] if source.sequence_type is not None else []
    parts += [f"{WATERMARK} IS NULL"] if source.watermark_type is not None else []
    return " OR ".join(parts) or "false"


def _in_future(source: Source, found: Survey, now: datetime) -> bool:
    if source.watermark_type is None or found.watermark is None:
        return False
    limit = mark.of_instant(now + timedelta(days=1), source.watermark_type)
    return limit is not None and mark.earlier(limit, found.watermark, source.watermark_type)


def _only_empty(problems: list[str]) -> bool:
    return len(problems) == 1 and problems[0].startswith("the source is empty")
