"""Histories that other tools kept become ours, whatever their columns are called, and go on under their old names."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pytest
from pyspark.sql.types import BooleanType, DateType, LongType, StringType, TimestampType

from laketasks.__main__ import main
from laketasks.adopt_history import guess_history
from laketasks.entry import adopt_table
from laketasks.error import TargetError
from laketasks.sql import micros
from tests.laketasks.warehouse import OPEN, T, Warehouse

ID = "id bigint, a string"
D1, D2, D3, D5 = (T(n).date() for n in (1, 2, 3, 5))


def day_before(moment: datetime) -> date:
    return T((moment - T(0)).days - 1).date()


@dataclass(frozen=True)
class Kept:
    """A history of another tool: key 1 has `a` from T1 to T2 and `b` since, key 2 has `x` from T1 to T3 and no more,
    key 3 has `z` since T2.
    """

    name: str
    columns: str
    rows: tuple[tuple[Any, ...], ...]
    options: dict[str, str]
    closed: tuple[Any, ...]  # what the old columns of the version that T5 closes are
    opened: tuple[Any, ...]  # and those of the one that it opens; ... for any value
    frozen: str


def second_before(n: float) -> datetime:
    return T(n - 1 / 86_400)


FAR = datetime.fromisoformat("2999-12-31T23:59:59+00:00")
LAST = datetime.fromisoformat("9999-12-31T00:00:00+00:00")
KEPT = [
    Kept(
        name="hand-written",
        columns=f"{ID}, start_date timestamp, end_date timestamp, is_current boolean",
        rows=(
            (1, "a", T(1), T(2), False),
            (1, "b", T(2), None, True),
            (2, "x", T(1), T(3), False),
            (3, "z", T(2), None, True),
        ),
        options={"valid_from": "start_date", "valid_to": "end_date"},
        closed=(T(2), T(5), False),
        opened=(T(5), None, True),
        frozen="start_date, end_date",
    ),
    Kept(
        name="inclusive days, a flag of letters, a numbered key",
        columns=f"sk bigint, {ID}, effective_from date, effective_to date, current_flag string",
        rows=(
            (11, 1, "a", D1, D1, "N"),
            (12, 1, "b", D2, date(9999, 12, 31), "Y"),
            (13, 2, "x", D1, D2, "N"),
            (14, 3, "z", D2, date(9999, 12, 31), "Y"),
        ),
        options={
            "valid_from": "effective_from",
            "valid_to": "date_add(nullif(effective_to, DATE '9999-12-31'), 1)",
        },
        closed=(12, D2, day_before(T(5)), "N"),
        opened=(..., D5, date(9999, 12, 31), "Y"),
        frozen="sk, effective_from, effective_to, current_flag",
    ),
    Kept(
        name="AUTO CDC",
        columns=f"{ID}, __START_AT timestamp, __END_AT timestamp",
        rows=((1, "a", T(1), T(2)), (1, "b", T(2), None), (2, "x", T(1), T(3)), (3, "z", T(2), None)),
        options={"valid_from": "__START_AT", "valid_to": "__END_AT"},
        closed=(T(2), T(5)),
        opened=(T(5), None),
        frozen="__START_AT, __END_AT",
    ),
    Kept(
        name="our names, other types",
        columns=f"{ID}, valid_from date, valid_to date, is_current int",
        rows=((1, "a", D1, D2, 0), (1, "b", D2, None, 1), (2, "x", D1, D3, 0), (3, "z", D2, None, 1)),
        options={"valid_from": "valid_from_before", "valid_to": "valid_to_before"},
        closed=(D2, D5, 0),
        opened=(D5, None, 1),
        frozen="valid_from, valid_to, is_current",
    ),
    Kept(
        name="inclusive seconds, an end in 2999",
        columns=f"{ID}, EffStartDt timestamp, EffEndDt timestamp, rowIsCurrent string, version_no int",
        rows=(
            (1, "a", T(1), second_before(2), "No", 1),
            (1, "b", T(2), FAR, "Yes", 2),
            (2, "x", T(1), second_before(3), "No", 1),
            (3, "z", T(2), FAR, "Yes", 1),
        ),
        options={
            "valid_from": "EffStartDt",
            "valid_to": "nullif(EffEndDt, TIMESTAMP '2999-12-31 23:59:59+00:00') + INTERVAL 1 SECOND",
        },
        closed=(T(2), second_before(5), "No", 2),
        opened=(T(5), FAR, "Yes", 3),
        frozen="EffStartDt, EffEndDt, rowIsCurrent, version_no",
    ),
    Kept(
        name="a temporal table",
        columns=f"{ID}, row_start timestamp, row_end timestamp",
        rows=((1, "a", T(1), T(2)), (1, "b", T(2), LAST), (2, "x", T(1), T(3)), (3, "z", T(2), LAST)),
        options={"valid_from": "row_start", "valid_to": "row_end"},
        closed=(T(2), T(5)),
        opened=(T(5), LAST),
        frozen="row_start, row_end",
    ),
    Kept(
        name="dbt",
        columns=f"{ID}, dbt_scd_id string, dbt_updated_at timestamp, dbt_valid_from timestamp, dbt_valid_to timestamp",
        rows=(
            (1, "a", "h1", T(1), T(1), T(2)),
            (1, "b", "h2", T(2), T(2), None),
            (2, "x", "h3", T(1), T(1), T(3)),
            (3, "z", "h4", T(2), T(2), None),
        ),
        options={"valid_from": "dbt_valid_from", "valid_to": "dbt_valid_to"},
        closed=("h2", T(2), T(2), T(5)),
        opened=(..., T(5), T(5), None),
        frozen="dbt_scd_id, dbt_updated_at, dbt_valid_from, dbt_valid_to",
    ),
]


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: kept.name)
def test_a_history_goes_on_under_both_names(
    warehouse: Warehouse, kept: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command of the refusal takes it over; a load is right in our columns, and in the old ones by the view."""
    foreign(warehouse, kept.columns, *kept.rows)
    today = kept_values(warehouse, warehouse.target, kept)
    warehouse.source(f"{ID}, seq timestamp", (1, "c", T(5)), (3, "z", T(2)))
    with pytest.raises(TargetError) as refused:
        warehouse.load("scd2", sequence_by="seq")
    command = re.search(r"python -m laketasks (adopt .*?)\. In a workspace", str(refused.value))
    assert command, refused.value
    arguments = shlex.split(command[1])
    assert {f"--{name}={value}" for name, value in kept.options.items()} <= set(arguments)
    assert main([*arguments, "--dry_run=false"]) == 0
    said = capsys.readouterr().out
    assert f"no load fills {kept.frozen}: " in said
    assert warehouse.history("a", "is_deleted", "deleted_at") == [
        (1, "a", False, None, "T1", "T2", "N"),
        (1, "b", False, None, "T2", OPEN, "Y"),
        (2, "x", False, None, "T1", "T3", "N"),
        (3, "z", False, None, "T2", OPEN, "Y"),
    ]
    assert warehouse.rows("id", "_sequence") == [(1, "T1"), (1, "T2"), (2, "T1"), (3, "T2")]
    view = view_of(said)
    assert kept_values(warehouse, f"({view})", kept) == today
    row = warehouse.load("scd2", sequence_by="seq")
    assert (row["changed"], row["unchanged"], row["new"]) == (1, 1, 0)
    after = kept_values(warehouse, f"({view})", kept)
    old = [name for name in names_of(kept) if name not in ("id", "a")]
    (closed,) = [row for row in after if (row["id"], row["a"]) == (1, "b")]
    (opened,) = [row for row in after if (row["id"], row["a"]) == (1, "c")]
    for found, expected in ((closed, kept.closed), (opened, kept.opened)):
        for name, value in zip(old, expected, strict=True):
            assert value is ... or found[name] == plain(value), (name, found)
    others = [row for row in after if (row["id"], row["a"]) not in ((1, "b"), (1, "c"))]
    assert others == [row for row in today if (row["id"], row["a"]) != (1, "b")]
    for name in old:
        if "sk" in name or "scd_id" in name:
            assert len({row[name] for row in after} - {None}) == len(after)


