"""What a finished run did, as text for the people who are woken by it. Pure: states and log rows in, text out.

A table is loaded when its task succeeded by the service's state and, where the wheel loads it, the run log has its
success in this run. Every other table of the job is named, and fails the run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

from laketasks.counts import DRY_RUN, LABELS, SUCCESS
from laketasks.known_tasks import listed, unknown_among, unknown_tasks
from laketasks.run_state import SKIPPED, SUCCEEDED, attempt_order, read_state
from laketasks.spec import JOB_PARAMETERS, SummarySpec

RUN_SUMMARY = "run_summary"
GATE_PREFIX = "gate_"

_NAMED = 10  # tables in the first line
_CAUSES = 5  # failures in `brief`
_CAUSE_CHARACTERS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """How a task of the run ended, as the Jobs API says it; `message` is the state's, or the error of its output.

    A child job whose tables are not known stands for all its `tables`. `logs`: the wheel loads
    it, and writes its row of the run log. `run_id` is that of the attempt.
    """

    task_key: str
    result: str
    message: str = ""
    tables: int = 1
    logs: bool = True
    child: bool = False
    run_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The whole text, and the part of it that an error has room for: what failed, with the cause."""

    text: str
    failed: bool
    brief: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """What became of a table, or of the tables of a child job; `reason` says why it is not accounted for."""

    state: TaskState
    fate: Literal["loaded", "failed", "skipped", "lost"]
    reason: str = ""

    @property
    def key(self) -> str:
        return self.state.task_key


Record = Mapping[str, object]
Row = Mapping[str, object]


def states_of(
    record: Record,
    children: Mapping[str, int] | None = None,
    run_of: Callable[[Record], Record] | None = None,
) -> list[TaskState]:
    """The tasks of a run record (the Jobs API's runs/get) that load tables, each with its last attempt's state.

    `children` are the tasks that run child jobs, with how many tables; `run_of` has the record of such a task's run.
    """
    states: list[TaskState] = []
    for key, task in last_attempts(record).items():
        own = _state(key, task)
        if not children or run_of is None or key not in children:
            states.append(own)
        elif own.result in SKIPPED or not task.get("start_time"):
            states.append(replace(own, tables=children[key], child=True))
        else:
            states += _states_of_child(own, children[key], task, run_of)
    return states


def last_attempts(record: Record) -> dict[str, Mapping[str, Any]]:
    """The element of each task that loads a table: the last attempt decides, but for one that never started.

    In a repair a task may wait in vain for another that fails again: its success of before is still one.
    """
    attempts: dict[str, list[Mapping[str, Any]]] = {}
    tasks = record.get("tasks")
    for task in tasks if isinstance(tasks, list) else []:
        key = str(task["task_key"])
        if key != RUN_SUMMARY and not key.startswith(GATE_PREFIX):
            attempts.setdefault(key, []).append(task)
    return {key: _last(elements) for key, elements in attempts.items()}


