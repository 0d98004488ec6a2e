"""Reconcile: what an incremental read cannot see, found by comparing the keys of source and table.

A watermark misses rows that arrived behind it, and deletes that do not move it: a TRUNCATE, a re-sync, an ended row of
a Fivetran history. Of a state source every key is looked at, with its watermark and its delete flag and nothing else;
the keys that the source no longer has are deleted as `delete_mode` says. Of a Fivetran history the keys are read again
of which one side has an open version and the other has none; events are read again from the start, and what is no
longer there stays, since bronze may keep less than the table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from laketasks.column import DELETE, ENDS_AT, LATE, WATERMARK, type_text
from laketasks.error import GuardError
from laketasks.soft_delete import live_rows
from laketasks.source import RawSource, meta_columns, reached
from laketasks.spec import LoadSpec, RunContext, names_task
from laketasks.sql import all_of, quote
from laketasks.target import Target
from laketasks.union_sources import SOURCE_NO
from laketasks.widening import widest


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """The source with the rows marked that a read would pass by, all of its keys, and what is to be said of it."""

    raw: RawSource
    since: str | None
    keys: DataFrame | None = None
    notes: tuple[str, ...] = ()


def asked(spec: LoadSpec, context: RunContext) -> tuple[bool, tuple[str, ...]]:
    """Whether this load reconciles, and why not where a run asks all tables to; raises GuardError where it cannot."""
    reason = _senseless(spec)
    named = names_task(context.reconcile, context.task_key)
    if not named and not spec.cdc_source_config.reconcile:
        return False, ()
    if not reason:
        return True, ()
    if context.reconcile.strip() != "all" or spec.cdc_source_config.reconcile:
        raise GuardError(f"{spec.target_table}: reconcile: {reason}. Leave this table out of what is reconciled")
    return False, (f"{spec.target_table}: not reconciled: {reason}",)


def reconcile(raw: RawSource, spec: LoadSpec, keys: tuple[str, ...], target: Target, since: str | None) -> Reconciled:
    """Look for what a read from `since` on would pass by; `keys` is None where a missing key means nothing."""
    mode = spec.cdc_source_config.source_mode
    if mode == "events":
        return Reconciled(raw=raw, since=None, notes=(f"{spec.target_table}: reconcile reads all events again",))
    if mode == "cdf":
        return Reconciled(raw=raw, since=None)  # the feed has been compared with all keys
    named = [raw.columns[key.lower()] for key in keys]
    everything = raw.frame.selectExpr(*map(quote, named)).distinct() if mode == "state" else None
    if since is None:
        return Reconciled(raw=raw, since=since, keys=everything)
    late = _late(raw, spec, named, target, since)
    found = late.count()
    if not found:
        return Reconciled(raw=raw, since=since, keys=everything)
    renamed = late.selectExpr(*(f"{quote(key)} AS {_key(i)}" for i, key in enumerate(named)), f"true AS {LATE}")
    both = all_of(f"s.{quote(key)} <=> l.{_key(i)}" for i, key in enumerate(named))
    frame = raw.frame.alias("s").join(renamed.alias("l"), F.expr(both), "left_outer").selectExpr("s.*", f"l.{LATE}")
    return Reconciled(
        raw=replace(raw, frame=frame, has_late=True),
        since=since,
        keys=everything,
        notes=(f"{spec.target_table}: reconcile: {found} keys had rows that the watermark has passed by; read again",),
    )


def _senseless(spec: LoadSpec) -> str:
    """Why the row cannot be reconciled; '' where it can."""
    config = spec.cdc_source_config
    if spec.execution_pipeline == "fact_overwrite":
        return "fact_overwrite reads the whole source each time"
    if config.source_mode == "snapshot":
        return "a snapshot compares all keys each time, as on_missing says"
    if config.where:
        return "with `where` a row that is filtered would count as deleted"
    return ""


def _late(raw: RawSource, spec: LoadSpec, named: list[str], target: Target, since: str) -> DataFrame:
    """The keys, one row each, of which a read from `since` on would miss something."""
    listed = [quote(key) for key in named]
    number = [SOURCE_NO] if raw.watermark_sources else []
    rows = raw.frame.selectExpr(*listed, *meta_columns(raw), *number)
    read = reached(WATERMARK, raw, spec, since)
    is_open = f"{ENDS_AT} IS NULL" if raw.ends else f"NOT {DELETE}"
    source = rows.groupBy(*listed).agg(
        F.expr(f"max({WATERMARK}) AS watermark"),
        F.expr(f"max({is_open}) AS live"),
        F.expr(f"min({read}) AS all_read"),
    )
    live = live_rows(target, spec, raw.types)
    own = [target.column(key) or key for key in named]
    stored = (
        target.frame()
        .selectExpr(*(f"{quote(key)} AS {_key(i)}" for i, key in enumerate(own)), WATERMARK, f"{live} AS live")
        .groupBy(*(_key(i) for i in range(len(own))))
        .agg(F.expr(f"max({WATERMARK}) AS watermark"), F.expr("max(live) AS live"))
    )
    kinds = [
        type_text(widest(raw.types[key], target.columns.get(name, raw.types[key])) or target.columns[name])
        for name, key in zip(own, named, strict=True)
    ]
    both = all_of(
        f"cast(s.{quote(key)} AS {kind}) <=> cast(t.{_key(i)} AS {kind})"
        for i, (key, kind) in enumerate(zip(named, kinds, strict=True))
    )
    behind = "s.live <> coalesce(t.live, false)"
    if not raw.ends:
        behind += " OR coalesce(s.watermark > t.watermark, t.watermark IS NULL AND t.live IS NOT NULL)"
    joined = source.alias("s").join(stored.alias("t"), F.expr(both), "left_outer")
    return joined.where(f"NOT s.all_read AND ({behind})").selectExpr(*(f"s.{key}" for key in listed))


def _key(i: int) -> str:
    return f"_laketasks_key_{i}"