def foreign(warehouse: Warehouse, columns: str, *rows: tuple[Any, ...]) -> None:
    """A target that another tool has filled; a date is written as its text."""
    kinds = columns.replace(" date", " string")
    warehouse.source(kinds, *(tuple(str(v) if type(v) is date else v for v in row) for row in rows), name="foreign")
    parts = [part.rsplit(" ", 1) for part in columns.split(", ")]
    select = [f"cast({name} AS DATE) AS {name}" if kind == "date" else name for name, kind in parts]
    frame = warehouse.spark.table(warehouse.bronze_table("foreign")).selectExpr(*select)
    frame.write.format("delta").saveAsTable(warehouse.target)


def names_of(kept: Kept) -> list[str]:
    return [part.rsplit(" ", 1)[0] for part in kept.columns.split(", ")]


def kept_values(warehouse: Warehouse, table: str, kept: Kept) -> list[dict[str, Any]]:
    """The rows under the old names; instants as microseconds."""
    kinds = dict(part.rsplit(" ", 1) for part in kept.columns.split(", "))
    select = ", ".join(f"unix_micros({n}) AS {n}" if kind == "timestamp" else n for n, kind in kinds.items())
    found = warehouse.spark.sql(f"SELECT {select} FROM {table}").collect()
    return sorted((row.asDict() for row in found), key=lambda row: (row["id"], row["a"]))


