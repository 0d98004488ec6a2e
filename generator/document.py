"""A Plan as the job that the Jobs API takes: its field names, its values, no text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from generator.filling import filled, words_of
from generator.jobs_api import Types, task_types
from generator.load_inputs import LoadInputs, named_table
from generator.model import Entry, Row
from generator.plan import Child, Dependency, Gate, Load, Plan, Summary, Task
from generator.runner_rules import COMPUTE_FIELDS
from generator.settings import ENVIRONMENT, SERVERLESS, TASK_DEFAULTS, LayerSettings, Settings
from generator.watched import watches
from laketasks.known_tasks import PARAMETER as TASK_KEYS
from laketasks.known_tasks import list_tasks
from laketasks.spec import JOB_PARAMETERS, LoadSpec, RunContext, SummarySpec

ENVIRONMENT_VERSION = "4"
MAX_PARAMETER_BYTES = 10_000  # of a task's parameters, the job's among them
_MOST_KEYS = 6_000
_FOR_VALUES = 500  # what a person gives a run: full_refresh and the like
JOB_RUN_ID = "{{job.run_id}}"
# One run is one run over all its jobs: a child gets these from its parent. Started by itself it is a run of its own.
_OF_THE_RUN = {"job_run_id": JOB_RUN_ID, "job_start_time": "{{job.start_time.iso_datetime}}"}
# What starts a job, watches it and tells of it is the parent's.
_NOT_OF_A_CHILD = (
    "description",
    "schedule",
    "trigger",
    "continuous",
    "timeout_seconds",
    "health",
    "email_notifications",
    "webhook_notifications",
    "notification_settings",
)
# What a task of each type runs on; a type that is not listed gets no compute of the job.
_ON_ENVIRONMENT = ("python_wheel_task", "spark_python_task", "dbt_task")
_ON_CLUSTER = (*_ON_ENVIRONMENT, "notebook_task", "spark_jar_task")
_RETRIES = ("max_retries", "min_retry_interval_millis", "retry_on_timeout")

Fields = dict[str, Any]
_NO_INPUTS: Mapping[int, LoadInputs] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Where things stand, as the job names them: the folder of SQL files and the wheel."""

    sql_folder: str
    wheel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A bundle resource with one job, and the plan that it was made from."""

    plan: Plan
    job: Fields

    @property
    def content(self) -> Fields:
        return {"resources": {"jobs": {self.plan.key: self.job}}}


def make_document(
    plan: Plan,
    settings: Settings,
    bundle: Bundle,
    types: Types,
    watched: Sequence[str] = (),
    inputs: Mapping[int, LoadInputs] = _NO_INPUTS,
) -> Document:
    """The job of one plan; a list of `depends_on` that tasks share is one object.

    `watched` are the tables that start it where its trigger names none, `inputs` what the rows read, by number.
    """
    layer = settings.layer(plan.layer)
    job = _job(plan, layer, bundle, watched)
    parameters = {parameter["name"]: f"{{{{job.parameters.{parameter['name']}}}}}" for parameter in job["parameters"]}
    writer = _Writer(settings, layer, bundle, frozenset(task_types(types)), parameters, inputs)
    shared: dict[int, list[Fields]] = {}
    tasks = [writer.task(task, shared) for task in plan.tasks]
    job["parameters"] = [*job["parameters"][:-1], _task_keys(plan, tasks)]
    return Document(plan=plan, job={**_with_used_clusters(job, tasks), "tasks": tasks})


def _task_keys(plan: Plan, tasks: Sequence[Fields]) -> Fields:
    """The job parameter that tells every load, and the summary, which tasks the job has; it fits beside their own."""
    keys = sorted(task.task_key for task in plan.loads)
    own = max((_bytes(body["named_parameters"]) for body in _wheel_bodies(tasks)), default=0)
    return {"name": TASK_KEYS, "default": list_tasks(keys, min(_MOST_KEYS, MAX_PARAMETER_BYTES - own - _FOR_VALUES))}


def _wheel_bodies(tasks: Sequence[Fields]) -> Iterator[Fields]:
    bodies = (task.get("python_wheel_task", {}) for task in tasks)
    return (body for body in bodies if "named_parameters" in body)


def _bytes(parameters: object) -> int:
    return len(json.dumps(parameters, ensure_ascii=False).encode())


def load_spec(entry: Entry, settings: Settings, bundle: Bundle, inputs: LoadInputs | None = None) -> LoadSpec:
    """The row as its task gets it. Beside SQL the `src_*` columns are labels and do not travel."""
    row = entry.row
    source = "" if row.sql_file_path else named_table(settings, row.src_catalog, row.src_schema, row.src_table_name)
    sql = f"${{workspace.file_path}}/{bundle.sql_folder}{row.sql_file_path}" if row.sql_file_path else ""
    return LoadSpec(
        execution_pipeline=row.execution_pipeline,
        target_table=named_table(settings, row.dst_catalog, row.dst_schema, row.dst_table_name),
        source_table=source,
        sql_file_path=sql,
        load_type=row.load_type,
        business_key_columns=row.business_key_columns,
        primary_key_columns=row.primary_key_columns,
        cdc_source_config=entry.config,
        src_system=row.src_system,
        comment=row.comment,
        **asdict(inputs or LoadInputs()),
    )


def _job(plan: Plan, settings: LayerSettings, bundle: Bundle, watched: Sequence[str]) -> Fields:
    given = dict(settings.job)
    if watched and watches(given):
        update = {"table_names": list(watched), **(given["trigger"]["table_update"] or {})}
        given["trigger"] = {**given["trigger"], "table_update": update}
    job: Fields = {"name": plan.layer, "max_concurrent_runs": 1, "queue": {"enabled": True}}
    own = [{"name": name, "default": ""} for name in JOB_PARAMETERS]
    job["parameters"] = own + list(given.pop("parameters", None) or [])
    if plan.part:
        given = {field: value for field, value in given.items() if field not in _NOT_OF_A_CHILD}
        given["name"] = f"{given.get('name', plan.layer)}__{plan.part}"
        job["parameters"] += [{"name": name, "default": value} for name, value in _OF_THE_RUN.items()]
    job["parameters"].append({"name": TASK_KEYS, "default": ""})
    environments = list(given.pop("environments", None) or [])
    if settings.compute == SERVERLESS and not any(e.get("environment_key") == ENVIRONMENT for e in environments):
        spec = {"environment_version": ENVIRONMENT_VERSION, "dependencies": [bundle.wheel]}
        environments.insert(0, {"environment_key": ENVIRONMENT, "spec": spec})
    if environments:
        job["environments"] = environments
    return {**job, **given}


def _with_used_clusters(job: Fields, tasks: Sequence[Fields]) -> Fields:
    """Without the job clusters that no task runs on: settings may hold one that `compute` does not choose."""
    if not job.get("job_clusters"):
        return job
    bodies = [*tasks, *(task["for_each_task"]["task"] for task in tasks if "for_each_task" in task)]
    used = {body["job_cluster_key"] for body in bodies if "job_cluster_key" in body}
    clusters = [cluster for cluster in job["job_clusters"] if cluster["job_cluster_key"] in used]
    rest = {field: value for field, value in job.items() if field != "job_clusters"}
    return {**rest, "job_clusters": clusters} if clusters else rest


@dataclass(frozen=True, slots=True)
class _Writer:
    settings: Settings
    layer: LayerSettings
    bundle: Bundle
    kinds: frozenset[str]
    job_parameters: Mapping[str, str]
    inputs: Mapping[int, LoadInputs]

    def task(self, task: Task, shared: dict[int, list[Fields]]) -> Fields:
        fields: Fields = {"task_key": task.task_key}
        body = self._body(task)
        if description := body.pop("description", ""):
            fields["description"] = description
        if task.waits.on:
            if id(task.waits) not in shared:
                shared[id(task.waits)] = [_dependency(dependency) for dependency in task.waits.on]
            fields["depends_on"] = shared[id(task.waits)]
            fields["run_if"] = task.run_if
        return {**fields, **body}

    def _body(self, task: Task) -> Fields:
        action = task.action
        if isinstance(action, Gate):
            condition = {"left": "1", "op": "EQUAL_TO", "right": "1"}
            return {
                "description": f"Order {action.order} starts when order {action.before} is done",
                "condition_task": condition,
            }
        if isinstance(action, Child):
            given = {**self.job_parameters, **_OF_THE_RUN}
            return {"run_job_task": {"job_id": f"${{resources.jobs.{action.key}.id}}", "job_parameters": given}}
        if isinstance(action, Summary):
            return self._summary(action)
        return self._load(task.task_key, action)

    def _summary(self, action: Summary) -> Fields:
        spec = SummarySpec(
            job_run_id=JOB_RUN_ID,
            run_log=self._run_log(),
            run_log_retention=self.settings.run_log_retention,
            tables=action.tables,
            skipped=dict(action.skipped),
            children=dict(action.children),
        )
        body = _wheel_task("summarize", spec.to_parameters())
        description = "Prints what became of every table and fails when one failed"
        fields = {"description": description, **body, **self._compute(body), **TASK_DEFAULTS, "max_retries": 0}
        return self._with_wheel(fields)

    def _load(self, key: str, action: Load) -> Fields:
        """Later wins: the layer's fields, the runner's own, the table's exception."""
        row = action.entry.row
        exception = self.layer.tables[key].task if key in self.layer.tables else {}
        described = {"description": row.comment.strip()} if row.comment.strip() else {}
        given = {**TASK_DEFAULTS, **self.layer.task}
        if row.execution_pipeline in self.settings.runners:
            body = self._runner_body(row)
            given = _accepted(given, body, _kind(body, self.kinds))
            return {**described, **body, **self._compute({**body, **exception}), **given, **body, **exception}
        body = self._own_body(key, action.entry)
        compute = self._compute({**body, **exception})
        return self._with_wheel({**described, **body, **compute, **given, **exception})

    def _own_body(self, key: str, entry: Entry) -> Fields:
        context = RunContext(
            job_run_id=JOB_RUN_ID,
            task_key=key,
            run_log=self._run_log(),
            job_start_time=_OF_THE_RUN["job_start_time"],
            catalogs={variable: f"${{var.{variable}}}" for variable in self.settings.catalogs.values()},
        )
        inputs = self.inputs.get(entry.source.number)
        skips = self.layer.on_upstream_failure == "skip_readers" and bool(inputs and inputs.upstream_tables)
        spec = replace(load_spec(entry, self.settings, self.bundle, inputs), skip_on_stale_input=skips)
        row = spec.to_parameters()
        run = {"job_run_id": JOB_RUN_ID, "task_key": key, "attempt": "{{task.execution_count}}"}
        return _wheel_task("load", {**row, **run, **context.to_parameters()})

    def _runner_body(self, row: Row) -> Fields:
        body: Fields = filled(self.settings.runners[row.execution_pipeline], words_of(row, self.settings))
        if "for_each_task" in body:
            body["for_each_task"] = {**body["for_each_task"], "task": self._repeated(body["for_each_task"]["task"])}
        return body

    def _repeated(self, task: Fields) -> Fields:
        """The task of a for_each_task: it runs on the compute and is retried, not the loop around it."""
        layer = {field: self.layer.task[field] for field in (*_RETRIES, "libraries") if field in self.layer.task}
        given = _accepted(layer, task, _kind(task, self.kinds))
        return {**task, **self._compute(task), **given, **task}

    def _run_log(self) -> str:
        catalog, schema, table = self.settings.run_log.split(".")
        return named_table(self.settings, catalog, schema, table)

    def _compute(self, task: Fields) -> Fields:
        """The compute field that the task's type accepts, unless the task names one itself."""
        kind = _kind(task, self.kinds)
        if any(field in task for field in COMPUTE_FIELDS) or not _needs_cluster(task, kind):
            return {}
        if self.layer.compute == SERVERLESS:
            return {"environment_key": ENVIRONMENT} if kind in _ON_ENVIRONMENT else {}
        return {"job_cluster_key": self.layer.compute}

    def _with_wheel(self, task: Fields) -> Fields:
        """On a cluster the wheel is a library of the task; on serverless the environment has it."""
        if "environment_key" in task:
            return task
        return {**task, "libraries": [{"whl": self.bundle.wheel}, *(task.get("libraries") or [])]}


def _kind(task: Fields, kinds: frozenset[str]) -> str:
    """The field that says what the task runs."""
    return next(field for field in task if field in kinds)


def _accepted(given: Fields, task: Fields, kind: str) -> Fields:
    """Of the layer's fields for tasks those that this task takes."""
    if kind == "condition_task":
        return {}
    libraries = () if _needs_cluster(task, kind) else ("libraries",)
    refused = (*libraries, *(_RETRIES if kind == "for_each_task" else ()))
    return {field: value for field, value in given.items() if field not in refused}


def _needs_cluster(task: Fields, kind: str) -> bool:
    """Whether the task runs on a cluster where it is not on serverless; a notebook may run on a warehouse."""
    return kind in _ON_CLUSTER and not (kind == "notebook_task" and "warehouse_id" in task[kind])


def _wheel_task(entry_point: str, parameters: dict[str, str]) -> Fields:
    body = {"package_name": "laketasks", "entry_point": entry_point, "named_parameters": parameters}
    return {"python_wheel_task": body}


def _dependency(dependency: Dependency) -> Fields:
    return {"task_key": dependency.task_key} | ({"outcome": dependency.outcome} if dependency.outcome else {})
