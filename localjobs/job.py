"""A job as it runs here: the few fields of the Jobs API that decide what runs, when and for how long."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from laketasks.spec import did_you_mean

RUN_IF = ("ALL_SUCCESS", "AT_LEAST_ONE_SUCCESS", "NONE_FAILED", "ALL_DONE", "AT_LEAST_ONE_FAILED", "ALL_FAILED")
OPERATORS = (
    "EQUAL_TO",
    "NOT_EQUAL",
    "GREATER_THAN",
    "GREATER_THAN_OR_EQUAL",
    "LESS_THAN",
    "LESS_THAN_OR_EQUAL",
)
_BODY_FIELDS = {
    "python_wheel_task": ("package_name", "entry_point", "parameters", "named_parameters"),
    "condition_task": ("left", "op", "right"),
    "run_job_task": ("job_id", "job_parameters"),
    "notebook_task": ("notebook_path", "base_parameters", "source", "warehouse_id"),
    "spark_python_task": ("python_file", "parameters", "source"),
    "for_each_task": ("inputs", "concurrency", "task"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """A task to wait for; with an outcome ("true", "false") it is a condition task that must come out so."""

    task_key: str
    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelTask:
    """A call of a wheel's entry point, with positional parameters or named ones."""

    package_name: str
    entry_point: str
    parameters: tuple[str, ...] = ()
    named_parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionTask:
    """A comparison of two texts (EQUAL_TO, NOT_EQUAL) or two numbers (the others)."""

    left: str
    op: str
    right: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTask:
    """A run of another job, its child; `job_parameters` go over the defaults of the child's."""

    job_id: int
    job_parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookTask:
    """A notebook exported as a `.py` file; the path may leave that ending out, as paths in a workspace do."""

    notebook_path: str
    base_parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonTask:
    """A Python file, run as a script with these arguments."""

    python_file: str
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EachTask:
    """A task for each element of a JSON array, `concurrency` of them at once; their order means nothing."""

    inputs: str
    task: Task
    concurrency: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherTask:
    """A task of a type that does not run here; a job may hold one as long as it is not selected."""

    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task. `timeout_seconds` 0 is none; `max_retries` -1 is without end."""

    task_key: str
    body: WheelTask | NotebookTask | PythonTask | ConditionTask | JobTask | EachTask | OtherTask
    depends_on: tuple[Dependency, ...] = ()
    run_if: str = "ALL_SUCCESS"
    timeout_seconds: int = 0
    max_retries: int = 0
    min_retry_interval_millis: int = 0
    retry_on_timeout: bool = False
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job; `key` is its name in the bundle, `parameters` maps a job parameter to its value.

    `children` are the jobs that its tasks run, by the task's key. `queued` when a run of it waits for another to end.
    """

    key: str
    name: str
    tasks: tuple[Task, ...]
    parameters: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: int = 0
    children: Mapping[str, Job] = field(default_factory=dict)
    queued: bool = True

    @property
    def id(self) -> int:
        return job_id(self.key)


def job_id(key: str) -> int:
    """A number for a job that has none until it is deployed: the same for the same key."""
    return zlib.crc32(key.encode())


def read_job(key: str, document: Mapping[str, Any]) -> tuple[Job | None, list[str]]:
    """The job of a resolved document, or every reason why it is none."""
    problems: list[str] = []
    listed = document.get("tasks")
    if not isinstance(listed, list) or not listed:
        return None, [f"job {key}: has no tasks; a job file lists them under resources.jobs.{key}.tasks"]
    tasks = [_task(number, entry, problems) for number, entry in enumerate(listed, start=1)]
    parameters = _parameters(document.get("parameters") or [], problems)
    timeout = _whole(document, "timeout_seconds", f"job {key}", problems)
    queued = _queued(document.get("queue"), f"job {key} queue", problems)
    problems += _doubles(tasks)
    if problems:
        return None, problems
    name = str(document.get("name") or key)
    job = Job(key=key, name=name, tasks=tuple(tasks), parameters=parameters, timeout_seconds=timeout, queued=queued)
    return job, []


def unsupported(job: Job) -> list[str]:
    """The tasks of a job that cannot run here."""
    runs = ", ".join(_BODY_FIELDS)
    kinds = [(task.task_key, task.body.kind) for task in job.tasks if isinstance(task.body, OtherTask)]
    return [f"task {key}: {kind} does not run here ({runs} do); choose others with --only" for key, kind in kinds]


