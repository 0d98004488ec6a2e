"""Where an incremental read starts, and how far a load came."""

from __future__ import annotations

from datetime import datetime, timezone

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from laketasks import mark
from laketasks.error import GuardError, LoadError, SourceError
from laketasks.run_log import LastLoad
from laketasks.source import RawSource
from laketasks.spec import LoadSpec, RunContext, named_tasks, parse_duration
from laketasks.sql import quote
from laketasks.union_sources import SOURCE_NO, decode_marks, encode_marks


def start(spec: LoadSpec, context: RunContext, kind: DataType | None, last: LastLoad | None) -> str | None:
    """The watermark that an incremental read starts at, as the run log keeps it; None reads everything.

    `last` is None where the load does not go on from the last success.
    """
    if spec.load_type != "incremental" or spec.cdc_source_config.source_mode == "cdf":
        return None
    if kind is None:
        raise LoadError(f"{spec.target_table}: load_type incremental needs a watermark or sequence_by column")
    if not mark.holds_time(kind) and parse_duration(spec.cdc_source_config.lookback):
        raise SourceError(
            f"{spec.target_table}: lookback ({spec.cdc_source_config.lookback}) needs a watermark that is a timestamp "
            f"or a date; this one is {kind.simpleString()}. Name another column as `watermark`, or take lookback away"
        )
    if last is None or last.watermark_to is None:
        return None
    wanted = mark.of_instant(context.reloads_from, kind) if context.reloads_from else None
    if spec.watermark_sources:
        marks = decode_marks(last.watermark_to, spec.watermark_sources)
        return encode_marks({table: since and _start_of(spec, since, wanted, kind) for table, since in marks.items()})
    return _start_of(spec, last.watermark_to, wanted, kind)


def _start_of(spec: LoadSpec, since: str, wanted: str | None, kind: DataType) -> str | None:
    """Where the read of one table starts; None reads all of it."""
    if not mark.fits(since, kind):
        raise SourceError(
            f"{spec.target_table}: the last load ended at the watermark {since!r}, which is not a "
            f"{kind.simpleString()}, but the watermark column is now. Name the former column, or load into a new table"
        )
    if mark.is_beyond(since, kind, datetime.now(timezone.utc)):
        return None  # nothing would ever reach it
    return wanted if wanted and mark.earlier(wanted, since, kind) else since


def reached_by_source(frame: DataFrame, raw: RawSource, since: str | None, now: datetime) -> str | None:
    """How far the load came in each source table; a row from the future moves no watermark."""
    kind = raw.watermark_type
    assert kind is not None
    column, future = quote(raw.watermark), mark.beyond(quote(raw.watermark), kind, now)
    highest = mark.mark_of(f"IF({future}, NULL, {column})" if future else column, kind)
    rows = frame.groupBy(SOURCE_NO).agg(F.expr(f"{highest} AS mark")).collect()
    found = {raw.watermark_sources[row[SOURCE_NO]]: mark.read_mark(row["mark"], kind) for row in rows}
    begun = decode_marks(since, raw.watermark_sources)
    return encode_marks({source: reached(found.get(source), begun[source], kind) for source in begun})


def check_reload(spec: LoadSpec, context: RunContext, kind: DataType | None) -> tuple[str, ...]:
    """Return a note where `reload_from` cannot act on this table; raises GuardError where it names the task."""
    if spec.load_type != "incremental" or context.reloads_from is None:
        return ()
    if spec.cdc_source_config.source_mode == "cdf":
        why = "source_mode cdf reads commits, not instants; run with reconcile, which compares all keys"
    elif kind is not None and mark.of_instant(context.reloads_from, kind) is None:
        why = f"its watermark is {kind.simpleString()}, which holds no time; run with reconcile or full_refresh"
    else:
        return ()
    if context.task_key in named_tasks("reload_from", context.reload_from):
        raise GuardError(f"{spec.target_table}: reload_from: {why}, and leave this table out of reload_from")
    return (f"{spec.target_table}: not reloaded: {why}",)


def reached(found: str | None, since: str | None, kind: DataType | None) -> str | None:
    """How far the load came: the highest watermark that it read, never before where it started."""
    if found is None or since is None or kind is None:
        return found or since
    return since if mark.earlier(found, since, kind) else found
