"""The view that shows an adopted table under the names and with the values that it had before.

After an adoption the loaders fill their own columns and those of the source. What else the table has (start_date,
end_date, current_flag, a surrogate key) would be NULL in new rows and stay as it is in old ones. For each such column
the view has an expression over the loaders' columns which gives every row of today the value that it has today.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    IntegerType,
    LongType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from laketasks.adopt_history import guess_flag
from laketasks.column import (
    DELETED_AT,
    IS_CURRENT,
    IS_DELETED,
    JOB_RUN_ID,
    LOADED_AT,
    SEQUENCE,
    UPDATED_AT,
    VALID_FROM,
    VALID_TO,
    WATERMARK,
    type_text,
)
from laketasks.sql import listed, quote, text
from laketasks.zoneless import date_of, naive_of

_INSTANTS = (VALID_FROM, SEQUENCE, WATERMARK, DELETED_AT)
_TEMPORAL = (TimestampType, TimestampNTZType, DateType)
_MADE = re.compile(r"creat|insert|load|ingest|etl|dwh?_|batch", re.IGNORECASE)
_CHANGED = re.compile(r"updat|modif|chang", re.IGNORECASE)
_NO = {"Y": "N", "y": "n", "YES": "NO", "Yes": "No", "yes": "no", "1": "0", "T": "F", "true": "false", "True": "False"}
_NO |= {"TRUE": "FALSE"}
_MANY = 20
_OLD = "_laketasks_old_"
_SHIFTS = ("1 DAY", "1 MINUTE", "1 SECOND", "1 MILLISECOND", "3 MILLISECOND", "1 MICROSECOND")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """`expressions` maps each column that the table had to SQL over the adopted table.

    `frozen` are the columns that no load fills, `lost` those of them that no expression makes.
    """

    expressions: dict[str, str]
    frozen: tuple[str, ...]
    lost: tuple[str, ...]

    @property
    def made(self) -> dict[str, str]:
        """The columns whose values are not those of the column of that name."""
        return {name: sql for name, sql in self.expressions.items() if sql != quote(name)}

    def select(self, table: str) -> str:
        """The SELECT of the view, in the order of the table's columns."""
        parts = (sql if sql == quote(name) else f"{sql} AS {quote(name)}" for name, sql in self.expressions.items())
        return f"SELECT {', '.join(parts)} FROM {table}"


def make_view(
    rows: DataFrame,
    old: Mapping[str, DataType],
    now: Mapping[str, str],
    system: Mapping[str, str],
    carried: Iterable[str],
    keys: tuple[str, ...],
) -> View:
    """Find the expressions.

    `rows` has the adopted table's rows: its columns, and each column of `old` behind the prefix that `old_name` gives.
    `now` has today's names of the old columns, `system` the table's spelling of the loaders' columns, `carried` are the
    columns of the source.
    """
    own = {name.lower() for name in system.values()}
    fills = {name.lower() for name in carried} | own
    frozen = [name for name in old if now[name].lower() not in fills]
    sought = [*frozen, *(name for name in old if now[name].lower() in own)]
    plain = {name: quote(now[name]) for name in old}
    if not sought:
        return View(expressions=plain, frozen=(), lost=())
    facts = _facts(rows, sought, current=quote(system[IS_CURRENT]) if IS_CURRENT in system else "")
    candidates = {
        name: _candidates(name, old[name], plain[name], system, keys, facts[name], frozen=name in frozen)
        for name in sought
    }
    fits = _fits(rows, candidates, old)
    lost = tuple(name for name in frozen if name not in fits)
    return View(expressions={**plain, **{n: fits[n] for n in plain if n in fits}}, frozen=tuple(frozen), lost=lost)


def old_name(name: str) -> str:
    """The name under which `make_view` finds the value that a column has today."""
    return f"{_OLD}{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What the values of a column are: one for all current rows, one for all others, each row its own."""

    current: str | None
    closed: str | None
    has_closed: bool
    rows: int
    distinct: int
    unique: bool


def _facts(rows: DataFrame, names: list[str], *, current: str) -> dict[str, _Facts]:
    current = f"coalesce({current or 'true'}, false)"
    parts = ["count(*) AS n", f"count_if({current}) AS n1"]
    for number, name in enumerate(names):
        value = f"cast({quote(old_name(name))} AS STRING)"
        for group, where in (("1", current), ("0", f"NOT {current}")):
            parts += [f"{f}(IF({where}, {value}, NULL)) AS {f}_{number}_{group}" for f in ("min", "max", "count")]
        parts.append(f"count(DISTINCT {value}) AS distinct_{number}")
    found = rows.agg(*map(F.expr, parts)).collect()[0]
    return {name: _facts_of(found, number) for number, name in enumerate(names)}


def _facts_of(found: Row, number: int) -> _Facts:
    def one(group: str, rows: int) -> str | None:
        low, high, count = (found[f"{f}_{number}_{group}"] for f in ("min", "max", "count"))
        return str(low) if low is not None and low == high and count == rows else None

    return _Facts(
        current=one("1", found["n1"]),
        closed=one("0", found["n"] - found["n1"]),
        has_closed=found["n"] > found["n1"],
        rows=found["n"],
        distinct=found[f"distinct_{number}"],
        unique=found[f"distinct_{number}"] == found["n"] > 1,
    )


