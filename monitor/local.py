"""A run of this machine: its record, its workspace's run log, its tasks' output, the good run before it."""

from __future__ import annotations

import json
import os
import shlex
import time
from pathlib import Path

from laketasks.redact import redact
from monitor.evidence import Evidence
from monitor.graph import cycle
from monitor.problem import ProblemsError, UsageError
from monitor.run import Run, Task, read_run
from monitor.run_log import Load, levels_of, loads_of, newest, query, targets_of
from monitor.text import first_line

_RECORD = "run.json"
_ATTEMPT = "=== attempt "  # what localjobs writes above the output of each
_TAIL_LINES = 60
_TAIL_BYTES = 200_000
_TASKS_OF_A_RUN = 10_000  # localjobs numbers the tasks' runs in this many numbers after the run's own
_LOOKED_AT = 50  # earlier runs, to find a good one


def record_file(path: Path) -> Path:
    """The record that a path means: itself, the one in a run's folder, or the latest of a workspace."""
    if path.is_file():
        return path
    if (path / _RECORD).is_file():
        return path / _RECORD
    latest = _latest(path)
    if latest is None:
        raise UsageError([f"{path}: holds no run; a workspace of localjobs has runs/<run id>/{_RECORD}"])
    return latest


def collect(file: Path) -> Evidence:
    """All there is of the run of a record; raises ProblemsError where it cannot be read."""
    document = _document(file)
    run = _read(file, document)
    workspace = _workspace(file)
    if workspace is None:
        alone = "the record stands alone; in a workspace of localjobs the run log would be beside it"
        return Evidence(run=run, now=_now(file, run), without_log=alone, outputs=_outputs(file, run))
    good = _good(workspace, file, run)
    loads, problem = _loads(workspace, run, good)
    killed = run.going_on and not _is_alive(workspace, document)
    return Evidence(
        run=run,
        now=_now(file, run, killed=killed),
        good=good,
        loads=loads,
        without_log=problem,
        killed=killed,
        outputs=_outputs(file, run),
        logs={task.key: str(_log(file, task)) for task in run.tasks if task.output and _log(file, task).is_file()},
        again=(_again(workspace, run, document),),
        notes=("the record is as it was when localjobs was killed",) if killed else (),
    )


def history(workspace: Path, most: int) -> tuple[str, tuple[Load, ...]]:
    """The run log of a workspace by its name, and the newest loads of every table; raises ProblemsError."""
    named = (_run_log(file) for file in reversed(_runs(workspace)[-_LOOKED_AT:]))
    name = next((name for name in named if name), "")
    levels = levels_of(name)
    if levels is None:
        raise UsageError([f"{workspace}: none of its runs names a run log; expected a workspace of localjobs"])
    loads, problem = _asked(workspace.joinpath(*levels), newest("run_log", _micros, most))
    if loads is None:
        raise ProblemsError([problem])
    return name, loads


def _run_log(file: Path) -> str:
    try:
        return _read(file, _document(file)).run_log
    except ProblemsError:
        return ""  # a record that was cut short


