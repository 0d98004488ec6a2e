"""The metadata row of a history, and how chance changes it: only rows that the generator takes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from generator.combinations import Case, combination_problems
from laketasks.spec import parse_config

SourceRow = dict[str, Any]
Condition = Callable[[SourceRow], bool]

# SQL conditions as Python reads them; NULL meets none.
CONDITIONS: dict[str, Condition] = {
    "r = 'N'": lambda row: row["r"] == "N",
    "r IN ('N', 'S')": lambda row: row["r"] in ("N", "S"),
    "n < 5": lambda row: row["n"] is not None and row["n"] < 5,
    "NOT (n < 5)": lambda row: row["n"] is not None and row["n"] >= 5,
    "n IS NOT NULL": lambda row: row["n"] is not None,
    "n < 1000": lambda row: row["n"] is not None and row["n"] < 1000,
    "length(r) = 1": lambda row: row["r"] is not None,  # a call, which is never skipped
    "gone": lambda row: bool(row["gone"]),
    "gone AND n < 5": lambda row: bool(row["gone"]) and row["n"] is not None and row["n"] < 5,
}
FILTERS = ["r = 'N'", "r IN ('N', 'S')", "n < 5", "NOT (n < 5)", "length(r) = 1"]
DELETES = ["gone", "gone AND n < 5"]
COLUMNS = ("id", "v", "r", "n", "u", "w", "arr", "gone")


def _same(row: SourceRow) -> SourceRow:
    return row


# SQL files: the variants of one number are one statement in two layouts.
_LIST = "id, v, r, n, u, w, arr, gone"
SQL: dict[str, tuple[int, str, Callable[[SourceRow], SourceRow | None]]] = {
    "plain": (0, f"SELECT {_LIST} FROM {{table}}", _same),
    "laid out": (0, f"select ID,\n  {_LIST[4:]} -- the same\nFROM {{table}}", _same),
    "n + 20": (
        1,
        "SELECT id, v, r, n + 20 AS n, u, w, arr, gone FROM {table}",
        lambda row: {**row, "n": None if row["n"] is None else row["n"] + 20},
    ),
    "v || 'x'": (
        2,
        "SELECT id, concat(v, 'x') AS v, r, n, u, w, arr, gone FROM {table}",
        lambda row: {**row, "v": None if row["v"] is None else row["v"] + "x"},
    ),
    "where": (3, f"SELECT {_LIST} FROM {{table}} WHERE r = 'N'", lambda row: row if row["r"] == "N" else None),
}


@dataclass(frozen=True)
class Row:
    """A metadata row; `sql` is the name of a variant, empty where the row names its source table."""

    pipeline: str
    load_type: str = "full"
    keys: tuple[str, ...] = ("id",)
    source: str = "source"
    sql: str = ""
    config: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str, default: Any = "") -> Any:
        return self.config.get(key, default)

    @property
    def statement(self) -> tuple[int, str]:
        """What the SQL says, whatever its layout; (-1, '') without SQL."""
        return (SQL[self.sql][0], self.source) if self.sql else (-1, "")

    @property
    def key_columns(self) -> tuple[str, ...]:
        return tuple(name.lower() for name in self.keys)

    @property
    def merges(self) -> bool:
        return self.pipeline != "fact_overwrite"

    @property
    def order(self) -> str:
        return str(self.get("sequence_by")).lower()

    @property
    def watermark(self) -> str:
        return str(self.get("watermark")).lower() or self.order

    @property
    def history(self) -> str:
        """Which columns make a version."""
        if self.pipeline != "scd2":
            return ""
        only = sorted(name.lower() for name in self.get("track_history_column_list", []))
        without = sorted(name.lower() for name in self.get("track_history_except_column_list", []))
        return f"only {only}" if only else f"all except {without}" if without else "all"

    def carried(self, columns: list[str]) -> list[str]:
        """The columns that the load carries, of those that the source has; lower case."""
        listed = [name.lower() for name in self.get("column_list", [])]
        without = [name.lower() for name in self.get("except_column_list", [])]
        wanted = [*self.key_columns, *listed] if listed else columns
        return [name for name in columns if name in wanted and (name not in without or name in self.key_columns)]

    def is_sound(self) -> bool:
        """Whether the generator takes the row, without a word."""
        config, problems = parse_config(self.config)
        if problems:
            return False
        case = Case(
            pipeline=self.pipeline,
            load_type=self.load_type,
            config=config,
            keys=self.keys,
            sql=bool(self.sql),
        )
        needs_order = self.load_type == "incremental" and not self.watermark
        without_key = self.merges and not self.keys
        refused = [each for each in combination_problems(case) if each.severity == "error"]
        return not (refused or needs_order or without_key)

    def __str__(self) -> str:
        source = f"SQL {self.sql!r} of {self.source}" if self.sql else self.source
        return f"{self.pipeline} {self.load_type} {','.join(self.keys) or '-'} from {source} {self.config}"


def first_row(dice: random.Random, *, late: bool) -> Row:
    """A row to begin with. With `late` it is read by arrival, so that late rows and unmoved deletes may come."""
    pipeline = dice.choice(["scd1", "scd1", "scd2", "scd2", "fact_overwrite", "fact_incremental_merge"])
    config: dict[str, Any] = {}
    if late:
        config["watermark"] = "arr"
    if dice.random() < 0.8 or late:
        config["sequence_by"] = "u"
    if dice.random() < 0.7:
        config["apply_as_deletes"] = "gone"
    row = Row(pipeline, config=config, sql="plain" if dice.random() < 0.3 else "")
    row = replace(row, keys=() if pipeline == "fact_overwrite" else ("id",))
    if pipeline != "fact_overwrite" and row.watermark and dice.random() < 0.7:
        row = replace(row, load_type="incremental")
    for _ in range(dice.randint(0, 2)):
        row = changed_row(dice, row, late=late, first=True)[0]
    return row


def _word(name: str, *values: Any) -> Callable[[random.Random, Row], Row]:
    """A change of one key of the configuration; None takes it away."""

    def change(dice: random.Random, row: Row) -> Row:
        value = dice.choice(values)
        config = {key: own for key, own in row.config.items() if key != name}
        return replace(row, config=config if value is None else {**config, name: value})

    return change


def _columns(dice: random.Random, row: Row) -> Row:
    config = {k: v for k, v in row.config.items() if k not in ("column_list", "except_column_list")}
    some = dice.sample(["v", "r", "n", "gone"], dice.randint(1, 3))
    some = [dice.choice([name, name.upper()]) for name in some]
    kind = dice.choice(["column_list", "except_column_list", ""])
    return replace(row, config={**config, kind: some} if kind else config)


def _history(dice: random.Random, row: Row) -> Row:
    config = {k: v for k, v in row.config.items() if not k.startswith("track_history")}
    kind = dice.choice(["track_history_column_list", "track_history_except_column_list", ""])
    some = dice.sample(["v", "r", "n"], dice.randint(1, 2))
    return replace(row, config={**config, kind: some} if kind else config)


def _expectations(dice: random.Random, row: Row) -> Row:
    config = {k: v for k, v in row.config.items() if k != "expectations"}
    kinds = ["expect", "expect_or_drop", "expect_or_quarantine", "expect_or_drop", "expect_or_fail"]
    kind, rule = dice.choice(kinds), dice.choice(["n < 5", "n IS NOT NULL", "r IN ('N', 'S')"])
    return replace(row, config={**config, "expectations": {kind: {"rule": rule}}} if dice.random() < 0.7 else config)


def _pipeline(dice: random.Random, row: Row) -> Row:
    """Another loader, and nothing that it does not have."""
    now = dice.choice(["scd1", "scd2", "fact_overwrite", "fact_incremental_merge"])
    only = {
        "scd2": ("track_history_column_list", "track_history_except_column_list", "first_version_from"),
        "fact_overwrite": ("replace_where",),
        "fact_incremental_merge": ("insert_only",),
    }
    foreign = {key for name, keys in only.items() if name != now for key in keys}
    shared = {"delete_mode", "on_missing", "reconcile", "source_mode"}
    config = {k: v for k, v in row.config.items() if k not in foreign and not (k in shared and now != row.pipeline)}
    keys = row.keys if now != "fact_overwrite" or dice.random() < 0.5 else ()
    row = replace(row, pipeline=now, config=config, keys=keys if keys or now == "fact_overwrite" else ("id",))
    return replace(row, load_type="full") if now == "fact_overwrite" else row


def _load_type(dice: random.Random, row: Row) -> Row:
    return replace(row, load_type=dice.choice(["full", "incremental"]))


def _keys(dice: random.Random, row: Row) -> Row:
    return replace(row, keys=dice.choice([("id",), ("id", "r"), ("ID",)]) if row.merges else ())


def _sql(dice: random.Random, row: Row) -> Row:
    return replace(row, sql=dice.choice([*SQL, *SQL, ""]))


CHANGES: dict[str, tuple[int, Callable[[random.Random, Row], Row]]] = {
    "pipeline": (3, _pipeline),
    "load_type": (3, _load_type),
    "keys": (1, _keys),
    "SQL": (4, _sql),
    "columns": (3, _columns),
    "history": (2, _history),
    "expectations": (3, _expectations),
    "where": (3, _word("where", None, None, *FILTERS)),
    "sequence_by": (2, _word("sequence_by", "u", "U", "w", None)),
    "watermark": (2, _word("watermark", "arr", "ARR", "w", None)),
    "apply_as_deletes": (2, _word("apply_as_deletes", None, *DELETES)),
    "delete_mode": (2, _word("delete_mode", "soft", "hard", "ignore", "new_record")),
    "source_mode": (2, _word("source_mode", "snapshot", "snapshot", None)),
    "on_missing": (2, _word("on_missing", "soft", "hard", "close", None)),
    "ignore_null_updates": (1, _word("ignore_null_updates", True, None)),
    "insert_only": (1, _word("insert_only", True, None)),
    "lookback": (1, _word("lookback", "2 days", None)),
    "reconcile": (1, _word("reconcile", True, None)),
    "replace_where": (1, _word("replace_where", "n < 5", "n < 1000", None)),
    "on_empty_source": (1, _word("on_empty_source", "allow", None)),
    "on_null_key": (1, _word("on_null_key", "quarantine", "null_safe", None)),
    "on_conflict": (1, _word("on_conflict", "latest", None)),
    "schema_evolution": (1, _word("schema_evolution", "fail", "drop_columns", None)),
    "first_version_from": (1, _word("first_version_from", "1990-01-01", None)),
}


def changed_row(dice: random.Random, row: Row, *, late: bool, first: bool = False) -> tuple[Row, str]:
    """The row with one thing changed, and which; what the generator refuses is not tried."""
    names = list(CHANGES)
    for _ in range(50):
        (name,) = dice.choices(names, weights=[weight for weight, _ in CHANGES.values()])
        if first and name == "pipeline":
            continue
        now = CHANGES[name][1](dice, row)
        if late and now.watermark != "arr":
            continue
        if now != row and now.is_sound():
            return now, name
    return row, "nothing"
