"""Take over a table that another tool has filled: give its rows the columns that the loaders keep.

The rows stay as they are, and so do the table's grants, comments and history: columns are added, then one UPDATE fills
them. A history becomes one of ours by the columns that bound its versions, named by the user or guessed from their
names. Rows that somebody added by hand to a table of ours are taken over in the same way.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    DataType,
    DateType,
    NumericType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from laketasks.adopt_history import BEFORE, as_instant, guess_history, is_marked, read_ends
from laketasks.adopt_view import View, make_view, old_name
from laketasks.change import Loader
from laketasks.change_feed import Feed
from laketasks.column import (
    AUDIT,
    DELETED_AT,
    IS_CURRENT,
    IS_DELETED,
    JOB_RUN_ID,
    LOADED_AT,
    SEQUENCE,
    SYSTEM,
    UPDATED_AT,
    VALID_FROM,
    VALID_TO,
    WATERMARK,
    type_text,
)
from laketasks.commits import latest_commits
from laketasks.error import LoadError, TargetError
from laketasks.source import RawSource, Source, open_source, read_sql, sort_columns, statement
from laketasks.spec import DIMENSIONS, AdoptSpec, LoadSpec, RunContext
from laketasks.sql import OPEN_END, quote, quote_table, text
from laketasks.surrogate import surrogate_columns, surrogate_key
from laketasks.target import Target, evolve, locate
from laketasks.unknown_member import KEY as UNKNOWN
from laketasks.version import VERSION_COLUMNS
from laketasks.zoneless import date_of, naive_of

ADOPTED = "adopted"
_OPTIONS = (VALID_FROM, VALID_TO, IS_DELETED, "sequence")
_NO_RUN = RunContext(job_run_id=ADOPTED, task_key="", run_log="")
_SAMPLE = 5
_YEAR_9999 = "timestamp_micros(253370764800000000)"  # in this year every tool's open end lies
_NOW = "current_timestamp()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """The plan of an adoption; nothing is done yet.

    `values` maps each column that the loaders keep to the SQL of its value in the rows that lack one, in the table's
    spelling. `renamed` are columns whose names the loaders need for another type. `options` are what was guessed.
    `state` is empty where there is something to do, else why there is not.
    """

    target: Target
    pipeline: str
    state: str = ""
    added: dict[str, DataType] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()  # columns that are NULL in no row that is ours
    rows: int = 0
    options: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    view: View | None = None
    view_name: str = ""

    @property
    def update(self) -> str:
        body = ", ".join(f"{quote(name)} = {value}" for name, value in self.values.items())
        return f"UPDATE {self.target.quoted} SET {body} WHERE {_lacking(self.required)}"

    @property
    def statements(self) -> tuple[str, ...]:
        """What the adoption runs, as SQL; an engine without ADD COLUMNS gets the columns by an append of no rows."""
        if self.state:
            return ()
        names = ", ".join(_renaming(self.target, self.renamed))
        made = [f"CREATE OR REPLACE TABLE {self.target.quoted} AS SELECT {names} FROM {self.target.quoted}"]
        added = ", ".join(f"{quote(name)} {type_text(kind)}" for name, kind in self.added.items())
        return (
            *(made if self.renamed else ()),
            *([f"ALTER TABLE {self.target.quoted} ADD COLUMNS ({added})"] if added else ()),
            self.update,
            *([self.view_statement] if self.view_name else ()),
        )

    @property
    def view_statement(self) -> str:
        select = self.view.select(self.target.quoted) if self.view else ""
        return f"CREATE OR REPLACE VIEW {quote_table(self.view_name)} AS {select}"


def refuse_foreign(target: Target, spec: LoadSpec, context: RunContext | None = None) -> None:
    """Raise TargetError for a table that has rows but not our columns; the message has the command that adopts it."""
    if not target.exists:
        return
    ours = target.column(JOB_RUN_ID) is not None
    named = surrogate_columns(spec) if ours else _always(spec)  # of another grain of ours `check_grain` tells
    lacking = [name for name in named if target.column(name) is None]
    if ours and any(target.column(key) is None for key in _keys(spec)):
        return  # the load says that the keys are not those of the table
    if not lacking or target.frame().isEmpty():
        return
    if ours:
        refresh = "" if _versioned(spec) else ", or a run with full_refresh,"
        reason = f"has rows without the surrogate key {', '.join(lacking)}"
        remedy = f"This command{refresh} gives it to them"
    else:
        reason = (
            f"has rows but not the columns that the loaders keep ({', '.join(lacking[:3])} ...): it was filled by "
            "something else and is left alone"
        )
        remedy = "This command takes it over"
    absent = [_no_key(key) for key in _keys(spec) if target.column(key) is None]
    if absent:
        raise TargetError(f"{target.name} {reason}; {'; '.join(absent)}. Correct the row before you adopt the table")
    raise TargetError(
        f"{target.name} {reason}. {remedy} (it shows a plan; --dry_run=false carries it out): "
        f"{command(target, spec, context)}{_in_a_workspace(context)}"
    )


def command(target: Target, spec: LoadSpec, context: RunContext | None = None) -> str:
    """The command that adopts the table of a row, with the options that its columns call for."""
    row = replace(spec, comment="", src_system="", load_type="full").to_parameters()
    if spec.sql_file_path and context:
        row["catalogs"] = context.to_parameters().get("catalogs", "{}")
    options = _look(target, spec, _keys(spec), context or _NO_RUN, AdoptSpec(), {}).options if _versioned(spec) else {}
    if _versioned(spec) and not options and target.column(VALID_FROM) is None:
        options = dict.fromkeys((VALID_FROM, VALID_TO), "<SQL over its columns>")
    parts = [f"--{name}={shlex.quote(value)}" for name, value in {**row, **options}.items()]
    return " ".join(("python -m laketasks adopt", *parts))


def _in_a_workspace(context: RunContext | None) -> str:
    key = context.task_key if context else ""
    return f". In a workspace: databricks bundle run adopt --params only={key}" if key else ""


def plan_adoption(
    spark: SparkSession, loader: Loader, spec: LoadSpec, context: RunContext, asked: AdoptSpec
) -> Adoption:
    """Look the target over and say what its adoption would do, with every problem that stops it."""
    target = locate(spark, spec.target_table)
    plan = Adoption(target=target, pipeline=spec.execution_pipeline)
    keys = loader.keys(spec)
    if not target.exists:
        return replace(plan, state="does not exist; the first load makes it")
    if target.frame().isEmpty():
        return replace(plan, state="has no rows; the first load goes on from there")
    absent = tuple(_no_key(key) for key in keys if target.column(key) is None)
    if absent:
        return replace(plan, problems=absent)
    raw, unread = _open(spark, spec, context)
    source = sort_columns(raw, raw.frame, spec, keys, None) if raw else None
    system = _system_columns(loader, spec, source, target)
    look = _look(target, spec, keys, context, asked, system, raw)
    plan = replace(plan, renamed=look.renamed, required=look.required, options=look.options)
    if not look.fresh:
        lacking = look.rows.where(_lacking(look.required)).count()
        if not lacking:
            return replace(plan, state="has the columns that the loaders keep; nothing to do")
        plan = replace(plan, rows=lacking)
    else:
        plan = replace(plan, rows=look.rows.count())
    if look.problems:
        return replace(plan, problems=look.problems)
    values, notes = _values(look, spec, raw, source, system)
    fresh = {name: kind for name, kind in system.items() if look.table.column(name) is None}
    spelled = {name: look.table.column(name) or name for name in system}
    values = {
        name: f"coalesce({quote(spelled[name])}, {value})" if look.ours and name not in fresh else value
        for name, value in values.items()
    }
    filled = _filled(look, values, spelled)
    plan = replace(
        plan,
        added=fresh,
        values={spelled[name]: value for name, value in values.items()},
        notes=(*unread, *look.notes, *notes),
        problems=tuple(_unfit_rows(look, filled, spec, keys)),
    )
    return (
        plan if plan.problems or source is None or look.ours else _with_view(plan, filled, source, spelled, keys, asked)
    )


def carry_out(plan: Adoption) -> None:
    """Do what the plan says: rename, add the columns, fill them, make the view. Each step may be done again."""
    spark, target = plan.target.spark, plan.target
    if plan.renamed:
        writer = target.frame().selectExpr(*_renaming(target, plan.renamed)).write.format("delta").mode("overwrite")
        writer.option("overwriteSchema", "true").saveAsTable(target.quoted)
        target = locate(spark, target.name)
    # New rows have NULL where no load fills a column: what was NOT NULL for the tool before would stop every load.
    made = evolve(replace(target, required=frozenset()), {**target.columns, **plan.added})
    _allow_null(made)
    spark.sql(plan.update).collect()
    if plan.view_name:
        spark.sql(plan.view_statement).collect()


def _allow_null(target: Target) -> None:
    """Drop NOT NULL from every column that has it; on Sail 0.7 the columns that were added have done it."""
    for name in sorted(locate(target.spark, target.name).required):
        target.spark.sql(f"ALTER TABLE {target.quoted} ALTER COLUMN {quote(name)} DROP NOT NULL").collect()


# --- the table as it is ---


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """A table before its adoption.

    `table` and `rows` have the columns as they are after the renames. `ours` when loads have written some of its rows,
    `fresh` when a column is missing that every row of ours has. `given` are the options, asked for or guessed.
    """

    table: Target
    rows: DataFrame
    renamed: dict[str, str]
    required: tuple[str, ...]
    ours: bool
    fresh: bool
    flag: str
    given: dict[str, str]
    kinds: dict[str, DataType]
    options: dict[str, str]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def _look(
    target: Target,
    spec: LoadSpec,
    keys: tuple[str, ...],
    context: RunContext,
    asked: AdoptSpec,
    system: Mapping[str, DataType],
    raw: RawSource | None = None,
) -> _Look:
    system = system or _always(spec)
    raw = raw or _open(target.spark, spec, context)[0]
    ours = target.column(JOB_RUN_ID) is not None and not target.frame().where(f"{JOB_RUN_ID} IS NOT NULL").isEmpty()
    renamed, clash = _renames(target, system, ours=ours)
    table = replace(target, columns={renamed.get(name, name): kind for name, kind in target.columns.items()})
    rows = target.frame().selectExpr(*_renaming(target, renamed))
    never = {SEQUENCE, WATERMARK, DELETED_AT} - ({SEQUENCE} if asked.sequence else set())
    required = tuple(name for name in system if name not in never)
    fresh = any(table.column(name) is None for name in required)
    spelled = tuple(table.column(name) or name for name in required)
    lacking = rows if fresh else rows.where(_lacking(spelled))
    found = _History()
    if _versioned(spec):
        found = _history(table, lacking, keys, asked, tuple(raw.types) if raw else (), ours=ours)
    given = {name: getattr(asked, name) or found.options.get(name, "") for name in _OPTIONS}
    given = {name: value for name, value in given.items() if value}
    kinds, unfit = _kinds(rows, given)
    return _Look(
        table=table,
        rows=rows,
        renamed=renamed,
        required=spelled,
        ours=ours,
        fresh=fresh,
        flag="" if ours else found.flag,
        given=given,
        kinds=kinds,
        options=found.options,
        problems=(*clash, *found.problems, *unfit),
        notes=tuple(
            f"renames {own} ({target.columns[own].simpleString()}) to {new}: the loaders keep a column of that name"
            for own, new in renamed.items()
        ),
    )


def _always(spec: LoadSpec) -> dict[str, DataType]:
    """The columns that every table of the row's loader has, whatever its source."""
    return {**surrogate_columns(spec), **(VERSION_COLUMNS if _versioned(spec) else {}), **AUDIT}