def _last(elements: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    *earlier, last = sorted(elements, key=attempt_order)
    result = read_state(last)[0]
    if result in SKIPPED or (not last.get("start_time") and result not in SUCCEEDED):
        return next((e for e in reversed(earlier) if read_state(e)[0] in SUCCEEDED), last)
    return last


def _states_of_child(
    own: TaskState, tables: int, task: Record, run_of: Callable[[Record], Record]
) -> Iterator[TaskState]:
    try:
        found = states_of(run_of(task))
    except Exception as error:  # whatever the client raises: the other children tell what they tell
        why = f"the run of its {tables} tables cannot be read: {type(error).__name__}: {error}"
        yield replace(own, result="UNKNOWN", message=why, tables=tables, child=True)
        return
    yield from found
    if own.result not in SUCCEEDED and all(state.result in SUCCEEDED for state in found):
        yield own


def _state(key: str, task: Mapping[str, Any]) -> TaskState:
    result, message = read_state(task)
    run_id = task.get("run_id")
    return TaskState(
        task_key=key,
        result=result,
        message=message,
        logs=_logs(task),
        run_id=run_id if isinstance(run_id, int) else 0,
    )


def _logs(task: Mapping[str, Any]) -> bool:
    """Return true where the wheel loads the table, or the record does not tell what the task runs."""
    bodies = {name: body for name, body in task.items() if name.endswith("_task") and isinstance(body, Mapping)}
    wheel = bodies.get("python_wheel_task", {})
    ours = wheel.get("package_name") == "laketasks" and wheel.get("entry_point") == "load"
    return ours or not bodies


def summarize(
    spec: SummarySpec,
    states: Sequence[TaskState] | None,
    rows: Sequence[Row],
    *,
    states_error: str = "",
    log_error: str = "",
    chosen: bool = False,
) -> Summary:
    """Judge the run by its tasks' states and the run log.

    `states` None: the service could not be asked, and the run log judges alone. `states_error`, `log_error`: why the
    states, or the rows, are none or not all. `chosen`: the run is one of some of the job's tasks.
    """
    logged = {str(row["task_key"]): row for row in rows}
    tables = _tables(spec, states, logged, log_error=log_error, chosen=chosen)
    by = {fate: [t for t in tables if t.fate == fate] for fate in ("loaded", "failed", "skipped", "lost")}
    wrong_names = _unknown_names(spec, states, chosen=chosen)
    stale, on_failed = _stale_inputs(tables, logged)
    broken = bool(by["failed"] or by["lost"] or by["skipped"] or wrong_names or log_error or on_failed)
    failures = _failures(by["failed"], logged)
    lost = _lost(by["lost"])
    reasons = [*wrong_names, *(["the run log could not be read"] if log_error else [])]
    headline = _headline(spec, by, reasons, rows)
    parts = [
        headline,
        *wrong_names,
        *_unread(states, states_error, log_error),
        *([_without_row(spec, by["lost"])] if states is None and by["lost"] else []),
        *failures,
        lost,
        *([_waiting(by["skipped"])] if by["skipped"] else []),
        stale,
        _not_judged(tables, logged),
        *([_left_out(spec)] if spec.skipped else []),
        _counts(tables, logged),
    ]
    brief = [headline.splitlines()[0], *wrong_names, *map(_short, islice(failures, _CAUSES)), _short(lost)]
    return Summary(text=_joined(parts), failed=broken, brief=_joined(brief))


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part)


def _tables(
    spec: SummarySpec,
    states: Sequence[TaskState] | None,
    logged: Mapping[str, Row],
    *,
    log_error: str,
    chosen: bool,
) -> list[_Table]:
    """Every table of the job with what became of it; those that nothing names are one element, without a key."""
    if states is None:
        found = [_by_log(spec, key, row) for key, row in logged.items()]
    else:
        found = [_judged(spec, state, logged.get(state.task_key), log_error) for state in states]
    if chosen:
        return found
    known = {table.key for table in found}
    names = () if spec.children else listed(spec.task_keys)
    of_children = any(table.state.child for table in found)
    absent = [key for key in names or (() if of_children else logged) if key not in known]
    found += [_absent(key, logged.get(key), asked=states is not None) for key in absent]
    unnamed = spec.tables - sum(table.state.tables for table in found)
    if unnamed > 0:
        state = TaskState(task_key="", result="", tables=unnamed)
        found.append(_Table(state=state, fate="lost", reason="neither the service nor the run log names them"))
    elif unnamed < 0 and spec.tables and not names:
        reason = f"the job was generated with {spec.tables} tables, and the run has {-unnamed} more"
        found.append(_Table(state=TaskState(task_key="", result="", tables=0), fate="lost", reason=reason))
    return found


def _judged(spec: SummarySpec, state: TaskState, row: Row | None, log_error: str) -> _Table:
    """A table by its task's state and its last row in the run log."""
    if state.result in SKIPPED:
        return _Table(state=state, fate="skipped")
    if state.result not in SUCCEEDED:
        return _Table(state=state, fate="lost" if state.child else "failed", reason=state.message)
    if not state.logs or log_error or _is_success(spec, row):
        return _Table(state=state, fate="loaded")
    told = "has no row of it in this run" if row is None else f"ends with its attempt {row['attempt']}, {_outcome(row)}"
    return _Table(state=state, fate="lost", reason=f"its task ended {state.result}, but the run log {told}")


def _by_log(spec: SummarySpec, key: str, row: Row) -> _Table:
    good = _is_success(spec, row)
    state = TaskState(task_key=key, result="SUCCESS" if good else "FAILED")
    return _Table(state=state, fate="loaded" if good else "failed")