def _candidates(
    name: str,
    kind: DataType,
    plain: str,
    system: Mapping[str, str],
    keys: tuple[str, ...],
    facts: _Facts,
    *,
    frozen: bool,
) -> list[str]:
    """Expressions that may make the column, the likeliest first."""
    found = [] if frozen else [plain]
    for cast_to in _CASTS.get(type(kind), ()):
        found += _moments(cast_to, kind, system, facts)
    found += _flags(name, kind, system, facts)
    if frozen and VALID_FROM in system and isinstance(kind, (LongType, IntegerType)):
        number = f"row_number() OVER (PARTITION BY {listed(keys)} ORDER BY {quote(system[VALID_FROM])})"
        found.append(_typed(number, kind))
    if frozen and facts.unique and isinstance(kind, (LongType, IntegerType, StringType)):
        found.append(f"coalesce({plain}, {_surrogate(kind, keys, system)})")
    if frozen and isinstance(kind, _TEMPORAL):
        cast_to = _CASTS[type(kind)][0]
        if _CHANGED.search(name):
            found.append(f"IF({JOB_RUN_ID} = 'adopted', {plain}, {cast_to(UPDATED_AT)})")
        elif _MADE.search(name):
            found.append(f"coalesce({plain}, {cast_to(LOADED_AT)})")
    return found


def _moments(cast_to: Callable[[str], str], kind: DataType, system: Mapping[str, str], facts: _Facts) -> Iterator[str]:
    """The instants that the loaders keep, and the end of a version in each way in which tools write it."""
    yield from (cast_to(quote(system[name])) for name in _INSTANTS if name in system)
    if VALID_TO not in system:
        return
    current, end = quote(system[IS_CURRENT]), quote(system[VALID_TO])
    opens = ["NULL"]
    if facts.current is not None:
        opens.append(f"cast({text(facts.current)} AS {type_text(kind)})")
    for open_end in opens:
        for moment in (end, *(f"{end} - INTERVAL {unit}" for unit in _SHIFTS)):
            yield f"IF({current}, {open_end}, {cast_to(moment)})"


_CASTS: Mapping[type[DataType], tuple[Callable[[str], str], ...]] = MappingProxyType(
    {
        TimestampType: (lambda moment: moment,),
        DateType: (date_of,),
        TimestampNTZType: (naive_of,),
        StringType: (
            lambda moment: f"cast({date_of(moment)} AS STRING)",
            lambda moment: f"cast({naive_of(moment)} AS STRING)",
        ),
    }
)


def _flags(name: str, kind: DataType, system: Mapping[str, str], facts: _Facts) -> Iterator[str]:
    """The column as two values: of current rows and of others, or of deleted rows and of others."""
    if IS_CURRENT in system:
        values = (facts.current, facts.closed)
        if not facts.has_closed and guess_flag({name: kind}):  # every row is current: what the others get is a custom
            values = (facts.current, _NO.get(facts.current or ""))
        sure = bool(guess_flag({name: kind})) or facts.rows >= _MANY  # in few rows chance makes a flag of anything
        if sure and None not in values and values[0] != values[1]:
            yield _choice(quote(system[IS_CURRENT]), values, kind)
    if IS_DELETED in system and isinstance(kind, BooleanType) and (facts.distinct > 1 or "delet" in name.lower()):
        yield quote(system[IS_DELETED])
        yield f"NOT {quote(system[IS_DELETED])}"


def _choice(condition: str, values: tuple[str | None, str | None], kind: DataType) -> str:
    if isinstance(kind, BooleanType):
        return condition if values[0] == "true" else f"NOT {condition}"
    yes, no = (text(str(value)) for value in values)
    chosen = f"IF({condition}, {yes}, {no})"
    return chosen if isinstance(kind, StringType) else f"cast({chosen} AS {type_text(kind)})"


def _surrogate(kind: DataType, keys: tuple[str, ...], system: Mapping[str, str]) -> str:
    """A value for rows that the other tool did not number: a hash of the key, and of the version's start."""
    parts = [quote(key) for key in sorted(keys, key=str.lower)]
    if VALID_FROM in system:
        parts.append(f"unix_micros({quote(system[VALID_FROM])})")
    if isinstance(kind, StringType):
        return f"md5(to_json(array({', '.join(f'cast({part} AS STRING)' for part in parts)})))"
    return f"xxhash64({', '.join(parts)})"


def _fits(rows: DataFrame, candidates: Mapping[str, list[str]], old: Mapping[str, DataType]) -> dict[str, str]:
    """The first expression of each column that gives each row the value that it has."""
    names = [(name, sql) for name, found in candidates.items() for sql in found]
    if not names:
        return {}
    same = [
        f"{_typed(sql, old[name])} <=> {quote(old_name(name))} AS same_{number}"
        for number, (name, sql) in enumerate(names)
    ]
    wrong = [F.expr(f"count_if(NOT same_{number}) AS wrong_{number}") for number in range(len(names))]
    counts = rows.selectExpr(*same).agg(*wrong).collect()[0]
    fits: dict[str, str] = {}
    for number, (name, sql) in enumerate(names):
        if counts[f"wrong_{number}"] == 0:
            fits.setdefault(name, sql)
    return fits


def _typed(sql: str, kind: DataType) -> str:
    return f"cast({sql} AS {type_text(kind)})" if isinstance(kind, (LongType, IntegerType)) else sql
