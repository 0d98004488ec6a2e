"""Facts by the cases: full overwrite and incremental merge; the numbers are those of the list of cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException

from laketasks.entry import load_table
from laketasks.error import GuardError, SchemaError, SourceError
from tests.laketasks.cases import Case, Group, Played, check_counts, every_case, every_count, step
from tests.laketasks.warehouse import T, Warehouse

Play = Callable[[Group], Played]

AB = "id bigint, a string"
ARRIVING = "id bigint, a string, ts timestamp"
INCREMENTAL: dict[str, Any] = {"load_type": "incremental", "watermark": "ts", "sequence_by": "ts"}

OVERWRITE = Group("overwrite", "fact_overwrite", AB, ("id", "a"))
OVERWRITE.case(
    "104 what is gone goes",
    step([(1, "a"), (2, "b")], [(1, "a"), (2, "b")], new=2),
    step([(2, "b"), (3, "c")], [(2, "b"), (3, "c")], new=1, unchanged=1),
)
OVERWRITE.case(
    "equal rows count as often as they come",
    step([(1, "a"), (1, "a"), (2, None)], [(1, "a"), (1, "a"), (2, None)], new=3),
    step([(1, "a"), (2, None), (2, None)], [(1, "a"), (2, None), (2, None)], new=1, unchanged=2),
)

# One watermark for all: T5 after the first step. The third step reads from T3 on, the fourth writes the table anew.
ARRIVALS = Group(
    "arrivals",
    "fact_incremental_merge",
    ARRIVING,
    ("id", "a"),
    {"watermark": "ts", "sequence_by": "ts"},
    load_type="incremental",
    contexts={2: {"reload_from": T(3).isoformat()}, 3: {"full_refresh": "target"}},
)
EARLY = [(1, "a", T(4)), (2, "b", T(5))]
LATE = [*EARLY, (3, "late commit", T(5))]
ARRIVALS.case(
    "112 the watermark is read again",
    step(EARLY, [(1, "a"), (2, "b")], new=2),
    step(LATE, [(1, "a"), (2, "b"), (3, "late commit")], new=1, unchanged=1),
    step(LATE, [(1, "a"), (2, "b"), (3, "late commit")], unchanged=3),
    step(EARLY[:1], [(1, "a")], new=1),
)
ARRIVALS.case(
    "117 118 what was loaded stays though the source lost it",
    step([(1, "a", T(1)), (2, "b", T(2))], [(1, "a"), (2, "b")], new=2),
    step([(1, "a", T(1))], [(1, "a"), (2, "b")], new=0),
    step([(1, "a", T(1))], [(1, "a"), (2, "b")], new=0),
    step([(1, "c", T(1))], [(1, "c")], new=1),
)
RELOADED = [(1, "a", T(1)), (2, "b", T(2)), (3, "c", T(3))]
ARRIVALS.case(
    "119 reload_from goes back, full_refresh to the beginning",
    step(RELOADED, [(1, "a"), (2, "b"), (3, "c")], new=3),
    step(RELOADED, [(1, "a"), (2, "b"), (3, "c")], new=0),
    step(RELOADED, [(1, "a"), (2, "b"), (3, "c")], unchanged=1),
    step(RELOADED[:1], [(1, "a")], new=1),
)
MANY = [(i, "a", T(5)) for i in range(1000)]
THREE = MANY[:10] + [(i, "b", T(5)) for i in range(10, 13)] + MANY[13:]
ARRIVALS.case(
    "120 only what differs is written",
    step(MANY, None, new=1000),
    step(THREE, [row[:2] for row in THREE], changed=3, unchanged=997),
    step(THREE, [row[:2] for row in THREE], unchanged=1000),
    step([(1, "a", T(4))], [(1, "a")], new=1),
)

LOOKBACK = replace(ARRIVALS, name="lookback", config={**ARRIVALS.config, "lookback": "1 hour"}, contexts={}, cases=[])
LOOKBACK.case(
    "113 late within the lookback",
    step([(1, "a", T(5))], [(1, "a")], new=1),
    step(
        [(1, "a", T(5)), (2, "in", T(5) - timedelta(minutes=30)), (3, "out", T(5) - timedelta(hours=2))],
        [(1, "a"), (2, "in")],
        new=1,
        unchanged=1,
    ),
)

INSERT_ONLY = {
    mode: replace(
        ARRIVALS,
        name=f"insert_only {mode}",
        columns="id bigint, a string, gone boolean, ts timestamp",
        config={
            **ARRIVALS.config,
            "insert_only": True,
            "delete_mode": mode,
            "apply_as_deletes": "gone",
            "except_column_list": ["gone"],
        },
        contexts={},
        cases=[],
    )
    for mode in ("hard", "ignore")
}
for mode, group in INSERT_ONLY.items():
    applied = mode == "hard"
    group.case(
        "124 known keys stay, new ones come, deletes as configured",
        step([(1, "a", False, T(1)), (3, "d", False, T(1))], [(1, "a"), (3, "d")], new=2),
        step(
            [(1, "b", False, T(2)), (2, "c", False, T(2)), (3, None, True, T(2))],
            [(1, "a"), (2, "c")] if applied else [(1, "a"), (2, "c"), (3, "d")],
            new=1,
            **({"ignored": 1, "deleted": 1} if applied else {"ignored": 2}),
        ),
    )

GROUPS = (OVERWRITE, ARRIVALS, LOOKBACK, *INSERT_ONLY.values())


@every_case(*GROUPS)
def test_facts(played: Play, group: Group, case: Case) -> None:
    played(group).check(case)


@every_count(*GROUPS)
def test_126_the_counts_of_a_group_are_those_of_its_cases(played: Play, group: Group) -> None:
    check_counts(played(group))


def test_104_the_effects_of_an_overwrite(played: Play) -> None:
    assert [played(OVERWRITE).counts[1][effect] for effect in ("rows_inserted", "rows_deleted")] == [2, 2]


def test_112_118_119_watermarks(played: Play) -> None:
    """The first read is full, later ones start at the last, a refresh starts anew."""
    marks = [(counts["watermark_from"], counts["watermark_to"]) for counts in played(ARRIVALS).counts]
    t3, t4, t5 = (f"2024-01-0{day}T00:00:00.000000Z" for day in (4, 5, 6))
    assert marks == [(None, t5), (t5, t5), (t3, t5), (None, t4)]


def test_120_effects(played: Play) -> None:
    assert [played(ARRIVALS).counts[1][effect] for effect in ("rows_inserted", "rows_updated")] == [1, 3]


def merge(warehouse: Warehouse, *rows: tuple[Any, ...], **config: Any) -> dict[str, Any]:
    warehouse.source(ARRIVING, *rows)
    return warehouse.load("fact_incremental_merge", **INCREMENTAL, **config)


def test_105_an_empty_source_is_refused(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"))
    warehouse.load("fact_overwrite")
    warehouse.source(AB)
    warehouse.refuses("fact_overwrite", GuardError, "the source is empty")
    warehouse.load("fact_overwrite", on_empty_source="allow")
    assert warehouse.rows("id") == []


def test_106_a_failing_query_leaves_the_old_rows(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, a string", (1, "1"))
    warehouse.load("fact_overwrite")
    commits = warehouse.commits()
    warehouse.source("id bigint, a string", (1, "1"), (2, "x"))
    sql = warehouse.workspace / "broken.sql"
    source = f"{{bronze_catalog}}.{warehouse.bronze[1]}.source"
    sql.write_text(f"SELECT id, cast(cast(a AS INT) AS STRING) AS a FROM {source}")
    with pytest.raises(Exception, match=r"(?i)cast"):
        warehouse.load("fact_overwrite", sql_file_path=str(sql))
    assert warehouse.commits() == commits
    assert warehouse.rows("id", "a") == [(1, "1")]
    assert warehouse.last_row()["error_class"]


@pytest.fixture
def dynamic_partitions(warehouse: Warehouse) -> Iterator[Warehouse]:
    name = "spark.sql.sources.partitionOverwriteMode"
    warehouse.spark.conf.set(name, "dynamic")
    yield warehouse
    warehouse.spark.conf.unset(name)


def test_107_old_partitions_go_in_dynamic_partition_mode(dynamic_partitions: Warehouse) -> None:
    warehouse = dynamic_partitions
    system = "_loaded_at timestamp, _updated_at timestamp, _job_run_id string"
    warehouse.spark.sql(
        f"CREATE TABLE {warehouse.target} (id bigint, a string, {system}) USING delta PARTITIONED BY (a)"
    ).collect()
    warehouse.source(AB, (1, "x"), (2, "y"))
    warehouse.load("fact_overwrite")
    assert {path.name for path in warehouse.target_folder.glob("a=*")} == {"a=x", "a=y"}
    warehouse.source(AB, (3, "y"))
    warehouse.load("fact_overwrite")
    assert warehouse.rows("id", "a") == [(3, "y")]


def test_109_columns_go_by_name(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, a string, b string", (1, "a", "b"))
    warehouse.load("fact_overwrite")
    warehouse.source("b string, id bigint, c string, a string", ("y", 1, "new", "x"))
    warehouse.load("fact_overwrite")
    assert warehouse.rows("id", "a", "b", "c") == [(1, "x", "y", "new")]
    warehouse.source("id bigint, d string", (1, "x"))
    warehouse.refuses("fact_overwrite", SchemaError, "d is new in the source", schema_evolution="fail")


def test_109_columns_are_dropped_only_when_asked(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, a string, b string", (1, "a", "b"))
    warehouse.load("fact_overwrite")
    warehouse.source(AB, (1, "a"))
    warehouse.load("fact_overwrite")
    assert warehouse.rows("id", "a", "b") == [(1, "a", "b")]
    with pytest.raises(SchemaError, match="b cannot be dropped while replace_where"):
        warehouse.load("fact_overwrite", schema_evolution="drop_columns", replace_where="id = 1")
    warehouse.load("fact_overwrite", schema_evolution="drop_columns")
    assert "b" not in warehouse.spark.table(warehouse.target).columns
    assert warehouse.rows("id", "a") == [(1, "a")]


def test_111_a_source_that_reads_the_target_itself(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"))
    warehouse.load("fact_overwrite")
    sql = warehouse.workspace / "self.sql"
    sql.write_text(f"SELECT id + 1 AS id, a FROM {{silver_catalog}}.{warehouse.silver[1]}.target")
    warehouse.load("fact_overwrite", sql_file_path=str(sql), twice=False)
    assert warehouse.rows("id", "a") == [(2, "a")]


def test_overwrite_with_a_key_refuses_doubles(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"), (1, "b"))
    warehouse.refuses("fact_overwrite", GuardError, "come more than once", keys=["id"])


def test_replace_where_limits_the_overwrite(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"), (2, "b"), (3, "c"))
    warehouse.load("fact_overwrite")
    warehouse.source(AB, (3, "z"), (4, "d"))
    row = warehouse.load("fact_overwrite", replace_where="id >= 3")
    assert warehouse.rows("id", "a") == [(1, "a"), (2, "b"), (3, "z"), (4, "d")]
    assert (row["new"], row["rows_deleted"]) == (2, 1)
    warehouse.source(AB, (2, "outside"), (3, "z"))
    warehouse.refuses(
        "fact_overwrite", GuardError, "1 rows of the source lie outside replace_where", replace_where="id >= 3"
    )


def test_116_null_watermarks(warehouse: Warehouse) -> None:
    merge(warehouse, (1, "a", T(1)))
    warehouse.source(ARRIVING, (1, "a", T(1)), (2, "b", None))
    warehouse.refuses("fact_incremental_merge", GuardError, "1 rows without a sequence or watermark", **INCREMENTAL)
    row = warehouse.load("fact_incremental_merge", **INCREMENTAL, on_null_sequence="include")
    assert row["new"] == 1
    row = merge(warehouse, (1, "a", T(1)), (3, "b", None), on_null_sequence="exclude")
    assert (row["new"], row["dropped"]) == (0, 1)


def test_117_nothing_new_commits_nothing_and_keeps_the_watermark(warehouse: Warehouse) -> None:
    merge(warehouse, (1, "a", T(1)), (2, "b", T(2)))
    commits = warehouse.commits()
    warehouse.source(ARRIVING, (1, "a", T(1)))
    row = warehouse.load("fact_incremental_merge", **INCREMENTAL)
    assert (row["read"], row["watermark_to"]) == (0, "2024-01-03T00:00:00.000000Z")
    assert warehouse.commits() == commits


def test_120_files_without_changes_are_not_rewritten(warehouse: Warehouse) -> None:
    for night in range(4):
        warehouse.source(ARRIVING, *[(100 * night + i, "a", T(night)) for i in range(10)])
        warehouse.load("fact_incremental_merge", **INCREMENTAL)
    files = warehouse.files()
    assert len(files) >= 4, "every night has written files of its own"
    warehouse.source(ARRIVING, (305, "changed", T(9)))
    warehouse.load("fact_incremental_merge", **INCREMENTAL)
    live = {Path(row[0]).name for row in _live_files(warehouse)}
    assert files < live, "a deletion vector takes the row out of its file, which stays as it is"


def test_a_target_that_somebody_changed_is_made_good_from_all_of_the_source(warehouse: Warehouse) -> None:
    rows = [(1, "a", T(1)), (2, "b", T(2)), (3, "c", T(3))]
    merge(warehouse, *rows)
    warehouse.spark.sql(f"DELETE FROM {warehouse.target} WHERE id > 1").collect()
    row = merge(warehouse, *rows)
    assert (row["watermark_from"], row["new"]) == (None, 2)
    warehouse.spark.sql(f"DELETE FROM {warehouse.target} WHERE id = 1").collect()  # behind the highest watermark, too
    assert merge(warehouse, *rows)["new"] == 1
    assert merge(warehouse, *rows)["watermark_from"] == "2024-01-04T00:00:00.000000Z"


def test_a_watermark_in_the_future_is_refused(warehouse: Warehouse) -> None:
    warehouse.source(ARRIVING, (1, "a", T(2000)))
    warehouse.refuses("fact_incremental_merge", GuardError, "more than a day in the future", **INCREMENTAL)


def test_a_missing_column_is_named(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"))
    warehouse.refuses("fact_incremental_merge", SourceError, "idd; did you mean id", keys=["idd"])


def _live_files(warehouse: Warehouse) -> list[tuple[str]]:
    import deltalake

    table = deltalake.DeltaTable(str(warehouse.target_folder))
    return [(uri,) for uri in table.file_uris()]


def test_125_a_fact_that_comes_before_its_dimension(warehouse: Warehouse) -> None:
    house = (warehouse.spark, warehouse.workspace, warehouse.bronze, warehouse.silver)
    dimension = Warehouse(*house, table_name="dim", runs=100)
    dimensions = {"surrogate": ["sk"], "sequence_by": "seq", "unknown_member": True, "source_name": "dimension"}
    sql = warehouse.workspace / "fact.sql"
    sql.write_text(
        "SELECT f.id, f.customer, coalesce(d.sk, '-1') AS customer_sk, f.ts "
        f"FROM {{bronze_catalog}}.{warehouse.bronze[1]}.source f "
        f"LEFT JOIN {{silver_catalog}}.{warehouse.silver[1]}.dim d "
        "ON d.id = f.customer AND f.ts >= d.valid_from AND f.ts < d.valid_to"
    )
    facts = {**INCREMENTAL, "sql_file_path": str(sql), "lookback": "2 days"}
    dimension.source("id bigint, a string, seq timestamp", (7, "a", T(1)), name="dimension")
    dimension.load("scd2", **dimensions)
    rows = [(1, 7, T(4)), (2, 8, T(5))]
    warehouse.source("id bigint, customer bigint, ts timestamp", *rows)
    assert warehouse.load("fact_incremental_merge", **facts)["new"] == 2
    known = dict(dimension.rows("id", "sk"))
    assert warehouse.rows("id", "customer_sk") == [(1, known[7]), (2, "-1")]

    dimension.source("id bigint, a string, seq timestamp", (7, "a", T(1)), (8, "b", T(2)), name="dimension")
    dimension.load("scd2", **dimensions)
    warehouse.source("id bigint, customer bigint, ts timestamp", *rows, (3, 8, T(6)))
    row = warehouse.load("fact_incremental_merge", **facts)
    known = dict(dimension.rows("id", "sk"))
    assert warehouse.rows("id", "customer_sk") == [(1, known[7]), (2, known[8]), (3, known[8])]
    assert (row["new"], row["changed"], row["unchanged"]) == (1, 1, 1)


@pytest.mark.parametrize("pipeline", ["scd1", "scd2", "fact_overwrite", "fact_incremental_merge"])
def test_serverless_does_not_tell_its_configuration(
    warehouse: Warehouse, pipeline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses `spark.conf.get` even with a default; every first load and every overwrite asked for one."""
    conf, asked = type(warehouse.spark.conf), []
    get = conf.get

    def refuse(self: Any, key: str, *default: Any) -> Any:
        if not key.startswith("spark.sql.sources."):  # what the client itself asks its own server
            return get(self, key, *default)
        asked.append(key)
        raise AnalysisException(f"[CONFIG_NOT_AVAILABLE] Configuration {key} is not available. SQLSTATE: 42K0I")

    warehouse.source(AB, (1, "a"))
    monkeypatch.setattr(conf, "get", refuse)
    load_table(warehouse.parameters(pipeline))
    load_table({**warehouse.parameters(pipeline), "full_refresh": "all"})
    monkeypatch.undo()
    assert asked
    assert warehouse.rows("id", "a") == [(1, "a")]
