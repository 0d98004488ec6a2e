"""What a finished run did, as text for the people who are woken by it. Pure: states and log rows in, text out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from laketasks.counts import DRY_RUN
from laketasks.spec import SummarySpec

RUN_SUMMARY = "run_summary"
GATE_PREFIX = "gate_"

_FINE = ("SUCCESS", "SUCCESS_WITH_FAILURES")
_SKIPPED = ("UPSTREAM_FAILED", "UPSTREAM_CANCELED", "EXCLUDED", "DISABLED")
_SHOWN = {
    "read": "read",
    "new": "new",
    "changed": "changed",
    "deleted": "deleted",
    "unchanged": "same",
    "duplicates": "dupl.",
    "stale": "stale",
    "ignored": "ignored",
    "dropped": "dropped",
    "keys_missing": "missing",
    "rows_inserted": "+rows",
    "rows_updated": "~rows",
    "rows_deleted": "-rows",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """How a task of the run ended, as the Jobs API says it; `message` is the state's.

    A child job that never ran stands for all its `tables`.
    """

    task_key: str
    result: str
    message: str = ""
    tables: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    text: str
    failed: bool


Record = Mapping[str, object]


def states_of(
    record: Record,
    children: Mapping[str, int] | None = None,
    run_of: Callable[[Record], Record] | None = None,
) -> list[TaskState]:
    """The tasks of a run record (the Jobs API's runs/get) that load tables, each with its last attempt's state.

    `children` are the tasks that run child jobs, with how many tables; `run_of` has the record of such a task's run.
    """
    last: dict[str, tuple[int, Record]] = {}
    tasks = record.get("tasks")
    for task in tasks if isinstance(tasks, list) else []:
        key, attempt = str(task["task_key"]), int(task.get("attempt_number") or 0)
        if key == RUN_SUMMARY or key.startswith(GATE_PREFIX) or (key in last and last[key][0] > attempt):
            continue
        last[key] = (attempt, task)
    states: list[TaskState] = []
    for key, (_, task) in last.items():
        own = _state(key, task)
        if not children or run_of is None or key not in children:
            states.append(own)
        elif own.result in _SKIPPED or not task.get("start_time"):
            states.append(replace(own, tables=children[key]))
        else:
            tables = states_of(run_of(task))
            failed_alone = own.result not in _FINE and all(state.result in _FINE for state in tables)
            states += [*tables, *([own] if failed_alone else [])]
    return states


def _state(key: str, task: Mapping[str, Any]) -> TaskState:
    state = task.get("state") or {}
    result = str(state.get("result_state") or state.get("life_cycle_state") or "UNKNOWN")
    return TaskState(task_key=key, result=result, message=str(state.get("state_message") or ""))


def summarize(
    spec: SummarySpec,
    states: Sequence[TaskState] | None,
    rows: Sequence[Mapping[str, object]],
    *,
    states_error: str = "",
) -> Summary:
    """Judge the run by its tasks' states, or by the run log where the states cannot be had (`states` None)."""
    logged = {str(row["task_key"]): row for row in rows}
    known = list(states) if states is not None else _states_from_log(logged)
    failed = [state for state in known if state.result not in (*_FINE, *_SKIPPED)]
    skipped = [state for state in known if state.result in _SKIPPED]
    absent = max(0, spec.tables - len(logged)) if states is None else 0
    wrong_names = _unknown_names(spec, states)
    broken = bool(failed or absent or wrong_names or any(s.result.startswith("UPSTREAM") for s in skipped))
    parts = [
        _headline(spec, known, failed, skipped, absent, rows),
        *(
            [f"The states of the tasks could not be read ({states_error}); judged by the run log."]
            if states is None
            else []
        ),
        *([f"{absent} of {spec.tables} tables wrote no row to the run log."] if absent else []),
        *wrong_names,
        *(_failure(state, logged.get(state.task_key)) for state in failed),
        *([_waiting(skipped)] if skipped else []),
        _not_judged(known, logged),
        *([_left_out(spec)] if spec.skipped else []),
        _table(known, logged),
    ]
    return Summary(text="\n\n".join(part for part in parts if part), failed=broken)


def _states_from_log(logged: Mapping[str, Mapping[str, object]]) -> list[TaskState]:
    return [TaskState(task_key=key, result="FAILED" if row["error"] else "SUCCESS") for key, row in logged.items()]


def _unknown_names(spec: SummarySpec, states: Sequence[TaskState] | None) -> list[str]:
    if states is None or any(state.task_key in spec.children for state in states):
        return []
    known = {state.task_key for state in states} | {"all", ""}
    asked = {name: getattr(spec, name) for name in ("full_refresh", "override_guards", "reconcile")}
    wrong = {name: sorted({key.strip() for key in value.split(",")} - known) for name, value in asked.items()}
    return [
        f"Job parameter {name} names {', '.join(keys)}: no such task in this run."
        for name, keys in wrong.items()
        if keys
    ]


def _headline(
    spec: SummarySpec,
    known: Sequence[TaskState],
    failed: Sequence[TaskState],
    skipped: Sequence[TaskState],
    absent: int,
    rows: Sequence[Mapping[str, object]],
) -> str:
    total, lost, unrun = _tables(known), _tables(failed), _tables(skipped)
    good = total - lost - unrun
    bad = lost + absent
    done = "looked at, nothing written" if spec.dry_run else "loaded"
    verdict = f"{bad} of {total + absent} tables FAILED" if bad else f"all {good} tables {done}" if not skipped else ""
    names = (
        ": " + ", ".join(state.task_key for state in failed[:10]) + (" ..." if len(failed) > 10 else "")
        if failed
        else ""
    )
    took = f", {_span(rows):.0f} s from first start to last end" if rows else ""
    left = f", left out {len(spec.skipped)}" if spec.skipped else ""
    return (
        f"{verdict or f'{unrun} tables were not loaded'}{names}\n"
        f"{'dry run' if spec.dry_run else 'run'} {spec.job_run_id}: processed {total}, successful {good}, "
        f"failed {lost}, skipped {unrun}{left}{took}"
    )


def _tables(states: Iterable[TaskState]) -> int:
    return sum(state.tables for state in states)


def _span(rows: Sequence[Mapping[str, object]]) -> float:
    return max(_seconds(row["ended_at"]) for row in rows) - min(_seconds(row["started_at"]) for row in rows)


def _failure(state: TaskState, row: Mapping[str, object] | None) -> str:
    if row is None or not row["error"]:
        return (
            f"{state.result}  {state.task_key}\n{_indented(state.message or 'no message, and no row in the run log')}"
        )
    about = f"{row['execution_pipeline']} -> {row['target']}, attempt {row['attempt']}"
    text = _indented(str(row["error"]))
    timed_out = f"\n{_indented(state.message)}" if state.result != "FAILED" and state.message else ""
    return f"{state.result}  {state.task_key} ({about})\n{text}{timed_out}"


def _waiting(skipped: Sequence[TaskState]) -> str:
    many = {state.task_key: f" ({state.tables} tables)" for state in skipped if state.tables > 1}
    lines = [f"  {state.task_key}: {state.result}{many.get(state.task_key, '')}" for state in skipped]
    return "Not run, because of what came before:\n" + "\n".join(lines)


def _not_judged(known: Sequence[TaskState], logged: Mapping[str, Mapping[str, object]]) -> str:
    """The tables of a dry run that read what this run would make first: they have no counts and no error."""
    rows = ((state.task_key, logged.get(state.task_key)) for state in known)
    keys = [k for k, row in rows if row and row["status"] == DRY_RUN and row["read"] is None and not row["error"]]
    said = "Not judged, as they read tables that this run would make first (their output names them)"
    return "\n".join([f"{said}:", *(f"  {key}" for key in keys)]) if keys else ""


def _left_out(spec: SummarySpec) -> str:
    lines = [f"  {table}: unknown execution_pipeline {pipeline!r}" for table, pipeline in sorted(spec.skipped.items())]
    return "Left out of the job when it was generated:\n" + "\n".join(lines)


def _table(known: Sequence[TaskState], logged: Mapping[str, Mapping[str, object]]) -> str:
    shown = [state for state in known if state.task_key in logged]
    if not shown:
        return ""
    head = ["table", "pipeline", "state", *_SHOWN.values(), "seconds"]
    body = [_cells(state, logged[state.task_key]) for state in shown]
    used = [i for i in range(len(head)) if i < 4 or i == len(head) - 1 or any(row[i] not in ("", "0") for row in body)]
    widths = {i: max(len(head[i]), *(len(row[i]) for row in body)) for i in used}
    lines = [
        "  ".join(row[i].ljust(widths[i]) if i < 3 else row[i].rjust(widths[i]) for i in used).rstrip()
        for row in [head, *body]
    ]
    return "\n".join(lines)


def _cells(state: TaskState, row: Mapping[str, object]) -> list[str]:
    seconds = _seconds(row["ended_at"]) - _seconds(row["started_at"])
    numbers = ["" if row[column] is None else str(row[column]) for column in _SHOWN]
    return [state.task_key, str(row["execution_pipeline"]), state.result, *numbers, f"{seconds:.1f}"]


def _seconds(value: object) -> float:
    return float(str(value))


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.strip().splitlines())