def _absent(key: str, row: Row | None, *, asked: bool) -> _Table:
    """A table of the job, or of the run log, of which the service has no state."""
    if row is not None and row["error"]:
        return _Table(state=TaskState(task_key=key, result="FAILED"), fate="failed")
    told = "the run log has no row of it" if row is None else f"the run log has its {_outcome(row)}"
    reason = f"the service has no state of its task in this run; {told}" if asked else told
    return _Table(state=TaskState(task_key=key, result="UNKNOWN"), fate="lost", reason=reason)


def _is_success(spec: SummarySpec, row: Row | None) -> bool:
    return row is not None and row["status"] == (DRY_RUN if spec.dry_run else SUCCESS) and not row["error"]


def _outcome(row: Row) -> str:
    return f"{row['status']}: {_first_line(str(row['error']))}" if row["error"] else str(row["status"])


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _unknown_names(spec: SummarySpec, states: Sequence[TaskState] | None, *, chosen: bool) -> list[str]:
    """What the loads could not refuse themselves, and what they did."""
    asked = {name: str(getattr(spec, name)) for name in JOB_PARAMETERS if name != "dry_run"}
    problems = unknown_tasks({**asked, "task_keys": spec.task_keys})
    if not problems and states is not None and not chosen and not any(state.child for state in states):
        problems = unknown_among(asked, [state.task_key for state in states])
    return [f"Job parameter {problem}" for problem in problems]


def _headline(
    spec: SummarySpec, by: Mapping[str, Sequence[_Table]], reasons: Sequence[str], rows: Sequence[Row]
) -> str:
    good, failed, skipped, lost = (_number(by[fate]) for fate in ("loaded", "failed", "skipped", "lost"))
    total, bad = good + failed + skipped + lost, failed + lost
    done = "looked at, nothing written" if spec.dry_run else "loaded"
    keys = [table.key for table in (*by["failed"], *by["lost"]) if table.key]
    names = f": {', '.join(keys[:_NAMED])}{' ...' if len(keys) > _NAMED else ''}" if keys else ""
    if bad or by["lost"]:
        verdict = f"{bad} of {total} tables FAILED{names}"
    elif skipped:
        verdict = f"{skipped} tables were not {done}"
    else:
        verdict = f"{reasons[0]}; all {good} tables {done}" if reasons else f"all {good} tables {done}"
    took = f", {_span(rows):.0f} s from first start to last end" if rows else ""
    left = f", left out {len(spec.skipped)}" if spec.skipped else ""
    unknown = f", not accounted for {lost}" if lost else ""
    return (
        f"{verdict}\n{'dry run' if spec.dry_run else 'run'} {spec.job_run_id}: processed {total - lost}, "
        f"successful {good}, failed {failed}, skipped {skipped}{unknown}{left}{took}"
    )


def _number(tables: Iterable[_Table]) -> int:
    return sum(table.state.tables for table in tables)


def _span(rows: Sequence[Row]) -> float:
    return max(_seconds(row["ended_at"]) for row in rows) - min(_seconds(row["started_at"]) for row in rows)


def _unread(states: Sequence[TaskState] | None, states_error: str, log_error: str) -> Iterator[str]:
    if states is None:
        yield f"The states of the tasks could not be read ({states_error}); judged by the run log."
    elif states_error:
        yield f"Not all states of the tasks could be read: {states_error}."
    if log_error:
        yield f"The run log could not be read ({log_error}); the states alone say what is loaded."


def _without_row(spec: SummarySpec, lost: Sequence[_Table]) -> str:
    return f"{_number(lost)} of {spec.tables or _number(lost)} tables wrote no row to the run log."


def _failures(failed: Sequence[_Table], logged: Mapping[str, Row]) -> list[str]:
    """Each error once, below every table that it is of."""
    together: dict[str, list[str]] = {}
    for table in failed:
        head, text = _failure(table.state, logged.get(table.key))
        together.setdefault(text, []).append(head)
    return ["\n".join([*heads, text]) for text, heads in together.items()]