def _document(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProblemsError([f"{file}: cannot be read: {error.strerror}"]) from None
    except (ValueError, RecursionError) as error:
        raise ProblemsError([f"{file}: is no run record: not valid JSON: {error}"]) from None


def _read(file: Path, document: object) -> Run:
    run, problems = read_run(document)
    if run is None:
        raise ProblemsError(f"{file}: {problem}" for problem in problems)
    if loop := cycle(run):
        raise ProblemsError([f"{file}: is no run record: tasks wait for one another: {loop}"])
    return run


def _workspace(file: Path) -> Path | None:
    """`<workspace>/runs/<run id>/run.json`, or none."""
    parents = file.absolute().parents
    inside = file.name == _RECORD and len(parents) > 2 and parents[1].name == "runs"
    return file.parent.parent.parent if inside else None


def _runs(workspace: Path) -> list[Path]:
    """The records of a workspace, the latest last."""
    found = [file for file in (workspace / "runs").glob(f"*/{_RECORD}") if file.parent.name.isdigit()]
    return sorted(found, key=lambda file: int(file.parent.name))


def _latest(workspace: Path) -> Path | None:
    """The record of the latest run that no task of another run started."""
    return next((file for file in reversed(_runs(workspace)) if not _is_child(file)), None)


def _is_child(file: Path) -> bool:
    try:
        document = _document(file)
    except ProblemsError:
        return False
    return isinstance(document, dict) and document.get("trigger") == "RUN_JOB_TASK"


def _good(workspace: Path, file: Path, run: Run) -> Run | None:
    """The newest run of the same job before this one in which everything succeeded."""
    earlier = [other for other in _runs(workspace) if int(other.parent.name) < run.run_id and other != file]
    for other in reversed(earlier[-_LOOKED_AT:]):
        try:
            read = _read(other, _document(other))
        except ProblemsError:
            continue  # a record that was cut short is no good run
        if read.job_id == run.job_id and read.state.word == "SUCCESS" and not read.is_dry:
            return read
    return None


def _now(file: Path, run: Run, *, killed: bool = False) -> int:
    """When the record was true: while the run goes on it is this moment."""
    if not run.going_on:
        return max(run.end, run.start)
    return int((file.stat().st_mtime if killed else time.time()) * 1000)


def _is_alive(workspace: Path, document: object) -> bool:
    """Whether the localjobs that keeps this record still works: it holds the workspace, and it is there."""
    kept = document.get("localjobs") if isinstance(document, dict) else None
    try:
        process = int((workspace / ".lock").read_text(encoding="utf-8"))
        if not isinstance(kept, dict) or kept.get("process") != process:
            return False
        os.kill(process, 0)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return True


def _loads(workspace: Path, run: Run, good: Run | None) -> tuple[tuple[Load, ...] | None, str]:
    """What the run log says, or why it says nothing."""
    if not run.run_log:
        return None, "no task of this run names a run log"
    levels = levels_of(run.run_log)
    if levels is None:
        return None, f"the run log's name {run.run_log!r} is no name of a table"
    asked = query("run_log", _micros, [run.run_id, *([good.run_id] if good else [])], targets_of(run))
    return _asked(workspace.joinpath(*levels), asked)


def _micros(name: str) -> str:
    return f"CAST({name} AS BIGINT)"


def _asked(folder: Path, asked: str) -> tuple[tuple[Load, ...] | None, str]:
    """The answer of the run log in a folder, or why there is none."""
    if not (folder / "_delta_log").is_dir():
        return None, f"there is no run log at {folder}"
    from deltalake import DeltaTable, QueryBuilder

    try:
        answer = QueryBuilder().register("run_log", DeltaTable(str(folder))).execute(asked).read_all()
    except Exception as error:  # the engine raises what it likes; the page does without the counts
        return None, f"the run log at {folder} cannot be read: {first_line(str(error))}"
    import pyarrow as pa

    return loads_of(pa.table(answer).to_pylist()), ""


def _outputs(file: Path, run: Run) -> dict[str, str]:
    """The end of the last attempt's output of each task that failed."""
    return {task.key: _tail(_log(file, task)) for task in run.tasks if task.fate == "failed" and task.output}


def _log(file: Path, task: Task) -> Path:
    return file.parent / Path(task.output).name  # never outside of the run's folder


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as output:
            output.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = output.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    begins = max((n for n, line in enumerate(lines) if line.startswith(_ATTEMPT)), default=-1)
    return redact("\n".join(lines[begins + 1 :][-_TAIL_LINES:]))


def _again(workspace: Path, run: Run, document: object) -> str:
    """The command that runs again what failed and what waits for it; a child's run is repaired with its parent's."""
    started_by = document.get("trigger_info") if isinstance(document, dict) else None
    task_run = started_by.get("run_id") if isinstance(started_by, dict) else None
    run_id = task_run // _TASKS_OF_A_RUN if isinstance(task_run, int) else run.run_id
    return f"python -m localjobs repair {run_id} --workspace {shlex.quote(str(workspace))}"