def _system_columns(loader: Loader, spec: LoadSpec, source: Source | None, target: Target) -> dict[str, DataType]:
    found = _always(spec)
    if source is not None:
        found |= loader.system_columns(spec, source, target)
    elif target.column(IS_DELETED) is not None:
        found |= {name: VERSION_COLUMNS[name] for name in (IS_DELETED, DELETED_AT)}
    if spec.cdc_source_config.source_mode == "cdf":  # a feed's order is its commits, which no stored row knows
        found = {name: kind for name, kind in found.items() if name not in (SEQUENCE, WATERMARK)}
    return found


def _renames(target: Target, system: Mapping[str, DataType], *, ours: bool) -> tuple[dict[str, str], list[str]]:
    """Columns whose names the loaders need for another type, with their new names; problems where that cannot be."""
    owned = {target.column(name): (name, kind) for name, kind in system.items()}
    clash = [own for own, (_, kind) in owned.items() if own and target.columns[own] != kind]
    problems = []
    for own in clash:
        found, kept = target.columns[own].simpleString(), owned[own][1].simpleString()
        if owned[own][0] not in SYSTEM:
            problems.append(
                f"its {own} is {found}, and the surrogate key that the loaders make is {kept}; name a new column in "
                f"primary_key_columns, the view of the adopted table keeps {own}"
            )
        elif ours:
            problems.append(f"its {own} is {found}, expected {kept}, in a table that loads have written")
    own_names = [own for own in clash if own and owned[own][0] in SYSTEM]
    return ({} if ours else {own: f"{own}{BEFORE}" for own in own_names}), problems


