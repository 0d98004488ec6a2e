"""Release what waits in quarantine: load the rows that meet the rules as they are now, each once and in order.

The verdict on every waiting row is written down before anything is loaded, and the rows are marked last. A release that
is killed on the way can be repeated: a row that was loaded is then no newer than what the target has.

- The source's own rows of the waiting keys are read again, whatever the watermark has passed.
- A row that only the quarantine table still has is loaded from there, if it is newer than the target's row of its key.
  Several such rows of a key are loaded one after the other, oldest first.
- Without a sequence or watermark nothing says which of two rows is newer. Then the source's row counts, and a row that
  only the quarantine table has is loaded only if the target does not have its key.
- `fact_overwrite`, a snapshot and a change feed are complete: an ordinary load reads them whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from types import MappingProxyType

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from laketasks.canonical import differs, row_hash
from laketasks.change_feed import Feed
from laketasks.column import SEQUENCE, WATERMARK, is_ours
from laketasks.commits import TableState, TableVersion, changes_since, inspect_table, latest_commits
from laketasks.counts import Counts
from laketasks.expectation import kept
from laketasks.load import Outcome, loader_of, run_load
from laketasks.order_columns import as_stored
from laketasks.quarantine import (
    FROM_QUARANTINE,
    FROM_SOURCE,
    HASH,
    RELEASED_AS,
    SET_ASIDE_AT,
    SUPERSEDED,
    as_source_rows,
    mark_released,
    quarantine_of,
    waiting_rows,
    with_released,
)
from laketasks.run_log import LastLoad, last_success
from laketasks.source import RawSource, filter_rows, meta_columns, open_source, read_sql, sort_columns, statement
from laketasks.spec import CHANGE_SOURCES, LoadSpec, RunContext
from laketasks.sql import listed, on, one_expression, quote, quote_table, same
from laketasks.stage import staged
from laketasks.target import Target, locate

_PASSES = "_laketasks_passes"
_ORDER = "_laketasks_order"
_VALUES = "_laketasks_values"  # the hash of the row, where nothing orders the rows of a key
_ROW = "_laketasks_row"  # the hash of all values
_ROUND = "_laketasks_round"
_AT = "_laketasks_set_aside_at"
_UNORDERED, _GONE = "unordered", "gone"  # verdicts of rows that meet the rules and are not settled
_REASONS: Mapping[str | None, str] = MappingProxyType(
    {
        FROM_SOURCE: "are loaded as the source has them now",
        FROM_QUARANTINE: "are loaded from the quarantine table, as nothing else has them",
        SUPERSEDED: "are settled, as the source or the target has moved on from them",
        _UNORDERED: "stay: nothing tells whether they are newer than other rows of their key. Set sequence_by, or "
        "correct the source",
        _GONE: "stay: the source no longer has them. Load once with a replace_where and a source that have them",
        None: "stay: they still break a rule",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """The waiting rows with their verdicts, in the table `name`; how many rows have each."""

    name: str
    rounds: int
    found: tuple[tuple[str | None, int], ...]


def release(spark: SparkSession, spec: LoadSpec, context: RunContext) -> Outcome | None:
    """Release the waiting rows of a target; None where none waits. Raises LoadError where a load of them is refused."""
    table = quarantine_of(spark, spec.target_table)
    if not table.exists or waiting_rows(table).isEmpty():
        return None
    # What the run asks of its loads, and what they wait for, is not for a release.
    context = replace(context, full_refresh="", reconcile="", reload_from="")
    spec = replace(spec, upstream_tables=())
    last = last_success(spark, context.run_log, spec.target_table)
    before = inspect_table(spark, spec.target_table, last.target if last else None)
    outcomes: list[Outcome] = []
    if _reads_whole(spec) and not context.dry_run:
        outcomes.append(run_load(spark, spec, context, torn="rows that were set aside are read again"))
    with _judged(spark, spec, context, table) as judged:
        if not context.dry_run:
            outcomes += [load() for load in _loads(spark, spec, context, judged)]
            mark_released(table, judged.name, context.job_run_id)
    said = (f"{spec.target_table}: {rows} rows set aside {_REASONS[verdict]}" for verdict, rows in judged.found)
    notes = dict.fromkeys((*(note for one in outcomes for note in one.notes), *said))
    totals = {f.name: sum(getattr(one.counts, f.name) for one in outcomes) for f in fields(Counts)}
    made = outcomes[0] if _reads_whole(spec) and outcomes else _as_last(spark, spec, last, before, outcomes)
    return replace(made, counts=Counts(**totals), notes=tuple(notes))


def _as_last(
    spark: SparkSession, spec: LoadSpec, last: LastLoad | None, before: TableState, outcomes: list[Outcome]
) -> Outcome:
    """Return what the next load goes on from: the last success, with the target as the release left it.

    The release has read a few keys only, so that how far the source was read stays what it was.
    """
    if last is None:
        return Outcome(counts=Counts())
    after = inspect_table(spark, spec.target_table, before.version)
    own = {before.version.version, *(one.target.version for one in outcomes)}
    alone = before.has_rows_of(last.target) and changes_since(after.commits, before.version.version or 0) is not None
    alone = alone and own >= set(range(before.version.version or 0, (after.version.version or 0) + 1))
    return Outcome(
        counts=Counts(),
        source_version=last.source_version,
        watermark_from=last.watermark_to,
        watermark_to=last.watermark_to,
        identity=last.parts,
        sources=last.sources,
        target=after.version if alone else TableVersion(),
    )


def _reads_whole(spec: LoadSpec) -> bool:
    """Return whether each load takes the whole source in, so that nothing else needs to be fed to it."""
    return spec.execution_pipeline == "fact_overwrite" or spec.cdc_source_config.source_mode == "cdf"


def _loads(
    spark: SparkSession, spec: LoadSpec, context: RunContext, judged: _Judged
) -> Iterator[Callable[[], Outcome]]:
    """Yield the loads that take the rows in: first those that only the quarantine table has, then the source's."""
    aside = spark.table(quote_table(judged.name))
    keys = loader_of(spec).keys(spec)

    def from_quarantine(raw: RawSource, number: int) -> DataFrame:
        fed = aside.where(f"{RELEASED_AS} = '{FROM_QUARANTINE}' AND {_ROUND} = {number}")
        return fed.select(*map(quote, raw.frame.columns))

    def from_source(raw: RawSource) -> DataFrame:
        return _of_keys(raw, raw.frame, aside, keys)

    if _reads_whole(spec):
        return
    if spec.cdc_source_config.source_mode in CHANGE_SOURCES:
        yield partial(
            run_load, spark, spec, context, rows=lambda raw: from_source(raw).unionAll(from_quarantine(raw, 1))
        )
        return
    # A snapshot of a few rows would mean that all others are gone.
    config = replace(spec.cdc_source_config, source_mode="state", on_missing="ignore")
    state = replace(spec, cdc_source_config=config)
    for number in range(1, judged.rounds + 1):
        yield partial(run_load, spark, state, context, rows=partial(from_quarantine, number=number))
    whole = spec.cdc_source_config.source_mode == "snapshot"
    yield partial(run_load, spark, spec, context, rows=None if whole else from_source)


