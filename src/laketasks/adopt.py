"""Take over a table that another tool has filled: give its rows the columns that the loaders keep.

The rows stay as they are, and so do the table's grants, comments and history: columns are added, then one UPDATE fills
them. A history becomes one of ours when it is told which of its columns say from when to when a row was valid.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, TimestampType

from laketasks.column import (
    AUDIT,
    DELETED_AT,
    IS_CURRENT,
    IS_DELETED,
    JOB_RUN_ID,
    LOADED_AT,
    UPDATED_AT,
    VALID_FROM,
    VALID_TO,
    type_text,
)
from laketasks.error import TargetError
from laketasks.spec import AdoptSpec, LoadSpec
from laketasks.sql import OPEN_END, quote
from laketasks.surrogate import surrogate_columns, surrogate_key
from laketasks.target import Target, evolve, locate
from laketasks.unknown_member import KEY as UNKNOWN

ADOPTED = "adopted"
_SAMPLE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """The columns that a table lacks, and the SQL value of each column that the loaders keep."""

    target: Target
    added: dict[str, DataType]
    values: dict[str, str]
    blank: str  # the column that is NULL in the rows that are not adopted yet

    @property
    def update(self) -> str:
        body = ", ".join(f"{quote(name)} = {value}" for name, value in self.values.items())
        return f"UPDATE {self.target.quoted} SET {body} WHERE {quote(self.blank)} IS NULL"

    @property
    def statements(self) -> tuple[str, ...]:
        """What the adoption runs, as SQL; an engine without ADD COLUMNS gets the columns by an append of no rows."""
        added = ", ".join(f"{quote(name)} {type_text(kind)}" for name, kind in self.added.items())
        return (f"ALTER TABLE {self.target.quoted} ADD COLUMNS ({added})", self.update)


def refuse_foreign(target: Target, spec: LoadSpec) -> None:
    """Raise TargetError for a table that has rows but not our columns; the message says how it would be adopted."""
    lacking = _lacking(target, spec)
    if not target.exists or (_is_ours(target) and not lacking) or target.frame().isEmpty():
        return
    if _is_ours(target):
        refresh = "" if _versioned(spec) else ", or a run with full_refresh"
        raise TargetError(
            f"{target.name} has rows without the surrogate key {', '.join(lacking)}. `python -m laketasks adopt` with "
            f"this task's parameters{refresh} gives it to them. It runs: "
            f"{'; '.join(_completion(target, spec).statements)}"
        )
    history = "; a history needs --valid_from and --valid_to, SQL over its columns" if _versioned(spec) else ""
    raise TargetError(
        f"{target.name} has rows but not the columns that the loaders keep ({JOB_RUN_ID} ...): it was filled by "
        "something else and is left alone. `python -m laketasks adopt` with this task's parameters takes it "
        f"over{history}. "
        f"It runs: {'; '.join(_adoption(target, spec, AdoptSpec()).statements)}"
    )


def adopt(spark: SparkSession, spec: LoadSpec, asked: AdoptSpec, keys: tuple[str, ...]) -> tuple[str, ...]:
    """Adopt the target of a row; the statements. Raises TargetError, with every problem, for a table that is not fit.

    A second time, or for a table that the loaders made, there is nothing to do. With dry_run nothing is done.
    """
    target = locate(spark, spec.target_table)
    if not target.exists:
        raise TargetError(f"{spec.target_table} does not exist; the first load makes it")
    marked = _is_ours(target) and target.frame().where(f"{JOB_RUN_ID} IS NULL").isEmpty()
    if marked and not _lacking(target, spec):
        return ()
    adoption = _completion(target, spec) if marked else _adoption(target, spec, asked)
    problems = [*_unfit_columns(adoption, spec, asked, keys)]
    if not problems:
        problems += _unfit_rows(adoption, spec, keys)
    if problems:
        raise TargetError(f"{target.name} cannot be adopted: {'; '.join(problems)}")
    if not asked.dry_run:
        evolve(target, {**target.columns, **adoption.added})
        spark.sql(adoption.update).collect()
    return adoption.statements


def _adoption(target: Target, spec: LoadSpec, asked: AdoptSpec) -> Adoption:
    kinds: dict[str, DataType] = dict(AUDIT)
    now = "current_timestamp()"
    values = {LOADED_AT: now, UPDATED_AT: now, JOB_RUN_ID: f"'{ADOPTED}'"}
    if _versioned(spec):
        start = asked.valid_from or quote(target.column(VALID_FROM) or VALID_FROM)
        end = asked.valid_to or quote(target.column(VALID_TO) or VALID_TO)
        until = f"coalesce(cast({end} AS TIMESTAMP), {OPEN_END})"
        is_open = f"{until} >= timestamp_micros(253370764800000000)"  # in the year 9999 every tool's open end lies
        deleted = f"coalesce({asked.is_deleted or 'false'}, false)"
        for name in (VALID_FROM, VALID_TO, DELETED_AT):
            kinds[name] = TimestampType()
        kinds |= {IS_CURRENT: BooleanType(), IS_DELETED: BooleanType()}
        values |= {
            VALID_FROM: f"cast({start} AS TIMESTAMP)",
            VALID_TO: f"IF({is_open}, {OPEN_END}, {until})",
            IS_CURRENT: is_open,
            IS_DELETED: deleted,
            DELETED_AT: f"IF({deleted} AND NOT ({is_open}), {until}, NULL)",
        }
    missing = _lacking(target, spec)
    kinds |= missing
    values |= dict.fromkeys(missing, _surrogate(target, spec, values.get(VALID_FROM, "")))
    added = {name: kind for name, kind in kinds.items() if target.column(name) is None}
    values = {target.column(name) or name: value for name, value in values.items()}
    return Adoption(target=target, added=added, values=values, blank=JOB_RUN_ID)


def _completion(target: Target, spec: LoadSpec) -> Adoption:
    """What gives a table of ours the surrogate key that its row has come to name."""
    missing = _lacking(target, spec)
    start = str(target.column(VALID_FROM)) if _versioned(spec) else ""
    values = dict.fromkeys(missing, _surrogate(target, spec, start))
    return Adoption(target=target, added=missing, values=values, blank=next(iter(missing)))


def _lacking(target: Target, spec: LoadSpec) -> dict[str, DataType]:
    """The surrogate key, if the table has its business key but not this column."""
    if any(target.column(key) is None for key in spec.business_key_columns):
        return {}
    return {name: kind for name, kind in surrogate_columns(spec).items() if target.column(name) is None}


def _surrogate(target: Target, spec: LoadSpec, start: str) -> str:
    own = {str(target.column(key)): key for key in spec.business_key_columns}
    made = surrogate_key({name: target.columns[name] for name in own}, start)
    if not spec.cdc_source_config.unknown_member:
        return made
    unknown = " AND ".join(f"coalesce(cast({quote(name)} AS STRING), '') = '{UNKNOWN}'" for name in own)
    return f"IF({unknown}, '{UNKNOWN}', {made})"


def _unfit_columns(adoption: Adoption, spec: LoadSpec, asked: AdoptSpec, keys: tuple[str, ...]) -> list[str]:
    target = adoption.target
    problems = [f"it has no column {key}, which the row names as a key" for key in keys if target.column(key) is None]
    if not _versioned(spec):
        return problems
    for name, given in ((VALID_FROM, asked.valid_from), (VALID_TO, asked.valid_to)):
        own = target.column(name)
        if own is None and not given:
            problems.append(f"say what {name} is: --{name}=<SQL over its columns>")
        elif own is not None and not isinstance(target.columns[own], TimestampType):
            problems.append(f"its {own} is {target.columns[own].simpleString()}, ours is timestamp; rename it first")
    own = target.column(IS_CURRENT)
    if own is not None and not isinstance(target.columns[own], BooleanType):
        problems.append(f"its {own} is {target.columns[own].simpleString()}, ours is boolean; rename it first")
    return problems


def _unfit_rows(adoption: Adoption, spec: LoadSpec, keys: tuple[str, ...]) -> list[str]:
    """What the rows, as they would be, have that a loader could not go on from."""
    if not keys:
        return []
    frame = adoption.target.frame()
    names = [quote(str(adoption.target.column(key))) for key in keys]
    problems = []
    nulls = " OR ".join(f"{name} IS NULL" for name in names)
    found = frame.where(nulls).count()
    if found:
        problems.append(f"{found} rows have a NULL key")
    if not _versioned(spec):
        return problems + _keys_of(frame.groupBy(*names).agg(F.expr("count(*) AS n")).where("n > 1"), "stand twice")
    made = {name: _value_of(adoption, name) for name in (VALID_FROM, VALID_TO, IS_CURRENT)}
    rows = frame.selectExpr(*names, *(f"{value} AS _laketasks_{name}" for name, value in made.items()))
    start, end, current = (f"_laketasks_{name}" for name in made)
    opened = rows.where(current).groupBy(*names).agg(F.expr("count(*) AS n")).where("n > 1")
    problems += _keys_of(opened, "have more than one open version")
    window = f"OVER (PARTITION BY {', '.join(names)} ORDER BY {start})"
    judged = rows.selectExpr(*names, start, end, f"lead({start}) {window} AS _laketasks_next")
    broken = judged.where(f"{start} IS NULL OR {start} >= {end} OR _laketasks_next < {end}")
    counted = broken.groupBy(*names).agg(F.expr("count(*) AS n")).where("n > 0")
    return problems + _keys_of(counted, "have versions that overlap, are empty or have no beginning")


def _value_of(adoption: Adoption, name: str) -> str:
    own = adoption.target.column(name) or name
    return adoption.values.get(own, quote(own))


def _keys_of(found: DataFrame, what: str) -> list[str]:
    sample = found.limit(_SAMPLE).collect()
    if not sample:
        return []
    return [
        f"{found.count()} keys {what}, such as {', '.join(str(tuple(row)[:-1]) for row in sorted(sample, key=str))}"
    ]


def _versioned(spec: LoadSpec) -> bool:
    return spec.execution_pipeline == "scd2"


def _is_ours(target: Target) -> bool:
    return target.column(JOB_RUN_ID) is not None
