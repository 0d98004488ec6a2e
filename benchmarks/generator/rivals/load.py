"""What a user of PyDABs writes to have the same jobs: rows in, one Job for each layer out. Runs in .venv-rivals."""

import json
from itertools import groupby

import yaml
from databricks.bundles.core import Bundle, Resources
from databricks.bundles.jobs import Job


def load_resources(bundle: Bundle) -> Resources:
    with open("bundle/execution_table.yml", encoding="utf-8") as file:
        rows = yaml.load(file, yaml.CSafeLoader)
    with open("bundle/settings.yml", encoding="utf-8") as file:
        layers = yaml.safe_load(file)["layers"]
    resources = Resources()
    rows.sort(key=lambda row: (row["layer"], row["execution_order"], row["dst_table_name"]))
    for layer, of_layer in groupby(rows, key=lambda row: row["layer"]):
        resources.add_job(layer, Job.from_dict(_job(layer, list(of_layer), layers[layer]["edges"])))
    return resources


def _job(layer, rows, edges):
    tasks, before = [], []
    own = {row["dst_table_name"] for row in rows}
    for order, of_order in groupby(rows, key=lambda row: row["execution_order"]):
        if edges == "gate" and before:
            tasks.append(
                {
                    "task_key": f"gate_{order}",
                    "depends_on": before,
                    "run_if": "ALL_DONE",
                    "condition_task": {"left": "1", "op": "EQUAL_TO", "right": "1"},
                }
            )
            before = [{"task_key": f"gate_{order}", "outcome": "true"}]
        loads = [_load(row, _reads(row, own) if edges == "lineage" else before) for row in of_order]
        tasks += loads
        before = [{"task_key": task["task_key"]} for task in loads]
    environment = {"environment_version": "4", "dependencies": ["./dist/*.whl"]}
    return {
        "name": layer,
        "max_concurrent_runs": 1,
        "queue": {"enabled": True},
        "environments": [{"environment_key": "loaders", "spec": environment}],
        "tasks": tasks,
    }


def _reads(row, own):
    made_here = row["src_table_name"] in own and row["src_table_name"] != row["dst_table_name"]
    return [{"task_key": row["src_table_name"]}] if made_here else []


def _load(row, before):
    words = {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()}
    task = {
        "task_key": row["dst_table_name"],
        "python_wheel_task": {"package_name": "loaders", "entry_point": "load", "named_parameters": words},
        "environment_key": "loaders",
        "timeout_seconds": 7200,
    }
    return {**task, "depends_on": before, "run_if": "ALL_DONE"} if before else task
