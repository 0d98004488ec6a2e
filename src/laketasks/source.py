"""The source of a load as one DataFrame: pinned, filtered, its columns sorted into their parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import reduce
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import DataType, DateType, StructType, TimestampNTZType, TimestampType

from laketasks import mark
from laketasks.change_feed import DELETES, SEQUENCE_BY, Feed, is_torn
from laketasks.column import AT, DELETE, ENDS_AT, LATE, READ, SEQUENCE, WATERMARK, is_ours
from laketasks.commits import Commit
from laketasks.error import SourceError
from laketasks.spec import CHANGE_SOURCES, DIMENSIONS, LoadSpec, RunContext, did_you_mean, parse_duration
from laketasks.sql import any_of, fill_catalogs, one_expression, quote, quote_table, text
from laketasks.union_sources import SOURCE_NO, decode_marks, only_from
from laketasks.zoneless import micros_of_naive

_SYNCED = "_fivetran_synced"
_DELETED = "_fivetran_deleted"
_HISTORY = ("_fivetran_start", "_fivetran_end", "_fivetran_active")
_TIMES = (TimestampType, TimestampNTZType, DateType)
_FOREVER = "timestamp_micros(253370764800000000)"  # 9999-01-01: Fivetran's open end lies in this year


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source's rows and what its columns mean.

    `frame` holds the carried columns and `_sequence`, `_watermark`, the delete flag (never NULL) and the
    instant of the sequence; the last is NULL where there is no sequence or it holds no time. Of a change source
    `history` has the rows that earlier reads brought as well, and whether a row is one of this read. `keys` has every
    key of the source, read or not, where a missing one means something and the frame does not have them all.
    `no_order` has the types of the order columns that the source lacks.
    """

    frame: DataFrame
    carried: dict[str, DataType]
    compared: dict[str, DataType]
    sequence_type: DataType | None
    watermark_type: DataType | None
    may_delete: bool
    full: bool
    pinned: bool
    now: datetime
    version: int | None = None
    watermark_from: str | None = None
    history: DataFrame | None = None
    keys: DataFrame | None = None
    no_order: Mapping[str, DataType] = field(default_factory=dict)

    @property
    def order_columns(self) -> dict[str, DataType]:
        """The system columns that keep what a row was loaded with; all NULL where the source has no such order."""
        own = {SEQUENCE: self.sequence_type, WATERMARK: self.watermark_type}
        return {name: kind or self.no_order.get(name, TimestampType()) for name, kind in own.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSource:
    """What the row's SQL or table gives, before any filter; `columns` maps lower-case name -> name as written.

    `commits` has the latest of the table, newest first; the first is the version that is read. With `has_late` the
    frame marks rows that are to be read although the watermark has passed them by. Without `whole` it has the changes
    since the last load and not all there is. With `watermark_sources` the frame has the number of the table that a row
    comes from, and a watermark is a JSON object by table. An order of more than a day after `now` is a mistake; with
    `lenient` it counts as NULL. `notes` are printed by the task.
    """

    frame: DataFrame
    columns: dict[str, str]
    types: dict[str, DataType]
    sequence_by: tuple[str, ...]
    watermark: str
    deletes: str
    commits: tuple[Commit, ...]
    pinned: bool
    now: datetime
    lenient: bool = False
    ends: str = ""
    has_late: bool = False
    whole: bool = True
    watermark_sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def watermark_type(self) -> DataType | None:
        return self.types[self.watermark] if self.watermark else None

    @property
    def version(self) -> int | None:
        return self.commits[0].version if self.commits else None


def open_source(
    spark: SparkSession, spec: LoadSpec, commits: tuple[Commit, ...], select: str, changes: Callable[[], Feed]
) -> RawSource:
    """Resolve the source and the columns that the configuration names; raises SourceError with every unknown one.

    `commits` are the latest of the row's table, `select` is the row's SQL where it has no table, and `changes` gives
    the change feed of the table, where the row reads that.
    """
    if spec.cdc_source_config.source_mode == "cdf":
        return _open_feed(spec, commits, changes)
    frame, pinned = _rows(spark, spec, commits, select)
    types, columns = _columns(frame, spec.target_table)
    config = spec.cdc_source_config
    ends = _ends(types, columns) if config.source_mode == "fivetran_history" else ""
    ordered = _HISTORY[0] if ends else _SYNCED
    default_sequence = (columns[ordered],) if ordered in columns else ()
    sequence_by = _known("sequence_by", config.sequence_by, columns) or default_sequence
    synced = columns.get(_SYNCED, sequence_by[0] if sequence_by else "")
    _refuse_order(spec, types, sequence_by)
    named = (config.watermark,) if config.watermark else ()
    watermark = (_known("watermark", named, columns) or (synced,))[0]
    ordered_by = {name: types[name] for name in (*sequence_by, watermark) if name}
    mark.check_kinds(f"{spec.target_table}: sequence_by and watermark", ordered_by)
    return RawSource(
        frame=frame,
        columns=columns,
        types=types,
        sequence_by=sequence_by,
        watermark=watermark,
        deletes=_deletes(spec, columns),
        commits=commits,
        pinned=pinned,
        now=datetime.now(timezone.utc),
        lenient=config.on_null_sequence != "fail",
        ends=ends,
        watermark_sources=spec.watermark_sources if select else (),
    )


def _columns(frame: DataFrame, table: str) -> tuple[dict[str, DataType], dict[str, str]]:
    """The columns' types, and their names by lower-case name; raises SourceError for names that come twice."""
    fields = frame.schema.fields
    columns: dict[str, str] = {}
    doubled = []
    for name in (each.name for each in fields):
        if name.lower() in columns:
            doubled.append(name if columns[name.lower()] == name else f"{columns[name.lower()]} and {name}")
        columns[name.lower()] = name
    if doubled:
        raise SourceError(
            f"{table}: the source has more than one column of the name {', '.join(dict.fromkeys(doubled))} (case does "
            "not matter). Name each once in the row's SQL file, such as SELECT c.*, a.city AS a_city for "
            "SELECT c.*, a.*"
        )
    return {each.name: each.dataType for each in fields}, columns


def _open_feed(spec: LoadSpec, commits: tuple[Commit, ...], changes: Callable[[], Feed]) -> RawSource:
    """The change feed as a source: its commits are its order, and what deletes a row there deletes it here."""
    try:
        feed = changes()
        types, columns = _columns(feed.frame, spec.target_table)
    except PySparkException as error:
        if is_torn(error):
            raise
        raise SourceError(f"cannot read the change feed of {spec.source_table}: {error}") from error
    flag = _deletes(spec, columns)
    return RawSource(
        frame=feed.frame,
        columns=columns,
        types=types,
        sequence_by=SEQUENCE_BY,
        watermark="",
        deletes=f"({DELETES} OR coalesce({flag}, false))" if flag else DELETES,
        commits=commits,
        pinned=True,
        now=datetime.now(timezone.utc),
        lenient=spec.cdc_source_config.on_null_sequence != "fail",
        whole=feed.whole,
        notes=(feed.note,) if feed.note else (),
    )


def _deletes(spec: LoadSpec, columns: dict[str, str]) -> str:
    """The condition of the rows that delete, or nothing."""
    given = spec.cdc_source_config.apply_as_deletes
    return one_expression(given) if given else quote(columns[_DELETED]) if _DELETED in columns else ""


def filter_rows(raw: RawSource, spec: LoadSpec, watermark_from: str | None) -> DataFrame:
    """The rows that this load reads. `watermark_from` None reads all that `where` lets through."""
    config = spec.cdc_source_config
    frame = raw.frame.where(config.where) if config.where else raw.frame
    if watermark_from is None or raw.watermark_type is None:
        return frame
    return frame.where(reached(quote(raw.watermark), raw, spec, watermark_from)).drop(LATE)


def with_history(raw: RawSource, source: Source, spec: LoadSpec, kept: str) -> Source:
    """The source with all rows that a change source has, those of this read marked; `kept` is what rows must meet."""
    if spec.cdc_source_config.source_mode not in CHANGE_SOURCES:
        return source
    everything = source.watermark_from is None or raw.watermark_type is None
    leaves_out = spec.cdc_source_config.leaves_rows_out
    if everything and not (raw.ends and leaves_out):
        return replace(source, history=source.frame.selectExpr("*", f"true AS {READ}"))
    read = "true" if everything else reached(quote(raw.watermark), raw, spec, str(source.watermark_from))
    rows = filter_rows(raw, spec, None)
    if raw.ends and leaves_out:
        rows, raw = _without_followed_ends(rows, raw, spec)
    rows = rows.where(kept).selectExpr("*", f"({read}) AS {READ}")
    return replace(source, history=rows.selectExpr(*map(quote, source.carried), *meta_columns(raw), READ))


def _without_followed_ends(rows: DataFrame, raw: RawSource, spec: LoadSpec) -> tuple[DataFrame, RawSource]:
    """History rows whose end another row follows at once have none: that other row may be left out later on."""
    keys = spec.business_key_columns if spec.execution_pipeline in DIMENSIONS else spec.primary_key_columns
    start = quote(raw.sequence_by[0])
    window = f"(PARTITION BY {', '.join(quote(raw.columns[key.lower()]) for key in keys)} ORDER BY {start})"
    ended = rows.selectExpr("*", f"{raw.ends} AS {ENDS_AT}")
    others = [quote(name) for name in rows.columns]
    end = f"IF(coalesce(lead({start}) OVER {window} <= {ENDS_AT}, false), NULL, {ENDS_AT}) AS {ENDS_AT}"
    return ended.selectExpr(*others, end), replace(raw, ends=ENDS_AT)


def reached(column: str, raw: RawSource, spec: LoadSpec, watermark_from: str) -> str:
    """The condition of the rows that a read from a watermark on takes; never NULL."""
    kind = raw.watermark_type
    lookback = parse_duration(spec.cdc_source_config.lookback)
    assert lookback is not None
    assert kind is not None
    late = f"{LATE} IS NOT NULL OR " if raw.has_late else ""
    if not raw.watermark_sources:
        return f"{late}{column} IS NULL OR {mark.from_mark(column, watermark_from, kind, lookback)}"
    marks = enumerate(decode_marks(watermark_from, raw.watermark_sources).values())
    each = (f"WHEN {no} THEN {mark.from_mark(column, m, kind, lookback) if m else 'true'}" for no, m in marks)
    return f"{late}{column} IS NULL OR (CASE {SOURCE_NO} {' '.join(each)} END)"


def sort_columns(
    raw: RawSource, frame: DataFrame, spec: LoadSpec, keys: tuple[str, ...], watermark_from: str | None
) -> Source:
    """Sort the columns of rows of the source into what is carried, compared, and its order."""
    carried = carried_columns(raw, spec, keys)
    order = {raw.watermark, *raw.sequence_by}
    return Source(
        frame=frame.selectExpr(*[quote(name) for name in carried], *meta_columns(raw)),
        carried=carried,
        compared={n: t for n, t in carried.items() if n not in order and n.lower() not in {k.lower() for k in keys}},
        sequence_type=_sequence_type(raw),
        watermark_type=raw.watermark_type,
        may_delete=bool(raw.deletes or raw.ends),
        full=watermark_from is None and raw.whole,
        pinned=raw.pinned,
        now=raw.now,
        version=raw.version,
        watermark_from=watermark_from,
    )


def _rows(spark: SparkSession, spec: LoadSpec, commits: tuple[Commit, ...], select: str) -> tuple[DataFrame, bool]:
    try:
        select, pinned = (select, False) if select else _pinned(spark, spec.source_table, commits)
        if spec.watermark_sources and spec.sql_file_path:
            frame = _numbered(spark, select, spec.watermark_sources)
        else:
            frame = spark.sql(select)
        frame.schema  # noqa: B018  # resolves the names now, so that the message can say what was read
        return frame, pinned
    except PySparkException as error:
        place = spec.sql_file_path or spec.source_table
        raise SourceError(f"cannot read {place}: {error}") from error


def _numbered(spark: SparkSession, select: str, sources: tuple[str, ...]) -> DataFrame:
    """The rows of the SELECT, each with the number of the source that it comes from."""
    parts = (
        spark.sql(only_from(select, source, sources)).selectExpr("*", f"{number} AS {SOURCE_NO}")
        for number, source in enumerate(sources)
    )
    return reduce(DataFrame.unionAll, parts)


def read_sql(spec: LoadSpec) -> str:
    """Read the row's SQL file; empty for a row without one. Raises SourceError for a file that cannot be read."""
    path = spec.sql_file_path
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is not UTF-8 ({error.reason})"
        raise SourceError(f"cannot read the SQL file {path}: {reason}; is bundle/sql deployed?") from error


def statement(spec: LoadSpec, context: RunContext, text: str) -> str:
    """The SELECT of the row's SQL, its catalogs filled in; raises SourceError for a name that is no catalog."""
    path = spec.sql_file_path
    try:
        return fill_catalogs(text, context.catalogs)
    except KeyError as error:
        known = ", ".join(sorted(context.catalogs)) or "none"
        raise SourceError(f"{path}: {{{error.args[0]}}} names no catalog variable; known: {known}") from error


def _pinned(spark: SparkSession, table: str, commits: tuple[Commit, ...]) -> tuple[str, bool]:
    """The SELECT that reads one state of the table however often it is evaluated, and whether the engine could.

    By version where the engine tells it, else by time; a view can be pinned by neither and is read as it is.
    """
    name = quote_table(table)
    if commits:
        return f"SELECT * FROM {name} VERSION AS OF {commits[0].version}", True
    try:
        now = spark.sql("SELECT cast(current_timestamp() AS STRING) AS now").collect()[0]["now"]
        pinned = f"SELECT * FROM {name} TIMESTAMP AS OF {text(now)}"
        spark.sql(pinned).schema  # noqa: B018
        return pinned, True
    except PySparkException:
        return f"SELECT * FROM {name}", False


def _known(key: str, names: tuple[str, ...], columns: dict[str, str]) -> tuple[str, ...]:
    unknown = [name for name in names if name.lower() not in columns]
    if unknown:
        hints = ", ".join(f"{name}{did_you_mean(name, columns)}" for name in unknown)
        raise SourceError(f"{key}: the source has no column {hints}; it has {', '.join(columns.values())}")
    return tuple(columns[name.lower()] for name in names)


def carried_columns(raw: RawSource, spec: LoadSpec, keys: tuple[str, ...]) -> dict[str, DataType]:
    """The columns of the source that go into the target, by name."""
    config = spec.cdc_source_config
    listed = _known("column_list", config.column_list, raw.columns)
    dropped = _known("except_column_list", config.except_column_list, raw.columns)
    key_columns = _known("business_key_columns or primary_key_columns", keys, raw.columns)
    names = (
        [*key_columns, *listed] if listed else [name for name in raw.types if not is_ours(name) or name in key_columns]
    )
    return {name: raw.types[name] for name in names if name not in dropped or name in key_columns}


def meta_columns(raw: RawSource) -> list[str]:
    """What a row says of itself: when it ends, its order, whether it deletes, its instant."""
    sequence = ", ".join(quote(name) for name in raw.sequence_by)
    some_null = any_of(f"{quote(name)} IS NULL" for name in raw.sequence_by)
    if len(raw.sequence_by) > 1:
        parts = ", ".join(f"{text(name)}, {quote(name)}" for name in raw.sequence_by)
        sequence = f"IF({some_null}, NULL, named_struct({parts}))"
    deletes = f"coalesce({raw.deletes}, false)" if raw.deletes else "false"
    ends = [f"{raw.ends} AS {ENDS_AT}"] if raw.ends else []
    watermark = _plausible(raw, quote(raw.watermark), (raw.watermark,)) if raw.watermark else ""
    return [
        *ends,
        f"{_plausible(raw, sequence, raw.sequence_by) or 'cast(NULL AS TIMESTAMP)'} AS {SEQUENCE}",
        f"{watermark or 'cast(NULL AS TIMESTAMP)'} AS {WATERMARK}",
        f"{deletes} AS {DELETE}",
        f"{_plausible(raw, _instant_of(raw), raw.sequence_by)} AS {AT}",
    ]


def _plausible(raw: RawSource, expression: str, names: tuple[str, ...]) -> str:
    """The expression, or NULL where one of the columns lies in the future and the row counts as one without it."""
    future = [mark.beyond(quote(name), raw.types[name], raw.now) for name in names] if raw.lenient else []
    condition = " OR ".join(filter(None, future))
    return f"IF({condition}, NULL, {expression})" if condition else expression


def _ends(types: dict[str, DataType], columns: dict[str, str]) -> str:
    """When a row of a Fivetran history ends, exclusive; NULL where it is open. Fivetran writes the last millisecond."""
    missing = [name for name in _HISTORY if name not in columns]
    if missing:
        raise SourceError(f"source_mode fivetran_history needs {', '.join(missing)}, which the source does not have")
    start, end, active = (columns[name] for name in _HISTORY)
    if not all(isinstance(types[name], TimestampType) for name in (start, end)):
        raise SourceError(f"source_mode fivetran_history needs {start} and {end} as TIMESTAMP")
    is_open = f"coalesce({quote(active)}, false) OR {quote(end)} >= {_FOREVER}"
    return f"IF({is_open}, NULL, timestamp_micros(unix_micros({quote(end)}) + 1000))"


def _refuse_order(spec: LoadSpec, types: dict[str, DataType], sequence_by: tuple[str, ...]) -> None:
    """Raise SourceError where a change source cannot be put in order."""
    mode = spec.cdc_source_config.source_mode
    if mode not in CHANGE_SOURCES:
        return
    if not sequence_by:
        raise SourceError(f"{spec.target_table}: source_mode {mode} needs an order of its rows; set sequence_by")
    if mode == "fivetran_history" and tuple(name.lower() for name in sequence_by) != _HISTORY[:1]:
        raise SourceError(f"{spec.target_table}: a Fivetran history is ordered by {_HISTORY[0]}; remove sequence_by")
    if spec.execution_pipeline == "scd2" and not isinstance(types[sequence_by[0]], _TIMES):
        kind = types[sequence_by[0]].simpleString()
        raise SourceError(
            f"{spec.target_table}: sequence_by {sequence_by[0]} is {kind}; scd2 needs a timestamp or date first, as "
            "valid_from comes from it"
        )


def _instant_of(raw: RawSource) -> str:
    return (
        instant_expression(quote(raw.sequence_by[0]), raw.types[raw.sequence_by[0]])
        if raw.sequence_by
        else "cast(NULL AS TIMESTAMP)"
    )


def instant_expression(expression: str, kind: DataType) -> str:
    """A column's value as a TIMESTAMP: dates and zoneless timestamps count as UTC; NULL where it holds no time."""
    if isinstance(kind, TimestampType):
        return expression
    if isinstance(kind, DateType):
        return f"timestamp_micros(unix_date({expression}) * 86400000000L)"
    if isinstance(kind, TimestampNTZType):
        return f"timestamp_micros({micros_of_naive(expression)})"
    return "cast(NULL AS TIMESTAMP)"


def _sequence_type(raw: RawSource) -> DataType | None:
    if len(raw.sequence_by) < 2:
        return raw.types[raw.sequence_by[0]] if raw.sequence_by else None
    struct = StructType()
    for name in raw.sequence_by:
        struct = struct.add(name, raw.types[name])
    return struct
