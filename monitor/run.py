"""A run as its record tells it: the JSON of the Jobs API's `runs/get`, from localjobs or from a workspace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from laketasks.known_tasks import PARAMETER as TASK_KEYS
from laketasks.run_state import SKIPPED, SUCCEEDED, attempt_order, read_state
from laketasks.spec import JOB_PARAMETERS

Fate = Literal["failed", "running", "waiting", "skipped", "succeeded"]
Kind = Literal["table", "gate", "summary"]

_RUNNING = ("RUNNING", "TERMINATING")
_SUMMARY = "run_summary"
_DEPLOYED_BY = re.compile(r"^\[dev [^\]]*\] ")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a run or a task stands, in the Jobs API's own word, and what it says of it."""

    word: str
    message: str = ""

    @property
    def fate(self) -> Fate:
        """What the word comes to; a result that nobody foresaw counts as a failure."""
        if self.word in SUCCEEDED:
            return "succeeded"
        if self.word in SKIPPED:
            return "skipped"
        if self.word in _RUNNING:
            return "running"
        return "waiting" if self.word in ("BLOCKED", "PENDING", "QUEUED", "WAITING", "WAITING_FOR_RETRY") else "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at a task. Times are milliseconds since the epoch; 0: not yet. `number` counts from 1."""

    run_id: int
    number: int
    state: State
    start: int = 0
    end: int = 0
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task of a run: its attempts, the latest last, and what it was told.

    `depends_on` names tasks of this run only.
    """

    key: str
    kind: Kind
    attempts: tuple[Attempt, ...]
    depends_on: tuple[str, ...] = ()
    body: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: int = 0
    output: str = ""

    @property
    def last(self) -> Attempt:
        return self.attempts[-1]

    @property
    def fate(self) -> Fate:
        return self.last.state.fate


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of a job. `parameters` are the job's that are not as usual; `latest_repair` 0: never repaired."""

    run_id: int
    job_id: int
    name: str
    state: State
    start: int
    end: int
    tasks: tuple[Task, ...]
    url: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    repairs: int = 0
    latest_repair: int = 0

    @property
    def going_on(self) -> bool:
        return self.state.fate in ("running", "waiting")

    @property
    def is_dry(self) -> bool:
        """Whether its loads stopped before their writes: no run to compare others with."""
        return self.parameters.get("dry_run", "").lower() == "true"

    @property
    def layer(self) -> str:
        """The run's name without what a development deployment puts before it."""
        return layer_of(self.name)

    @property
    def run_log(self) -> str:
        """The run log that the loads were told of; nothing where no task is one of ours."""
        return next((t.parameters["run_log"] for t in self.tasks if t.parameters.get("run_log")), "")


def layer_of(name: str) -> str:
    """A job's name without what a development deployment puts before it."""
    return _DEPLOYED_BY.sub("", name)


def read_run(document: object) -> tuple[Run | None, list[str]]:
    """The run of a record, or every reason why it is none."""
    if not isinstance(document, Mapping):
        return None, ["is no run record: expected the object that the Jobs API's runs/get answers with"]
    problems = [
        f"{name}: expected a number, found {document.get(name)!r}"
        for name in ("run_id", "start_time")
        if not _is_number(document.get(name))
    ]
    listed = document.get("tasks")
    if not isinstance(listed, list) or not listed:
        problems.append("tasks: expected a list of the run's tasks, found none")
        listed = []
    wrong = [n for n, task in enumerate(listed, 1) if not isinstance(task, Mapping) or not task.get("task_key")]
    problems += [f"tasks: number {n} has no task_key" for n in wrong[:5]]
    if problems:
        return None, [f"is no run record: {problem}" for problem in problems]
    return _run(document, _tasks(listed)), []


def _run(document: Mapping[str, Any], tasks: tuple[Task, ...]) -> Run:
    history = [item for item in _list(document, "repair_history") if item.get("type") == "REPAIR"]
    return Run(
        run_id=_number(document, "run_id"),
        job_id=_number(document, "job_id"),
        name=str(document.get("run_name") or f"job {document.get('job_id')}"),
        state=_state(document),
        start=_number(document, "start_time"),
        end=_number(document, "end_time"),
        tasks=tasks,
        url=_link(document),
        parameters=_parameters(document),
        repairs=len({_number(item, "id") for item in history}),
        latest_repair=max((_number(item, "id") for item in history), default=0),
    )


def _tasks(listed: Sequence[Mapping[str, Any]]) -> tuple[Task, ...]:
    """One task for each key: retries and repairs stand in a record as elements of their own."""
    together: dict[str, list[Mapping[str, Any]]] = {}
    for element in listed:
        together.setdefault(str(element["task_key"]), []).append(element)
    return tuple(_task(key, elements, together) for key, elements in together.items())


def _task(key: str, elements: list[Mapping[str, Any]], known: Iterable[str]) -> Task:
    ordered = sorted(elements, key=attempt_order)
    last = ordered[-1]
    body = next((name for name in last if name.endswith("_task") and isinstance(last[name], Mapping)), "")
    told = last.get(body) or {}
    parameters = {str(name): str(value) for name, value in (told.get("named_parameters") or {}).items()}
    return Task(
        key=key,
        kind=kind_of(key, body, told),
        attempts=tuple(_attempt(element) for element in ordered),
        depends_on=tuple(dict.fromkeys(d for d in map(_upstream, _list(last, "depends_on")) if d in known)),
        body=body,
        parameters=parameters,
        timeout_seconds=_number(last, "timeout_seconds"),
        output=str(last.get("output_path") or ""),
    )


def kind_of(key: str, body: str, told: Mapping[str, Any]) -> Kind:
    """What a task is for us, by its key, the name of its body and what the body holds."""
    if body == "condition_task":
        return "gate"
    return "summary" if told.get("entry_point") == "summarize" or key == _SUMMARY else "table"


def _upstream(dependency: Mapping[str, Any]) -> str:
    return str(dependency.get("task_key"))


def _attempt(element: Mapping[str, Any]) -> Attempt:
    state = _state(element)
    ran = state.fate != "skipped"  # the service gives a task that was skipped the moment of it as both times
    return Attempt(
        run_id=_number(element, "run_id"),
        number=_number(element, "attempt_number") + 1,
        state=state,
        start=_number(element, "start_time") if ran else 0,
        end=_number(element, "end_time") if ran else 0,
        url=_link(element),
    )


def _state(element: Mapping[str, Any]) -> State:
    word, message = read_state(element)
    return State(word=word, message=message)


def _parameters(document: Mapping[str, Any]) -> dict[str, str]:
    """The job parameters that have another value than their default, ours first."""
    given = {str(p.get("name")): (p.get("value"), p.get("default")) for p in _list(document, "job_parameters")}
    given.pop(TASK_KEYS, None)  # of a child job it is the parent's
    changed = {n: str(value) for n, (value, default) in given.items() if value is not None and value != default}
    first = [name for name in JOB_PARAMETERS if name in changed]
    return {name: changed[name] for name in (*first, *(n for n in changed if n not in first))}


def _link(element: Mapping[str, Any]) -> str:
    """A page of the workspace; anything but http is no link."""
    url = str(element.get("run_page_url") or "")
    return url if re.match(r"https?://", url) else ""


def _list(element: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    listed = element.get(name)
    return [item for item in listed if isinstance(item, Mapping)] if isinstance(listed, list) else []


def _number(element: Mapping[str, Any], name: str) -> int:
    value = element.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
