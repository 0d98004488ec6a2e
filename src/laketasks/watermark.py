"""Where an incremental read starts, and how far a load came."""

from __future__ import annotations

from pyspark.sql.types import DataType

from laketasks import mark
from laketasks.error import GuardError, LoadError
from laketasks.run_log import LastLoad
from laketasks.spec import LoadSpec, RunContext, named_tasks


def start(spec: LoadSpec, context: RunContext, kind: DataType | None, last: LastLoad | None) -> str | None:
    """The watermark that an incremental read starts at, as the run log keeps it; None reads everything.

    `last` is None where the load does not go on from the last success.
    """
    if spec.load_type != "incremental" or spec.cdc_source_config.source_mode == "cdf":
        return None
    if kind is None:
        raise LoadError(f"{spec.target_table}: load_type incremental needs a watermark or sequence_by column")
    if last is None or last.watermark_to is None:
        return None
    since: str | None = last.watermark_to
    wanted = mark.of_instant(context.reloads_from, kind) if context.reloads_from else None
    if wanted and since and mark.earlier(wanted, since, kind):
        since = wanted
    return since


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
