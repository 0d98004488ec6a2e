"""The table of design: what goes with what."""

from __future__ import annotations

import itertools

import pytest

from generator.combinations import Case, Refusal, combination_problems
from laketasks.spec import PIPELINES, parse_config


def refused(pipeline: str, load_type: str = "full", **config: object) -> list[Refusal]:
    parsed, problems = parse_config(config)
    assert not problems
    return list(combination_problems(Case(pipeline=pipeline, load_type=load_type, config=parsed)))


def allowed(key: str, value: object, **more: object) -> tuple[str, ...]:
    return tuple(p for p in PIPELINES if not refused(p, **{key: value, **more}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "value", "more", "pipelines"),
    [
        ("on_missing", "close", {"source_mode": "snapshot"}, ("scd2",)),
        ("on_missing", "soft", {"source_mode": "snapshot"}, ("scd1", "scd2")),
        ("on_missing", "hard", {"source_mode": "snapshot"}, ("scd1",)),
        ("on_missing", "soft", {}, ()),
        ("on_missing", "soft", {"source_mode": "snapshot", "where": "a"}, ()),
        ("on_missing", "ignore", {"source_mode": "snapshot", "where": "a"}, PIPELINES),
        ("delete_mode", "soft", {}, PIPELINES),
        ("delete_mode", "hard", {}, ("scd1", "fact_incremental_merge")),
        ("delete_mode", "ignore", {}, ("scd1", "scd2", "fact_incremental_merge")),
        ("delete_mode", "new_record", {}, ("scd2",)),
        ("track_history_column_list", ["a"], {}, ("scd2",)),
        ("track_history_column_list", ["a"], {"track_history_except_column_list": ["b"]}, ()),
        ("column_list", ["a"], {}, PIPELINES),
        ("column_list", ["a"], {"except_column_list": ["b"]}, ()),
        ("first_version_from", "1900-01-01", {}, ("scd2",)),
        ("insert_only", True, {}, ("fact_incremental_merge",)),
        ("replace_where", "a > 1", {}, ("fact_overwrite",)),
        ("unknown_member", True, {}, ("scd1", "scd2")),
        ("schema_evolution", "drop_columns", {}, PIPELINES),
        ("schema_evolution", "drop_columns", {"replace_where": "a"}, ()),
        ("schema_evolution", "fail", {}, PIPELINES),
        ("except_column_list", ["a"], {"track_history_column_list": ["A"]}, ()),
        ("column_list", ["a"], {"track_history_except_column_list": ["b"]}, ()),
        ("column_list", ["a"], {"track_history_except_column_list": ["A"]}, ("scd2",)),
        ("cluster_by", ["a", "b", "c", "d"], {}, PIPELINES),
        ("cluster_by", ["a", "b", "c", "d", "e"], {}, ()),
        ("sequence_by", "_fivetran_start", {"source_mode": "fivetran_history"}, PIPELINES[:2] + PIPELINES[3:]),
        ("sequence_by", "updated_at", {"source_mode": "fivetran_history"}, ()),
        ("reconcile", True, {}, ("scd1", "scd2", "fact_incremental_merge")),
        ("reconcile", True, {"where": "a"}, ()),
        ("reconcile", True, {"source_mode": "snapshot"}, ()),
        ("reconcile", True, {"source_mode": "events"}, ("scd1", "scd2", "fact_incremental_merge")),
    ],
)
def test_which_runner_takes_it(key: str, value: object, more: dict[str, object], pipelines: tuple[str, ...]) -> None:
    assert allowed(key, value, **more) == pipelines


def test_what_incremental_reads() -> None:
    modes = ("state", "snapshot", "fivetran_history", "events", "cdf")
    pairs = itertools.product(modes, (False, True))
    found = {(m, r): not refused("scd2", "incremental", source_mode=m, reconcile=r) for m, r in pairs}
    assert {pair for pair, fine in found.items() if not fine} == {
        ("snapshot", False),
        ("snapshot", True),
        ("fivetran_history", False),
    }
    assert [refusal.column for refusal in refused("fact_overwrite", "incremental")] == ["load_type"]


