"""What travels from the row to the task, without an engine."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laketasks.spec import (
    CdcSourceConfig,
    LoadSpec,
    RunContext,
    SpecError,
    SummarySpec,
    instant_for,
    job_parameter_problems,
    named_tasks,
    names_task,
    parse_config,
    parse_duration,
    parse_instant,
)

WORDS = st.text(min_size=1).filter(str.strip)
NAMES = st.lists(WORDS, unique_by=str.lower).map(tuple)


@given(
    st.builds(
        LoadSpec,
        execution_pipeline=WORDS,
        target_table=WORDS,
        source_table=st.text(),
        business_key_columns=NAMES,
        primary_key_columns=NAMES,
        comment=st.text(),
        cdc_source_config=st.builds(
            CdcSourceConfig,
            sequence_by=NAMES,
            where=st.just("") | WORDS,
            delete_mode=st.sampled_from(["soft", "hard", "ignore", "new_record"]),
            max_delete_ratio=st.floats(0, 1),
            insert_only=st.booleans(),
            lookback=st.sampled_from(["0 seconds", "2 days"]),
        ),
    )
)
def test_a_spec_travels_whole(spec: LoadSpec) -> None:
    assert LoadSpec.from_parameters(spec.to_parameters()) == spec


def test_defaults_do_not_travel_and_foreign_names_are_ignored() -> None:
    spec = LoadSpec(execution_pipeline="scd1", target_table="c.s.t")
    assert spec.to_parameters() == {"execution_pipeline": "scd1", "target_table": "c.s.t"}
    assert LoadSpec.from_parameters({**spec.to_parameters(), "somebody": "else's"}) == spec


def test_the_context_and_the_summary_travel_whole() -> None:
    context = RunContext(job_run_id="7", task_key="t", run_log="c.s.l", attempt=2, catalogs={"a": "b"}, dry_run=True)
    assert RunContext.from_parameters(context.to_parameters()) == context
    summary = SummarySpec(job_run_id="7", run_log="c.s.l", tables=3, skipped={"t": "scd3"})
    assert SummarySpec.from_parameters(summary.to_parameters()) == summary


def test_no_name_means_two_things() -> None:
    names = [f.name for spec in (LoadSpec, RunContext) for f in fields(spec)]
    assert len(names) == len(set(names))


def test_everything_wrong_with_parameters_is_told_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        RunContext.from_parameters({"attempt": "two", "catalogs": "[]", "dry_run": "perhaps"})
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "--job_run_id",
        "--task_key",
        "--run_log",
        "--attempt",
        "--catalogs",
        "--dry_run",
    ]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"seqence_by": "a"}, "unknown key 'seqence_by'; did you mean sequence_by?"),
        ({"delete_mode": "softly"}, "did you mean soft?"),
        ({"max_delete_ratio": 2}, "expected a number from 0 to 1, found 2"),
        ({"max_delete_ratio": True}, "expected a number from 0 to 1"),
        ({"insert_only": "true"}, "expected true or false, found 'true'"),
        ({"lookback": "two days"}, "expected a number and a unit"),
        ({"first_version_from": "yesterday"}, "expected a timestamp"),
        ({"column_list": ["a", "A"]}, "names A, a twice"),
        ({"sequence_by": ["a", ""]}, "expected a column name, found ''"),
        ({"expectations": {"expected": {}}}, "unknown kind 'expected'; did you mean expect?"),
        ("{not json", "not valid JSON"),
        ('{"where": "a", "where": "b"}', "key where stands twice"),
        ([1], "expected a JSON object, found list"),
    ],
)
def test_config_problems_say_what_was_expected(document: object, told: str) -> None:
    _, problems = parse_config(document)
    assert len(problems) == 1
    assert told in problems[0]


def test_config_reads_text_and_objects_alike() -> None:
    document = {"sequence_by": ["a", "b"], "where": "x > 1", "insert_only": True, "lookback": None}
    assert parse_config(json.dumps(document)) == parse_config(document)
    assert parse_config(None) == parse_config("") == parse_config({}) == (CdcSourceConfig(), [])


def test_durations_and_instants() -> None:
    assert str(parse_duration("36 hours")) == "1 day, 12:00:00"
    assert parse_duration("1 week") == parse_duration("7 days")
    assert parse_duration("1 fortnight") is None
    assert parse_instant("2024-05-01T06:00:00Z") == parse_instant("2024-05-01 08:00:00+02:00")


def test_a_parameter_names_tasks() -> None:
    assert names_task("all", "a")
    assert names_task("b, a", "a")
    assert not names_task("", "a")
    assert not names_task("ab", "a")


_TIMESTAMP = "expected a timestamp such as 2024-05-01 or 2024-05-01T06:00:00Z, or task_key=timestamp, found"


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        ({"reload_from": "2026-13-01"}, [f"reload_from: {_TIMESTAMP} '2026-13-01'"]),
        ({"reload_from": "dim_a"}, [f"reload_from: {_TIMESTAMP} 'dim_a'"]),
        ({"reload_from": "dim_a=2026-02-30; b=x"}, [f"{_TIMESTAMP} 'dim_a=2026-02-30'; {_TIMESTAMP} 'b=x'"]),
        ({"reload_from": "=2026-01-01"}, ["expected task keys before the =, found '=2026-01-01'"]),
        ({"reload_from": "2026-01-01;"}, [f"{_TIMESTAMP} ''"]),
        ({"reload_from": "a,b=2026-01-01; b=2026-02-01"}, ["gives b two timestamps"]),
        ({"reload_from": "2026-01-01; 2026-02-01"}, ["gives all two timestamps"]),
        ({"reload_from": "dim a=2026-01-01"}, ["expected task keys separated by commas, or all, found 'dim a'"]),
        ({"reload_from": "0001-01-01T00:00:00+05:00"}, [_TIMESTAMP]),
        ({"full_refresh": "a,,b"}, ["full_refresh: expected task keys separated by commas, or all, found ''"]),
        ({"full_refresh": "a;b"}, ["found 'a;b'"]),
        ({"reconcile": "*"}, ["reconcile: expected task keys"]),
        ({"override_guards": "ALL"}, ["override_guards: expected task keys, or all by itself, found 'ALL'"]),
        ({"override_guards": "all,dim_a"}, ["expected task keys, or all by itself"]),
        ({"dry_run": "yes"}, ["dry_run: expected true or false, found 'yes'"]),
        ({"dry_run": "1", "reload_from": "x", "reconcile": ","}, ["dry_run", "reconcile", "reload_from"]),
        ({"dry_run": "", "reload_from": "", "reconcile": " ", "full_refresh": "a, b-1", "somebody": "else's;"}, []),
    ],
)
def test_each_job_parameter_is_refused_for_what_it_cannot_be(values: dict[str, str], problems: list[str]) -> None:
    found = job_parameter_problems(values)
    assert len(found) == len(problems)
    assert all(expected in problem for expected, problem in zip(problems, found, strict=True))
    given = {"job_run_id": "1", "task_key": "t", "run_log": "c.s.l", **values}
    if found:
        with pytest.raises(SpecError) as caught:
            RunContext.from_parameters(given)
        assert list(caught.value.problems) == [f"--{problem}" for problem in found]
    else:
        assert RunContext.from_parameters(given)


@pytest.mark.parametrize("wrong", ["yesterday", "2026-13-01T00:00:00Z"])
def test_a_start_that_is_no_instant_is_refused(wrong: str) -> None:
    with pytest.raises(SpecError, match="--job_start_time: expected a timestamp"):
        RunContext.from_parameters({"job_run_id": "1", "task_key": "t", "run_log": "r", "job_start_time": wrong})


def test_reload_from_gives_tables_instants_of_their_own() -> None:
    value = "2024-05-01; dim_a, fact_b = 2024-06-01T06:00:00+02:00"
    assert named_tasks("reload_from", value) == {"dim_a", "fact_b"}
    assert instant_for(value, "dim_a") == instant_for(value, "fact_b") == parse_instant("2024-06-01T04:00:00Z")
    assert instant_for(value, "dim_c") == parse_instant("2024-05-01")
    assert instant_for("dim_a=2024-05-01", "dim_c") is None
    assert instant_for("all=2024-05-01", "dim_c") == parse_instant("2024-05-01")
    assert named_tasks("full_refresh", "all") == named_tasks("dry_run", "true") == frozenset()
    with pytest.raises(ValueError, match="expected task keys"):
        named_tasks("reconcile", "a b")


@pytest.mark.parametrize(
    "module", ["laketasks", "laketasks.spec", "laketasks.entry", "laketasks.sql", "laketasks.summary"]
)
def test_nothing_imports_pyspark_before_a_load_starts(module: str) -> None:
    heavy = {"pyspark", "click", "databricks", "pandas"}
    code = f"import {module}, sys; sys.exit(sorted({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
