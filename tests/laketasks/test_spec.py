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


@pytest.mark.parametrize(
    "module", ["laketasks", "laketasks.spec", "laketasks.entry", "laketasks.sql", "laketasks.summary"]
)
def test_nothing_imports_pyspark_before_a_load_starts(module: str) -> None:
    heavy = {"pyspark", "click", "databricks", "pandas"}
    code = f"import {module}, sys; sys.exit(sorted({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