def plain(value: Any) -> Any:
    return micros(value) if isinstance(value, datetime) else value


def view_of(said: str) -> str:
    (view,) = re.findall(r"^ *(SELECT .* FROM .*)$", said, re.MULTILINE)
    return str(view)


@pytest.mark.parametrize("given", [{"valid_to": "until"}, {}], ids=["said", "guessed"])
def test_an_inclusive_end_is_recognised(
    warehouse: Warehouse, given: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Said to be exclusive it is refused, with the expression to use; a guess is that expression."""
    columns = f"{ID}, since date, until date"
    foreign(warehouse, columns, (1, "a", D1, D2), (1, "b", D3, D3), (1, "c", T(4).date(), None), (2, "x", D1, None))
    commits = warehouse.commits()
    inclusive = r"begin 1 DAY after the end of the one before, and valid_to is exclusive; use --valid_to='date_add\("
    if given:
        with pytest.raises(TargetError, match=inclusive):
            adopt(warehouse, valid_from="since", **given)
        assert warehouse.commits() == commits
    adopt(warehouse, valid_from="since", valid_to="date_add(until, 1)")
    assert warehouse.history("a") == [
        (1, "a", "T1", "T3", "N"),
        (1, "b", "T3", "T4", "N"),
        (1, "c", "T4", OPEN, "Y"),
        (2, "x", "T1", OPEN, "Y"),
    ]


@pytest.mark.parametrize(
    ("pipeline", "columns", "sequence", "asked"),
    [
        ("scd1", "id bigint, a string, seq timestamp", "T5", {}),
        ("scd1", "id bigint, a string, changed timestamp", "T5", {"sequence": "changed"}),
        ("fact_incremental_merge", "id bigint, a string, seq timestamp", "T5", {}),
        ("scd2", "id bigint, a string, start_date timestamp, end_date timestamp", "T5", {}),
        ("scd2", "id bigint, a string, seq timestamp, start_date timestamp, end_date timestamp", "T4", {}),
    ],
)
def test_an_older_state_is_stale(
    warehouse: Warehouse, pipeline: str, columns: str, sequence: str, asked: dict[str, str]
) -> None:
    values = {"id": 1, "a": "new", "seq": T(4 if "start" in columns else 5), "changed": T(5), "start_date": T(5)}
    names = [part.split(" ")[0] for part in columns.split(", ")]
    foreign(warehouse, columns, tuple(values.get(name) for name in names))
    warehouse.source(f"{ID}, seq timestamp", (1, "old", T(3)))
    adopt(warehouse, pipeline, **asked)
    assert warehouse.rows("id", "_sequence") == [(1, sequence)]
    assert warehouse.load(pipeline, sequence_by="seq")["stale"] == 1
    assert warehouse.rows("a") == [("new",)]
    warehouse.source(f"{ID}, seq timestamp", (1, "newer", T(6)))
    assert warehouse.load(pipeline, sequence_by="seq")["changed"] == 1


def test_a_sequence_of_several_columns_has_the_type_that_the_loader_stores(warehouse: Warehouse) -> None:
    columns = "id bigint, a string, seq timestamp, n bigint"
    foreign(warehouse, columns, (1, "new", T(5), 2))
    warehouse.source(columns.replace("n bigint", "n int"), (1, "old", T(5), 1))
    config: dict[str, Any] = {"sequence_by": ["seq", "n"]}
    adopt_table({**warehouse.parameters("scd1", **config), "dry_run": "false"})
    assert warehouse.load("scd1", **config)["stale"] == 1


def test_no_command_lacks_what_it_needs(warehouse: Warehouse) -> None:
    """Where the columns do not tell, the command says what is to be filled in, and no SQL is printed."""
    foreign(warehouse, f"{ID}, one timestamp, other timestamp", (1, "a", T(1), None))
    warehouse.source(f"{ID}, seq timestamp", (1, "a", T(1)))
    with pytest.raises(TargetError) as refused:
        warehouse.load("scd2", sequence_by="seq")
    said = str(refused.value)
    assert "--valid_from='<SQL over its columns>' --valid_to='<SQL over its columns>'" in said
    assert not re.search(r"UPDATE|ALTER", said)


@pytest.mark.parametrize("pipeline", ["scd1", "scd2", "fact_incremental_merge"])
def test_a_foreign_table_without_the_key(warehouse: Warehouse, pipeline: str) -> None:
    foreign(warehouse, "code bigint, a string, start_date timestamp, end_date timestamp", (1, "a", T(1), None))
    warehouse.source(f"{ID}, seq timestamp", (1, "a", T(1)))
    sentence = "it has no column id, which the row names as a key"
    warehouse.refuses(pipeline, TargetError, sentence, sequence_by="seq")
    with pytest.raises(TargetError, match=sentence):
        adopt(warehouse, pipeline)


def test_columns_of_the_source_are_no_bounds_of_a_version(warehouse: Warehouse) -> None:
    """A contract has a start and an end of its own."""
    columns = f"{ID}, start_date timestamp, end_date timestamp, load_start timestamp, load_end timestamp"
    foreign(warehouse, columns, (1, "a", T(8), T(9), T(1), None))
    warehouse.source(f"{ID}, start_date timestamp, end_date timestamp, seq timestamp", (1, "b", T(8), T(9), T(5)))
    adopt(warehouse)
    warehouse.load("scd2", sequence_by="seq")
    assert warehouse.history("a", "start_date") == [(1, "a", "T8", "T1", "T5", "N"), (1, "b", "T8", "T5", OPEN, "Y")]


def test_a_flag_that_contradicts_the_ends(warehouse: Warehouse) -> None:
    columns = f"{ID}, start_date timestamp, end_date timestamp, current_flag string"
    foreign(warehouse, columns, (1, "a", T(1), T(2), "Y"), (2, "b", T(1), None, "Y"))
    warehouse.source(f"{ID}, seq timestamp", (1, "a", T(1)))
    with pytest.raises(
        TargetError, match=r"1 keys have versions whose current_flag says another thing.*such as \(1,\)"
    ):
        adopt(warehouse)


@pytest.mark.parametrize("pipeline", ["scd1", "fact_incremental_merge"])
def test_a_soft_delete_that_comes_later_flags_every_row(warehouse: Warehouse, pipeline: str) -> None:
    """`WHERE NOT is_deleted` finds the rows from before the table had the column."""
    warehouse.source(f"{ID}, seq timestamp", (1, "a", T(1)), (2, "b", T(1)), (3, "c", T(1)))
    warehouse.load(pipeline, sequence_by="seq")
    warehouse.source(f"{ID}, seq timestamp, op string", (1, "a", T(1), "U"), (2, "b", T(2), "D"), (3, "c", T(1), "U"))
    config = {"sequence_by": "seq", "apply_as_deletes": "op = 'D'", "except_column_list": ["op"]}
    row = warehouse.load(pipeline, **config)
    assert warehouse.rows("id", "is_deleted") == [(1, False), (2, True), (3, False)]
    assert (row["deleted"], row["rows_updated"]) == (1, 3)


def test_rows_inserted_by_hand_are_taken_over(warehouse: Warehouse) -> None:
    """In a history their beginning is given, or stands in the row."""
    warehouse.source(f"{ID}, seq timestamp", (1, "a", T(1)))
    warehouse.load("scd2", sequence_by="seq")
    table = warehouse.spark.table(warehouse.target)
    given = {"id": "7L", "a": "'x'", "seq": f"timestamp_micros({micros(T(2))})"}
    by_hand = (f"cast({given.get(name, 'NULL')} AS {kind}) AS {name}" for name, kind in table.dtypes)
    warehouse.spark.range(1).selectExpr(*by_hand).write.format("delta").mode("append").saveAsTable(warehouse.target)
    warehouse.source(f"{ID}, seq timestamp", (1, "b", T(3)), (7, "y", T(4)))
    warehouse.refuses("scd2", TargetError, r"1 rows were not written by a loader.*laketasks adopt", sequence_by="seq")
    with pytest.raises(TargetError, match="1 keys have versions without a beginning"):
        adopt(warehouse)
    adopt(warehouse, valid_from="seq")
    warehouse.load("scd2", sequence_by="seq")
    assert warehouse.history("a", "is_deleted") == [
        (1, "a", False, "T1", "T3", "N"),
        (1, "b", False, "T3", OPEN, "Y"),
        (7, "x", False, "T2", "T4", "N"),
        (7, "y", False, "T4", OPEN, "Y"),
    ]


def test_a_type_1_table_of_ours_becomes_a_history(warehouse: Warehouse) -> None:
    """Each row is a version since its sequence; a deleted one ends when it was deleted."""
    source = f"{ID}, seq timestamp, op string"
    config = {"sequence_by": "seq", "apply_as_deletes": "op = 'D'"}
    warehouse.source(source, (1, "a", T(1), "U"), (2, "b", T(1), "U"))
    warehouse.load("scd1", **config)
    warehouse.source(source, (1, "a", T(1), "U"), (2, "b", T(3), "D"))
    warehouse.load("scd1", **config)
    warehouse.source(source, (1, "c", T(5), "U"), (2, "b", T(3), "D"))
    warehouse.refuses(
        "scd2", TargetError, r"have no versions.*python -m laketasks adopt --execution_pipeline", **config
    )
    adopt_table({**warehouse.parameters("scd2", **config), "dry_run": "false"})
    warehouse.load("scd2", **config)
    history = [row for row in warehouse.history("a", "is_deleted") if row[0] == 1]
    assert history == [(1, "a", False, "T1", "T5", "N"), (1, "c", False, "T5", OPEN, "Y")]
    (gone,) = [row for row in warehouse.table() if row["id"] == 2]
    assert (gone["is_current"], gone["is_deleted"], gone["valid_to"]) == (False, True, gone["deleted_at"])


def test_a_surrogate_key_of_numbers_is_refused_before_a_load_is(warehouse: Warehouse) -> None:
    foreign(warehouse, f"sk bigint, {ID}", (11, 1, "a"))
    warehouse.source(f"{ID}, seq timestamp", (1, "a", T(1)))
    with pytest.raises(TargetError, match=r"its sk is bigint, .* name a new column in primary_key_columns"):
        adopt_table({**warehouse.parameters("scd1", sequence_by="seq", surrogate=["sk"]), "dry_run": "false"})


def test_a_killed_adoption_is_done_again(warehouse: Warehouse) -> None:
    """Killed between the columns and their values; the table's own valid_to is not taken for ours."""
    columns = f"{ID}, valid_from timestamp, valid_to timestamp, is_current boolean"
    rows = [(1, "a", T(1), second_before(2), False), (1, "b", T(2), None, True), (2, "x", T(1), None, True)]
    foreign(warehouse, columns, *rows)
    for name, kind in (("_loaded_at", "timestamp"), ("_updated_at", "timestamp"), ("_job_run_id", "string")):
        empty = (
            warehouse.spark.table(warehouse.target).where("false").selectExpr("*", f"cast(NULL AS {kind}) AS {name}")
        )
        empty.write.format("delta").mode("append").option("mergeSchema", "true").saveAsTable(warehouse.target)
    warehouse.source(f"{ID}, seq timestamp", (1, "b", T(2)))
    warehouse.refuses("scd2", TargetError, "python -m laketasks adopt", sequence_by="seq")
    adopt(warehouse)
    assert warehouse.history("a") == [(1, "a", "T1", "T2", "N"), (1, "b", "T2", OPEN, "Y"), (2, "x", "T1", OPEN, "Y")]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("id, start_date, end_date", ("start_date", "end_date")),
        ("id, effective_from, effective_to", ("effective_from", "effective_to")),
        ("id, eff_start_dt, eff_end_dt", ("eff_start_dt", "eff_end_dt")),
        ("id, EffectiveDate, ExpirationDate", ("EffectiveDate", "ExpirationDate")),
        ("id, SysStartTime, SysEndTime", ("SysStartTime", "SysEndTime")),
        ("id, start_date, end_date, dbt_valid_from, dbt_valid_to", ("dbt_valid_from", "dbt_valid_to")),
        ("id, start_date, end_date, from_date, to_date", ("", "")),
        ("id, created_at, updated_at", ("", "")),
        ("id, start_date", ("", "")),
    ],
)
def test_which_columns_bound_a_version(columns: str, expected: tuple[str, str]) -> None:
    found = guess_history({name: TimestampType() for name in columns.split(", ")})
    assert (found.valid_from, found.valid_to) == expected


