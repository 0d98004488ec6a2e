"""The measured tables: three orders in each layer, all four loaders in turn, as each side's user would have them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

LAYERS = {140: 1, 1_000: 2, 10_000: 12}  # so that a job holds each layer
_ORDERS = 3
_PIPELINES: dict[str, dict[str, object]] = {
    "scd1": {"business_key_columns": ["id"]},
    "scd2": {"business_key_columns": ["id"]},
    "fact_overwrite": {},
    "fact_incremental_merge": {"primary_key_columns": ["id"], "load_type": "incremental"},
}
_BUNDLE = """\
bundle: {name: benchmark}
variables:
  bronze_catalog: {default: dev_bronze}
  silver_catalog: {default: dev_silver}
targets:
  dev: {}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """So many rows; `edges` is a mode of the generator, and what the others are given to come to the same order."""

    rows: int
    edges: str

    @property
    def layers(self) -> int:
        return LAYERS.get(self.rows, -(-self.rows // 900))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One row: with lineage it reads the table `reads` of the order before."""

    name: str
    layer: str
    order: int
    reads: str = ""

    def row(self, number: int) -> dict[str, object]:
        """The row of execution_table, as a YAML file has it."""
        pipeline = list(_PIPELINES)[number % len(_PIPELINES)]
        source = ("dev_silver", "s", self.reads) if self.reads else ("dev_bronze", "b", self.name)
        return {
            "src_system": "benchmark",
            "src_catalog": source[0],
            "src_schema": source[1],
            "src_table_name": source[2],
            "load_type": "full",
            "dst_catalog": "dev_silver",
            "dst_schema": "s",
            "dst_table_name": self.name,
            "layer": self.layer,
            "is_active_flag": True,
            "execution_order": self.order,
            "execution_pipeline": pipeline,
            "cdc_source_config": {} if pipeline == "fact_overwrite" else {"sequence_by": ["updated_at"]},
            "comment": f"Table {number} of the benchmark",
            **_PIPELINES[pipeline],
        }


def tables(shape: Shape) -> list[Table]:
    found: list[Table] = []
    for layer in range(shape.layers):
        numbers = range(layer, shape.rows, shape.layers)
        third = -(-len(numbers) // _ORDERS)
        for place, number in enumerate(numbers):
            before = numbers[place - third] if shape.edges == "lineage" and place >= third else None
            reads = f"t{before:05}" if before is not None else ""
            found.append(Table(name=f"t{number:05}", layer=f"layer_{layer:02}", order=place // third + 1, reads=reads))
    return found


def jobs(shape: Shape) -> dict[str, dict[str, list[str]]]:
    """For each layer the keys of its tasks with what they wait for; tasks named gate_* stand between orders."""
    made: dict[str, dict[str, list[str]]] = {}
    before: dict[tuple[str, int], list[str]] = {}
    for table in (every := tables(shape)):
        before.setdefault((table.layer, table.order), []).append(table.name)
    for table in every:
        job = made.setdefault(table.layer, {})
        previous = before.get((table.layer, table.order - 1), [])
        if shape.edges == "lineage":
            job[table.name] = [table.reads] if table.reads else []
        elif shape.edges == "gate" and previous:
            job[f"gate_{table.order}"] = previous
            job[table.name] = [f"gate_{table.order}"]
        else:
            job[table.name] = previous
    return made


def edges(shape: Shape) -> int:
    return sum(len(waits) for job in jobs(shape).values() for waits in job.values())


class _Plain(yaml.CSafeDumper):  # type: ignore[misc]
    """As people write YAML: a list that two rows have alike stands in both."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def write(folder: Path, shape: Shape) -> None:
    """What each side reads: rows and settings; a metadata file with the waits in it; a dbt project and a job."""
    rows = [table.row(number) for number, table in enumerate(tables(shape))]
    _write_rows(folder, rows, shape)
    (folder / "jobs_meta.yml").write_text(_metadata(shape, rows), encoding="utf-8")
    _write_dbt(folder, shape)
    job = {"name": "benchmark", "environments": [{"environment_key": "Default"}]}
    spec = {"resources": {"jobs": {"benchmark": job}}}
    (folder / "dbt_job.yml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    python = {"resources": ["load:load_resources"], "mutators": []}
    given = {"bundle": {"name": "benchmark", "target": "dev"}, "variables": {}, "python": python}
    (folder / "pydabs_input.json").write_text(json.dumps(given), encoding="utf-8")


def _write_rows(folder: Path, rows: list[dict[str, object]], shape: Shape) -> None:
    bundle = folder / "bundle"
    bundle.mkdir(parents=True)
    layers = {f"layer_{number:02}": {"edges": shape.edges} for number in range(shape.layers)}
    settings = {
        "execution_table": "execution_table.yml",
        "run_log": "dev_silver.metadata.run_log",
        "catalogs": {"dev_bronze": "bronze_catalog", "dev_silver": "silver_catalog"},
        "layers": layers,
    }
    (folder / "databricks.yml").write_text(_BUNDLE, encoding="utf-8")
    (bundle / "settings.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    text = yaml.dump(rows, Dumper=_Plain, sort_keys=False)
    (bundle / "execution_table.yml").write_text(text, encoding="utf-8")


def _metadata(shape: Shape, rows: list[dict[str, object]]) -> str:
    """The tables of lakeflow-jobs-meta; its user writes the waits, here each list once with an alias for the others."""
    by_name = {str(row["dst_table_name"]): row for row in rows}
    described: dict[str, Any] = {}
    for layer, job in jobs(shape).items():
        tasks = []
        for key, waits in job.items():
            wheel = {"task_type": "python_wheel", "package_name": "loaders", "entry_point": "load"}
            words = [f"--{name}={json.dumps(value)}" for name, value in by_name.get(key, {}).items()]
            tasks.append({"task_key": key, **wheel, "parameters": words, "depends_on": waits, "run_if": "ALL_DONE"})
        described[layer] = {"name": layer, "tasks": tasks}
    return str(yaml.dump({"jobs": described}, Dumper=yaml.CSafeDumper, sort_keys=False))


def _write_dbt(folder: Path, shape: Shape) -> None:
    """A dbt project: a model for each task, whose refs are its waits."""
    project = {"name": "shop", "version": "1.0", "profile": "shop", "flags": {"send_anonymous_usage_stats": False}}
    project["models"] = {"shop": {layer: {"+tags": [layer]} for layer in jobs(shape)}}
    profile = {"shop": {"target": "dev", "outputs": {"dev": {"type": "duckdb", "path": ":memory:"}}}}
    (folder / "dbt").mkdir()
    (folder / "dbt" / "dbt_project.yml").write_text(yaml.safe_dump(project), encoding="utf-8")
    (folder / "dbt" / "profiles.yml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    for layer, job in jobs(shape).items():
        models = folder / "dbt" / "models" / layer
        models.mkdir(parents=True)
        for key, waits in job.items():
            refs = "".join(f"-- depends_on: {{{{ ref('{layer}_{other}') }}}}\n" for other in waits)
            (models / f"{layer}_{key}.sql").write_text(f"{refs}select 1 as id\n", encoding="utf-8")
