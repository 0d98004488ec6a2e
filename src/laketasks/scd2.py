"""SCD type 2 from a state source: every state of a business key as a version, valid in `[valid_from, valid_to)`.

The source row of a key is compared with the key's open version. A change of a tracked column closes it and opens the
next at the change's sequence; a change of other columns updates the open version in place; an older sequence is stale.
A delete, or a key that vanished from a snapshot, closes the open version; a key that returns opens a new one and leaves
the gap. The MERGE matches on key and valid_from, so replaying a batch changes nothing.
"""

from __future__ import annotations

from types import MappingProxyType

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from laketasks import missing, timeline
from laketasks.canonical import differs
from laketasks.change import Change, Load, Loader, Merge
from laketasks.column import (
    ACT,
    AT,
    DELETE,
    DELETED_AT,
    FATE,
    IS_CURRENT,
    IS_DELETED,
    JOB_RUN_ID,
    LOADED_AT,
    OLD_FROM,
    SEQUENCE,
    UPDATED_AT,
    VALID_FROM,
    VALID_TO,
    WATERMARK,
)
from laketasks.missing import HERE, THERE, new_order, order_forgotten
from laketasks.source import Source, instant_expression
from laketasks.spec import CHANGE_SOURCES, parse_instant
from laketasks.sql import OPEN_END, instant, on, quote, same, text
from laketasks.surrogate import surrogates
from laketasks.target import Target
from laketasks.unknown_member import is_unknown
from laketasks.version import system_columns, tracked_columns

_RETURNS = "_laketasks_returns"
_NEW_VERSION = "_laketasks_new_version"
_DELETES = "_laketasks_deletes"
_STORED = (VALID_FROM, VALID_TO, IS_CURRENT, IS_DELETED, SEQUENCE, WATERMARK)


def compare(load: Load, source: Source, target: Target) -> Change:
    """Compare each key's source row with its open version, and with its last closed one where none is open."""
    tracked, untracked = tracked_columns(load, source)
    system = system_columns(load.spec, source, target)
    new_version = differs(tracked, ignore_null=load.config.ignore_null_updates)
    judged = _joined(load, source, target, system).selectExpr(
        f"{_fate(load, source, {**tracked, **untracked})} AS {FATE}",
        f"t.{THERE} IS NULL AS {_RETURNS}",
        f"coalesce(t.{IS_DELETED}, false) OR {new_version} AS {_NEW_VERSION}",
        f"t.{VALID_FROM} AS {OLD_FROM}",
        f"{_start(load, source)} AS {AT}",
        f"coalesce(s.{SEQUENCE}, t.{SEQUENCE}) AS {SEQUENCE}",
        f"coalesce(s.{WATERMARK}, t.{WATERMARK}) AS {WATERMARK}",
        *(f"{_value(load, name)} AS {quote(name)}" for name in source.carried),
    )
    columns = (*source.carried, *system)
    acted = judged.selectExpr("*", f"{_act(load, source)} AS {ACT}", f"{_ended_by_delete(load, source)} AS {_DELETES}")
    rows = acted.selectExpr(
        FATE, ACT, AT, OLD_FROM, _DELETES, *(f"{_inserted(load, source, name)} AS {quote(name)}" for name in columns)
    )
    return Change(rows=rows, write=_merge(load, columns, untracked), columns=columns, grain=load.keys)


def _joined(load: Load, source: Source, target: Target, system: dict[str, DataType]) -> DataFrame:
    stored_columns = {**source.carried, **{name: system[name] for name in _STORED}}
    stored = order_forgotten(load, target.with_columns(stored_columns), system[SEQUENCE])
    closed = (
        missing.of_read(load, source, stored)
        .where(f"NOT {IS_CURRENT}" if load.closed else "false")
        .groupBy(*[quote(key) for key in load.keys])
        .agg(
            F.expr(f"max({VALID_TO}) AS {VALID_TO}"),
            F.expr(f"max_by({SEQUENCE}, {VALID_TO}) AS {SEQUENCE}"),
            F.expr(f"max_by({IS_DELETED}, {VALID_TO}) AS {IS_DELETED}"),
        )
    )
    joined = missing.join_stored(load, source, stored.where(IS_CURRENT))
    return joined.join(closed.alias("c"), F.expr(same(load.keys, "c", "s")), "left_outer")


