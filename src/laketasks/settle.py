"""From raw source rows to one row per key: NULL keys and sequences, duplicates, conflicts, emptiness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, BooleanType, DataType, StructType

from laketasks import mark
from laketasks.canonical import row_hash
from laketasks.change import Load
from laketasks.column import DELETE, READ, SEQUENCE, WATERMARK
from laketasks.error import GuardError
from laketasks.guard import refuse_conflicts
from laketasks.source import Source
from laketasks.spec import CHANGE_SOURCES
from laketasks.sql import any_of, listed, on, quote
from laketasks.target import Target
from laketasks.widening import converted

_DELETES = (
    f"({DELETE} AND {SEQUENCE} IS NOT NULL)"  # at one sequence a delete wins; without one nothing says that it is last
)
_ORDER = f"{SEQUENCE} DESC NULLS LAST, {_DELETES} DESC, {WATERMARK} DESC NULLS LAST, _laketasks_hash DESC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One look at the source: rows, distinct keys, NULLs, the highest watermark (as the run log keeps it).

    `future` rows have a sequence or watermark that lies more than a day ahead; `widths` are the lengths of its bytes.
    """

    read: int
    keys: int
    null_keys: dict[str, int]
    null_order: int
    future: int
    widths: tuple[int, ...]
    watermark: str | None


def conform(source: Source, target: Target, types: Mapping[str, DataType]) -> Source:
    """The source in the target's words: its spelling of each column, its types."""
    named = {name: target.column(name) or name for name in source.carried}
    casts = {
        name: quote(name)
        if types[name] == kind and named[name] == name
        else f"{converted(quote(name), kind, types[name])} AS {quote(named[name])}"
        for name, kind in source.carried.items()
    }
    sequence = converted(SEQUENCE, source.order_columns[SEQUENCE], types.get(SEQUENCE, source.order_columns[SEQUENCE]))
    meta = [name for name in source.frame.columns if name not in source.carried]
    kept = [*casts.values(), *(f"{sequence} AS {name}" if name == SEQUENCE else quote(name) for name in meta)]
    return replace(
        source,
        frame=source.frame.selectExpr(*kept),
        history=source.history.selectExpr(*kept, READ) if source.history is not None else None,
        keys=source.keys.selectExpr(*(casts[name] for name in source.keys.columns))
        if source.keys is not None
        else None,
        carried={named[name]: types[name] for name in source.carried},
        compared={named[name]: types[name] for name in source.compared},
        sequence_type=types.get(SEQUENCE, source.sequence_type) if source.sequence_type is not None else None,
    )


def survey(source: Source, keys: tuple[str, ...]) -> Survey:
    """Count the source in one pass over its keys."""
    nulls, future, binary = _null_order(source), _in_future(source), _binary(source)
    last = mark.mark_of(WATERMARK, source.watermark_type) if source.watermark_type else "cast(NULL AS STRING)"
    counted = ("count(*) AS n", f"count_if({nulls}) AS n_null", f"count_if({future}) AS n_future")
    each = [f"{f}(length({name})) AS {f}_{i}" for i, name in enumerate(binary) for f in ("min", "max")]
    if keys:
        groups = source.frame.groupBy(*[quote(key) for key in keys]).agg(
            *map(F.expr, (*counted, f"max({WATERMARK}) AS {WATERMARK}", *each))
        )
        per_key = [f"coalesce(sum(IF({quote(key)} IS NULL, n, 0)), 0) AS null_{i}" for i, key in enumerate(keys)]
        sums = ("sum(n) AS n", "sum(n_null) AS n_null", "sum(n_future) AS n_future")
        each = [f"{f}({f}_{i}) AS {f}_{i}" for i in range(len(binary)) for f in ("min", "max")]
        total = groups.agg(*map(F.expr, ("count(*) AS keys", *sums, f"{last} AS mark", *per_key, *each)))
    else:
        total = source.frame.agg(*map(F.expr, ("0 AS keys", *counted, f"{last} AS mark", *each)))
    row = total.collect()[0]
    widths = {row[f"{f}_{i}"] for i in range(len(binary)) for f in ("min", "max")} - {None}
    return Survey(
        read=row["n"] or 0,
        keys=row["keys"],
        null_keys={key: row[f"null_{i}"] for i, key in enumerate(keys) if row[f"null_{i}"]},
        null_order=row["n_null"] or 0,
        future=row["n_future"] or 0,
        widths=tuple(sorted(widths)),
        watermark=mark.read_mark(row["mark"], source.watermark_type)
        if source.watermark_type and not row["n_future"]
        else None,
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
    if found.future:
        problems.append(_told_future(load, source, found.future))
    if problem := _told_widths(source, found):
        problems.append(problem)
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
    excludes = load.config.on_null_sequence == "exclude"
    dropped = found.null_order if excludes else 0
    frame = source.frame.where(f"NOT ({_null_order(source)})") if dropped else source.frame
    if source.history is not None:
        history = source.history.where(f"NOT ({_null_order(source)})") if excludes else source.history
        return replace(source, frame=frame, history=history), dropped, 0
    if not load.keys:
        return replace(source, frame=frame), dropped, 0
    if dropped and load.config.source_mode == "snapshot" and source.keys is None:
        source = replace(source, keys=source.frame.select(*map(quote, load.keys)).distinct())
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
        f"first_value({_DELETES}) OVER {by_key} AS _laketasks_top_deletes",
    )
    if load.config.on_conflict == "fail":
        _refuse_conflicts(load, ranked)
    return ranked.where("_laketasks_rank = 1").selectExpr(*[quote(name) for name in frame.columns])


