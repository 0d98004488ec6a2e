"""The run record: what the Jobs API's `runs/get` would say of this run, kept current in one JSON file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from localjobs.job import ConditionTask, EachTask, Job, JobTask, NotebookTask, PythonTask, Task, WheelTask
from localjobs.repair import Element, Past

_WRITING_SHARE = 20  # a large record may take this part of a run's time: one twentieth


_SEPARATOR = ",\n  "
_BY_HAND = {"trigger": "ONE_TIME"}


@dataclass(slots=True, kw_only=True)
class TaskRun:
    """A task in a run, as of its latest attempt. Times are milliseconds; `attempt_number` counts from 0.

    `first_number` is the attempt that a run or a repair began with: retries count from there.
    `filled` is the task with its references replaced, once it has started; `child_run_id` is the run that it started.
    """

    task: Task
    filled: Task | None = None
    run_id: int = 0
    attempt_number: int = 0
    first_number: int = 0
    life_cycle_state: str = "BLOCKED"
    result_state: str = ""
    state_message: str = ""
    start_time: int = 0
    end_time: int = 0
    outcome: str = ""
    child_run_id: int = 0
    cpu_seconds: float = 0.0

    @property
    def ended(self) -> bool:
        return self.life_cycle_state == "TERMINATED"

    @property
    def seconds(self) -> float:
        """How long the latest attempt took; 0 for one that never started."""
        return (self.end_time - self.start_time) / 1000 if self.start_time and self.end_time else 0.0

    def document(self) -> dict[str, Any]:
        """One element of `tasks` in `runs/get`; additions of ours are `output_path`, `cpu_seconds`, what
        `runs/get-output` would say of a `run_job_task`, and the run that holds the iterations of a `for_each_task`.
        """
        task = self.task
        return {
            "run_id": self.run_id,
            "task_key": task.task_key,
            "attempt_number": self.attempt_number,
            "run_if": task.run_if,
            "state": state(self.life_cycle_state, self.result_state, self.state_message),
            "start_time": self.start_time,
            "end_time": self.end_time,
            "execution_duration": round(self.seconds * 1000),
            "timeout_seconds": task.timeout_seconds,
            **self._body(),
            "cpu_seconds": self.cpu_seconds,
        }

    def _body(self) -> dict[str, Any]:
        body = (self.filled or self.task).body
        if isinstance(body, ConditionTask):
            outcome = {"outcome": self.outcome} if self.outcome else {}
            return {"condition_task": {"left": body.left, "op": body.op, "right": body.right, **outcome}}
        if isinstance(body, JobTask):
            output = {"run_job_output": {"run_id": self.child_run_id}} if self.child_run_id else {}
            return {"run_job_task": {"job_id": body.job_id, "job_parameters": dict(body.job_parameters)}, **output}
        if isinstance(body, EachTask):
            output = {"for_each_output": {"run_id": self.child_run_id}} if self.child_run_id else {}
            told = {"inputs": body.inputs, "concurrency": body.concurrency, "task": {"task_key": body.task.task_key}}
            return {"for_each_task": told, **output}
        log = {"output_path": f"{self.task.task_key}.log"} if self.start_time else {}
        if isinstance(body, NotebookTask):
            named = {"base_parameters": dict(body.base_parameters)} if body.base_parameters else {}
            return {"notebook_task": {"notebook_path": body.notebook_path, **named}, **log}
        if isinstance(body, PythonTask):
            return {"spark_python_task": {"python_file": body.python_file, "parameters": list(body.parameters)}, **log}
        if not isinstance(body, WheelTask):
            return {}
        parameters = {"parameters": list(body.parameters)} if body.parameters else {}
        named = {"named_parameters": dict(body.named_parameters)} if body.named_parameters else {}
        wheel = {"package_name": body.package_name, "entry_point": body.entry_point}
        return {"python_wheel_task": wheel | parameters | named, **log}


def state(life_cycle_state: str, result_state: str, message: str) -> dict[str, str]:
    """A `state` of the Jobs API; a result stands in it only once there is one."""
    result = {"result_state": result_state} if result_state else {}
    return {"life_cycle_state": life_cycle_state, **result, "state_message": message}


@dataclass(slots=True, kw_only=True)
class RunRecord:
    """The record of one run and the file it is kept in.

    `parent` is the id of the task's run that started it, 0 for a run that a person started; `children` are the records
    of the runs that its own tasks started, by the task's key. `request` is what a repair has to know, `past` what a
    repair took over.
    """

    file: Path
    run_id: int
    job_id: int
    job: Job
    start: datetime
    defaults: Mapping[str, str] = field(default_factory=dict)
    parent: int = 0
    children: dict[str, RunRecord] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    past: Past | None = None
    runs: dict[str, TaskRun] = field(init=False)
    life_cycle_state: str = "RUNNING"
    result_state: str = ""
    state_message: str = ""
    end_time: int = 0
    _stayed: set[str] = field(default_factory=set)
    _texts: dict[str, str] = field(init=False)
    _edges: dict[str, str] = field(init=False)
    _changed: dict[str, None] = field(init=False)
    _next_write: float = 0.0
    _last_id: int = 0

    def __post_init__(self) -> None:
        tasks = self.job.tasks
        self._last_id = self.past.last_id if self.past else 0
        self.runs = {task.task_key: self._task_run(task) for task in tasks}
        self._edges = {task.task_key: json.dumps(_depends_on(task)) for task in tasks}
        self._texts = {key: _SEPARATOR.join(self._earlier(key)) for key in self.kept}
        self._changed = dict.fromkeys(self.open_runs)

    @property
    def kept(self) -> frozenset[str]:
        """The tasks that a repair does not run again."""
        return self.past.kept | self._stayed if self.past else frozenset()

    @property
    def open_runs(self) -> dict[str, TaskRun]:
        """The tasks that this run, or this repair of it, runs."""
        return {key: run for key, run in self.runs.items() if key not in self.kept}

    @property
    def began(self) -> datetime:
        """When this run, or this repair of it, did."""
        return self.past.began if self.past else self.start

    def keep(self, task_key: str) -> TaskRun:
        """Let a task of a repair stay as it ended before, in place of another attempt."""
        if self.past is None:
            raise AssertionError("only a repair has something to keep")
        self._stayed.add(task_key)
        self.runs[task_key] = _ended_before(self.runs[task_key].task, self.past.attempts[task_key][-1])
        self.touch(task_key)
        return self.runs[task_key]

    def next_attempt_id(self) -> int:
        """A run id for one attempt of a task, exact as a JSON number everywhere (below 2 ** 53)."""
        self._last_id += 1
        return self.run_id * 10_000 + self._last_id % 10_000

    def _task_run(self, task: Task) -> TaskRun:
        if self.past and task.task_key in self.past.kept:
            return _ended_before(task, self.past.attempts[task.task_key][-1])
        number = self.past.next_number[task.task_key] if self.past else 0
        return TaskRun(task=task, run_id=self.next_attempt_id(), attempt_number=number, first_number=number)

    def _earlier(self, task_key: str) -> list[str]:
        """The attempts at a task before this repair."""
        return (
            [json.dumps(element, ensure_ascii=False) for element in self.past.attempts[task_key]] if self.past else []
        )

    def touch(self, task_key: str) -> None:
        """Note that this task changed since the last write."""
        self._changed[task_key] = None

    def write(self, *, now: bool) -> None:
        """Replace the file when something changed; without `now`, large records only now and then."""
        began = time.monotonic()
        if not self._changed or (began < self._next_write and not now):
            return
        for key in self._changed:
            if key in self._stayed:
                self._texts[key] = _SEPARATOR.join(self._earlier(key))
                continue
            own = json.dumps(self.runs[key].document(), ensure_ascii=False)
            latest = f'{own[:-1]}, "depends_on": {self._edges[key]}}}'
            self._texts[key] = _SEPARATOR.join([*self._earlier(key), latest])
        self._changed.clear()
        head = json.dumps(self._head(), ensure_ascii=False, indent=1)
        tasks = _SEPARATOR.join(self._texts[key] for key in self.runs)
        _replace(self.file, f'{head[:-2]},\n "tasks": [\n  {tasks}\n ]\n}}\n')
        self._next_write = began + (time.monotonic() - began) * _WRITING_SHARE

    def end(self, result_state: str, message: str, end_time: int) -> None:
        """Note how the run ended, and write."""
        self.life_cycle_state, self.result_state, self.state_message = "TERMINATED", result_state, message
        self.end_time = end_time
        self._changed.update(dict.fromkeys(self.open_runs))
        self.write(now=True)

    def _head(self) -> dict[str, Any]:
        start = int(self.start.timestamp() * 1000)
        given = self.job.parameters
        return {
            "job_id": self.job_id,
            "run_id": self.run_id,
            "run_name": self.job.name,
            "run_type": "JOB_RUN",
            **({"trigger": "RUN_JOB_TASK", "trigger_info": {"run_id": self.parent}} if self.parent else _BY_HAND),
            "state": state(self.life_cycle_state, self.result_state, self.state_message),
            "start_time": start,
            "end_time": self.end_time,
            "run_duration": sum(end - began for began, end in self._spans() if end),
            **({"repair_history": [*self.past.history, self._repair(self.past)]} if self.past else {}),
            "job_parameters": [{"name": n, "default": self.defaults.get(n, v), "value": v} for n, v in given.items()],
            "localjobs": {"process": os.getpid(), **self.request},
        }

    def _spans(self) -> list[tuple[int, int]]:
        """Beginning and end of the run and its repairs, in milliseconds."""
        before = [(entry["start_time"], entry["end_time"]) for entry in (self.past.history if self.past else ())]
        return [*before, (int(self.began.timestamp() * 1000), self.end_time)]

    def _repair(self, past: Past) -> dict[str, Any]:
        """What `repair_history` says of the repair that goes on."""
        return {
            "type": "REPAIR",
            "id": past.repair_id,
            "start_time": int(past.began.timestamp() * 1000),
            "end_time": self.end_time,
            "state": state(self.life_cycle_state, self.result_state, self.state_message),
            "task_run_ids": [run.run_id for run in self.open_runs.values()],
        }


def _ended_before(task: Task, element: Element) -> TaskRun:
    """A task that a repair keeps, as the record has it."""
    return TaskRun(
        task=task,
        run_id=element["run_id"],
        attempt_number=element["attempt_number"],
        life_cycle_state="TERMINATED",
        result_state=element["state"]["result_state"],
        state_message=element["state"]["state_message"],
        start_time=element["start_time"],
        end_time=element["end_time"],
        outcome=element.get("condition_task", {}).get("outcome", ""),
    )


def _depends_on(task: Task) -> list[dict[str, str]]:
    listed = task.depends_on
    return [{"task_key": d.task_key, **({"outcome": d.outcome} if d.outcome else {})} for d in listed]


def _replace(file: Path, text: str) -> None:
    draft = file.with_suffix(".tmp")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, file)  # noqa: PTH105 - a reader sees the old record or the new one
