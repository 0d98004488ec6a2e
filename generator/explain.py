"""One row of execution_table in words: what its task does, when, and what waits for it."""

from __future__ import annotations

from collections.abc import Iterator

from generator.build import Build
from generator.context import task_key
from generator.document import Document, Fields
from generator.model import Entry
from generator.plan import Gate, Task
from generator.problem import Problem
from generator.render import SUFFIX, to_yaml
from laketasks.spec import did_you_mean

_AFTER = {
    "ALL_DONE": "whether or not they succeeded",
    "ALL_SUCCESS": "and only if all succeeded",
}


def explain(built: Build, name: str) -> tuple[str, tuple[Problem, ...]]:
    """The text for every row of that task key, table, or catalog.schema.table."""
    found = [entry for entry in built.entries if name in _names(entry, built)]
    if not found:
        known = sorted({task_key(entry, built.context) for entry in built.entries})
        remedy = f"the tables are {', '.join(known[:8])}{' ...' if len(known) > 8 else ''}"
        near = did_you_mean(name, known)
        return "", (Problem(what=f"no row loads {name!r}{near}", remedy="" if near else remedy),)
    return "\n".join(_explain(entry, built) for entry in found), ()


def _names(entry: Entry, built: Build) -> tuple[str, ...]:
    row = entry.row
    full = f"{row.dst_catalog}.{row.dst_schema}.{row.dst_table_name}"
    return task_key(entry, built.context), row.dst_table_name, full


def _explain(entry: Entry, built: Build) -> str:
    row = entry.row
    origin = row.sql_file_path or ".".join(
        part for part in (row.src_catalog, row.src_schema, row.src_table_name) if part
    )
    target = f"{row.dst_catalog}.{row.dst_schema}.{row.dst_table_name}"
    lines = [
        f"{task_key(entry, built.context)}: {row.execution_pipeline} loads {target} from {origin or 'its own source'}",
        _line("row", f"{entry.source.number} ({entry.source.file}:{entry.source.line})"),
    ]
    document = next((document for document in built.documents if document.plan.layer == row.layer), None)
    if not row.is_active_flag:
        lines.append(_line("left out", "is_active_flag is not true"))
    elif document is None or not built.context.runs(row.execution_pipeline):
        lines.append(_line("left out", f"no runner {row.execution_pipeline!r}, and on_unknown_pipeline is skip"))
    else:
        lines.extend(_task(document, document.plan.task(task_key(entry, built.context))))
    return "\n".join(lines) + "\n"


def _task(document: Document, task: Task) -> Iterator[str]:
    plan = document.plan
    fields = next(fields for fields in document.job["tasks"] if fields["task_key"] == task.task_key)
    yield _line("job", f"{plan.layer} ({plan.layer}{SUFFIX})")
    yield _line("order", f"{task.order} of {', '.join(map(str, plan.orders))}")
    on = [dependency.task_key for dependency in task.waits.on]
    yield _line("waits for", f"{_list(on)}; run_if {task.run_if}: {_AFTER[task.run_if]}" if on else "nothing")
    if on and isinstance(plan.task(on[0]).action, Gate):
        yield _line(f"  {on[0]}", _list([dependency.task_key for dependency in plan.task(on[0]).waits.on]))
    after = [other.task_key for other in plan.tasks if any(d.task_key == task.task_key for d in other.waits.on)]
    yield _line("before", _list(after))
    retries = f", {fields['max_retries']} retries" if "max_retries" in fields else ""
    yield _line("timeout", f"{fields['timeout_seconds']} s{retries}")
    yield ""
    yield to_yaml(_own(fields), 2)


def _own(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name not in ("depends_on", "run_if")}


def _list(keys: list[str]) -> str:
    return f"{len(keys)} tasks: {', '.join(keys)}" if len(keys) > 1 else keys[0]


def _line(name: str, text: str) -> str:
    return f"  {name:<10} {text}"