def _renaming(target: Target, renamed: Mapping[str, str]) -> list[str]:
    return [f"{quote(n)} AS {quote(renamed[n])}" if n in renamed else quote(n) for n in target.columns]


def _open(spark: SparkSession, spec: LoadSpec, context: RunContext) -> tuple[RawSource | None, tuple[str, ...]]:
    """The row's source, whose columns and order decide what the loaders keep; a note where it cannot be read."""
    config = spec.cdc_source_config
    if config.source_mode == "cdf":
        spec = replace(spec, cdc_source_config=replace(config, source_mode="state"))
    if not spec.source_table and not spec.sql_file_path:
        return None, ("no source_table is given: which columns loads fill, and their order, is not known",)
    try:
        sql = read_sql(spec)
        select = statement(spec, context, sql) if sql else ""
        return open_source(spark, spec, () if sql else latest_commits(spark, spec.source_table), select, _no_feed), ()
    except (LoadError, PySparkException) as error:
        told = str(error).splitlines()[0]
        return None, (f"the source cannot be read, so the order of its rows is not known: {told}",)


def _no_feed() -> Feed:
    raise LoadError("no change feed is read")


# --- the options that a history needs ---


@dataclass(frozen=True, slots=True, kw_only=True)
class _History:
    """Options guessed from the columns of a history, the column that marks its current versions, what is wrong."""

    options: dict[str, str] = field(default_factory=dict)
    flag: str = ""
    problems: tuple[str, ...] = ()