def _doubles(tasks: Iterable[Task]) -> list[str]:
    keys = [task.task_key for task in tasks if task.task_key]
    doubled = [key for key in dict.fromkeys(keys) if keys.count(key) > 1] if len(set(keys)) < len(keys) else []
    return [f"task {key}: stands {keys.count(key)} times; the service would keep one of them" for key in doubled]


def _parameters(listed: object, problems: list[str]) -> dict[str, str]:
    if not isinstance(listed, list) or not all(isinstance(p, dict) and "name" in p and "default" in p for p in listed):
        problems.append("parameters: expected a list of {name, default}")
        return {}
    return {str(parameter["name"]): _text(parameter["default"]) for parameter in listed}


def _task(number: int, entry: object, problems: list[str]) -> Task:
    """The task of one entry; where it has problems, they are added and the task is only good for its key."""
    if not isinstance(entry, dict) or not isinstance(entry.get("task_key"), str) or not entry["task_key"]:
        problems.append(f"task number {number}: has no task_key")
        return Task(task_key="", body=OtherTask(kind=""))
    place = f"task {entry['task_key']}"
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", entry["task_key"]):
        problems.append(f"{place}: a task_key has 1 to 100 of the characters A-Z a-z 0-9 _ -")
    return Task(
        task_key=entry["task_key"],
        body=_body(entry, place, problems),
        depends_on=_dependencies(entry.get("depends_on") or [], place, problems),
        run_if=_word(entry.get("run_if") or "ALL_SUCCESS", RUN_IF, f"{place} run_if", problems),
        timeout_seconds=_whole(entry, "timeout_seconds", place, problems),
        max_retries=_whole(entry, "max_retries", place, problems, lowest=-1),
        min_retry_interval_millis=_whole(entry, "min_retry_interval_millis", place, problems),
        retry_on_timeout=_flag(entry, "retry_on_timeout", place, problems),
        disabled=_flag(entry, "disabled", place, problems),
    )


ProcessBody = WheelTask | NotebookTask | PythonTask
Body = ProcessBody | ConditionTask | JobTask | EachTask | OtherTask


def _body(entry: Mapping[str, Any], place: str, problems: list[str]) -> Body:
    kinds = [name for name in entry if name.endswith("_task")]
    if len(kinds) != 1 or kinds[0] not in _BODY_FIELDS:
        return OtherTask(kind=" and ".join(kinds) or "a task without a type")
    if not isinstance(entry[kinds[0]], dict):
        problems.append(f"{place} {kinds[0]}: expected an object")
        return OtherTask(kind=kinds[0])
    body = entry[kinds[0]]
    place = f"{place} {kinds[0]}"
    unknown = [name for name in body if name not in _BODY_FIELDS[kinds[0]]]
    problems += [f"{place}: unknown field {n}{did_you_mean(n, _BODY_FIELDS[kinds[0]])}" for n in unknown]
    return _READERS[kinds[0]](body, place, problems)


def _wheel(body: Mapping[str, Any], place: str, problems: list[str]) -> WheelTask:
    named, listed = body.get("named_parameters") or {}, body.get("parameters") or []
    if named and listed:
        problems.append(f"{place}: has parameters and named_parameters; the service takes one of them")
    if not isinstance(named, dict) or not isinstance(listed, list):
        problems.append(f"{place}: expected named_parameters as an object, parameters as a list")
        named, listed = {}, []
    return WheelTask(
        package_name=_required(body, "package_name", place, problems),
        entry_point=_required(body, "entry_point", place, problems),
        parameters=tuple(_text(value) for value in listed),
        named_parameters={str(name): _text(value) for name, value in named.items()},
    )


def _condition(body: Mapping[str, Any], place: str, problems: list[str]) -> ConditionTask:
    return ConditionTask(
        left=_required(body, "left", place, problems),
        op=_word(_required(body, "op", place, problems), OPERATORS, f"{place} op", problems),
        right=_required(body, "right", place, problems),
    )


