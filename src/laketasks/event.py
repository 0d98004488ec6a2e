"""Change sources: every row of the keys that a read touches, put in order and drawn together into runs.

A key that any row of the read names is computed again from all of its rows in the source, so that late and out-of-order
rows land where they belong, and any batching of the same events gives the same result. Rows of one key and instant are
one point: the last in order counts, a delete before anything else at its sequence. Where deleted rows are shown, such a
delete has the values of the row that it deletes. Neighbouring points with equal tracked values are one run, which
begins with its first point and has the other values of its last.
"""

from __future__ import annotations

from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructType

from laketasks.canonical import differs, row_hash
from laketasks.change import Load
from laketasks.column import AT, DELETE, ENDS_AT, FATE, READ, SEQUENCE, WATERMARK
from laketasks.guard import refuse_conflicts
from laketasks.source import Source
from laketasks.sql import listed, on, quote, same

READS = "_laketasks_reads"  # how many rows of this read are one point
SEED = "_laketasks_seed"  # the point is a stored row, which begins before the source's earliest row of its key
STARTS = "_laketasks_starts"
VALUED = "_laketasks_valued"  # how many points of the key have had values of their own so far
RUN = "_laketasks_run"
_BEARS = "_laketasks_bears"  # the point is a delete with the values of a row at its own sequence
RUN_AT = "_laketasks_run_at"
LAST = "_laketasks_last"
LAST_SEQUENCE = "_laketasks_last_sequence"  # the point's own
_STATE = "_laketasks_state"
_HASH = "_laketasks_hash"
_RANK = "_laketasks_rank"
_LIFE = "_laketasks_life"  # how many deletes of the key came before
_RUNNING = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"


def touched(load: Load, source: Source) -> DataFrame:
    """All rows of the keys that this read names, in source order columns; deletes that are ignored are left out."""
    assert source.history is not None
    rows = source.history
    if not source.full:
        keys = source.frame.select(*[quote(key) for key in load.keys]).distinct()
        rows = rows.alias("s").join(keys.alias("t"), F.expr(same(load.keys)), "left_semi")
    rows = rows.where(f"{SEQUENCE} IS NOT NULL").selectExpr("*", "false AS " + SEED)
    if load.config.on_conflict == "fail":
        _refuse_conflicts(load, source, rows)
    rows = rows.selectExpr("*", f"IF({READ}, 1, 0) AS {READS}")
    if load.config.delete_mode == "ignore":
        return rows.where(f"NOT {DELETE}").drop(ENDS_AT)
    return _with_ends(load, rows) if ENDS_AT in rows.columns else rows


def runs(load: Load, source: Source, rows: DataFrame, order: str, tracked: dict[str, DataType]) -> DataFrame:
    """One row per key and point, in the order of `order` (the instant, or the sequence), each with its run.

    Sequence, watermark and the columns they come from are those of the run's first point. A delete has the values of
    the point before it, where there is one.
    """
    rows = _filled(load, source, rows, order) if load.config.ignore_null_updates else rows
    points = _points(load, source, rows, order)
    window = f"(PARTITION BY {listed(load.keys)} ORDER BY {', '.join(terms(source, order))}"
    state = points.selectExpr("*", f"IF({DELETE}, 'deleted', {row_hash(tracked)}) AS {_STATE}")
    state = state.selectExpr("*", f"NOT ({_STATE} <=> lag({_STATE}) OVER {window})) AS {STARTS}")
    chained = state.selectExpr(
        "*",
        f"sum(IF({STARTS}, 1, 0)) OVER {window} {_RUNNING}) AS {RUN}",
        f"sum(IF({DELETE} AND NOT {SEED} AND NOT {_BEARS}, 0, 1)) OVER {window} {_RUNNING}) AS {VALUED}",
        f"coalesce(lead({STARTS}) OVER {window}), true) AS {LAST}",
    )
    first = [name for name in source.carried if name not in source.compared and name not in load.keys]
    in_run = f"(PARTITION BY {listed(load.keys)}, {RUN} ORDER BY {', '.join(terms(source, order))} {_RUNNING})"
    chained = chained.selectExpr("*", f"{SEQUENCE} AS {LAST_SEQUENCE}")
    begun = _over(chained, (*first, SEQUENCE, WATERMARK, SEED), in_run, f"first_value({AT}) OVER {in_run} AS {RUN_AT}")
    if not source.may_delete:
        return begun
    own = terms(source, LAST_SEQUENCE if order == SEQUENCE else order)  # the sequence is that of the run by now
    by_value = f"(PARTITION BY {listed(load.keys)}, {VALUED} ORDER BY {', '.join(own)} {_RUNNING})"
    return _over(begun, (*source.compared, *first), by_value)


