"""One load from its row to its counts: read, settle, compare, hold, guard, write.

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
from pyspark.sql import SparkSession
from pyspark.sql.types import DataType

from laketasks import fact_incremental_merge, fact_overwrite, merge, missing, reconcile, scd1, scd2, watermark
from laketasks.adopt import refuse_foreign
from laketasks.change import Change, Load, Loader, Merge, Replace
from laketasks.change_feed import Feed, is_torn, read_feed
from laketasks.cluster import cluster, refuse_unknown
from laketasks.commits import Commit, latest_commits
from laketasks.counts import Counts
from laketasks.drift import history_of, keys_of, refuse_drift
from laketasks.error import ConflictError, GuardError, LoadError
from laketasks.expectation import Judged, judge, kept, set_aside
from laketasks.guard import check_spec, overridden, refuse_deletes, refuse_own_names
from laketasks.run_log import LastLoad, last_success
from laketasks.settle import check_survey, conform, settle, survey
from laketasks.source import Source, filter_rows, open_source, sort_columns, with_history
from laketasks.spec import LoadSpec, RunContext, names_task, parse_instant
from laketasks.standstill import stands_still, untouched, version_left
from laketasks.stored import ANY, Stored, as_found, highest_watermark, look
from laketasks.target import Target, create, evolve, fit, locate
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
_FEW = 4  # so many times the rows of a read must a table have before they count as few
_SENT = 1_000_000  # more rows are not few: their keys would fill the memory of each worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a load did; the marks are the run log's text, NULL where there is no watermark."""

    counts: Counts
    source_version: int | None = None
    target_version: int | None = None
    watermark_from: str | None = None
    watermark_to: str | None = None
    target_watermark: str | None = None
    keys: str = ""
    history: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Again:
    """The source moved between counting and writing, or another first load wrote at once: then the table is `anew`."""

    anew: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A load before its rows are compared. `outcome` has the counts so far; `anew`: the table is written from scratch.

    `arrived` is the source as it was surveyed; `commits` are the table's, where the engine tells them.
    """

    load: Load
    target: Target
    types: dict[str, DataType]
    arrived: Source
    judged: Judged
    change: Change
    outcome: Outcome
    stored: Stored
    commits: tuple[Commit, ...]
    anew: bool


def run_load(spark: SparkSession, spec: LoadSpec, context: RunContext) -> Outcome:
    """Bring the target up to its source; raises LoadError when it must not, with nothing written."""
    loader = loader_of(spec)
    check_spec(spec, loader.keys(spec))
    anew, torn = False, ""
    conflict: PySparkException | None = None
    for planned in range(1, _PLANS + 1):
        try:
            outcome = _load_once(spark, spec, context, anew=anew, torn=torn)
        except PySparkException as error:
            if spec.cdc_source_config.source_mode == "cdf" and not torn and is_torn(error):
                torn = "its change feed does not reach back to the last load"
                continue
            if not merge.is_conflict(error):
                raise
            conflict = error
        else:
            if isinstance(outcome, Outcome):
                return outcome
            anew = anew or outcome.anew
        if planned < _PLANS:
            time.sleep(random.uniform(0.2, 0.6) * planned)  # noqa: S311
    raise ConflictError(
        f"{spec.target_table}: source or target changed during each of {_PLANS} plans; nothing of this load was "
        f"written. See who else writes to them at this hour{f'; the last: {conflict}' if conflict else ''}"
    ) from conflict


def _load_once(spark: SparkSession, spec: LoadSpec, context: RunContext, *, anew: bool, torn: str) -> Outcome | _Again:
    """Plan and write once. `torn`: why the change feed of the source cannot be read."""
    plan = _plan(spark, spec, context, anew=anew, torn=torn)
    if isinstance(plan, Outcome):
        return plan
    with merge.held(spark, plan.change, spec.target_table, pinned=plan.arrived.pinned) as name:
        counted = merge.count(spark, plan.change, name, plan.outcome.counts)
        if counted is None or _moved(plan):
            return _Again()
        acted = missing.policy(plan.load, plan.arrived) != "ignore"
        counts, missed = counted.counts, counted.counts.keys_missing if acted else 0
        refuse_deletes(spec, context, counts, plan.stored.current, gone=counted.ended + missed)
        outcome = replace(plan.outcome, counts=counts, notes=(*plan.outcome.notes, *counted.remarks))
        if context.dry_run:
            samples = merge.sample_keys(spark, plan.change, name, plan.load.keys)
            return replace(outcome, notes=(*outcome.notes, *samples))
        if plan.judged.aside is not None:
            set_aside(spark, spec, context.job_run_id, plan.judged.aside)
        return _carry_out(spark, plan, name, outcome)


def _plan(spark: SparkSession, spec: LoadSpec, context: RunContext, *, anew: bool, torn: str) -> _Plan | Outcome:
    """Read, settle and say how to compare; nothing is written. The outcome where there is nothing to do."""
    loader = loader_of(spec)
    keys = loader.keys(spec)
    target = locate(spark, spec.target_table)
    refuse_foreign(target, spec)
    commits = latest_commits(spark, spec.target_table) if target.exists else ()
    last = last_success(spark, context.run_log, spec.target_table) if target.exists else None
    checked = last is not None and untouched(spark, spec.target_table, commits, last)
    refreshed, notes = _refreshed(spec, context)
    anew = anew or refreshed
    wanted, why_not = reconcile.asked(spec, context)

    def changes(made: tuple[Commit, ...]) -> Feed:
        since = last if checked and not anew else None
        why = torn or ("reconcile compares all keys" if wanted else "")
        return read_feed(spark, spec.source_table, made, target, keys, since, torn=why)

    raw = open_source(spark, spec, context, changes)
    if last and checked and not anew and stands_still(spark, spec, context, raw.commits, last):
        return _as_before(spec, last, raw.commits[0].version, commits[0].version)
    incremental = raw.watermark_type if spec.load_type == "incremental" else None
    stored = look(target, loader, keys, incremental, checked=checked)
    last = None if anew or not stored.rows else last
    refuse_drift(spec, keys, last, overridden=overridden(context))
    why_not += watermark.check_reload(spec, context, raw.watermark_type)
    since = watermark.start(spec, context, raw.watermark_type, stored, last)  # None for a change feed
    found_late = reconcile.reconcile(raw, spec, keys, target, since) if wanted and stored.rows else None
    if found_late:
        raw, since = found_late.raw, found_late.since
    judged = judge(filter_rows(raw, spec, since), spec, keys)
    source = sort_columns(raw, judged.frame, spec, keys, since)
    source = replace(source, keys=found_late.keys if found_late else None)
    source = with_history(raw, source, spec, kept(spec, keys))
    system = loader.system_columns(spec, source, target)
    refuse_own_names(spec, source, tuple(system))
    types = fit(target, {**source.carried, **system}, spec.cdc_source_config.schema_evolution)
    arrived = conform(source, target, types)
    now = datetime.now(timezone.utc)
    load = Load(
        spec=spec,
        context=context,
        run_start=parse_instant(context.job_start_time) or now,
        now=now,
        keys=tuple(target.column(key) or _spelled(arrived, key) for key in keys),
        first=anew or not stored.rows,
        closed=stored.rows > stored.current,
    )
    found = survey(arrived, load.keys)
    few = arrived.pinned and not load.first and found.read <= min(stored.rows // _FEW, _SENT)
    load = replace(load, few=few)
    check_survey(load, arrived, found, target_rows=0 if overridden(context) else stored.current)
    source, dropped, duplicates = settle(load, arrived, found)
    before = replace(target, exists=False) if load.first else target
    change = add_unknown_member(load, source, before, loader.change(load, source, before))
    outcome = Outcome(
        counts=Counts(
            read=found.read + judged.dropped + judged.quarantined,
            duplicates=duplicates,
            dropped=dropped + judged.dropped,
            quarantined=judged.quarantined,
        ),
        source_version=source.version,
        watermark_from=source.watermark_from,
        watermark_to=watermark.reached(found.watermark, source.watermark_from, source.watermark_type),
        target_watermark=stored.watermark,
        keys=keys_of(spec, keys),
        history=history_of(spec),
        notes=(*notes, *why_not, *raw.notes, *(found_late.notes if found_late else ()), *judged.notes),
    )
    return _Plan(
        load=load,
        target=target,
        types=types,
        arrived=arrived,
        judged=judged,
        change=replace(change, write=Replace()) if anew or (load.first and isinstance(change.write, Merge)) else change,
        outcome=outcome,
        stored=stored,
        commits=commits,
        anew=anew,
    )


def _as_before(spec: LoadSpec, last: LastLoad, source_version: int, target_version: int) -> Outcome:
    """What a load says that reads nothing."""
    said = f"version {source_version} of the source and {target_version} of the table hold what the last load left"
    return Outcome(
        counts=Counts(),
        source_version=source_version,
        target_version=target_version,
        watermark_from=last.watermark_to,
        watermark_to=last.watermark_to,
        target_watermark=last.target_watermark,
        keys=last.keys or "",
        history=last.history or "",
        notes=(f"{spec.target_table}: {said}; nothing to read",),
    )


def _moved(plan: _Plan) -> bool:
    """Whether a source that could not be pinned has other rows by now than were surveyed."""
    settled = plan.outcome.counts
    read = settled.read - plan.judged.dropped - plan.judged.quarantined
    return not plan.arrived.pinned and plan.arrived.frame.count() != read


def _carry_out(spark: SparkSession, plan: _Plan, name: str, outcome: Outcome) -> Outcome | _Again:
    """Make or widen the table and write the change."""
    spelled = {plan.target.column(column) or column: kind for column, kind in plan.types.items()}
    made = create(plan.target, spelled, plan.load.spec.comment)
    target = evolve(made, plan.types)
    commits = (not plan.target.exists) + (len(target.columns) > len(made.columns))
    clustered = plan.load.config.cluster_by
    refuse_unknown(target, clustered)
    reshapes = isinstance(plan.change.write, Replace) and plan.change.write.reshape
    if not (outcome.counts.writes or reshapes or (plan.anew and plan.stored.rows)):
        notes = (*outcome.notes, *cluster(target, clustered))
        return replace(outcome, notes=notes, target_version=_version_left(spark, plan, commits))
    merge.write(spark, plan.change, name, target, ANY if plan.anew else as_found(target, plan.stored), outcome.counts)
    version = _version_left(spark, plan, commits + 1)
    if version is None:  # somebody else may have written at the same moment
        if not merge.replaced_alone(plan.change, target, outcome.counts):
            return _Again(anew=plan.load.first)
        if outcome.counts.rows_inserted:
            merge.refuse_doubled(spark, plan.change, name, target, plan.load.keys, loader_of(plan.load.spec).current)
    incremental = plan.arrived.watermark_type if plan.load.spec.load_type == "incremental" else None
    notes = (*outcome.notes, *cluster(target, clustered))
    return replace(
        outcome,
        notes=notes,
        target_watermark=highest_watermark(target, incremental),
        target_version=version,
    )


def _version_left(spark: SparkSession, plan: _Plan, own: int) -> int | None:
    """The version that this load left, where the engine tells it and nobody else has written meanwhile."""
    return version_left(plan.commits, latest_commits(spark, plan.target.name), own)


def loader_of(spec: LoadSpec) -> Loader:
    """The loader that the row names; raises LoadError for a name that is none."""
    if spec.execution_pipeline not in LOADERS:
        raise LoadError(f"{spec.target_table}: no loader {spec.execution_pipeline!r}; known: {', '.join(LOADERS)}")
    return LOADERS[spec.execution_pipeline]


def _refreshed(spec: LoadSpec, context: RunContext) -> tuple[bool, tuple[str, ...]]:
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


def _spelled(source: Source, key: str) -> str:
    return next(name for name in source.carried if name.lower() == key.lower())
