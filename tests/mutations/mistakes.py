"""Mistakes of which it is known what has to be said about them: where, and some of the words."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from generator.columns import BY_NAME, COLUMNS
from tests.mutations.draft import Draft

BUILT_IN = ("scd1", "scd2", "fact_overwrite", "fact_incremental_merge")
_TEXTS = tuple(column.name for column in COLUMNS if column.kind == "STRING" and column.name != "cdc_source_config")
_NAMES = ("dst_catalog", "dst_schema", "dst_table_name")
_HOSTILE = ("${x}", "${var.x}", "{{job.id}}", "{{x", "\a", "\x1b[31m", "\u2028", "\x7f", "\x85")
_BAD_NAMES = ("a b", "a.b", "a/b", "a\u200bb", "x" * 256, "x" * 100_000)


@dataclass(frozen=True, slots=True)
class Mistake:
    """What was done to a draft, and the problem that names it.

    `asks` says what the problem cannot be seen without: settings that can be read, or that are right.
    """

    name: str
    row: int
    column: str
    what: str
    asks: str = ""


Maker = Callable[[random.Random, Draft, int], Mistake | None]


def required(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    row = draft.rows[number - 1]
    column = chance.choice([column.name for column in COLUMNS if column.required])
    if draft.form == "yaml" and chance.random() < 0.5:
        del row[column]
    else:
        row[column] = chance.choice([None, ""]) if BY_NAME[column].kind == "STRING" else None
    return Mistake("required column gone", number, column, "required")


def flag_gone(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    if draft.form == "csv":
        return None
    del draft.rows[number - 1]["is_active_flag"]
    return Mistake("flag gone", number, "is_active_flag", "missing")


def wrong_type(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    column = chance.choice(list(BY_NAME))
    kinds: dict[str, list[Any]] = {
        "BOOLEAN": ["ja", "maybe", "2", *([2, [True]] if draft.form == "yaml" else [])],
        "INT": ["first", "1.5", *([True, [1], 1.5, {"a": 1}] if draft.form == "yaml" else [])],
        "ARRAY<STRING>": [
            "id region",
            "a,b;c",
            '{"a": 1}',
            "[1]",
            *([{"a": 1}, [1], [["a"]], 7] if draft.form == "yaml" else []),
        ],
        "STRING": [1, True, 1.5, ["a"], {"a": [1]}] if draft.form == "yaml" else [],
    }
    values = ["not json", "[1]", "5", '"a"'] if column == "cdc_source_config" else kinds[BY_NAME[column].kind]
    if not values:
        return None
    draft.rows[number - 1][column] = chance.choice(values)
    return Mistake("wrong type", number, column, "JSON" if column == "cdc_source_config" else "expected ")


def hostile(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    row, column = draft.rows[number - 1], chance.choice(_TEXTS)
    text = chance.choice(_HOSTILE)
    row[column] = f"{row[column] or ''}{text}"
    return Mistake("hostile text", number, column, "holds")


def hostile_condition(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    text = chance.choice(("a = '${x}'", "a = '{{x}}'", "a > 1) OR (b", "a -- b", "a /* b", "a; b", "(a", "'a"))
    return _config(draft, number, "hostile condition", "where", text, "holds" if "{" in text else "where")


def bad_name(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    name = chance.choice(_BAD_NAMES)
    column = chance.choice(_NAMES)
    draft.rows[number - 1][column] = name
    return Mistake("illegal name", number, column, "characters" if len(name) > 255 else "not a legal name")


def bad_layer(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    draft.rows[number - 1]["layer"] = chance.choice(["a b", "../up", "é", "x" * 101, "a\\b"])
    return Mistake("illegal layer", number, "layer", "cannot be the name")


def bad_load_type(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    row = draft.rows[number - 1]
    if row["execution_pipeline"] not in BUILT_IN:
        return None
    row["load_type"] = chance.choice(["incremantal", "Full Load", "delta", "x" * 1000])
    return Mistake("unknown load_type", number, "load_type", "expected full or incremental")


def unknown_pipeline(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    draft.rows[number - 1]["execution_pipeline"] = chance.choice(["scd_2", "scd-1", "notebok", "{", "x" * 1000])
    return Mistake("unknown pipeline", number, "execution_pipeline", "unknown", "settings")


def keys_gone(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    row = draft.rows[number - 1]
    keys = {"scd1": "business_key_columns", "scd2": "business_key_columns", BUILT_IN[3]: "primary_key_columns"}
    column = keys.get(row["execution_pipeline"])
    if column is None:
        return None
    row[column] = chance.choice([None, []])
    return Mistake("keys gone", number, column, "required for")


def odd_keys(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    listed, what = chance.choice([(["id", "ID"], "twice"), (["x" * 256], "not a column"), (["a", ""], "not a column")])
    draft.rows[number - 1]["business_key_columns"] = listed
    return Mistake("odd keys", number, "business_key_columns", what)


def odd_order(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    draft.rows[number - 1]["execution_order"] = chance.choice([0, -5, 2**31, 10**18, 10**400, "9" * 5000])
    return Mistake("order out of range", number, "execution_order", "expected an integer")


def huge_order(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    draft.rows[number - 1]["execution_order"] = int("9" * 4000)
    return Mistake("huge order", number, "execution_order", "expected an integer")


_CONFIGS: tuple[tuple[str, Any, str], ...] = (
    ("delete_mod", "hard", "unknown key 'delete_mod'"),
    ("", 1, "unknown key ''"),
    ("x" * 1000, 1, "unknown key"),
    ("source_mode", "sate", "source_mode"),
    ("lookback", "2 fortnights", "lookback"),
    ("lookback", 2, "lookback"),
    ("max_delete_ratio", 7, "max_delete_ratio"),
    ("max_delete_ratio", True, "max_delete_ratio"),
    ("on_missing", "soft", "on_missing"),
    ("expectations", {"expct": {}}, "unknown kind"),
    ("expectations", [], "expectations"),
    ("reconcile", "yes", "reconcile"),
    ("sequence_by", {"a": "b"}, "sequence_by"),
    ("column_list", ["a", "A"], "column_list"),
    ("first_version_from", "yesterday", "first_version_from"),
    ("cluster_by", ["a", "b", "c", "d", "e"], "cluster_by"),
    ("schema_evolution", "drop", "schema_evolution"),
)


def odd_config(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    return _config(draft, number, "odd configuration", *chance.choice(_CONFIGS))


def _config(draft: Draft, number: int, name: str, key: str, value: Any, what: str) -> Mistake | None:
    row = draft.rows[number - 1]
    if row["execution_pipeline"] not in BUILT_IN:
        return None
    row["cdc_source_config"] = {**(row["cdc_source_config"] or {}), key: value}
    return Mistake(name, number, "cdc_source_config", what)


def incremental_overwrite(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    row = draft.rows[number - 1]
    row |= {"execution_pipeline": "fact_overwrite", "load_type": "incremental"}
    return Mistake("incremental overwrite", number, "load_type", "reads the whole source")


def no_sql(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    row = draft.rows[number - 1]
    if row["execution_pipeline"] not in BUILT_IN:
        return None
    path, what = chance.choice([("../x.sql", "below"), ("/etc/x.sql", "below"), ("sql/none.sql", "no such file")])
    row["sql_file_path"] = path
    return Mistake("SQL file that is not there", number, "sql_file_path", what, "settings")


_BAD_SQL = ("", "-- nothing", "SELECT 1; SELECT 2", "DROP TABLE a.b.c", "SELECT 'a", "SELECT * FROM (", "SELECT {x}")


def bad_sql(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    row = draft.rows[number - 1]
    if row["execution_pipeline"] not in BUILT_IN:
        return None
    row["sql_file_path"] = f"sql/bad_{number}.sql"
    draft.sql[row["sql_file_path"]] = chance.choice(_BAD_SQL)
    return Mistake("bad SQL", number, "sql_file_path", "", "settings")


def second_row(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    row = draft.rows[number - 1]
    draft.rows.append({**row, "dst_table_name": row["dst_table_name"].upper()})
    return Mistake("second row for a table", len(draft.rows), "dst_table_name", "already")


def reserved_key(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    draft.rows[number - 1]["dst_table_name"] = chance.choice(["run_summary", "gate_1"])
    return Mistake("reserved key", number, "dst_table_name", "reserved", "right settings")


def odd_key(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    draft.rows[number - 1]["dst_table_name"] = chance.choice(["größe", "a+b", "x" * 101])
    return Mistake("illegal key", number, "dst_table_name", "task key", "right settings")


def unknown_column(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    if draft.form == "csv":
        return None
    column = chance.choice(["load_typ", "", "${x}", "comment s", "x" * 1000])
    draft.rows[number - 1][column] = chance.choice(["full", None, 1, []])
    return Mistake("unknown column", number, column, "unknown column")


def one_cell_more(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    if draft.form == "yaml":
        return None
    draft.wide.add(number)
    return Mistake("one cell more", number, "", "cells, the header has")


def key_twice(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    if draft.form == "csv":
        return None
    draft.doubled.add(number)
    return Mistake("key twice", 0, "", "key 'comment' stands twice")


def too_long(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    made = _config(draft, number, "too long for a task", "where", f"a = '{'x' * 12_000}'", "bytes")
    return Mistake(made.name, made.row, made.column, made.what, "right settings") if made else None


def own_source(chance: random.Random, draft: Draft, number: int) -> Mistake | None:
    row = draft.rows[number - 1]
    if row["execution_pipeline"] not in BUILT_IN or row["sql_file_path"]:
        return None
    row |= {f"src_{part}": row[f"dst_{part}"] for part in ("catalog", "schema", "table_name")}
    return Mistake("reads its own table", number, "src_table_name", "reads the table that it loads", "settings")


ROW_MAKERS: tuple[Maker, ...] = (
    required,
    flag_gone,
    wrong_type,
    hostile,
    hostile_condition,
    bad_name,
    bad_layer,
    bad_load_type,
    unknown_pipeline,
    keys_gone,
    odd_keys,
    odd_order,
    huge_order,
    odd_config,
    incremental_overwrite,
    no_sql,
    bad_sql,
    second_row,
    reserved_key,
    odd_key,
    unknown_column,
    one_cell_more,
    key_twice,
    too_long,
    own_source,
)
_LAYER = "layers.bronze_to_silver"
# path in the settings, value, path of the problem, words
WRONG_SETTINGS: tuple[tuple[tuple[str, ...], Any, str, str], ...] = (
    (("run_log",), "a.b", "run_log", "not a table's name"),
    (("catalogs", "extra"), "${var.x}", "catalogs.extra", "not the name of a bundle variable"),
    (("catalogs", "more"), "no_variable", "catalogs.more", "no variable"),
    (("layers", "bronze_to_silver", "task", "timeout_second"), 1, f"{_LAYER}.task.timeout_second", "no such field"),
    (("layers", "bronze_to_silver", "task", "max_retries"), "2h", f"{_LAYER}.task.max_retries", "an integer"),
    (("layers", "bronze_to_silver", "task", "run_if"), "ALL_DONE", f"{_LAYER}.task.run_if", "cannot be set"),
    (("layers", "bronze_to_silver", "compute"), "main", f"{_LAYER}.compute", "neither"),
    (("layers", "bronze_to_silver", "task_key"), "t", f"{_LAYER}.task_key", "same key"),
    (("layers", "silver_to_gold", "job", "tasks"), [], "layers.silver_to_gold.job.tasks", "generator writes"),
    (("layers", "silver_to_gold", "job", "parameters"), "x", "layers.silver_to_gold.job.parameters", "a list"),
    (("layers", "silver_to_gold", "job", "description"), "\a", "layers.silver_to_gold.job.description", "control"),
    (("runners", "scd1"), {"notebook_task": {"notebook_path": "x"}}, "runners.scd1", "loader of the wheel"),
    (("runners", "odd"), {}, "runners.odd", "exactly one task"),
    (("runners", "odd2"), {"sql_task": {}, "job_cluster_key": "x"}, "runners.odd2.job_cluster_key", "takes no"),
)
UNREADABLE_SETTINGS: tuple[tuple[tuple[str, ...], Any, str, str], ...] = (
    (("on_unknwon_pipeline",), "skip", "on_unknwon_pipeline", "unknown setting"),
    (("on_unknown_pipeline",), "skipp", "on_unknown_pipeline", "expected"),
    (("layers", "bronze_to_silver", "edge"), "gate", f"{_LAYER}.edge", "unknown setting"),
    (("layers", "silver_to_gold", "edges"), 1, "layers.silver_to_gold.edges", "expected"),
    (("layers", "silver_to_gold", "max_parallel_tasks"), "3", "layers.silver_to_gold.max_parallel_tasks", "integer"),
    (("run_log",), ["a"], "run_log", "string"),
    (("execution_table",), "rows\0.yml", "execution_table", "control characters"),
    (("catalogs",), "dev", "catalogs", "dictionary"),
    (("runners", "list"), [], "runners.list", "dictionary"),
)


def mistakes(chance: random.Random, draft: Draft) -> list[Mistake]:
    """Make one to five independent mistakes: each in a row or setting of its own, none of which hides another."""
    made: list[Mistake] = []
    numbers = chance.sample(range(1, len(draft.rows) + 1), chance.randint(1, 4))
    kind = chance.choice(["right", "right", "wrong", "unreadable"])
    if kind != "right":
        listed = WRONG_SETTINGS if kind == "wrong" else UNREADABLE_SETTINGS
        for path, value, column, what in chance.sample(listed, chance.randint(1, 2)):
            _put(draft.settings, path, value)
            made.append(Mistake(f"settings: {column}", 0, column, what))
    hidden = {"right": (), "wrong": ("right settings",), "unreadable": ("settings", "right settings")}[kind]
    for number in numbers:
        before = draft.rows[number - 1].copy(), len(draft.rows)
        found = chance.choice(ROW_MAKERS)(chance, draft, number)
        if found and found.asks in hidden:
            draft.rows[number - 1] = before[0]
            del draft.rows[before[1] :]
        elif found:
            made.append(found)
    return made


def _put(settings: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for step in path[:-1]:
        settings = settings.setdefault(step, {})
    settings[path[-1]] = value
