"""One load from its row to its counts: read, settle, compare, guard, write.

The steps are the same for every loader and stand here in their order; what a loader changes is its own module's.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from types import MappingProxyType

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from laketasks import fact_incremental_merge, fact_overwrite, mark, merge, scd1, scd2
from laketasks.change import Change, Load, Loader, Replace
from laketasks.column import WATERMARK
from laketasks.counts import Counts
from laketasks.drift import history_of, keys_of, refuse_drift
from laketasks.error import ConflictError, GuardError, LoadError, TargetError
from laketasks.expectation import judge, kept, set_aside
from laketasks.run_log import LastLoad, last_success
from laketasks.settle import check_survey, conform, settle, survey
from laketasks.source import RawSource, Source, filter_rows, open_source, sort_columns, with_history
from laketasks.spec import LoadSpec, RunContext, names_task, parse_instant, unsupported
from laketasks.sql import quote
from laketasks.target import Target, create, drop, evolve, find_target, fit
from laketasks.unknown_member import add_unknown_member

LOADERS: Mapping[str, Loader] = MappingProxyType(
    {
        "scd1": scd1.LOADER,
        "scd2": scd2.LOADER,
        "fact_overwrite": fact_overwrite.LOADER,
        "fact_incremental_merge": fact_incremental_merge.LOADER,
    }
)
_PLANS = 5  # how often a load is planned when others keep writing
_GUARDED_FROM = 100  # current rows from which max_delete_ratio protects


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a load did; the marks are the run log's text, NULL where there is no watermark."""

    counts: Counts
    source_version: int | None = None
    watermark_from: str | None = None
    watermark_to: str | None = None
    target_watermark: str | None = None
    keys: str = ""
    history: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """The target before the load: rows that count as current, and its highest watermark (the run log's text)."""

    rows: int = 0
    watermark: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A load up to its write. `outcome` is what it will have done; `anew`: the table is written from scratch."""

    target: Target
    types: dict[str, DataType]
    source: Source
    aside: DataFrame | None
    keys: tuple[str, ...]
    change: Change
    outcome: Outcome
    stored: _Stored
    anew: bool


def run_load(spark: SparkSession, spec: LoadSpec, context: RunContext) -> Outcome:
    """Bring the target up to its source; raises LoadError when it must not, with nothing written."""
    _check_spec(spec)
    if names_task(context.reconcile, context.task_key):
        raise LoadError(
            f"{spec.target_table}: the job parameter reconcile is not supported by this version of laketasks"
        )
    for planned in range(1, _PLANS + 1):
        try:
            outcome = _load_once(spark, spec, context)
        except PySparkException as error:
            if not merge.is_conflict(error):
                raise
        else:
            if outcome is not None:
                return outcome
        if planned < _PLANS:
            time.sleep(random.uniform(0.2, 0.6) * planned)  # noqa: S311
    raise ConflictError(
        f"{spec.target_table}: source or target changed during each of {_PLANS} plans; nothing of this load was "
        "written. See who else writes to them at this hour"
    )


def _load_once(spark: SparkSession, spec: LoadSpec, context: RunContext) -> Outcome | None:
    """Plan and write once; None when the source moved between counting and writing."""
    plan = _plan(spark, spec, context)
    if plan.outcome.counts.unaccounted:
        return None
    _guard_deletes(spec, context, plan.outcome.counts, plan.stored.rows)
    if context.dry_run:
        return replace(plan.outcome, notes=(*plan.outcome.notes, *merge.sample_keys(plan.change, plan.keys)))
    if plan.aside is not None:
        set_aside(spark, spec, context.job_run_id, plan.aside)
    return _carry_out(spark, spec, plan)


def _plan(spark: SparkSession, spec: LoadSpec, context: RunContext) -> _Plan:
    """Read, settle and compare; nothing is written."""
    loader = LOADERS[spec.execution_pipeline]
    target = find_target(spark, spec.target_table)
    raw = open_source(spark, spec, context)
    anew, notes = _written_anew(spec, context)
    stored = _look(target, loader, loader.keys(spec), raw) if target.exists else _Stored()
    last = None if anew or not stored.rows else last_success(spark, context.run_log, spec.target_table)
    refuse_drift(spec, loader.keys(spec), last, overridden=_overridden(context))
    since = _watermark_from(spec, context, raw, stored, last)
    judged = judge(filter_rows(raw, spec, since), spec, loader.keys(spec))
    source = sort_columns(raw, judged.frame, spec, loader.keys(spec), since)
    source = with_history(raw, source, spec, loader.keys(spec), kept(spec, loader.keys(spec)))
    system = loader.system_columns(spec, source)
    _refuse_own_names(spec, source, tuple(system))
    types = fit(target, {**source.carried, **system}, spec.cdc_source_config.schema_evolution)
    source = conform(source, target, types)
    now = datetime.now(timezone.utc)
    load = Load(
        spec=spec,
        context=context,
        run_start=parse_instant(context.job_start_time) or now,
        now=now,
        keys=tuple(target.column(key) or _spelled(source, key) for key in loader.keys(spec)),
        first=anew or not stored.rows,
    )
    found = survey(source, load.keys)
    check_survey(load, source, found, target_rows=0 if _overridden(context) else stored.rows)
    source, dropped, duplicates = settle(load, source, found)
    before = replace(target, exists=False) if anew else target
    change = add_unknown_member(load, source, before, loader.change(load, source, before))
    outcome = Outcome(
        counts=merge.count(
            change,
            read=found.read + judged.dropped + judged.quarantined,
            duplicates=duplicates,
            dropped=dropped + judged.dropped,
            quarantined=judged.quarantined,
        ),
        source_version=source.version,
        watermark_from=source.watermark_from,
        watermark_to=_later(found.watermark, source.watermark_from, source),
        target_watermark=stored.watermark,
        keys=keys_of(spec, loader.keys(spec)),
        history=history_of(spec),
        notes=(*notes, *judged.notes),
    )
    change = replace(change, write=Replace()) if anew else change
    return _Plan(
        target=target,
        types=types,
        source=source,
        aside=judged.aside,
        keys=load.keys,
        change=change,
        outcome=outcome,
        stored=stored,
        anew=anew,
    )


def _carry_out(spark: SparkSession, spec: LoadSpec, plan: _Plan) -> Outcome | None:
    """Make or widen the table and write the change; None when what was staged is not what was counted."""
    spelled = {plan.target.column(name) or name: kind for name, kind in plan.types.items()}
    target = evolve(create(plan.target, spelled, spec.comment), plan.types)
    reshapes = isinstance(plan.change.write, Replace) and plan.change.write.reshape
    if not (plan.outcome.counts.writes or reshapes or (plan.anew and plan.stored.rows)):
        return plan.outcome
    staged = merge.stage(plan.change, target.name)
    try:
        if not merge.staged_as_counted(spark, plan.change, staged, plan.outcome.counts):
            return None
        merge.write(spark, plan.change, staged, target)
    finally:
        drop(spark, staged)
    if not merge.replaced_alone(plan.change, target, plan.outcome.counts):
        return None
    return replace(plan.outcome, target_watermark=_highest(target, plan.source))


def _check_spec(spec: LoadSpec) -> None:
    if spec.execution_pipeline not in LOADERS:
        raise LoadError(f"{spec.target_table}: no loader {spec.execution_pipeline!r}; known: {', '.join(LOADERS)}")
    missing = unsupported(spec.cdc_source_config)
    if missing:
        raise LoadError(f"{spec.target_table}: {'; '.join(missing)}")
    if not LOADERS[spec.execution_pipeline].keys(spec) and spec.execution_pipeline != "fact_overwrite":
        raise LoadError(f"{spec.target_table}: {spec.execution_pipeline} needs key columns; name them in the row")
    history = spec.cdc_source_config.source_mode == "fivetran_history"
    if history and spec.load_type == "incremental" and not spec.cdc_source_config.reconcile:
        raise LoadError(
            f"{spec.target_table}: an incremental read of a Fivetran history misses rows that ended, whose "
            "_fivetran_synced stays; set load_type full"
        )
    if bool(spec.sql_file_path) == bool(spec.source_table):
        raise LoadError(f"{spec.target_table}: give source_table or sql_file_path, one of the two")


def _written_anew(spec: LoadSpec, context: RunContext) -> tuple[bool, tuple[str, ...]]:
    """Whether full_refresh asks for this table to be reloaded from scratch."""
    if not names_task(context.full_refresh, context.task_key):
        return False, ()
    if spec.execution_pipeline != "scd2":
        return True, ()
    if context.full_refresh.strip() != "all":
        raise GuardError(
            f"{spec.target_table}: full_refresh would lose the history that only this table has. "
            "Drop the table if that is meant, or leave it out of full_refresh"
        )
    return False, (f"{spec.target_table}: full_refresh=all leaves scd2 history alone; loaded normally",)


def _look(target: Target, loader: Loader, keys: tuple[str, ...], raw: RawSource) -> _Stored:
    """One pass over the target: its current rows, its highest watermark, and that no key has two open versions."""
    kind = raw.watermark_type
    has_mark = kind is not None and target.column(WATERMARK) is not None
    highest = mark.mark_of(f"max({WATERMARK})", kind) if has_mark and kind is not None else "cast(NULL AS STRING)"
    rows = target.frame()
    if not loader.current or target.column(loader.current) is None:
        row = rows.agg(F.expr("count(*) AS rows"), F.expr(f"{highest} AS mark")).collect()[0]
        return _Stored(rows=row["rows"], watermark=mark.read_mark(row["mark"], kind) if kind else None)
    row = rows.agg(F.expr(f"count_if({loader.current}) AS rows"), F.expr(f"{highest} AS mark")).collect()[0]
    _refuse_two_open(target, loader, keys)
    return _Stored(rows=row["rows"], watermark=mark.read_mark(row["mark"], kind) if kind else None)


def _refuse_two_open(target: Target, loader: Loader, keys: tuple[str, ...]) -> None:
    stored = [target.column(key) for key in keys]
    if None in stored:
        raise TargetError(
            f"{target.name}: has no column {', '.join(k for k, own in zip(keys, stored, strict=True) if own is None)}, "
            "which the row names as a key: the keys of a table do not change. Load into a new table"
        )
    names = [quote(name) for name in stored if name]
    doubled = target.frame().where(loader.current).groupBy(*names).agg(F.expr("count(*) AS n")).where("n > 1")
    sample = doubled.selectExpr(*names).limit(5).collect()
    if sample:
        shown = ", ".join(str(tuple(row)) for row in sorted(sample, key=str))
        raise TargetError(
            f"{target.name}: keys with more than one open version, such as ({', '.join(keys)}) = {shown}. "
            "Close all but one of them (is_current = false, valid_to = the next valid_from) before the next load"
        )


def _watermark_from(
    spec: LoadSpec, context: RunContext, raw: RawSource, stored: _Stored, last: LastLoad | None
) -> str | None:
    """Where an incremental read starts; None reads everything."""
    kind = raw.watermark_type
    if spec.load_type != "incremental":
        return None
    if kind is None:
        raise LoadError(f"{spec.target_table}: load_type incremental needs a watermark or sequence_by column")
    if last is None or last.watermark_to is None:
        return None
    since: str | None = last.watermark_to
    if _fell(stored, last, kind):
        since = stored.watermark
    asked = parse_instant(context.reload_from) if context.reload_from else None
    wanted = mark.of_instant(asked, kind) if asked else None
    if wanted and since and mark.earlier(wanted, since, kind):
        since = wanted
    return since


def _fell(stored: _Stored, last: LastLoad, kind: DataType) -> bool:
    """Whether the target was restored or truncated to a state before the one that was logged."""
    if last.target_watermark is None:
        return False
    return stored.watermark is None or mark.earlier(stored.watermark, last.target_watermark, kind)


def _refuse_own_names(spec: LoadSpec, source: Source, system: tuple[str, ...]) -> None:
    clash = sorted({name for name in source.carried if name.lower() in {own.lower() for own in system}})
    if clash:
        raise LoadError(
            f"{spec.target_table}: the loader makes {', '.join(clash)} itself, and the source carries a column of "
            "that name. Rename it in the SQL file or leave it out with except_column_list"
        )


def _spelled(source: Source, key: str) -> str:
    return next(name for name in source.carried if name.lower() == key.lower())


def _overridden(context: RunContext) -> bool:
    return names_task(context.override_guards, context.task_key)


def _guard_deletes(spec: LoadSpec, context: RunContext, counts: Counts, current: int) -> None:
    limit = spec.cdc_source_config.max_delete_ratio
    if spec.execution_pipeline == "fact_overwrite":
        gone = max(0, counts.rows_deleted - counts.rows_inserted)
    else:
        acted = spec.cdc_source_config.on_missing != "ignore"
        gone = counts.deleted + (counts.keys_missing if acted else 0)
    if _overridden(context) or current < _GUARDED_FROM or gone <= limit * current:
        return
    raise GuardError(
        f"{spec.target_table}: {gone} of {current} current rows would be deleted or closed ({gone / current:.0%}), "
        f"more than max_delete_ratio {limit:.0%}. Check the source; if this is right, run with "
        f"override_guards={context.task_key}, or raise max_delete_ratio"
    )


def _later(found: str | None, since: str | None, source: Source) -> str | None:
    if found is None or since is None or source.watermark_type is None:
        return found or since
    return since if mark.earlier(found, since, source.watermark_type) else found


def _highest(target: Target, source: Source) -> str | None:
    kind = source.watermark_type
    if kind is None or target.column(WATERMARK) is None:
        return None
    row = target.frame().agg(F.expr(f"{mark.mark_of(f'max({WATERMARK})', kind)} AS mark")).collect()[0]
    return mark.read_mark(row["mark"], kind)