def _failure(state: TaskState, row: Row | None) -> tuple[str, str]:
    if row is None or not row["error"]:
        logged = "no message, and no row in the run log" if row is None else f"the run log has its {_outcome(row)}"
        return f"{state.result}  {state.task_key}", _indented(state.message or logged)
    about = f"{row['execution_pipeline']} -> {row['target']}, attempt {row['attempt']}"
    text = _indented(str(row["error"]))
    stopped = f"\n{_indented(state.message)}" if state.result != "FAILED" and state.message else ""
    return f"{state.result}  {state.task_key} ({about})", f"{text}{stopped}"


def _lost(lost: Sequence[_Table]) -> str:
    lines = [f"  {table.key or _plural(table.state.tables)}: {table.reason}" for table in lost]
    return "\n".join(["Not accounted for:", *lines]) if lines else ""


def _plural(tables: int) -> str:
    return f"{tables} table{'' if tables == 1 else 's'}" if tables else "the job"


def _short(text: str) -> str:
    return text if len(text) <= _CAUSE_CHARACTERS else f"{text[:_CAUSE_CHARACTERS]} ..."


def _waiting(skipped: Sequence[_Table]) -> str:
    lines = [
        f"  {t.key}: {t.state.result}{f' ({t.state.tables} tables)' if t.state.tables > 1 else ''}" for t in skipped
    ]
    return "Not run, because of what came before:\n" + "\n".join(lines)


def _stale_inputs(tables: Sequence[_Table], logged: Mapping[str, Row]) -> tuple[str, bool]:
    """The loads that ran on rows of an earlier run, and whether such an input is one that this run did not load."""
    loaded = {str(logged[t.key]["target"]): t.fate == "loaded" for t in tables if t.key in logged}
    lines: list[str] = []
    failed = False
    for table in tables:
        inputs = _inputs(logged.get(table.key, {}).get("stale_inputs"))
        if inputs:
            told = (f"{name} {f'of {since}' if since else 'that was never loaded'}" for name, since in inputs.items())
            lines.append(f"  {table.key}: rows of {', '.join(told)}")
            failed |= not all(loaded.get(name, True) for name in inputs)
    return "\n".join(
        ["Loaded from inputs that failed or were not loaded in this run:", *lines]
    ) if lines else "", failed


def _inputs(text: object) -> dict[str, str]:
    """Input table -> the time of its last success, or nothing; of a text that nobody can read, the text."""
    try:
        found = json.loads(str(text)) if text else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return {str(text): ""}
    return {str(name): str(since)[:16].replace("T", " ") if since else "" for name, since in found.items()}


def _not_judged(tables: Sequence[_Table], logged: Mapping[str, Row]) -> str:
    """The tables of a dry run that read what this run would make first: they have no counts and no error."""
    rows = ((table.key, logged.get(table.key)) for table in tables)
    keys = [k for k, row in rows if row and row["status"] == DRY_RUN and row["read"] is None and not row["error"]]
    said = "Not judged, as they read tables that this run would make first (their output names them)"
    return "\n".join([f"{said}:", *(f"  {key}" for key in keys)]) if keys else ""


def _left_out(spec: SummarySpec) -> str:
    lines = [f"  {table}: unknown execution_pipeline {pipeline!r}" for table, pipeline in sorted(spec.skipped.items())]
    return "Left out of the job when it was generated:\n" + "\n".join(lines)


def _counts(tables: Sequence[_Table], logged: Mapping[str, Row]) -> str:
    shown = [table.state for table in tables if table.key in logged]
    if not shown:
        return ""
    head = ["table", "pipeline", "state", *LABELS.values(), "seconds"]
    body = [_cells(state, logged[state.task_key]) for state in shown]
    used = [i for i in range(len(head)) if i < 4 or i == len(head) - 1 or any(row[i] not in ("", "0") for row in body)]
    widths = {i: max(len(head[i]), *(len(row[i]) for row in body)) for i in used}
    lines = [
        "  ".join(row[i].ljust(widths[i]) if i < 3 else row[i].rjust(widths[i]) for i in used).rstrip()
        for row in [head, *body]
    ]
    return "\n".join(lines)


def _cells(state: TaskState, row: Row) -> list[str]:
    seconds = _seconds(row["ended_at"]) - _seconds(row["started_at"])
    numbers = ["" if row[column] is None else str(row[column]) for column in LABELS]
    return [state.task_key, str(row["execution_pipeline"]), state.result, *numbers, f"{seconds:.1f}"]


def _seconds(value: object) -> float:
    return float(str(value))


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.strip().splitlines())
