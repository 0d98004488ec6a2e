from pathlib import Path
from typing import Any

import pytest

from generator.build import build
from generator.jobs_api import load_types
from generator.limits import document_problems
from generator.split import JobSize
from tests.generator.rows import context, made, project, row, said, sentences, tables

NOTEBOOK = {"nb": {"notebook_task": {"notebook_path": "../nb.py"}}}


def job(folder: Path, *rows: dict[str, object], **settings: object) -> dict[str, Any]:
    return made(folder, rows or (row(),), **settings).documents[0].job


def test_what_a_load_task_says(tmp_path: Path) -> None:
    task = job(tmp_path, row(cdc_source_config={"lookback": "2 days"}, src_catalog="elsewhere"))["tasks"][0]
    assert task == {
        "task_key": "dim_customer",
        "description": "Customers",
        "python_wheel_task": {
            "package_name": "laketasks",
            "entry_point": "load",
            "named_parameters": {
                "execution_pipeline": "scd1",
                "target_table": "${var.silver_catalog}.core.dim_customer",
                "source_table": "elsewhere.erp.customer",
                "business_key_columns": '["id"]',
                "cdc_source_config": '{"lookback": "2 days"}',
                "src_system": "erp",
                "comment": "Customers",
                "job_run_id": "{{job.run_id}}",
                "task_key": "dim_customer",
                "attempt": "{{task.execution_count}}",
                "run_log": "${var.silver_catalog}.metadata.run_log",
                "job_start_time": "{{job.start_time.iso_datetime}}",
                "catalogs": '{"bronze_catalog": "${var.bronze_catalog}", "silver_catalog": "${var.silver_catalog}"}',
            },
        },
        "environment_key": "laketasks",
        "timeout_seconds": 7200,
    }


def test_sql_travels_by_its_place_in_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "bundle" / "sql").mkdir(parents=True)
    (tmp_path / "bundle" / "sql" / "c.sql").write_text("SELECT 1 AS id")
    task = job(tmp_path, row(sql_file_path="sql/c.sql", src_table_name=None))["tasks"][0]
    parameters = task["python_wheel_task"]["named_parameters"]
    assert parameters["sql_file_path"] == "${workspace.file_path}/bundle/sql/c.sql"
    assert "source_table" not in parameters


def test_the_job_has_one_run_at_a_time_unless_told_otherwise(tmp_path: Path) -> None:
    made_job = job(tmp_path)
    assert (made_job["max_concurrent_runs"], made_job["queue"]) == (1, {"enabled": True})
    assert [parameter["name"] for parameter in made_job["parameters"]] == [
        "dry_run",
        "full_refresh",
        "override_guards",
        "reconcile",
        "release_quarantine",
        "reload_from",
        "task_keys",
    ]
    told = {"queue": {"enabled": False}, "max_concurrent_runs": 3, "name": "mine"}
    changed = job(tmp_path, layers={"bronze_to_silver": {"job": told}})
    assert {name: changed[name] for name in told} == told


def test_later_wins_the_layer_the_runner_the_table(tmp_path: Path) -> None:
    runners = {"nb": {**NOTEBOOK["nb"], "timeout_seconds": 2, "max_retries": 2}}
    tables_ = {"dim_customer": {"task": {"max_retries": 3}}}
    layers = {"bronze_to_silver": {"task": {"timeout_seconds": 1, "max_retries": 1}, "tables": tables_}}
    task = job(tmp_path, row(execution_pipeline="nb"), runners=runners, layers=layers)["tasks"][0]
    assert (task["timeout_seconds"], task["max_retries"]) == (2, 3)


def test_reserved_tasks_take_compute_but_no_defaults_of_the_layer(tmp_path: Path) -> None:
    layers = {"bronze_to_silver": {"edges": "gate", "task": {"max_retries": 5, "timeout_seconds": 60}}}
    by_key = {task["task_key"]: task for task in job(tmp_path, *tables(1, 2), layers=layers)["tasks"]}
    assert by_key["gate_2"] == {
        "task_key": "gate_2",
        "description": "Order 2 starts when order 1 is done",
        "depends_on": [{"task_key": "t000"}],
        "run_if": "ALL_DONE",
        "condition_task": {"left": "1", "op": "EQUAL_TO", "right": "1"},
    }
    summary = by_key["run_summary"]
    assert (summary["max_retries"], summary["timeout_seconds"], summary["environment_key"]) == (0, 7200, "laketasks")