def _history(
    table: Target, rows: DataFrame, keys: tuple[str, ...], asked: AdoptSpec, business: tuple[str, ...], *, ours: bool
) -> _History:
    """What bounds the versions of the rows to adopt, where the user has not said it."""
    theirs = {name: kind for name, kind in table.columns.items() if name.lower() not in SYSTEM}
    found = guess_history(theirs, business)
    theirs_too = not ours and _has_values(table, rows, VALID_FROM)  # columns of our names that the other tool made
    if not found.valid_from and theirs_too:
        found = replace(guess_history(table.columns, business), flag=found.flag or table.column(IS_CURRENT) or "")
    elif theirs_too and table.column(IS_CURRENT) is not None:
        found = replace(found, flag=table.column(IS_CURRENT) or "")
    if ours and table.column(VALID_FROM) is None and not found.valid_from:
        found = replace(found, valid_from=_start_of_type_1(table), valid_to=table.column(DELETED_AT) or "NULL")
    start, end = asked.valid_from or found.valid_from, asked.valid_to or found.valid_to
    options = {VALID_FROM: found.valid_from, VALID_TO: found.valid_to, IS_DELETED: found.is_deleted}
    problems: list[str] = []
    if start and end:
        kinds, unread = _kinds(rows, {VALID_FROM: start, VALID_TO: end})
        if not unread and not any(isinstance(kind, NumericType) for kind in kinds.values()):
            names = [quote(str(table.column(key))) for key in keys]
            ends = read_ends(rows, names, as_instant(start, kinds[VALID_FROM]), end, kinds[VALID_TO])
            exclusive = ends.exclusive(end, kinds[VALID_TO])
            if asked.valid_to and exclusive != end:
                problems.append(ends.told(end, exclusive))
            options[VALID_TO] = exclusive
    own = {name for name in (VALID_FROM, VALID_TO) if ours and table.column(name)}
    options = {name: value for name, value in options.items() if value and not getattr(asked, name)}
    lacking = [name for name in (VALID_FROM, VALID_TO) if not getattr(asked, name) and name not in {*options, *own}]
    columns = ", ".join(theirs)
    problems += [f"expected --{name}=<SQL over its columns>, found none ({columns})" for name in lacking]
    return _History(options=options, flag=found.flag, problems=tuple(problems))