def test_one_column_marks_the_current_version() -> None:
    kinds = {"is_current": BooleanType(), "current_flag": StringType(), "row_is_current": LongType()}
    for name, kind in kinds.items():
        assert guess_history({name: kind, "a": DateType()}).flag == name
    assert not guess_history(kinds).flag


def adopt(warehouse: Warehouse, pipeline: str = "scd2", **asked: str) -> None:
    adopt_table({**warehouse.parameters(pipeline, sequence_by="seq"), "dry_run": "false", **asked})


def test_the_view_is_made_with_the_adoption(warehouse: Warehouse) -> None:
    columns = f"{ID}, start_date timestamp, end_date timestamp, is_current boolean"
    foreign(warehouse, columns, (1, "a", T(1), T(2), False), (1, "b", T(2), None, True))
    warehouse.source(f"{ID}, seq timestamp", (1, "c", T(5)))
    with pytest.raises(TargetError, match="expected a name other than the table's"):
        adopt(warehouse, view="{table}")
    adopt(warehouse, view="{table}_before")
    warehouse.load("scd2", sequence_by="seq")
    columns = "a, unix_micros(start_date), unix_micros(end_date), is_current"
    rows = warehouse.spark.sql(f"SELECT {columns} FROM {warehouse.target}_before ORDER BY a").collect()
    assert [tuple(row) for row in rows] == [
        ("a", micros(T(1)), micros(T(2)), False),
        ("b", micros(T(2)), micros(T(5)), False),
        ("c", micros(T(5)), None, True),
    ]