def _fate(load: Load, source: Source, compared: dict[str, DataType]) -> str:
    removed = {"soft": "'deleted'", "ignore": "'ignored'", "new_record": f"IF(t.{IS_DELETED}, 'unchanged', 'deleted')"}
    different = differs(compared, ignore_null=load.config.ignore_null_updates) + new_order(load)
    ordered = source.sequence_type is not None
    stale = f"WHEN s.{SEQUENCE} < coalesce(t.{SEQUENCE}, c.{SEQUENCE}) THEN 'stale' " if ordered else ""
    return (
        f"CASE WHEN s.{HERE} IS NULL THEN IF(t.{IS_DELETED} OR {is_unknown(load, 't')}, 'gone', 'missing') "
        f"WHEN t.{THERE} IS NULL AND c.{VALID_TO} IS NULL THEN IF(s.{DELETE}, 'ignored', 'new') {stale}"
        f"WHEN t.{THERE} IS NULL AND s.{DELETE} THEN IF(c.{IS_DELETED}, 'unchanged', 'ignored') "
        f"WHEN t.{THERE} IS NULL THEN 'changed' "
        f"WHEN s.{DELETE} THEN {removed[load.config.delete_mode]} "
        f"WHEN coalesce(t.{IS_DELETED}, false) OR {different} THEN 'changed' ELSE 'unchanged' END"
    )


def _start(load: Load, source: Source) -> str:
    """The instant from which a new state holds: later than the version it ends, and than the gap it follows.

    At its sequence if that is later than the stored one, else at its watermark, else at the run's start.
    """
    run = instant(load.run_start)
    after = f"coalesce(t.{VALID_FROM}, c.{VALID_TO})"
    watermark = instant_expression(f"s.{WATERMARK}", source.order_columns[WATERMARK])
    stored = f"coalesce(t.{SEQUENCE}, c.{SEQUENCE})"
    later = f"(({stored} IS NULL OR s.{SEQUENCE} > {stored}) AND s.{AT} > {after})"
    choices = [
        f"IF({later}, s.{AT}, NULL)",
        f"IF({watermark} > {after}, {watermark}, NULL)",
        f"IF({run} > {after}, {run}, NULL)",
    ]
    tick = f"timestamp_micros(unix_micros({after}) + 1)"
    first = parse_instant(load.config.first_version_from) if load.config.first_version_from and load.first else None
    begin = instant(first) if first else f"coalesce(s.{AT}, {run})"
    return f"IF({after} IS NULL, {begin}, coalesce({', '.join(choices)}, {tick}))"


def _value(load: Load, name: str) -> str:
    """A delete brings no values of its own, and a vanished key none at all: the stored ones stay."""
    source, stored = on("s", name), on("t", name)
    if name in load.keys:
        return f"coalesce({source}, {stored})"
    brought = f"coalesce({source}, {stored})" if load.config.ignore_null_updates else source
    return f"IF(s.{HERE} IS NULL OR (s.{DELETE} AND t.{THERE}), {stored}, {brought})"


def _act(load: Load, source: Source) -> str:
    deleted = "reopen" if load.config.delete_mode == "new_record" else "close"
    gone = {"ignore": "NULL", "new_record": "'reopen'"}.get(missing.policy(load, source), "'close'")
    return (
        f"CASE {FATE} WHEN 'new' THEN 'open' WHEN 'deleted' THEN '{deleted}' WHEN 'missing' THEN {gone} "
        f"WHEN 'changed' THEN CASE WHEN {_RETURNS} THEN 'open' WHEN {_NEW_VERSION} THEN 'reopen' ELSE 'update' END END"
    )