def _has_values(table: Target, rows: DataFrame, name: str) -> bool:
    own = table.column(name)
    return own is not None and not rows.where(f"{quote(own)} IS NOT NULL").isEmpty()


def _start_of_type_1(table: Target) -> str:
    """A row of a type 1 table becomes the version that is valid since its sequence, or since it was written.

    The sequence of a deleted row is that of the delete, so that its version began before.
    """
    own, deleted = table.column(SEQUENCE), table.column(DELETED_AT)
    start = UPDATED_AT
    if own is not None and not isinstance(table.columns[own], (NumericType, StringType, StructType)):
        start = f"coalesce({as_instant(SEQUENCE, table.columns[own])}, {UPDATED_AT})"
    if deleted is None:
        return start
    return f"IF({deleted} IS NULL, {start}, least({LOADED_AT}, timestamp_micros(unix_micros({deleted}) - 1)))"


def _kinds(rows: DataFrame, given: Mapping[str, str]) -> tuple[dict[str, DataType], list[str]]:
    """The type of each option's value, and the options that have none that they can have."""
    kinds: dict[str, DataType] = {}
    problems = []
    for name, sql in given.items():
        try:
            kinds[name] = rows.selectExpr(f"({sql}) AS value").schema.fields[0].dataType
        except PySparkException as error:
            problems.append(f"--{name}={sql}: {str(error).splitlines()[0]}")
            continue
        if name in (VALID_FROM, VALID_TO) and isinstance(kinds[name], NumericType):
            found = kinds[name].simpleString()
            problems.append(f"--{name}={sql}: expected a timestamp or a date, found {found}")
    return kinds, problems


# --- the values ---