def read_deletes(source: Source) -> DataFrame:
    """The tally of the deletes that this read brought and delete_mode ignores."""
    return source.frame.where(DELETE).agg(F.expr("count(*) AS rows")).selectExpr(f"'ignored' AS {FATE}", "rows")


ENDED = "ended"  # the fate, so to say, of keys that are current in the table and end by a delete
KEPT = "kept"  # the fate, so to say, of stored rows from before the source's earliest of their key
REMARKS = {KEPT: "stored rows are from before the earliest row of their key in the source; they stay as they are"}


def moved(load: Load, source: Source) -> str:
    """Whether the run of `s` begins with another row than the one that `t` was stored with."""
    order = {name: kind for name, kind in source.carried.items() if name not in (*source.compared, *load.keys)}
    return f"(s.{SEQUENCE} IS NOT NULL AND (NOT (s.{SEQUENCE} <=> t.{SEQUENCE}) OR {differs(order)}))"


def tally(load: Load, source: Source, fates: DataFrame, seeds: DataFrame, ended: DataFrame) -> DataFrame:
    """Rows of this read by fate, the stored rows that a rebuild starts from, and the keys that a delete ends."""
    kept, gone = (
        found.agg(F.expr("count(*) AS rows")).selectExpr(f"'{fate}' AS {FATE}", "rows")
        for fate, found in ((KEPT, seeds.where(SEED)), (ENDED, ended))
    )
    parts = [fates, gone, read_deletes(source)] if load.config.delete_mode == "ignore" else [fates, gone]
    says_nothing = load.config.first_version_from or load.config.source_mode == "cdf"  # which has the changes alone
    parts = parts if says_nothing else [*parts, kept]
    judged = reduce(DataFrame.unionAll, (part.selectExpr(FATE, "cast(rows AS BIGINT) AS rows") for part in parts))
    return judged.groupBy(FATE).agg(F.expr("sum(rows) AS rows"))


def _points(load: Load, source: Source, rows: DataFrame, order: str) -> DataFrame:
    """One row per key and `order`: the last by sequence, the delete of a sequence, then by arrival.

    Of equal rows the first to arrive counts; with on_conflict latest the last, whose values may be others.
    """
    arrival = "DESC NULLS LAST" if load.config.on_conflict == "latest" else "ASC NULLS LAST"
    at = f"PARTITION BY {listed(load.keys)}, {order}"
    ranking = [f"{term} DESC NULLS LAST" for term in terms(source, SEQUENCE)]
    last = [SEED, f"{WATERMARK} {arrival}", f"{_HASH} DESC"]
    hashed = rows.selectExpr("*", f"{row_hash(source.compared)} AS {_HASH}")
    made = {READS: f"sum({READS}) OVER ({at})"}
    bears = "false"
    if shows_deleted(load):
        bears = f"{DELETE} AND NOT min({DELETE}) OVER ({at})"
        valued = f"OVER ({at} ORDER BY {', '.join([DELETE, *ranking, *last])})"
        valued_columns = (name for name in source.carried if name not in load.keys)
        made |= {n: f"IF({DELETE}, first_value({quote(n)}) {valued}, {quote(n)})" for n in valued_columns}
    ranked = hashed.selectExpr(
        *(f"{made[name]} AS {quote(name)}" if name in made else quote(name) for name in rows.columns),
        f"{bears} AS {_BEARS}",
        f"row_number() OVER ({at} ORDER BY {', '.join([*ranking, f'{DELETE} DESC', *last])}) AS {_RANK}",
    )
    return ranked.where(f"{_RANK} = 1").drop(_RANK)