def _run_job(body: Mapping[str, Any], place: str, problems: list[str]) -> JobTask:
    given = body.get("job_parameters") or {}
    if not isinstance(given, dict):
        problems.append(f"{place}: expected job_parameters as an object")
        given = {}
    number = _required(body, "job_id", place, problems)
    if number and not number.isdigit():
        problems.append(f"{place} job_id: expected a number or ${{resources.jobs.KEY.id}}, found {number!r}")
    parameters = {str(name): _text(value) for name, value in given.items()}
    return JobTask(job_id=int(number) if number.isdigit() else 0, job_parameters=parameters)


def _notebook(body: Mapping[str, Any], place: str, problems: list[str]) -> NotebookTask:
    given = body.get("base_parameters") or {}
    if not isinstance(given, dict):
        problems.append(f"{place}: expected base_parameters as an object")
        given = {}
    _from_workspace(body, place, problems)
    parameters = {str(name): _text(value) for name, value in given.items()}
    return NotebookTask(notebook_path=_required(body, "notebook_path", place, problems), base_parameters=parameters)


def _python(body: Mapping[str, Any], place: str, problems: list[str]) -> PythonTask:
    listed = body.get("parameters") or []
    if not isinstance(listed, list):
        problems.append(f"{place}: expected parameters as a list")
        listed = []
    _from_workspace(body, place, problems)
    parameters = tuple(_text(value) for value in listed)
    return PythonTask(python_file=_required(body, "python_file", place, problems), parameters=parameters)


def _each(body: Mapping[str, Any], place: str, problems: list[str]) -> EachTask | OtherTask:
    task = _task(1, body.get("task"), problems)
    if not isinstance(task.body, ProcessBody):
        return OtherTask(kind="for_each_task of what is no wheel, notebook or Python file")
    return EachTask(
        inputs=_required(body, "inputs", place, problems),
        task=task,
        concurrency=_whole({"concurrency": 1, **body}, "concurrency", place, problems, lowest=1),
    )


def _from_workspace(body: Mapping[str, Any], place: str, problems: list[str]) -> None:
    if body.get("source") not in (None, "WORKSPACE"):
        problems.append(f"{place} source: only files beside the job run here, found {body['source']!r}")


_READERS: Mapping[str, Callable[[Mapping[str, Any], str, list[str]], Body]] = {
    "python_wheel_task": _wheel,
    "condition_task": _condition,
    "run_job_task": _run_job,
    "notebook_task": _notebook,
    "spark_python_task": _python,
    "for_each_task": _each,
}


def _dependencies(listed: object, place: str, problems: list[str]) -> tuple[Dependency, ...]:
    if not isinstance(listed, list) or not all(
        isinstance(d, dict) and isinstance(d.get("task_key"), str) for d in listed
    ):
        problems.append(f"{place} depends_on: expected a list of {{task_key}}")
        return ()
    return tuple(Dependency(task_key=d["task_key"], outcome=_text(d.get("outcome") or "")) for d in listed)


def _required(body: Mapping[str, Any], name: str, place: str, problems: list[str]) -> str:
    if body.get(name) is None:
        problems.append(f"{place}: {name} is required")
        return ""
    return _text(body[name])


def _word(value: object, words: tuple[str, ...], place: str, problems: list[str]) -> str:
    if value not in words:
        problems.append(f"{place}: expected one of {', '.join(words)}, found {value!r}")
        return words[0]
    return str(value)


def _whole(entry: Mapping[str, Any], name: str, place: str, problems: list[str], lowest: int = 0) -> int:
    value = entry.get(name)
    if value is None:
        return 0
    try:
        number = int(str(value))
    except ValueError:
        number = lowest - 1
    if number < lowest:
        problems.append(f"{place} {name}: expected a whole number from {lowest}, found {value!r}")
    return number


def _flag(entry: Mapping[str, Any], name: str, place: str, problems: list[str]) -> bool:
    value = entry.get(name)
    if str(value).lower() not in ("none", "true", "false"):
        problems.append(f"{place} {name}: expected true or false, found {value!r}")
    return str(value).lower() == "true"


def _queued(queue: object, place: str, problems: list[str]) -> bool:
    """Whether runs of the job are queued; a bundle's are, unless it says otherwise."""
    if queue is not None and not isinstance(queue, dict):
        problems.append(f"{place}: expected an object")
    return not isinstance(queue, dict) or "enabled" not in queue or _flag(queue, "enabled", place, problems)


def _text(value: object) -> str:
    """A scalar as a bundle writes it into a map of strings."""
    return str(value).lower() if isinstance(value, bool) else str(value)
