"""Puts a run's values where `{{...}}` stands in a task, as the Jobs service does when the task starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from laketasks.spec import did_you_mean
from localjobs.job import ConditionTask, EachTask, Job, JobTask, NotebookTask, PythonTask, Task, WheelTask

_REFERENCE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_NAMESPACES = ("job", "task", "tasks")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunValues:
    """What the references of a run's tasks may name."""

    run_id: int
    job_id: int
    job_name: str
    start: datetime
    parameters: Mapping[str, str] = field(default_factory=dict)
    repair_count: int = 0

    def names(self) -> dict[str, str]:
        """Every `job.` reference with its value."""
        return {
            "job.id": str(self.job_id),
            "job.name": self.job_name,
            "job.run_id": str(self.run_id),
            "job.repair_count": str(self.repair_count),
            "job.trigger.type": "one_time",
            **{f"job.start_time.{name}": value for name, value in _parts(self.start).items()},
            **{f"job.parameters.{name}": value for name, value in self.parameters.items()},
        }


def task_names(task: Task, run_id: int, execution_count: int, results: Mapping[str, str]) -> dict[str, str]:
    """The `task.` references of an attempt and the `tasks.` references to the tasks that it depends on."""
    states = {f"tasks.{d.task_key}.result_state": results.get(d.task_key, "").lower() for d in task.depends_on}
    return states | {
        "task.name": task.task_key,
        "task.run_id": str(run_id),
        "task.execution_count": str(execution_count),
    }


def checked(job: Job, values: RunValues) -> tuple[Job, list[str]]:
    """The job as its first attempts would see it, and every reference that names nothing."""
    known = values.names()
    wrong: list[str] = []
    _filled(job.parameters, known, wrong)
    filled = [fill(task, known | task_names(task, 0, 1, {})) for task in job.tasks]
    problems = [f"parameters: {problem}" for problem in wrong]
    problems += [f"task {task.task_key}: {problem}" for task, found in filled for problem in found]
    return replace(job, tasks=tuple(task for task, _ in filled)), problems


def with_parameters(job: Job, values: RunValues) -> tuple[Job, RunValues]:
    """The job and its run's values with the job's parameters, which may name the run."""
    parameters = _filled(job.parameters, values.names(), [])
    return replace(job, parameters=parameters), replace(values, parameters=parameters)


def child_of(job: Job, task: Task, parameters: Mapping[str, str]) -> Job:
    """The job that a task runs, with the parameters that it gets there: the parent's own win over what the task gives.

    `task` has its references replaced, `parameters` are those of the parent's run.
    """
    child = job.children[task.task_key]
    given = {**(task.body.job_parameters if isinstance(task.body, JobTask) else {}), **parameters}
    return replace(child, parameters={name: given.get(name, default) for name, default in child.parameters.items()})


def fill(task: Task, names: Mapping[str, str]) -> tuple[Task, list[str]]:
    """The task with its references replaced, and what is wrong with them.

    A wrong name inside a known namespace is a problem, one outside of all stays as it stands. Of a for_each_task the
    inputs are filled; its iterations are when they start.
    """
    problems: list[str] = []

    def text(value: str) -> str:
        return _text(value, names, problems)

    body = task.body
    if isinstance(body, JobTask):
        return replace(task, body=replace(body, job_parameters=_filled(body.job_parameters, names, problems))), problems
    if isinstance(body, NotebookTask):
        return replace(
            task, body=replace(body, base_parameters=_filled(body.base_parameters, names, problems))
        ), problems
    if isinstance(body, PythonTask):
        return replace(task, body=replace(body, parameters=tuple(map(text, body.parameters)))), problems
    if isinstance(body, EachTask):
        problems += [f"{body.task.task_key}: {problem}" for problem in fill(body.task, names)[1]]
        return replace(task, body=replace(body, inputs=text(body.inputs))), problems
    if isinstance(body, ConditionTask):
        return replace(task, body=replace(body, left=text(body.left), right=text(body.right))), problems
    if not isinstance(body, WheelTask):
        return task, problems
    filled = WheelTask(
        package_name=body.package_name,
        entry_point=body.entry_point,
        parameters=tuple(text(value) for value in body.parameters),
        named_parameters=_filled(body.named_parameters, names, problems),
    )
    return replace(task, body=filled), problems


def _filled(given: Mapping[str, str], names: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    return {name: _text(value, names, problems) for name, value in given.items()}


def _text(value: str, names: Mapping[str, str], problems: list[str]) -> str:
    return _REFERENCE.sub(lambda match: _value(match, names, problems), value) if "{{" in value else value


def _value(match: re.Match[str], names: Mapping[str, str], problems: list[str]) -> str:
    name = match[1]
    if name in names:
        return names[name]
    if name.split(".")[0] in _NAMESPACES:
        problems.append(f"{{{{{name}}}}} names nothing that a run here has{did_you_mean(name, names)}")
    return match[0]


def _parts(moment: datetime) -> dict[str, str]:
    return {
        "iso_datetime": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "iso_date": moment.date().isoformat(),
        "iso_weekday": str(moment.isoweekday()),
        "is_weekday": str(moment.isoweekday() < 6).lower(),
        "timestamp_ms": str(int(moment.timestamp() * 1000)),
        **{name: str(getattr(moment, name)) for name in ("year", "month", "day", "hour", "minute", "second")},
    }