def _values(
    look: _Look, spec: LoadSpec, raw: RawSource | None, source: Source | None, system: Mapping[str, DataType]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The value of each system column in an adopted row, as SQL over the table's columns."""
    values = {LOADED_AT: _NOW, UPDATED_AT: _NOW, JOB_RUN_ID: f"'{ADOPTED}'"}
    own = look.table.column(IS_DELETED)
    deleted = f"coalesce({look.given.get(IS_DELETED) or (quote(own) if own else 'false')}, false)"
    if _versioned(spec):
        start, until = (_bound(look, name) for name in (VALID_FROM, VALID_TO))
        until = f"coalesce({until}, {OPEN_END})"
        is_open = f"{until} >= {_YEAR_9999}"
        values |= {
            VALID_FROM: start,
            VALID_TO: f"IF({is_open}, {OPEN_END}, {until})",
            IS_CURRENT: is_open,
            IS_DELETED: deleted,
            DELETED_AT: f"IF({deleted}, IF({is_open}, {start}, {until}), NULL)",
        }
    elif IS_DELETED in system:
        at = look.table.column(DELETED_AT)
        values |= {IS_DELETED: deleted, DELETED_AT: f"IF({deleted}, {quote(at) if at else _NOW}, NULL)"}
    order, notes = _order(look, spec, raw, source, values.get(VALID_FROM, ""))
    values |= {SEQUENCE: f"cast(NULL AS {type_text(system.get(SEQUENCE, TimestampType()))})"}
    values |= {WATERMARK: f"cast(NULL AS {type_text(system.get(WATERMARK, TimestampType()))})", **order}
    values |= dict.fromkeys(surrogate_columns(spec), _surrogate(look.table, spec, values.get(VALID_FROM, "")))
    return {name: values[name] for name in system}, notes


def _bound(look: _Look, name: str) -> str:
    """The start or the end of a version as a TIMESTAMP; what a table of ours has goes before what is guessed."""
    own = look.table.column(name)
    given = as_instant(f"({look.given[name]})", look.kinds[name]) if name in look.given else ""
    if look.ours and own is not None:
        return f"coalesce({quote(own)}, {given})" if given else quote(own)
    return given or quote(str(own))


def _order(
    look: _Look, spec: LoadSpec, raw: RawSource | None, source: Source | None, start: str
) -> tuple[dict[str, str], tuple[str, ...]]:
    """What the rows were loaded with: the values of the row's sequence_by and watermark, where the table has them."""
    if raw is None or source is None:
        return {}, ()
    kind, found = source.order_columns[SEQUENCE], {}
    own = [look.table.column(name) for name in raw.sequence_by]
    note = ""
    if "sequence" in look.given:
        found[SEQUENCE] = f"cast({look.given['sequence']} AS {type_text(kind)})"
    elif own and None not in own:
        found[SEQUENCE] = _as_stored([str(name) for name in own], raw, kind)
    elif own and _versioned(spec) and (moment := _moment(start, raw.types[raw.sequence_by[0]])):
        fields = [moment, *(f"cast(NULL AS {type_text(raw.types[name])})" for name in raw.sequence_by[1:])]
        found[SEQUENCE] = moment if len(own) == 1 else _struct(raw.sequence_by, fields, kind)
        note = (
            f"the table has no {', '.join(raw.sequence_by)}: _sequence is valid_from, and an older state is stale; "
            "--sequence=<SQL over its columns> where that is too late, --sequence=NULL for no order"
        )
    elif own:
        note = (
            f"the table has no {', '.join(raw.sequence_by)}: _sequence stays NULL, and the first state that arrives is "
            "taken for newer, whatever it is; --sequence=<SQL over its columns> orders the rows"
        )
    watermark = look.table.column(raw.watermark) if raw.watermark else None
    if watermark:
        found[WATERMARK] = f"cast({quote(watermark)} AS {type_text(source.order_columns[WATERMARK])})"
    return found, (note,) if note else ()


def _as_stored(own: list[str], raw: RawSource, kind: DataType) -> str:
    if len(own) == 1:
        return f"cast({quote(own[0])} AS {type_text(kind)})"
    return _struct(raw.sequence_by, [quote(name) for name in own], kind)


def _struct(names: tuple[str, ...], values: list[str], kind: DataType) -> str:
    fields = ", ".join(f"{text(name)}, {value}" for name, value in zip(names, values, strict=True))
    return f"cast(named_struct({fields}) AS {type_text(kind)})"


def _moment(start: str, kind: DataType) -> str:
    """The start of a version as a value of the sequence's type; empty where that holds no time."""
    if isinstance(kind, TimestampType):
        return start
    if isinstance(kind, DateType):
        return date_of(start)
    return naive_of(start) if isinstance(kind, TimestampNTZType) else ""


def _surrogate(table: Target, spec: LoadSpec, start: str) -> str:
    own = {str(table.column(key)): key for key in spec.business_key_columns}
    made = surrogate_key({name: table.columns[name] for name in own}, start)
    if not spec.cdc_source_config.unknown_member:
        return made
    unknown = " AND ".join(f"coalesce(cast({quote(name)} AS STRING), '') = '{UNKNOWN}'" for name in own)
    return f"IF({unknown}, '{UNKNOWN}', {made})"


# --- the rows as they would be ---


def _filled(look: _Look, values: Mapping[str, str], spelled: Mapping[str, str]) -> DataFrame:
    """Each row after the adoption, and behind a prefix the values that it has today."""
    back = {new: old for old, new in look.renamed.items()}
    ours = {name.lower() for name in spelled.values()}
    return look.rows.selectExpr(
        *(quote(name) for name in look.table.columns if name.lower() not in ours),
        *(f"{value} AS {quote(spelled[name])}" for name, value in values.items()),
        *(f"{quote(name)} AS {quote(old_name(back.get(name, name)))}" for name in look.table.columns),
    )


def _unfit_rows(look: _Look, filled: DataFrame, spec: LoadSpec, keys: tuple[str, ...]) -> list[str]:
    """What a loader could not go on from."""
    if not keys:
        return []
    names = [quote(str(look.table.column(key))) for key in keys]
    nulls = " OR ".join(f"{name} IS NULL" for name in names)
    by_key = f"OVER (PARTITION BY {', '.join(names)}"
    if not _versioned(spec):
        judged = filled.selectExpr(*names, f"count(*) {by_key}) > 1 AS doubled")
        judged = judged.selectExpr(*names, f"{nulls} AS no_key", f"NOT ({nulls}) AND doubled AS doubled")
        return _told(judged, names, spec, {"doubled": "stand twice"})
    start, end, current = (quote(look.table.column(name) or name) for name in (VALID_FROM, VALID_TO, IS_CURRENT))
    back = {new: old for old, new in look.renamed.items()}
    marked = is_marked(old_name(back.get(look.flag, look.flag))) if look.flag else current
    judged = filled.selectExpr(
        *names,
        f"{nulls} AS no_key",
        f"{start} IS NULL AS no_start",
        f"sum(IF({current}, 1, 0)) {by_key}) > 1 AS open_twice",
        f"lead({start}) {by_key} ORDER BY {start}, {end}) AS next",
        f"{start} AS start",
        f"{end} AS until",
        f"{marked} <> {current} AS misjudged",
    ).withColumn("overlap", F.expr("coalesce(start >= until, false) OR coalesce(next < until, false)"))
    problems = {
        "no_start": "have versions without a beginning (--valid_from)",
        "open_twice": "have more than one open version",
        "overlap": "have versions that overlap or are empty",
        "misjudged": f"have versions whose {look.flag} says another thing of being current than valid_to",
    }
    return _told(judged, names, spec, problems)


def _told(judged: DataFrame, names: list[str], spec: LoadSpec, problems: Mapping[str, str]) -> list[str]:
    """A sentence for each condition that rows meet, with a few of their keys."""
    counts = [f"count(DISTINCT IF({c}, struct({', '.join(names)}), NULL)) AS {c}" for c in problems]
    found = judged.agg(F.expr("count_if(no_key) AS no_key"), *map(F.expr, counts)).collect()[0]
    told = []
    if found["no_key"] and spec.cdc_source_config.on_null_key != "null_safe":
        told.append(f"{found['no_key']} rows have a NULL key")
    for condition, sentence in problems.items():
        if found[condition]:
            keys = judged.where(condition).groupBy(*names).agg(F.expr("count(*) AS n"))
            sample = keys.limit(_SAMPLE).collect()
            shown = ", ".join(str(tuple(row)[:-1]) for row in sorted(sample, key=str))
            told.append(f"{found[condition]} keys {sentence}, such as {shown}")
    return told


def _with_view(
    plan: Adoption,
    filled: DataFrame,
    source: Source,
    spelled: Mapping[str, str],
    keys: tuple[str, ...],
    asked: AdoptSpec,
) -> Adoption:
    target = plan.target
    now = {name: plan.renamed.get(name, name) for name in target.columns}
    view = make_view(filled, target.columns, now, spelled, source.carried, tuple(str(target.column(k)) for k in keys))
    notes = list(plan.notes)
    if view.frozen:
        notes.append(f"no load fills {', '.join(view.frozen)}: NULL in rows to come, as they are in today's")
    if view.lost:
        notes.append(f"no expression over the loaders' columns makes {', '.join(view.lost)}")
    plan = replace(plan, view=view, notes=tuple(notes))
    if not asked.view or not view.made:
        return plan
    catalog, schema, name = target.name.split(".")
    asked_for = asked.view.replace("{table}", name).split(".")
    full = ".".join((*(catalog, schema)[: 3 - len(asked_for)], *asked_for))
    if full.lower() == target.name.lower() or len(full.split(".")) != 3 or not all(full.split(".")):
        problem = f"--view={asked.view}: expected a name other than the table's, such as {{table}}_before"
        return replace(plan, problems=(problem,))
    return replace(plan, view_name=full)


def _lacking(required: Iterable[str]) -> str:
    """The condition of the rows to fill."""
    return " OR ".join(f"{quote(name)} IS NULL" for name in required)


def _no_key(key: str) -> str:
    return f"it has no column {key}, which the row names as a key"


def _keys(spec: LoadSpec) -> tuple[str, ...]:
    return spec.business_key_columns if spec.execution_pipeline in DIMENSIONS else spec.primary_key_columns


def _versioned(spec: LoadSpec) -> bool:
    return spec.execution_pipeline == "scd2"