def test_a_change_feed_has_its_own_order_and_no_sql() -> None:
    def columns(load_type: str, *, sql: bool = False, **config: object) -> list[str]:
        parsed, _ = parse_config({"source_mode": "cdf", **config})
        case = Case(pipeline="scd2", load_type=load_type, config=parsed, sql=sql)
        return [refusal.column for refusal in combination_problems(case) if refusal.severity == "error"]

    assert columns("incremental") == []
    assert columns("incremental", reconcile=True) == []
    assert columns("full") == ["load_type"]
    assert columns("incremental", sql=True) == ["sql_file_path"]
    assert columns("incremental", sequence_by="a", watermark="b") == ["cdc_source_config", "cdc_source_config"]
    assert [r.severity for r in refused("scd1", "incremental", source_mode="cdf", lookback="1 day")] == ["warning"]
    assert [r.column for r in refused("fact_overwrite", "full", source_mode="cdf")] == ["cdc_source_config"]


def test_unseen_deletes_are_a_warning() -> None:
    severities = [r.severity for r in refused("scd1", "incremental", apply_as_deletes="gone")]
    assert severities == ["warning"]
    assert refused("scd1", "incremental", apply_as_deletes="gone", reconcile=True) == []
    assert refused("scd1", "full", apply_as_deletes="gone") == []


def test_a_key_is_carried_and_its_surrogate_is_made() -> None:
    config, _ = parse_config({"except_column_list": ["ID", "b"], "track_history_column_list": ["id"]})
    case = Case(pipeline="scd2", load_type="full", config=config, keys=("id",), surrogate=("ID",))
    assert [(refusal.column, refusal.what) for refusal in combination_problems(case)] == [
        ("cdc_source_config", "except_column_list names id, which is a key and always carried"),
        ("primary_key_columns", "id is the natural key as well, and a surrogate key is made by the loader"),
    ]


@pytest.mark.parametrize(("pipeline", "problems"), [("scd1", 0), ("scd2", 1)])
def test_the_natural_key_is_the_primary_one_of_type_1_alone(pipeline: str, problems: int) -> None:
    config, _ = parse_config({})
    case = Case(pipeline=pipeline, load_type="full", config=config, keys=("id",), surrogate=("ID",))
    assert len(list(combination_problems(case))) == problems


def test_lookback_does_nothing_in_a_full_read() -> None:
    assert [r.severity for r in refused("scd1", "full", lookback="1 day")] == ["warning"]
    assert refused("scd1", "incremental", lookback="1 day") == []


def test_no_history_where_fivetran_makes_the_key() -> None:
    def problems(pipeline: str) -> list[Refusal]:
        config, _ = parse_config({})
        return list(
            combination_problems(Case(pipeline=pipeline, load_type="full", config=config, keys=("_FIVETRAN_ID",)))
        )

    assert problems("scd1") == []
    assert [refusal.column for refusal in problems("scd2")] == ["business_key_columns"]


@pytest.mark.parametrize(
    ("load_type", "config", "warned"),
    [
        ("incremental", {"delete_mode": "hard"}, True),
        ("incremental", {"delete_mode": "hard", "reconcile": True}, True),
        ("incremental", {"delete_mode": "soft"}, False),
        ("incremental", {"delete_mode": "hard", "source_mode": "events", "sequence_by": "u"}, False),
        ("incremental", {"delete_mode": "hard", "source_mode": "cdf"}, False),
        ("full", {"delete_mode": "hard"}, False),
    ],
)
@pytest.mark.parametrize("pipeline", ["scd1", "fact_incremental_merge"])
def test_a_removed_row_forgets_its_sequence(
    pipeline: str, load_type: str, config: dict[str, object], warned: bool
) -> None:
    found = [r for r in refused(pipeline, load_type, **config) if "brings the key back" in r.what]
    assert [r.severity for r in found] == (["warning"] if warned else [])
