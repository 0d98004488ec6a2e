"""One run of a job: starts what may start, stops what takes too long, repeats what may be repeated, notes it all.

A task that runs another job has a run of that, its child; so has one that runs a task for each of its inputs. One loop,
the root's, drives the whole tree: processes, the number of tasks at once and what the person sees are the root's too.
"""

from __future__ import annotations

import selectors
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from localjobs.call import call_of, header, may_retry, wait_before_retry
from localjobs.condition import outcome
from localjobs.engine import Renewable
from localjobs.graph import Order
from localjobs.interrupt import interrupts_heard
from localjobs.iterations import iterations
from localjobs.job import ConditionTask, EachTask, Job, JobTask, ProcessBody, Task
from localjobs.processes import Ended, Processes
from localjobs.progress import Progress, Quiet
from localjobs.record import RunRecord, TaskRun
from localjobs.references import RunValues, child_of, fill, task_names, with_parameters
from localjobs.runif import RUN, SUCCEEDED, run_result
from localjobs.unchanged import Name, Tables, is_unchanged, read_tables, target_of
from localjobs.workspace import new_run_folder

_INTERRUPT_SECONDS = 10.0
_TICK_SECONDS = 0.25


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """A process at work for a task; `stopped` is the result it gets when we end it, with the message why."""

    run: TaskRun
    tag: str
    deadline: float = float("inf")
    stopped: str = ""
    reason: str = ""
    ended: Ended | None = None


@dataclass(slots=True, kw_only=True)
class _Child:
    """The run of another job that a task started; `timed_out` when we ended it for the task's timeout."""

    run: Run
    deadline: float
    at_work: bool = True
    timed_out: bool = False