def _refuse_conflicts(load: Load, ranked: DataFrame) -> None:
    differs = "_laketasks_hash <> _laketasks_top_hash AND NOT _laketasks_top_deletes"
    clash = ranked.where(f"{SEQUENCE} <=> _laketasks_top AND {differs}")
    refuse_conflicts(load.spec, load.keys, clash)


def _null_order(source: Source) -> str:
    parts = [f"{SEQUENCE} IS NULL"] if source.sequence_type is not None else []
    parts += [f"{WATERMARK} IS NULL"] if source.watermark_type is not None else []
    return any_of(parts)


def _in_future(source: Source) -> str:
    """The condition of the rows that have a sequence or watermark after which nothing real follows."""
    kinds = {SEQUENCE: source.sequence_type, WATERMARK: source.watermark_type}
    parts = (mark.beyond(name, kind, source.now) for name, kind in kinds.items() if kind is not None)
    return " OR ".join(part for part in parts if part) or "false"


def _told_future(load: Load, source: Source, rows: int) -> str:
    """What to say of rows in the future, with a few of their keys."""
    keys = ""
    if load.keys:
        sample = source.frame.where(_in_future(source)).selectExpr(*map(quote, load.keys)).limit(3).collect()
        keys = ", ".join(str(tuple(row)) for row in sorted(sample, key=str))
    such = f", such as ({', '.join(load.keys)}) = {keys}" if keys else ""
    included = "" if load.config.source_mode in CHANGE_SOURCES else "; include loads them as rows without one"
    return (
        f"{rows} rows have a sequence or watermark that lies more than a day in the future, or is infinite{such}. "
        "Every later row would count as older, or not be read. Repair the source, or set on_null_sequence: exclude "
        f"leaves such rows out{included}"
    )


def _binary(source: Source) -> list[str]:
    """The order columns, or fields of the sequence, that hold bytes."""
    fields: dict[str, DataType | None] = {SEQUENCE: source.sequence_type, WATERMARK: source.watermark_type}
    if isinstance(source.sequence_type, StructType):
        fields |= {on(SEQUENCE, field.name): field.dataType for field in source.sequence_type.fields}
    return [name for name, kind in fields.items() if isinstance(kind, BinaryType)]


def _told_widths(source: Source, found: Survey) -> str:
    """Why the bytes of sequence or watermark have no order as numbers; '' where they have one."""
    since = source.watermark_from if isinstance(source.watermark_type, BinaryType) else None
    known = [len(since) // 2] if since is not None and mark.fits(since, BinaryType()) else []
    widths = {*found.widths, *known}
    if len(widths) < 2:
        return ""
    lengths = ", ".join(map(str, sorted(widths)))
    return (
        f"the BINARY sequence or watermark has values of {lengths} bytes, and bytes of several lengths are not in the "
        f"order of numbers. Give them one length in the row's SQL file: lpad(hex(column), {2 * max(widths)}, '0')"
    )


def _only_empty(problems: list[str]) -> bool:
    return len(problems) == 1 and problems[0].startswith("the source is empty")
