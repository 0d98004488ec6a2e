"""One row of execution_table in words: what its task reads and does, what it waits for and why, who waits for it."""

from __future__ import annotations

from collections.abc import Iterator

from generator.build import Build
from generator.context import task_key
from generator.document import Document, Fields
from generator.lineage import Lineage, Read, knows_reads, read_lineage
from generator.model import Entry
from generator.plan import Gate, Plan, Task
from generator.problem import Problem
from generator.render import SUFFIX, to_yaml
from laketasks.spec import did_you_mean

_AFTER = {
    "ALL_DONE": "whether or not they succeeded",
    "ALL_SUCCESS": "and only if all succeeded",
}


def explain(built: Build, name: str) -> tuple[str, tuple[Problem, ...]]:
    """The text for every row of that task key, table, or catalog.schema.table."""
    active = [entry for entry in built.entries if entry.row.is_active_flag]
    lineage = read_lineage(active, built.context)
    found = [entry for entry in built.entries if name in _names(entry, built)]
    if not found:
        known = sorted({task_key(entry, built.context) for entry in built.entries})
        remedy = f"the tables are {', '.join(known[:8])}{' ...' if len(known) > 8 else ''}"
        near = did_you_mean(name, known)
        return "", (Problem(what=f"no row loads {name!r}{near}", remedy="" if near else remedy),)
    return "\n".join(_explain(entry, built, lineage) for entry in found), ()


def _names(entry: Entry, built: Build) -> tuple[str, ...]:
    row = entry.row
    full = f"{row.dst_catalog}.{row.dst_schema}.{row.dst_table_name}"
    return task_key(entry, built.context), row.dst_table_name, full


def _explain(entry: Entry, built: Build, lineage: Lineage) -> str:
    row = entry.row
    origin = row.sql_file_path or ".".join(
        part for part in (row.src_catalog, row.src_schema, row.src_table_name) if part
    )
    target = f"{row.dst_catalog}.{row.dst_schema}.{row.dst_table_name}"
    lines = [
        f"{task_key(entry, built.context)}: {row.execution_pipeline} loads {target} from {origin or 'its own source'}",
        _line("row", f"{entry.source.number} ({entry.source.file}:{entry.source.line})"),
    ]
    plan = next((plan for plan in built.plans if plan.layer == row.layer), None)
    if not row.is_active_flag:
        lines.append(_line("left out", "is_active_flag is not true"))
    elif plan is None or not built.context.runs(row.execution_pipeline):
        lines.append(_line("left out", f"no runner {row.execution_pipeline!r}, and on_unknown_pipeline is skip"))
    else:
        key = task_key(entry, built.context)
        job = plan.holding(key)
        document = next(document for document in built.documents if document.plan is job)
        lines.extend(_place(plan, job, job.task(key)))
        lines.extend(_reads(entry, built, lineage))
        lines.extend(_waits(plan, job, job.task(key), entry, built, lineage))
        lines.extend(_fields(document, job.task(key)))
    return "\n".join(lines) + "\n"


def _place(plan: Plan, job: Plan, task: Task) -> Iterator[str]:
    yield _line("job", f"{plan.layer} ({plan.layer}{SUFFIX})")
    if job.part:
        yield _line("child", f"{job.key} ({job.key}{SUFFIX}), which task {job.part} of the job runs")
    yield _line("order", f"{task.order} of {', '.join(map(str, plan.orders))}")


def _reads(entry: Entry, built: Build, lineage: Lineage) -> Iterator[str]:
    """A line for each table that the row reads, with the place that says so and the row that loads it."""
    if not knows_reads(entry):
        yield _line("reads", f"not known: {entry.row.execution_pipeline} is a runner of the settings")
        return
    name = "reads"
    for read in lineage.of(entry):
        yield _line(name, f"{read.table}  {read.file}:{read.line}{_made(read, entry, built)}")
        name = ""
    readers = [
        f"{task_key(other, built.context)}{'' if other.row.layer == entry.row.layer else f' of {other.row.layer}'}"
        for other in built.entries
        if other.row.is_active_flag and any(read.maker is entry for read in lineage.of(other)) and other is not entry
    ]
    if readers:
        yield _line("read by", _list(readers, "tables"))


def _made(read: Read, entry: Entry, built: Build) -> str:
    if read.maker is None:
        return ""
    if read.maker is entry:
        return ", its own table as it was before"
    if read.maker.row.layer != entry.row.layer:
        after = next((b.after for b in built.layer_reads if b.reader is entry and b.read.table == read.table), "")
        return f", loaded by job {read.maker.row.layer}, {after or 'for which this one does not wait'}"
    return f", loaded by {task_key(read.maker, built.context)} in order {read.maker.row.execution_order}"


def _waits(plan: Plan, job: Plan, task: Task, entry: Entry, built: Build, lineage: Lineage) -> Iterator[str]:
    if job.part and not task.waits.on:
        task, job = plan.task(job.part), plan
    on = [dependency.task_key for dependency in task.waits.on]
    yield _line("waits for", f"{_list(on)}; run_if {task.run_if}: {_AFTER[task.run_if]}" if on else "nothing")
    if on and isinstance(job.task(on[0]).action, Gate):
        yield _line(f"  {on[0]}", _list([dependency.task_key for dependency in job.task(on[0]).waits.on]))
    if on and plan.at_once and job.task(on[0]).order == task.order and not isinstance(job.task(on[0]).action, Gate):
        yield _line("because", f"max_parallel_tasks: {plan.at_once}, and it comes next in a lane of order {task.order}")
    elif on:
        known = [task_key(maker, built.context) for _, maker in lineage.waits(entry)]
        yield _line("because", _because(plan, entry, known))
    after = _followers(job, task) or _followers(plan, plan.task(job.part))
    yield _line("before", _list(after))


def _followers(job: Plan, task: Task) -> list[str]:
    return [other.task_key for other in job.tasks if any(d.task_key == task.task_key for d in other.waits.on)]


def _because(plan: Plan, entry: Entry, reads: list[str]) -> str:
    if plan.kind == "lineage":
        reason = "it reads them" if knows_reads(entry) else "what it reads is not known: it waits for smaller orders"
        return f"edges: lineage, and {reason}"
    before = max(order for order in plan.orders if order < entry.row.execution_order)
    rule = f"edges: {plan.kind}, and order {entry.row.execution_order} follows order {before}"
    if not knows_reads(entry):
        return rule
    return f"{rule}; of this job's tables it reads {_list(reads, 'tables') if reads else 'none'}"


def _fields(document: Document, task: Task) -> Iterator[str]:
    fields = next(fields for fields in document.job["tasks"] if fields["task_key"] == task.task_key)
    retries = f", {fields['max_retries']} retries" if "max_retries" in fields else ""
    yield _line("timeout", f"{fields['timeout_seconds']} s{retries}")
    yield ""
    yield to_yaml(_own(fields), 2)


def _own(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name not in ("depends_on", "run_if")}


def _list(keys: list[str], noun: str = "tasks") -> str:
    return f"{len(keys)} {noun}: {', '.join(keys)}" if len(keys) > 1 else keys[0]


def _line(name: str, text: str) -> str:
    return f"  {name:<10} {text}"