@contextmanager
def _judged(spark: SparkSession, spec: LoadSpec, context: RunContext, table: Target) -> Iterator[_Judged]:
    """Judge the waiting rows by the rules, the source and the target as they are now, and keep the verdicts."""
    keys = loader_of(spec).keys(spec)
    sql = read_sql(spec)
    commits = latest_commits(spark, spec.source_table) if spec.source_table else ()
    select = statement(spec, context, sql) if sql else ""
    raw = with_released(spark, open_source(spark, _as_table(spec), commits, select, _no_feed), spec, keys)
    waiting = waiting_rows(table).dropDuplicates([HASH])
    rows = _with_order(raw, as_source_rows(waiting, raw.types, HASH, f"{SET_ASIDE_AT} AS {_AT}"), spec, keys)
    judge = _judge_whole if _reads_whole(spec) else _judge_changes if _has_many(spec) else _judge_states
    verdicts = judge(raw, rows, spec, keys, locate(spark, spec.target_table))
    with staged(spark, verdicts, table.name) as name:
        counted = (
            spark.table(quote_table(name))
            .groupBy(RELEASED_AS)
            .agg(F.expr("count(*) AS n"), F.expr(f"max({_ROUND}) AS last"))
        )
        found = sorted(counted.collect(), key=lambda row: list(_REASONS).index(row[RELEASED_AS]))
        yield _Judged(
            name=name,
            rounds=max((row["last"] for row in found if row[RELEASED_AS] == FROM_QUARANTINE), default=0),
            found=tuple((row[RELEASED_AS], row["n"]) for row in found),
        )


def _as_table(spec: LoadSpec) -> LoadSpec:
    """Return the spec that reads the table whose change feed the row reads."""
    if spec.cdc_source_config.source_mode != "cdf":
        return spec
    return replace(spec, load_type="full", cdc_source_config=replace(spec.cdc_source_config, source_mode="state"))