@dataclass(slots=True, kw_only=True)
class Run:
    """A run in progress. `execute` returns its result; the record says the rest.

    Of the iterations of a for_each_task: `inputs` are what `{{input}}` references name, by task key, `most` how many
    run at once.
    """

    record: RunRecord
    values: RunValues
    engine: Renewable
    processes: Processes
    progress: Progress
    max_parallel: int
    workspace: Path
    inputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    most: int = sys.maxsize
    _order: Order = field(init=False)
    _deadline: float = field(init=False)
    _unstarted: dict[str, list[TaskRun]] = field(init=False)  # the tasks of children, until those start
    _ready: deque[str] = field(default_factory=deque)
    _retries: dict[str, float] = field(default_factory=dict)  # task_key -> when it may start again
    _attempts: dict[int, _Attempt] = field(default_factory=dict)  # by the id of its process
    _interrupts: dict[int, tuple[_Attempt, float]] = field(default_factory=dict)  # by id, with a deadline
    _children: dict[str, _Child] = field(default_factory=dict)  # the latest of each task
    _seen: Tables | None = None  # the workspace's tables since a process last ended, once somebody asked
    _failed: frozenset[Name] = frozenset()  # the tables whose loads a repair found not done
    _canceled: tuple[str, str] | None = None  # the run's result and message, once it is canceled

    def __post_init__(self) -> None:
        job, past = self.record.job, self.record.past
        self._order = Order(job.tasks)
        if past:
            targets = (target_of(task) for task in job.tasks if not past.succeeded(task.task_key))
            self._failed = frozenset(target for target in targets if target)
        self._deadline = _after(job.timeout_seconds)
        self._unstarted = {
            key: [TaskRun(task=task) for task in _below(child)]
            for key, child in job.children.items()
            if key not in self.record.kept
        }

    def execute(self) -> str:
        """Run until every task has ended; the run's result."""
        with interrupts_heard() as heard, selectors.DefaultSelector() as selector:
            selector.register(self.processes, selectors.EVENT_READ)
            selector.register(heard.descriptor, selectors.EVENT_READ)
            self._begin()
            while not self._over:
                self._advance()
                self._write()
                self.progress.tick(self._shown(), time.time())
                if self._over:
                    break
                for key, _ in selector.select(max(0.0, min(_TICK_SECONDS, self._due() - time.monotonic()))):
                    if key.fileobj is self.processes:
                        for ended in self.processes.ended():
                            self._hear(ended)
                self._expire(time.monotonic())
                if heard.signals():
                    self._cancel("CANCELED", "canceled by the user")
                if not self.engine.runs() and not self._canceled:
                    self._cancel("FAILED", f"the engine ended by itself; its output: {self.engine.log}")
        result = self._end()
        self.progress.tick(self._shown(), time.time())
        return result

    # --- the tree of runs ---

    @property
    def _over(self) -> bool:
        return len(self._order.results) == len(self.record.runs)

    @property
    def _busy(self) -> int:
        """How many processes are at work, also those of children."""
        return len(self._attempts) + len(self._interrupts) + sum(child._busy for child in self._working())

    def _working(self) -> list[Run]:
        return [child.run for child in self._children.values() if child.at_work]

    def _begin(self) -> None:
        kept = {key: self.record.runs[key] for key in self.record.kept}
        self._judge(self._order.first({key: (run.result_state, run.outcome) for key, run in kept.items()}))

    def _advance(self) -> None:
        """Start what may start, until nothing more may: the end of a child lets its parent go on."""
        self._start_ready(self._room())
        while self._conclude_children():
            self._start_ready(self._room())

    def _room(self) -> int:
        """How many processes may be started; none on an engine that is stuck, until another takes its place."""
        if self.engine.stuck and not self._canceled:
            if self._busy:
                return 0
            self.engine.renew()
        return self.max_parallel - self._busy

    def _write(self) -> None:
        self.record.write(now=not self._attempts)
        for child in self._working():
            child._write()

    def _shown(self) -> list[TaskRun]:
        """The tasks of all jobs, whether or not they have started, but for those that a repair keeps."""
        runs = list(self.record.open_runs.values())
        for key, unstarted in self._unstarted.items():
            runs += self._children[key].run._shown() if key in self._children else unstarted
        return runs

    def _due(self) -> float:
        """When something has to be looked at even if nothing happens."""
        own = [self._deadline, *self._retries.values(), *(a.deadline for a in self._attempts.values())]
        own += [at for _, at in self._interrupts.values()]
        own += [child.deadline for child in self._children.values() if child.at_work]
        return min([*own, *(child._due() for child in self._working())])

    def _expire(self, now: float) -> None:
        """Stop what has had its time."""
        for number, attempt in self._attempts.items():
            if attempt.deadline <= now:
                limit = attempt.run.task.timeout_seconds
                self._stop(number, attempt, "TIMEDOUT", f"stopped: its timeout of {limit} s is over")
        for number in [n for n, (_, at) in self._interrupts.items() if at <= now]:
            self.processes.kill(number)
            self._interrupts[number] = (self._interrupts[number][0], float("inf"))
        for key, child in self._children.items():
            if child.at_work and child.deadline <= now:
                child.timed_out, child.deadline = True, float("inf")
                limit = self.record.runs[key].task.timeout_seconds
                child.run._cancel("CANCELED", f"stopped: the timeout of {limit} s of task {key} is over")
        if self._deadline <= now and not self._canceled:
            self._deadline = float("inf")
            self._cancel("TIMEDOUT", f"the job's timeout of {self.record.job.timeout_seconds} s is over")
        for working in self._working():
            working._expire(now)

    # --- what is next ---

    def _judge(self, verdicts: Iterable[tuple[str, str]]) -> None:
        """Queue the tasks that may run, end those that may not, and whatever that decides in turn."""
        ahead = deque(verdicts)
        while ahead:
            key, verdict = ahead.popleft()
            run = self.record.runs[key]
            if self._canceled:
                ahead.extend(self._note_end(run, "CANCELED", self._canceled[1]))
            elif verdict != RUN:
                ahead.extend(self._note_end(run, verdict, self._why_not(run.task)))
            else:
                run.life_cycle_state = "PENDING"
                self._ready.append(key)

    def _why_not(self, task: Task) -> str:
        if task.disabled:
            return "the task is disabled"
        ended = {d.task_key: self._order.results[d.task_key] for d in task.depends_on}
        bad = [f"{key} {result}" for key, result in ended.items() if result not in SUCCEEDED]
        decided = [f"{key} is {out}" for key in ended if (out := self._order.outcomes[key])]
        seen = bad or decided or [f"{key} {result}" for key, result in ended.items()]
        more = f" and {len(seen) - 3} more" if len(seen) > 3 else ""
        return f"not run, {task.run_if}: {', '.join(seen[:3])}{more}"

    def _note_end(self, run: TaskRun, result: str, message: str) -> list[tuple[str, str]]:
        run.life_cycle_state, run.result_state, run.state_message = "TERMINATED", result, message
        run.end_time = _milliseconds()
        self.record.touch(run.task.task_key)
        self.progress.ended(run)
        if run.task.task_key not in self._children:
            for below in self._unstarted.get(run.task.task_key, ()):
                below.life_cycle_state, below.result_state, below.state_message = "TERMINATED", result, message
                self.progress.ended(below)
        return self._order.finish(run.task.task_key, result, run.outcome)

    def _end_task(self, run: TaskRun, result: str, message: str) -> None:
        self._judge(self._note_end(run, result, message))

    def _start_ready(self, room: int) -> int:
        """Start tasks that are ready, also those of children, while there is room; what is left of it."""
        held_back = max(0, room - max(0, self.most - self._busy))
        room -= held_back
        now = time.monotonic()
        for key in [key for key, at in self._retries.items() if at <= now]:
            del self._retries[key]
            self._ready.append(key)
        while self._ready and room > 0:
            before = len(self._attempts)
            self._start(self.record.runs[self._ready.popleft()])
            room -= len(self._attempts) - before
        for child in self._working():
            room = child._start_ready(room)
        return room + held_back

    # --- one attempt ---

    def _start(self, run: TaskRun) -> None:
        run.life_cycle_state, run.start_time, run.end_time = "RUNNING", _milliseconds(), 0
        self.record.touch(run.task.task_key)
        names = task_names(run.task, run.run_id, run.attempt_number + 1, self._order.results)
        task, problems = fill(run.task, {**self.values.names(), **names, **self.inputs.get(run.task.task_key, {})})
        run.filled = task
        if not problems and self._stays(task):
            self._keep(run)
        elif problems:
            self._end_task(run, "FAILED", "; ".join(problems))
        elif isinstance(task.body, ConditionTask):
            self._decide(run, task.body)
        elif isinstance(task.body, ProcessBody):
            self._start_process(run, task.body)
        elif isinstance(task.body, JobTask):
            self._start_child(run, task)
        elif isinstance(task.body, EachTask):
            self._start_each(run, task.body, names)

    def _stays(self, task: Task) -> bool:
        """Whether a repair finds a load done, with all that it reads as it was."""
        past = self.record.past
        if past is None or not past.succeeded(task.task_key) or target_of(task) is None:
            return False
        self._seen = self._seen or read_tables(self.workspace)
        return is_unchanged(task, past.attempts[task.task_key][-1], self._seen, self._failed)

    def _keep(self, run: TaskRun) -> None:
        kept = self.record.keep(run.task.task_key)
        self.progress.kept(run)
        self._judge(self._order.finish(kept.task.task_key, kept.result_state, kept.outcome))

    def _decide(self, run: TaskRun, condition: ConditionTask) -> None:
        try:
            run.outcome = outcome(condition)
        except ValueError as error:
            self._end_task(run, "FAILED", str(error))
        else:
            self._end_task(run, "SUCCESS", "")

    def _start_process(self, run: TaskRun, body: ProcessBody) -> None:
        if not self._attempts:
            self.record.write(now=True)  # a task that waited for all others reads what became of them
        attempt = _Attempt(run=run, tag=f"localjobs-{run.run_id}", deadline=_after(run.task.timeout_seconds))
        log = self._log(run)
        with log.open("a", encoding="utf-8") as output:
            output.write(header(run))
        call, arguments = call_of(body, self.values.parameters)
        number = self.processes.start(call, {**arguments, "tag": attempt.tag}, log, self._environment())
        self._attempts[number] = attempt

    def _start_child(self, run: TaskRun, task: Task) -> None:
        key, start = task.task_key, datetime.now(timezone.utc)
        job = child_of(self.record.job, task, self.values.parameters)
        run_id, folder = new_run_folder(self.workspace, start)
        job, values = with_parameters(job, RunValues(run_id=run_id, job_id=job.id, job_name=job.name, start=start))
        record = RunRecord(
            file=folder / self.record.file.name,
            run_id=run_id,
            job_id=job.id,
            job=job,
            start=start,
            defaults=self.record.job.children[key].parameters,
            parent=run.run_id,
        )
        run.child_run_id, self.record.children[key] = run_id, record
        child = Run(
            record=record,
            values=values,
            engine=self.engine,
            processes=self.processes,
            progress=self.progress,
            max_parallel=self.max_parallel,
            workspace=self.workspace,
        )
        self._children[key] = _Child(run=child, deadline=_after(task.timeout_seconds))
        child._begin()

    def _start_each(self, run: TaskRun, body: EachTask, names: Mapping[str, str]) -> None:
        """Start the iterations as a run of their own, which is the same run to their references."""
        try:
            each = iterations(body)
        except ValueError as error:
            self._end_task(run, "FAILED", str(error))
            return
        if not each:
            self._end_task(run, "SUCCESS", "no inputs")
            return
        start, own = datetime.now(timezone.utc), self.record.job
        tasks = tuple(task for task, _ in each.values())
        job = Job(key=own.key, name=f"{own.name}: {run.task.task_key}", tasks=tasks, parameters=own.parameters)
        run_id, folder = new_run_folder(self.workspace, start)
        record = RunRecord(
            file=folder / self.record.file.name, run_id=run_id, job_id=job.id, job=job, start=start, parent=run.run_id
        )
        run.child_run_id, self.record.children[run.task.task_key] = run_id, record
        before = {name: value for name, value in names.items() if name.startswith("tasks.")}
        child = Run(
            record=record,
            values=self.values,
            engine=self.engine,
            processes=self.processes,
            progress=Quiet(),
            max_parallel=self.max_parallel,
            workspace=self.workspace,
            inputs={key: {**before, **named} for key, (_, named) in each.items()},
            most=body.concurrency,
        )
        self._children[run.task.task_key] = _Child(run=child, deadline=_after(run.task.timeout_seconds))
        child._begin()

    def _log(self, run: TaskRun) -> Path:
        return self.record.file.parent / f"{run.task.task_key}.log"

    def _environment(self) -> dict[str, str]:
        return {"SPARK_REMOTE": self.engine.remote, "LAKETASKS_RUN_RECORD": str(self.record.file.absolute())}

    # --- what happens meanwhile ---

    def _stop(self, number: int, attempt: _Attempt, result: str, reason: str) -> None:
        attempt.stopped, attempt.reason, attempt.deadline = result, reason, float("inf")
        self.processes.kill(number)

    def _hear(self, ended: Ended) -> None:
        """Take note of a process that ended, whichever run of the tree it belongs to."""
        if ended.id in self._interrupts:
            self.engine.stuck |= not ended.ok
            self._conclude(self._interrupts.pop(ended.id)[0])
        elif ended.id in self._attempts:
            self._hear_own(ended)
        else:
            for child in self._working():
                child._hear(ended)

    def _hear_own(self, ended: Ended) -> None:
        attempt = self._attempts.pop(ended.id)
        attempt.ended = ended
        if ended.died and self.engine.runs():
            # Its operations go on in the server. Interrupting them once the process is dead leaves no gap
            # in which it could start another one.
            arguments = {"remote": self.engine.remote, "tag": attempt.tag}
            number = self.processes.start("localjobs.engine:interrupt", arguments, self._log(attempt.run), {})
            self._interrupts[number] = (attempt, time.monotonic() + _INTERRUPT_SECONDS)
        else:
            self._conclude(attempt)

    def _conclude(self, attempt: _Attempt) -> None:
        """Give a task its result, or another attempt."""
        run, ended = attempt.run, attempt.ended
        self._seen = None
        if ended is None:
            raise AssertionError("an attempt is concluded once its process has ended")
        run.cpu_seconds = round(run.cpu_seconds + ended.cpu_seconds, 3)
        if ended.ok:
            self._end_task(run, "SUCCESS", "")
            return
        by_us = ended.died and bool(attempt.stopped)
        result, message = (attempt.stopped, attempt.reason) if by_us else ("FAILED", ended.message)
        if by_us:
            with self._log(run).open("a", encoding="utf-8") as output:
                output.write(f"{message}\n")
        self._end_or_retry(run, result, message)

    def _conclude_children(self) -> bool:
        """Give the tasks whose child's run is over its result; whether there were any, here or below."""
        concluded = False
        for key, child in list(self._children.items()):
            if not child.at_work:
                continue
            concluded |= child.run._conclude_children()
            if child.run._over:
                child.at_work, concluded = False, True
                self._conclude_child(self.record.runs[key], child)
        return concluded

    def _conclude_child(self, run: TaskRun, child: _Child) -> None:
        result = child.run._end()
        record = child.run.record
        run.cpu_seconds = round(run.cpu_seconds + sum(below.cpu_seconds for below in record.runs.values()), 3)
        if result in SUCCEEDED:
            self._end_task(run, result, "")
            return
        bad = [key for key, below in record.runs.items() if below.result_state not in SUCCEEDED]
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        why = (
            record.state_message
            or f"{len(bad)} of {len(record.runs)} tasks did not succeed: {', '.join(bad[:3])}{more}"
        )
        message = f"run {record.run_id} of {record.job.key}: {why}"
        self._end_or_retry(run, "TIMEDOUT" if child.timed_out else result, message)

    def _end_or_retry(self, run: TaskRun, result: str, message: str) -> None:
        if self._canceled or not may_retry(run.task, run.attempt_number - run.first_number, result):
            self._end_task(run, result, message)
        else:
            self._retry(run, result, message)

    def _retry(self, run: TaskRun, result: str, message: str) -> None:
        wait = wait_before_retry(run, _milliseconds()) / 1000
        self.progress.retries(run, result, wait)
        run.attempt_number += 1
        run.run_id = self.record.next_attempt_id()
        run.life_cycle_state, run.state_message = "WAITING_FOR_RETRY", f"attempt {run.attempt_number}: {message}"
        self.record.touch(run.task.task_key)
        self._retries[run.task.task_key] = time.monotonic() + wait

    def _cancel(self, result: str, message: str) -> None:
        """Stop what runs and end what waits; a second cancel no longer waits for the engine to be told."""
        if self._canceled:
            self._interrupts = {n: (a, min(at, time.monotonic())) for n, (a, at) in self._interrupts.items()}
            for child in self._working():
                child._cancel(result, message)
            return
        self._canceled = (result, message)
        below = "FAILED" if result == "FAILED" else "CANCELED"
        for number, attempt in self._attempts.items():
            self._stop(number, attempt, below, message)
        for child in self._working():
            child._cancel(below, message)
        waiting = [*self._ready, *self._retries]
        self._ready.clear()
        self._retries.clear()
        for key in waiting:
            self._end_task(self.record.runs[key], "CANCELED", message)

    def _end(self) -> str:
        results, leaves = self._order.results, self._order.leaves
        result = run_result([results[key] for key in leaves], [r for k, r in results.items() if k not in leaves])
        result, message = self._canceled or (result, "")
        self.record.end(result, message, _milliseconds())
        return result


def count_tasks(record: RunRecord) -> int:
    """How many tasks the run has, its children's among them, without those that a repair keeps."""
    children = [child for key, child in record.job.children.items() if key not in record.kept]
    return len(record.open_runs) + sum(len(_below(child)) for child in children)


def _below(job: Job) -> list[Task]:
    return [*job.tasks, *(task for child in job.children.values() for task in _below(child))]


def _after(seconds: int) -> float:
    """The moment when a timeout of so many seconds is over; 0 is none."""
    return time.monotonic() + seconds if seconds else float("inf")


def _milliseconds() -> int:
    return int(time.time() * 1000)
