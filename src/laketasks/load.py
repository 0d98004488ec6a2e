"""One load from its row to its counts: read, settle, compare, hold, guard, write.

The steps are the same for every loader and stand here in their order; what a loader changes is its own module's.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from types import MappingProxyType

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import DataType

from laketasks import fact_incremental_merge, fact_overwrite, merge, missing, reconcile, scd1, scd2, watermark
from laketasks.adopt import command, refuse_foreign
from laketasks.change import Change, Load, Loader, Merge, Replace
from laketasks.change_feed import Feed, is_torn, read_feed
from laketasks.cluster import cluster, refuse_unknown
from laketasks.column import IS_DELETED
from laketasks.commits import TableState, TableVersion, inspect_table, latest_commits
from laketasks.counts import Counts
from laketasks.error import ConflictError, GuardError, LoadError, StaleInputError, from_engine
from laketasks.expectation import Judged, judge, kept
from laketasks.guard import check_spec, idle_words, overridden, refuse_deletes, refuse_own_names
from laketasks.identity import Identity
from laketasks.order_columns import Ordered, count_older, fit_order
from laketasks.past import (
    carried_by,
    check_grain,
    compare_identity,
    fingerprint_of,
    forgets_order,
    forgotten_columns,
    identity_of,
    merged_before,
    of_this_grain,
    reads_everything,
    refuse_differences,
    refuse_other_sql,
)
from laketasks.quarantine import set_aside, with_released
from laketasks.reshape import drop_columns, dropped_columns, follow_comment
from laketasks.run_log import LastLoad, last_success, stale_inputs
from laketasks.settle import check_survey, conform, settle, survey
from laketasks.source import (
    RawSource,
    Source,
    filter_rows,
    open_source,
    read_sql,
    sort_columns,
    statement,
    with_history,
)
from laketasks.spec import LoadSpec, RunContext, names_task, parse_instant
from laketasks.sql import instant
from laketasks.standstill import is_up_to_date, version_left
from laketasks.stored import ANY, Stored, as_found, check_rows, fill_is_deleted, forget_order, look
from laketasks.target import Target, changes_types, create, evolve, fit, locate
from laketasks.unknown_member import add_unknown_member

LOADERS: Mapping[str, Loader] = MappingProxyType(
    {
        "scd1": scd1.LOADER,
        "scd2": scd2.LOADER,
        "fact_overwrite": fact_overwrite.LOADER,
        "fact_incremental_merge": fact_incremental_merge.LOADER,
    }
)
Rows = Callable[[RawSource], DataFrame]
_PLANS = 5  # how often a load is planned when others keep writing
_FEW = 4  # so many times the rows of a read must a table have before they count as few
_SENT = 1_000_000  # more rows are not few: their keys would fill the memory of each worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a load did; the marks are the run log's text, NULL where there is no watermark.

    `identity` is what the load was made of, `sources` the versions that it read, by table, and `target` the version
    that it left, unknown if somebody else wrote meanwhile. `decision` is what it did about parts that were not those
    of the last success, `stale_inputs` the tables that it read although this run had not loaded them.
    """

    counts: Counts
    source_version: int | None = None
    watermark_from: str | None = None
    watermark_to: str | None = None
    identity: Identity = field(default_factory=dict)
    sources: Mapping[str, TableVersion] = field(default_factory=dict)
    target: TableVersion = field(default_factory=TableVersion)
    decision: str = ""
    stale_inputs: Mapping[str, str | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Again:
    """The load must be planned again.

    The source moved between counting and writing, or another first load wrote at once: then the table is `anew`. Or the
    change feed cannot be read from the last load on: `torn` says why.
    """

    anew: bool = False
    torn: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """What a load finds before it opens its source: the target, the last success, and the sources as they are now.

    `untouched`: the target has the rows that the last success left. `sql` is the text of the row's SQL file.
    """

    target: Target
    state: TableState
    last: LastLoad | None
    untouched: bool
    sources: Mapping[str, TableState]
    sql: str
    stale_inputs: Mapping[str, str | None]

    @property
    def source(self) -> TableState:
        """The state of the row's source table; nothing is known of SQL."""
        return TableState() if self.sql else next(iter(self.sources.values()), TableState())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A load before its rows are compared. `outcome` has the counts so far; `anew`: the table is written from scratch.

    `arrived` is the source as it was surveyed, `order` the columns of the source that order its rows. The target is as
    it will be after the columns of `ordered` are dropped.
    """

    load: Load
    past: _Past
    types: dict[str, DataType]
    arrived: Source
    judged: Judged
    order: tuple[str, ...]
    change: Change
    outcome: Outcome
    stored: Stored
    anew: bool
    whole: bool
    ordered: Ordered
    dropped: tuple[str, ...]

    @property
    def target(self) -> Target:
        return self.past.target


def run_load(
    spark: SparkSession, spec: LoadSpec, context: RunContext, *, rows: Rows | None = None, torn: str = ""
) -> Outcome:
    """Bring the target up to its source; raises LoadError when it must not, with nothing written.

    `rows` gives the rows to load where these are not all that the source has: the absence of a row then means nothing,
    and watermarks do not matter. `torn`: why the change feed of the source cannot be read.
    """
    loader = loader_of(spec)
    check_spec(spec, loader.keys(spec))
    anew = False
    conflict: PySparkException | None = None
    for planned in range(1, _PLANS + 1):
        try:
            outcome = _load_once(spark, spec, context, rows, anew=anew, torn=torn)
        except PySparkException as error:
            if spec.cdc_source_config.source_mode == "cdf" and not torn and is_torn(error):
                torn = "its change feed does not reach back to the last load"
                continue
            if not merge.is_conflict(error):
                if type(error).__name__ == "SparkConnectGrpcException":  # the engine is gone, and refused nothing
                    raise
                raise from_engine(spec.target_table, error) from error
            conflict = error
        else:
            if isinstance(outcome, Outcome):
                return outcome
            anew, torn = anew or outcome.anew, torn or outcome.torn
            if outcome.torn:
                continue
        if planned < _PLANS:
            time.sleep(random.uniform(0.2, 0.6) * planned)  # noqa: S311
    raise ConflictError(
        f"{spec.target_table}: source or target changed during each of {_PLANS} plans; nothing of this load was "
        f"written. See who else writes to them at this hour{f'; the last: {conflict}' if conflict else ''}"
    ) from conflict


def _load_once(
    spark: SparkSession, spec: LoadSpec, context: RunContext, rows: Rows | None, *, anew: bool, torn: str
) -> Outcome | _Again:
    """Plan and write once."""
    plan = _plan(spark, spec, context, rows, anew=anew, torn=torn)
    if not isinstance(plan, _Plan):
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
            set_aside(spark, spec, context.job_run_id, plan.judged.aside, plan.order)
        return _carry_out(spark, plan, name, outcome)


def _look_back(spark: SparkSession, spec: LoadSpec, context: RunContext) -> _Past:
    """Look at the target, the last success and the sources, before anything is read."""
    sql = read_sql(spec)
    target = locate(spark, spec.target_table)
    refuse_foreign(target, spec, context)
    last = last_success(spark, context.run_log, spec.target_table) if target.exists else None
    state = inspect_table(spark, spec.target_table, last.target if last else None) if target.exists else TableState()
    known = last.sources if last else {}
    tables = spec.reads if sql else (spec.source_table,)
    asked = () if context.dry_run else spec.upstream_tables
    return _Past(
        target=target,
        state=state,
        last=last,
        untouched=last is not None and state.has_rows_of(last.target),
        sources={table: inspect_table(spark, table, known.get(table)) for table in tables},
        sql=sql,
        stale_inputs=stale_inputs(spark, context.run_log, context.job_run_id, asked, spec.target_table),
    )


def _plan(
    spark: SparkSession, spec: LoadSpec, context: RunContext, rows: Rows | None, *, anew: bool, torn: str
) -> _Plan | Outcome | _Again:
    """Read, settle and say how to compare; nothing is written. The outcome where there is nothing to do."""
    loader = loader_of(spec)
    keys = loader.keys(spec)
    past = _look_back(spark, spec, context)
    target, last = past.target, of_this_grain(spec, past.target, past.last)
    refuse_other_sql(spec, past.sql)
    _refuse_stale_inputs(spec, context, past)
    refreshed, notes = _refreshed(spec, context)
    anew = anew or refreshed
    wanted, why_not = reconcile.asked(spec, context)
    sql = fingerprint_of(past.sql)
    if rows is None and last and past.untouched and not anew and is_up_to_date(spec, context, past.sources, last, sql):
        outcome = _as_before(spec, last, past)
        return outcome if context.dry_run else _with_comment(spark, spec, past, outcome)
    stored = look(target, loader)
    first = anew or not stored.rows
    if stored.rows:  # full_refresh does not replace a history either
        check_grain(spec, target, last, partial(command, target, spec, context))
    if not first and loader.merges and not (past.untouched and last and merged_before(last)):
        check_rows(target, loader, keys, stored, partial(command, target, spec, context))

    def changes() -> Feed:
        since = last if past.untouched and not first else None
        why = torn or ("reconcile compares all keys" if wanted else "")
        return read_feed(spark, spec, past.source.commits, target, keys, since, torn=why)

    select = statement(spec, context, past.sql) if past.sql else ""
    raw = open_source(spark, spec, past.source.commits, select, changes)
    identity = identity_of(spec, keys, raw, past.sources, past.sql)
    found_differences = compare_identity(
        spec, context, identity, None if first else last, stored=target if not first else None, untouched=past.untouched
    )
    refuse_differences(spec, found_differences)
    raw = with_released(spark, raw, spec, keys)
    if rows is not None:
        raw, found_differences, last = replace(raw, frame=rows(raw), whole=False, pinned=False), (), None
    decided = tuple(str(difference) for difference in found_differences if difference.matters)
    reads_all = reads_everything(found_differences)
    if reads_all and not raw.whole:
        return _Again(torn=f"{decided[0]}")
    why_not += watermark.check_reload(spec, context, raw.watermark_type)
    since = watermark.start(spec, context, raw.watermark_type, None if first or reads_all else last)
    found_late = reconcile.reconcile(raw, spec, keys, target, since) if wanted and stored.rows and not rows else None
    if found_late:
        raw, since = found_late.raw, found_late.since
    judged = judge(filter_rows(raw, spec, since), spec, keys)
    source = sort_columns(raw, judged.frame, spec, keys, since)
    source = replace(source, keys=found_late.keys if found_late else judged.keys)
    source = with_history(raw, source, spec, kept(spec, keys))
    whole = first or (not loader.merges and not spec.cdc_source_config.replace_where)
    ordered = Ordered(source=source, target=target)
    if not whole and loader.merges:
        ordered = fit_order(source, target, forgotten_columns(found_differences))
    source, target = ordered.source, ordered.target
    system = loader.system_columns(spec, source, target)
    carried_before = carried_by(last) if last and not first else None
    refuse_own_names(spec, source, tuple(system), None if first else target, carried_before)
    policy = spec.cdc_source_config.schema_evolution
    types = fit(target, {**source.carried, **system}, policy, whole=whole, made=tuple(system))
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
        forget_order=forgets_order(found_differences),
    )
    found = survey(arrived, load.keys)
    few = arrived.pinned and not load.first and found.read <= min(stored.rows // _FEW, _SENT)
    load = replace(load, few=few)
    check_survey(load, arrived, found, target_rows=0 if overridden(context) else stored.current)
    if raw.watermark_sources and raw.watermark:
        reached = watermark.reached_by_source(judged.frame, raw, source.watermark_from, load.now)
    else:
        reached = watermark.reached(found.watermark, source.watermark_from, source.watermark_type)
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
        # A load on an old input goes as far as it began: the next one reads the same rows again, on the right input.
        watermark_to=source.watermark_from if past.stale_inputs else reached,
        identity={**identity, "comment": spec.comment},
        sources={table: state.version for table, state in past.sources.items()},
        decision="; ".join(decided),
        stale_inputs=past.stale_inputs,
        notes=(
            *notes,
            *why_not,
            *(f"{spec.target_table}: {what}" for what in decided),
            *_said_of_inputs(spec, past),
            *idle_words(
                spec,
                deletes=source.may_delete or source.keys is not None or missing.policy(load, source) != "ignore",
                ordered=source.sequence_type is not None or source.watermark_type is not None,
            ),
            *raw.notes,
            *(found_late.notes if found_late else ()),
            *judged.notes,
        ),
    )
    return _Plan(
        load=load,
        past=replace(past, target=target),
        ordered=ordered,
        types=types,
        arrived=arrived,
        judged=judged,
        order=() if spec.cdc_source_config.source_mode == "cdf" else (*raw.sequence_by, raw.watermark),
        change=replace(change, write=Replace()) if anew or (load.first and isinstance(change.write, Merge)) else change,
        outcome=outcome,
        stored=stored,
        anew=anew,
        whole=whole,
        dropped=dropped_columns(load, target, change.columns),
    )


def _as_before(spec: LoadSpec, last: LastLoad, past: _Past) -> Outcome:
    """Return the outcome of a load that reads nothing: that of the last success."""
    sources = {table: state.version for table, state in past.sources.items()}
    read = f"version {past.source.version.version} of the source" if not past.sql else "the tables that its SQL reads"
    what = f"{read} and version {past.state.version.version} of the table have the rows of the last load"
    return Outcome(
        counts=Counts(),
        source_version=past.source.version.version,
        watermark_from=last.watermark_to,
        watermark_to=last.watermark_to,
        identity=last.parts,
        sources=sources,
        target=past.state.version,
        stale_inputs=past.stale_inputs,
        notes=(f"{spec.target_table}: {what}; nothing to read", *_said_of_inputs(spec, past)),
    )


def _refuse_stale_inputs(spec: LoadSpec, context: RunContext, past: _Past) -> None:
    if spec.skip_on_stale_input and past.stale_inputs and not overridden(context):
        raise StaleInputError(
            f"{spec.target_table}: not loaded: this run has not loaded {', '.join(past.stale_inputs)}, which it reads. "
            f"Repair the run; or run with override_guards={context.task_key}, to load from the rows that are there"
        )


def _said_of_inputs(spec: LoadSpec, past: _Past) -> tuple[str, ...]:
    found = ((table, f"its load of {at}" if at else "before its first load") for table, at in past.stale_inputs.items())
    return tuple(f"{spec.target_table}: ran on {table} as of {at}: this run has not loaded it" for table, at in found)


def _has_comment(last: LastLoad | None, spec: LoadSpec) -> bool:
    """Whether the last load gave the table the row's comment."""
    return last is not None and last.parts.get("comment") == spec.comment


def _with_comment(spark: SparkSession, spec: LoadSpec, past: _Past, outcome: Outcome) -> Outcome:
    """Give a table that is up to date the row's comment; the outcome with the version that this leaves."""
    if _has_comment(past.last, spec):
        return outcome
    commits = follow_comment(past.target, spec.comment).commits
    state = inspect_table(spark, spec.target_table, past.state.version)
    alone = version_left(past.state.commits, state.commits, commits) is not None
    identity = {**outcome.identity, "comment": spec.comment}
    return replace(outcome, identity=identity, target=state.version if alone else TableVersion())


def _moved(plan: _Plan) -> bool:
    """Whether a source that could not be pinned has other rows by now than were surveyed."""
    settled = plan.outcome.counts
    read = settled.read - plan.judged.dropped - plan.judged.quarantined
    return not plan.arrived.pinned and plan.arrived.frame.count() != read


def _carry_out(spark: SparkSession, plan: _Plan, name: str, outcome: Outcome) -> Outcome | _Again:
    """Make or widen the table and write the change."""
    spelled = {plan.target.column(column) or column: kind for column, kind in plan.types.items()}
    made = create(plan.target, spelled, plan.load.spec.comment)
    guarded = ANY if plan.anew else as_found(made, plan.stored)
    made = drop_columns(made, plan.ordered.replaced, guarded)
    retypes = plan.whole and changes_types(made, plan.types)
    target = drop_columns(made if retypes else evolve(made, plan.types), plan.dropped, guarded)
    if plan.target.exists and not _has_comment(plan.past.last, plan.load.spec):
        target = follow_comment(target, plan.load.spec.comment)
    commits = target.commits
    clustered = plan.load.config.cluster_by
    refuse_unknown(target, clustered)
    if not (outcome.counts.writes or (plan.anew and plan.stored.rows)):
        outcome, more = _complete(plan, target, outcome)
        commits += more
        notes = (*outcome.notes, *cluster(target, clustered))
        return replace(outcome, notes=notes, target=_version_left(spark, plan, commits))
    types = spelled if retypes else None
    commits += merge.write(spark, plan.change, name, target, guarded, outcome.counts, types)
    outcome, more = _complete(plan, target, outcome)
    version = _version_left(spark, plan, commits + more)
    if version.version is None:  # somebody else may have written at the same moment
        if not merge.replaced_alone(plan.change, target, outcome.counts):
            return _Again(anew=plan.load.first)
        if outcome.counts.rows_inserted:
            merge.refuse_doubled(spark, plan.change, name, target, plan.load.keys, loader_of(plan.load.spec).current)
    notes = (*outcome.notes, *cluster(target, clustered))
    return replace(outcome, notes=notes, target=version)


def _complete(plan: _Plan, target: Target, outcome: Outcome) -> tuple[Outcome, int]:
    """Change the rows that the write leaves as they are: the outcome with the rows updated, the number of commits.

    A load that takes another order forgets the stored one. A table that gets is_deleted has it in every row.
    """
    marks = IS_DELETED in plan.types and IS_DELETED not in {name.lower() for name in plan.arrived.carried}
    flags = marks and not plan.load.first and (plan.target.column(IS_DELETED) is None or plan.stored.unflagged > 0)
    if not (plan.load.forget_order or plan.ordered.loses_values or flags):
        return outcome, 0
    before = latest_commits(target.spark, target.name)
    if plan.ordered.loses_values:
        rows = count_older(target, instant(plan.load.now))
    else:
        rows = forget_order(target, instant(plan.load.now)) if plan.load.forget_order else 0
    rows += fill_is_deleted(target) if flags else 0
    after = latest_commits(target.spark, target.name)
    counts = replace(outcome.counts, rows_updated=outcome.counts.rows_updated + rows)
    own = (plan.load.forget_order and not plan.ordered.loses_values) + flags
    return replace(outcome, counts=counts), after[0].version - before[0].version if before and after else own


def _version_left(spark: SparkSession, plan: _Plan, own: int) -> TableVersion:
    """The version that this load left; unknown where the engine does not tell it or somebody else wrote meanwhile."""
    state = inspect_table(spark, plan.target.name, plan.past.state.version)
    if version_left(plan.past.state.commits, state.commits, own) is None:
        return TableVersion()
    return state.version


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