def _no_feed() -> Feed:
    raise AssertionError("the table is read, not its change feed")


def _has_many(spec: LoadSpec) -> bool:
    return spec.cdc_source_config.source_mode in CHANGE_SOURCES


def _with_order(raw: RawSource, rows: DataFrame, spec: LoadSpec, keys: tuple[str, ...]) -> DataFrame:
    """Return rows of the source's columns with whether they meet the rules, their order, and else their values."""
    where = one_expression(spec.cdc_source_config.where or "true")
    order = SEQUENCE if raw.sequence_by else WATERMARK
    own = {name: kind for name, kind in raw.types.items() if not is_ours(name)}
    judged = rows.selectExpr(
        "*",
        f"coalesce({where} AND {kept(spec, keys)}, false) AS {_PASSES}",
        f"{row_hash(own)} AS {_ROW}",
        *meta_columns(raw),
    )
    more = (f"{order} AS {_ORDER}", _PASSES, _ROW, f"IF({order} IS NULL, {_ROW}, '') AS {_VALUES}")
    return judged.selectExpr(*map(quote, rows.columns), *more)


def _of_keys(raw: RawSource, rows: DataFrame, aside: DataFrame, keys: tuple[str, ...]) -> DataFrame:
    """Return the rows that have the key of a row of `aside`."""
    named = _spelled(raw, keys)
    wanted = aside.select(*map(quote, named)).distinct()
    return rows.alias("s").join(wanted.alias("t"), F.expr(same(named)), "left_semi")