def shows_deleted(load: Load) -> bool:
    """Whether a deleted key has a row of its own, with the values that it had."""
    return load.config.delete_mode == ("new_record" if load.spec.execution_pipeline == "scd2" else "soft")


def _filled(load: Load, source: Source, rows: DataFrame, order: str) -> DataFrame:
    """The rows with each NULL as the last value before it in the order in which `_points` judges them.

    A delete ends what stood before it, unless its row stays (type 1, soft) and may come back with what it holds.
    """
    starts_anew = load.spec.execution_pipeline == "scd2" or load.config.delete_mode == "hard"
    ordered = [f"{term} NULLS FIRST" for term in dict.fromkeys((*terms(source, order), *terms(source, SEQUENCE)))]
    ordered += [DELETE, f"{WATERMARK} NULLS FIRST", _HASH]
    window = f"ORDER BY {', '.join(ordered)} {_RUNNING}"
    keys = listed(load.keys)
    life = f"sum(IF({DELETE} AND {str(starts_anew).lower()}, 1, 0)) OVER (PARTITION BY {keys} {window}) AS {_LIFE}"
    lives = rows.selectExpr("*", f"{row_hash(source.compared)} AS {_HASH}").selectExpr("*", life)
    own = f"NOT {DELETE}" if starts_anew else f"NOT {DELETE} OR {SEED}"
    filled = {
        name: f"last_value(IF({own}, {quote(name)}, NULL), true) OVER (PARTITION BY {keys}, {_LIFE} {window})"
        for name in source.carried
        if name not in load.keys
    }
    return lives.selectExpr(*(f"{filled[n]} AS {quote(n)}" if n in filled else quote(n) for n in rows.columns))


def _with_ends(load: Load, rows: DataFrame) -> DataFrame:
    """History rows, and their ends as deletes unless another row of the key follows at once."""
    window = f"(PARTITION BY {listed(load.keys)} ORDER BY {AT})"
    followed = f"coalesce(lead({AT}) OVER {window} <= {ENDS_AT}, false)"
    gap = f"IF({ENDS_AT} IS NULL OR {followed}, NULL, greatest({ENDS_AT}, {AT})) AS {ENDS_AT}"
    rows = rows.selectExpr(*(gap if name == ENDS_AT else quote(name) for name in rows.columns))
    made = {SEQUENCE: ENDS_AT, AT: ENDS_AT, DELETE: "true", READS: "0", ENDS_AT: "cast(NULL AS TIMESTAMP)"}
    ends = rows.where(f"{ENDS_AT} IS NOT NULL")
    return rows.unionAll(ends.selectExpr(*(f"{made.get(n, quote(n))} AS {quote(n)}" for n in rows.columns)))


def _refuse_conflicts(load: Load, source: Source, rows: DataFrame) -> None:
    """Raise GuardError where one key and sequence has rows of different values and no delete among them."""
    names = [quote(key) for key in load.keys]
    hashed = rows.selectExpr(*names, SEQUENCE, DELETE, f"{row_hash(source.compared)} AS {_HASH}")
    groups = hashed.groupBy(*names, SEQUENCE).agg(
        F.expr(f"min({_HASH}) AS low"), F.expr(f"max({_HASH}) AS high"), F.expr(f"max(IF({DELETE}, 1, 0)) AS gone")
    )
    refuse_conflicts(load.spec, load.keys, groups.where("gone = 0 AND low <> high"))


def terms(source: Source, order: str) -> list[str]:
    """What to order by: the fields of a sequence of several columns, one by one, as not every engine orders structs."""
    if order in (SEQUENCE, LAST_SEQUENCE) and isinstance(source.sequence_type, StructType):
        return [on(order, field.name) for field in source.sequence_type]
    return [order]


def _over(frame: DataFrame, names: tuple[str, ...], window: str, *more: str) -> DataFrame:
    """The frame with each named column as the window's first value."""
    columns = [
        f"first_value({quote(name)}) OVER {window} AS {quote(name)}" if name in names else quote(name)
        for name in frame.columns
    ]
    return frame.selectExpr(*columns, *more)
