"""Reads from one layer to another: a job does not wait for another job, unless something starts it after that one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator.context import Context, task_key
from generator.document import Document
from generator.lineage import Read, read_lineage, table_key
from generator.model import Entry
from generator.problem import Problem
from generator.render import is_generated
from generator.strict_yaml import parse

_RUNS_JOB = re.compile(r"\$\{resources\.jobs\.([\w-]+)\.id\}")
_VARIABLE = re.compile(r"\$\{var\.(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRead:
    """A table that `reader` reads and another layer loads; `after` says what starts its job after that, if anything."""

    reader: Entry
    read: Read
    maker: Entry
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _JobTasks:
    """The tasks of one job: the job that each of them runs, and those that each waits for."""

    key: str
    runs: Mapping[str, str]
    depends: Mapping[str, Sequence[str]]

    def before(self, task: str) -> set[str]:
        found: set[str] = set()
        waiting = list(self.depends.get(task, ()))
        while waiting:
            other = waiting.pop()
            if other not in found:
                found.add(other)
                waiting.extend(self.depends.get(other, ()))
        return found


def layer_reads(
    files: Iterable[tuple[Path, str]], documents: Sequence[Document], entries: Sequence[Entry], context: Context
) -> tuple[LayerRead, ...]:
    """Return every read of a table that another layer loads. `files` are job files, as (path, name in messages)."""
    active = [entry for entry in entries if entry.row.is_active_flag]
    if len({entry.row.layer for entry in active}) < 2:
        return ()
    lineage = read_lineage(active, context)
    jobs = [*(_of_document(document) for document in documents), *_by_hand(files)]
    jobs = [job for job in jobs if job.runs]
    found = (
        (entry, read, read.maker)
        for entry in active
        for read in lineage.of(entry)
        if read.maker is not None and read.maker.row.layer != entry.row.layer
    )
    return tuple(
        LayerRead(reader=entry, read=read, maker=maker, after=_after(entry, read, maker, jobs, context))
        for entry, read, maker in found
    )


def layer_problems(reads: Iterable[LayerRead], context: Context) -> Iterator[Problem]:
    """Yield one warning for each pair of layers of which one reads from the other and does not start after it."""
    lost: dict[tuple[str, str], list[LayerRead]] = {}
    for read in reads:
        if not read.after:
            lost.setdefault((read.reader.row.layer, read.maker.row.layer), []).append(read)
    for (reader, maker), found in sorted(lost.items()):
        tables = sorted({read.maker.row.dst_table_name for read in found})
        first = min(found, key=lambda read: (read.maker.row.dst_table_name, read.reader.source.number))
        count = "1 table" if len(tables) == 1 else f"{len(tables):,} tables"
        example = f"{tables[0]}, which {task_key(first.reader, context)} reads ({first.read.file}:{first.read.line})"
        what = f"the job of {reader} does not wait for the job of {maker}, and reads {count} that it loads"
        what += f": {example}" if len(tables) == 1 else f", such as {example}"
        remedy = f"give these rows one layer, or start {reader} by job.trigger: {{table_update: {{}}}}"
        if (maker, reader) in lost:
            remedy = "each reads what the other loads: give these rows one layer"
        yield context.settings.problem(("layers", reader), what, f"{remedy} (docs/job.md)", severity="warning")


def _after(reader: Entry, read: Read, maker: Entry, jobs: Sequence[_JobTasks], context: Context) -> str:
    """Return what starts the reader's job after the maker's load, or "" if nothing does."""
    layer, other = reader.row.layer, maker.row.layer
    job = context.settings.settings.layer(layer).job
    if _starts_on(read, job.get("trigger"), context):
        return "whose updates start this job"
    own = task_key(maker, context)
    for tasks in jobs:
        for task, run in tasks.runs.items():
            before = tasks.before(task) if run == layer else set()
            if (tasks.key == other and own in before) or any(tasks.runs.get(key) == other for key in before):
                return f"after which task {task} of job {tasks.key} runs this one"
    return ""


def _starts_on(read: Read, trigger: Any, context: Context) -> bool:
    """Return whether the trigger of a job watches the table; without names it watches all that the layer reads."""
    if not isinstance(trigger, Mapping) or "table_update" not in trigger:
        return False
    update = trigger["table_update"] or {}
    names = update.get("table_names") if isinstance(update, Mapping) else None
    if names is None:
        return True
    return isinstance(names, list) and _known(read.table, context) in {_known(str(name), context) for name in names}


def _known(table: str, context: Context) -> tuple[str, ...]:
    return table_key(_VARIABLE.sub(r"{\1}", table.replace("`", "")).split("."), context)


def _of_document(document: Document) -> _JobTasks:
    return _job_tasks(document.plan.layer, document.job["tasks"])


def _by_hand(files: Iterable[tuple[Path, str]]) -> Iterator[_JobTasks]:
    """Yield the jobs of files that the generator did not write."""
    for path, name in files:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        if is_generated(text) or "run_job_task" not in text:
            continue
        parsed, _ = parse(text, name)
        for key, job in _mapping(_mapping(_mapping(parsed.value).get("resources")).get("jobs")).items():
            tasks = _mapping(job).get("tasks")
            yield _job_tasks(str(key), [_mapping(task) for task in tasks] if isinstance(tasks, list) else [])


def _job_tasks(key: str, tasks: Sequence[Mapping[str, Any]]) -> _JobTasks:
    runs, depends = dict[str, str](), dict[str, list[str]]()
    for task in tasks:
        name = str(task.get("task_key", ""))
        listed = task.get("depends_on")
        depends[name] = [str(_mapping(d).get("task_key", "")) for d in listed] if isinstance(listed, list) else []
        found = _RUNS_JOB.search(str(_mapping(task.get("run_job_task")).get("job_id", "")))
        if found:
            runs[name] = found[1]
    return _JobTasks(key=key, runs=runs, depends=depends)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