def _spelled(raw: RawSource, keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(raw.columns.get(key.lower(), key) for key in keys)


def _source_rows(raw: RawSource, aside: DataFrame, spec: LoadSpec, keys: tuple[str, ...]) -> DataFrame:
    """Return the source's rows of the waiting keys, judged; of an overwrite without keys all of its rows."""
    rows = filter_rows(raw, spec, None)
    return _with_order(raw, _of_keys(raw, rows, aside, keys) if keys else rows, spec, keys)


def _judge_whole(raw: RawSource, rows: DataFrame, spec: LoadSpec, keys: tuple[str, ...], _target: Target) -> DataFrame:
    """Judge by what the load has just read: what it did not set aside again is in the table, or no longer anywhere."""
    match = keys if spec.cdc_source_config.source_mode == "cdf" else (_VALUES,)
    point = _spelled(raw, match)
    rows, source = (frame.drop(_ORDER) for frame in (rows, _source_rows(raw, rows, spec, keys)))
    seen = source.groupBy(*map(quote, point)).agg(F.expr(f"max({_PASSES}) AS s_passes"))
    gone = f"IF(s.{_PASSES}, '{_GONE}', NULL)" if spec.cdc_source_config.replace_where else f"'{SUPERSEDED}'"
    verdict = f"CASE WHEN t.s_passes THEN '{FROM_SOURCE}' WHEN t.s_passes IS NULL THEN {gone} END"
    joined = rows.alias("s").join(seen.alias("t"), F.expr(same(point)), "left_outer")
    return joined.selectExpr(f"s.{HASH}", f"{verdict} AS {RELEASED_AS}", f"1 AS {_ROUND}")


def _judge_changes(
    raw: RawSource, rows: DataFrame, spec: LoadSpec, keys: tuple[str, ...], _target: Target
) -> DataFrame:
    """Judge by the source's row of the same key and sequence; all rows of a key are computed again in one load."""
    point = (*_spelled(raw, keys), _ORDER)
    source = _source_rows(raw, rows, spec, keys)
    seen = source.groupBy(*map(quote, point)).agg(F.expr(f"max({_PASSES}) AS s_passes"))
    verdict = (
        f"CASE WHEN NOT s.{_PASSES} THEN IF(t.s_passes, '{SUPERSEDED}', NULL) "
        f"WHEN s.{_ORDER} IS NULL THEN '{_UNORDERED}' "
        f"WHEN t.s_passes IS NULL THEN '{FROM_QUARANTINE}' WHEN t.s_passes THEN '{FROM_SOURCE}' ELSE '{SUPERSEDED}' END"
    )
    joined = rows.alias("s").join(seen.alias("t"), F.expr(same(point)), "left_outer")
    return joined.selectExpr("s.*", f"{verdict} AS {RELEASED_AS}", f"1 AS {_ROUND}")


def _judge_states(raw: RawSource, rows: DataFrame, spec: LoadSpec, keys: tuple[str, ...], target: Target) -> DataFrame:
    """Judge by the source's and the target's row of the key; several rows of a key get a round each, oldest first."""
    named = _spelled(raw, keys)
    point = (*named, _ORDER, _VALUES)
    source = _source_rows(raw, rows, spec, keys)
    by_key = source.groupBy(*map(quote, named)).agg(
        F.expr(f"max({_PASSES}) AS passes"), F.expr(f"max(IF({_PASSES}, {_ORDER}, NULL)) AS last")
    )
    by_point = source.groupBy(*map(quote, point)).agg(
        F.expr(f"max({_PASSES}) AS passes"), F.expr(f"collect_set({_ROW}) AS rows")
    )
    stored, equal = _stored(raw, rows, spec, keys, target)
    joined = (
        rows.alias("s")
        .join(by_key.alias("k"), F.expr(same(named, "k", "s")), "left_outer")
        .join(by_point.alias("p"), F.expr(same(point, "p", "s")), "left_outer")
        .join(stored.alias("t"), F.expr(same(named)), "left_outer")
        .join(equal.alias("e"), F.expr(f"e.{HASH} = s.{HASH}"), "left_outer")
    )
    newer_in_source = f"(k.passes AND (s.{_ORDER} IS NULL OR coalesce(k.last >= s.{_ORDER}, false)))"
    newer_in_target = f"coalesce(t.last >= s.{_ORDER}, false)"
    verdict = (
        f"CASE WHEN NOT s.{_PASSES} AND array_contains(p.rows, s.{_ROW}) THEN NULL "  # the source still has it
        f"WHEN NOT s.{_PASSES} THEN IF({newer_in_source} OR {newer_in_target}, '{SUPERSEDED}', NULL) "
        f"WHEN p.passes IS NOT NULL THEN IF(p.passes, '{FROM_SOURCE}', '{SUPERSEDED}') "
        f"WHEN {newer_in_target} OR e.{HASH} IS NOT NULL THEN '{SUPERSEDED}' "
        f"WHEN t.there AND (s.{_ORDER} IS NULL OR t.last IS NULL) THEN IF(k.passes, '{SUPERSEDED}', '{_UNORDERED}') "
        f"WHEN s.{_ORDER} IS NULL AND k.passes THEN '{SUPERSEDED}' ELSE '{FROM_QUARANTINE}' END"
    )
    judged = joined.selectExpr("s.*", f"{verdict} AS {RELEASED_AS}")
    group = f"PARTITION BY {listed(named)}, {RELEASED_AS}"
    # A row that was corrected in place keeps its sequence: of several the one that was set aside last counts.
    last = f"row_number() OVER ({group}, {_ORDER} ORDER BY {_AT} DESC, {HASH}) > 1"
    older = f"{RELEASED_AS} = '{FROM_QUARANTINE}' AND {_ORDER} IS NOT NULL AND {last}"
    doubtful = f"{RELEASED_AS} = '{FROM_QUARANTINE}' AND {_ORDER} IS NULL AND count(*) OVER ({group}) > 1"
    ordered = [on(_ORDER, name) for name in raw.sequence_by] if len(raw.sequence_by) > 1 else [_ORDER]
    verdict = f"CASE WHEN {doubtful} THEN '{_UNORDERED}' WHEN {older} THEN '{SUPERSEDED}' ELSE {RELEASED_AS} END"
    return judged.selectExpr(
        *(quote(name) for name in judged.columns if name != RELEASED_AS),
        f"{verdict} AS {RELEASED_AS}",
        f"dense_rank() OVER ({group} ORDER BY {', '.join(ordered)}) AS {_ROUND}",
    )


def _stored(
    raw: RawSource, rows: DataFrame, spec: LoadSpec, keys: tuple[str, ...], target: Target
) -> tuple[DataFrame, DataFrame]:
    """Return the target's waiting keys, each with its last order, and the hashes of the waiting rows that it has.

    The second are none where rows have an order: then the order decides.
    """
    source = as_stored(sort_columns(raw, raw.frame, spec, keys, None), target)
    named = _spelled(raw, keys)
    order = SEQUENCE if raw.sequence_by else WATERMARK
    kind = source.order_columns[order]
    found = target.with_columns({**source.carried, order: kind})
    found = _of_keys(raw, found, rows, keys)
    last = found.groupBy(*map(quote, named)).agg(F.expr(f"max({order}) AS last"), F.expr("true AS there"))
    unordered = rows.where(f"{_ORDER} IS NULL").alias("s")
    both = F.expr(f"{same(named)} AND NOT ({differs(source.compared)})")
    equal = unordered.join(found.alias("t"), both, "inner").selectExpr(f"s.{HASH}").distinct()
    return last, equal