@pytest.mark.parametrize(
    ("body", "compute", "fields"),
    [
        ({"notebook_task": {"notebook_path": "x"}}, "serverless", {}),
        ({"spark_python_task": {"python_file": "x"}}, "serverless", {"environment_key": "laketasks"}),
        ({"sql_task": {"warehouse_id": "x", "file": {"path": "x"}}}, "serverless", {}),
        ({"notebook_task": {"notebook_path": "x"}}, "main", {"job_cluster_key": "main", "libraries": [{"jar": "x"}]}),
        ({"notebook_task": {"notebook_path": "x"}, "existing_cluster_id": "y"}, "main",
         {"existing_cluster_id": "y", "libraries": [{"jar": "x"}]}),
        ({"sql_task": {"warehouse_id": "x", "file": {"path": "x"}}}, "main", {}),
        ({"run_job_task": {"job_id": 1}}, "main", {}),
        ({"notebook_task": {"notebook_path": "x", "warehouse_id": "y"}}, "main", {}),
        ({"spark_jar_task": {"main_class_name": "x"}}, "main",
         {"job_cluster_key": "main", "libraries": [{"jar": "x"}]}),
    ],
)  # fmt: skip
def test_each_type_of_task_gets_the_compute_that_it_accepts(
    tmp_path: Path, body: dict[str, Any], compute: str, fields: dict[str, Any]
) -> None:
    layer: dict[str, Any] = {"compute": compute}
    if compute != "serverless":
        layer |= {"job": {"job_clusters": [{"job_cluster_key": compute}]}, "task": {"libraries": [{"jar": "x"}]}}
    row_ = row(execution_pipeline="it", comment=None)
    task = job(tmp_path, row_, runners={"it": body}, layers={"bronze_to_silver": layer})["tasks"][0]
    assert {k: v for k, v in task.items() if k not in ("task_key", "timeout_seconds", *body)} == {
        k: v for k, v in fields.items() if k not in body
    }


def test_a_condition_takes_none_of_the_layers_fields_and_a_loop_hands_them_to_what_it_repeats(tmp_path: Path) -> None:
    inner = {"task_key": "one", "spark_python_task": {"python_file": "x"}}
    runners = {
        "if": {"condition_task": {"left": "1", "op": "EQUAL_TO", "right": "1"}},
        "each": {"for_each_task": {"inputs": "[]", "task": inner}},
    }
    rows = row(execution_pipeline="if", comment=None), row(execution_pipeline="each", dst_table_name="e", comment=None)
    layers = {"bronze_to_silver": {"task": {"max_retries": 2, "min_retry_interval_millis": 5, "timeout_seconds": 60}}}
    condition, loop = job(tmp_path, *rows, runners=runners, layers=layers)["tasks"][:2]
    assert condition == {"task_key": "dim_customer", **runners["if"]}
    retried = {**inner, "environment_key": "laketasks", "max_retries": 2, "min_retry_interval_millis": 5}
    assert loop == {"task_key": "e", "for_each_task": {"inputs": "[]", "task": retried}, "timeout_seconds": 60}


def test_a_task_has_something_to_run_on(tmp_path: Path) -> None:
    runners = {"jar": {"spark_jar_task": {"main_class_name": "x"}}, "dbt": {"dbt_task": {"commands": ["dbt run"]}}}
    rows = row(execution_pipeline="jar"), row(execution_pipeline="dbt", dst_table_name="d")
    assert said(tmp_path, rows, runners=runners) == [
        (
            "row 1 (dim_customer) execution_pipeline: spark_jar_task has nothing to run on; "
            "name a job cluster in the layer's compute, or an environment with java_dependencies in the runner"
        ),
        (
            "row 2 (d) execution_pipeline: dbt_task runs in environment laketasks, which has no dbt; "
            "add an environment with dbt-databricks to job.environments and name it in the runner"
        ),
    ]
    dbt = {"environment_key": "dbt", "spec": {"environment_version": "4", "dependencies": ["dbt-databricks"]}}
    tables_ = {"d": {"task": {"environment_key": "dbt"}}}
    layers = {"bronze_to_silver": {"job": {"environments": [dbt]}, "tables": tables_}}
    assert said(tmp_path, rows[1:], runners=runners, layers=layers) == []


def test_a_task_refers_to_tasks_before_it(tmp_path: Path) -> None:
    words = {"a": "{{tasks.t000.values.x}}", "b": "{{ tasks.t01.result_state }}", "c": "{{tasks.t002.values.x}}"}
    runners = {"it": {"notebook_task": {"notebook_path": "x", "base_parameters": words}}}
    rows = [*tables(1), *(row(dst_table_name=f"t00{n}", execution_order=n + 1) for n in (1,))]
    rows.append(row(dst_table_name="t002", execution_order=3, execution_pipeline="it"))
    found = [message for message in said(tmp_path, rows, runners=runners) if "could run" not in message]
    assert found == [
        (
            "row 3 (t002) execution_pipeline: refers to {{tasks.t002...}}, which is no task that it waits for; "
            "did you mean t001?"
        ),
        (
            "row 3 (t002) execution_pipeline: refers to {{tasks.t01...}}, which is no task that it waits for; "
            "did you mean t001?"
        ),
    ]


def test_a_runner_gets_the_row_in_words(tmp_path: Path) -> None:
    words = {
        "t": "{dst_catalog}.{dst_table_name}",
        "k": "{business_key_columns}",
        "a": "{is_active_flag}",
        "r": "{{job.id}}",
    }
    body = {"notebook_task": {"notebook_path": "nb_{src_system}", "base_parameters": words}}
    task = job(tmp_path, row(execution_pipeline="it"), runners={"it": body})["tasks"][0]
    assert task["notebook_task"] == {
        "notebook_path": "nb_erp",
        "base_parameters": {
            "t": "${var.silver_catalog}.dim_customer",
            "k": '["id"]',
            "a": "true",
            "r": "{{job.id}}",
        },
    }