def _ended_by_delete(load: Load, source: Source) -> str:
    deletes = missing.policy(load, source) in ("soft", "new_record")
    return f"{FATE} IN ('deleted', 'missing')" if deletes else f"{FATE} = 'deleted'"


def _inserted(load: Load, source: Source, name: str) -> str:
    """The value of a column in the version that is opened."""
    now_deleted = f"({ACT} = 'reopen' AND {_DELETES})"
    made = {
        VALID_FROM: AT,
        VALID_TO: OPEN_END,
        IS_CURRENT: "true",
        IS_DELETED: now_deleted,
        DELETED_AT: f"IF({now_deleted}, {AT}, NULL)",
        LOADED_AT: instant(load.now),
        UPDATED_AT: instant(load.now),
        JOB_RUN_ID: text(load.context.job_run_id),
        **surrogates(load, source, AT),
    }
    return made.get(name, quote(name))


def _merge(load: Load, columns: tuple[str, ...], untracked: dict[str, DataType]) -> Merge:
    """A change is two rows of the MERGE: one closes the open version, one opens the next."""
    names, values = ", ".join(map(quote, columns)), ", ".join(on("s", name) for name in columns)
    others = ", ".join(quote(name) for name in columns if name != VALID_FROM)
    stays = f"{others}, {AT}, {_DELETES}"
    opens = f"SELECT {stays}, {VALID_FROM}, IF({ACT} = 'restore', 'restore', 'open') AS {ACT} FROM "
    steps = (
        f"SELECT {stays}, {OLD_FROM} AS {VALID_FROM}, IF({ACT} = 'update', 'update', 'close') AS {ACT} FROM ",
        f" WHERE {ACT} IN ('close', 'reopen', 'update') UNION ALL {opens}",
        f" WHERE {ACT} IN ('open', 'reopen', 'restore')",
    )
    audit = f"{UPDATED_AT} = s.{UPDATED_AT}, {JOB_RUN_ID} = s.{JOB_RUN_ID}"
    order = (SEQUENCE, WATERMARK)
    stored = {name: f"t.{name}" for name in order} | ({SEQUENCE: "NULL"} if load.forget_order else {})
    closing = ", ".join(f"{name} = IF(s.{_DELETES}, s.{name}, {stored[name]})" for name in order)
    close = (
        f"{VALID_TO} = s.{AT}, {IS_CURRENT} = false, {IS_DELETED} = s.{_DELETES} OR coalesce(t.{IS_DELETED}, false), "
        f"{DELETED_AT} = IF(s.{_DELETES}, s.{AT}, t.{DELETED_AT}), {closing}, {audit}"
    )
    update = ", ".join(f"{quote(name)} = s.{quote(name)}" for name in (*untracked, *order))
    return Merge(
        match=(*load.keys, VALID_FROM),
        steps=steps,
        clauses=(
            f"WHEN MATCHED AND s.{ACT} = 'close' AND t.{IS_CURRENT} THEN UPDATE SET {close}",
            f"WHEN MATCHED AND s.{ACT} = 'update' THEN UPDATE SET {update}, {audit}",
            f"WHEN NOT MATCHED AND s.{ACT} = 'open' THEN INSERT ({names}) VALUES ({values})",
        ),
    )


BY_SOURCE_MODE = MappingProxyType(
    {"state": compare, "snapshot": compare, **dict.fromkeys(CHANGE_SOURCES, timeline.change)}
)


def change(load: Load, source: Source, target: Target) -> Change:
    """What the source's rows change, by what kind of rows they are."""
    return BY_SOURCE_MODE[load.config.source_mode](load, source, target)


LOADER = Loader(
    keys=lambda spec: spec.business_key_columns, system_columns=system_columns, change=change, current=IS_CURRENT
)