def test_parameters_fit_into_a_task(tmp_path: Path) -> None:
    assert said(tmp_path, [row(cdc_source_config={"where": "a" * 10_000})]) == [
        (
            "row 1 (dim_customer) cdc_source_config: the task's parameters take 10,581 bytes, "
            "the Jobs service takes 10,000; shorten the row: SQL belongs into a file"
        )
    ]


def test_compute_that_a_job_does_not_have(tmp_path: Path) -> None:
    runners = {"it": {"python_wheel_task": {"package_name": "p", "entry_point": "e"}, "environment_key": "mine"}}
    assert said(tmp_path, [row(execution_pipeline="it")], runners=runners) == [
        (
            "row 1 (dim_customer) execution_pipeline: environment_key 'mine' is not one of the job's environments; "
            "declare it in the layer's job.environments"
        )
    ]


def test_a_document_that_the_cli_would_take_and_should_not(tmp_path: Path) -> None:
    document = made(tmp_path, tables(1, 2)).documents[0]
    first, second = document.job["tasks"][:2]
    first["depends_on"] = [{"task_key": "t001"}, {"task_key": "nobody"}]
    document.job["tasks"].append({**second, "timeout": 1})
    assert sentences(document_problems(document, context(tmp_path), load_types())) == [
        "row 2 (t001) execution_pipeline: timeout: the Jobs API has no such field; did you mean timeout_seconds?",
        "row 2 (t001) dst_table_name: task key 't001' stands twice; set task_key of the layer",
        "row 1 (t000) execution_order: depends on 'nobody', which is no task of the job",
        "layers.bronze_to_silver: the tasks wait for each other: t000 -> t001 -> t000; change execution_order",
    ]


UPDATED: dict[str, object] = {"trigger": {"table_update": {"condition": "ANY_UPDATED"}}}


def test_a_trigger_without_tables_waits_for_what_the_layer_reads_and_does_not_load_itself(tmp_path: Path) -> None:
    rows = [
        row(),
        row(dst_table_name="copy", src_catalog="elsewhere"),
        row(dst_table_name="again", src_table_name="CUSTOMER"),
        row(
            dst_table_name="later",
            execution_order=2,
            src_catalog="dev_silver",
            src_schema="core",
            src_table_name="copy",
        ),
    ]
    update = job(tmp_path, *rows, layers={"bronze_to_silver": {"job": UPDATED}})["trigger"]["table_update"]
    assert update == {
        "table_names": ["${var.bronze_catalog}.erp.CUSTOMER", "elsewhere.erp.customer"],
        "condition": "ANY_UPDATED",
    }


def test_a_trigger_that_names_tables_keeps_them(tmp_path: Path) -> None:
    trigger = {"table_update": {"table_names": ["a.b.c"]}}
    assert job(tmp_path, layers={"bronze_to_silver": {"job": {"trigger": trigger}}})["trigger"] == trigger


def test_the_trigger_of_a_split_layer_is_the_parents_and_names_the_tables_of_all_its_parts(tmp_path: Path) -> None:
    rows = [row(dst_table_name=f"t{n}", src_table_name=f"s{n}") for n in range(4)]
    options = project(tmp_path, rows, layers={"bronze_to_silver": {"edges": "gate", "job": UPDATED}})
    built, _ = build(options, JobSize(job=3, child=2))
    assert built is not None
    parent, *children = (document.job for document in built.documents)
    assert parent["trigger"]["table_update"]["table_names"] == [f"${{var.bronze_catalog}}.erp.s{n}" for n in range(4)]
    assert len(children) == 2
    assert not any("trigger" in child for child in children)


def test_what_starts_a_job_is_said_where_it_is_not_known(tmp_path: Path) -> None:
    settings = {"runners": NOTEBOOK, "layers": {"bronze_to_silver": {"job": UPDATED}}}
    notebook = row(dst_table_name="b", execution_pipeline="nb")
    remedy = "write table_names: [catalog.schema.table, ...]"
    where = "layers.bronze_to_silver.job.trigger.table_update"
    unknown = "what the runners of 1 row read is not known, so their tables do not start the job"
    assert said(tmp_path, [row(), notebook], **settings) == [f"{where}: {unknown}; {remedy}"]
    nothing = "the rows of this layer name no table to wait for"
    assert said(tmp_path, [notebook], **settings) == [f"{where}: {nothing}; {remedy}"]


def test_a_job_cluster_that_no_task_runs_on_is_not_written(tmp_path: Path) -> None:
    clusters = [{"job_cluster_key": key, "new_cluster": {"num_workers": 1}} for key in ("small", "large", "none")]
    layer: dict[str, object] = {"job": {"job_clusters": clusters}}
    assert "job_clusters" not in job(tmp_path, layers={"bronze_to_silver": layer})
    exception = {"tables": {"dim_customer": {"task": {"job_cluster_key": "large"}}}, "compute": "small"}
    written = job(tmp_path, layers={"bronze_to_silver": layer | exception})["job_clusters"]
    assert written == clusters[:2]
