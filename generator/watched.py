"""The tables that start a job: what a layer reads and does not load itself, where its trigger names none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from generator.context import Context
from generator.lineage import knows_reads, read_lineage
from generator.model import Entry
from generator.plan import Load, Plan
from generator.problem import Problem

_PATH = ("trigger", "table_update")


def watches(job: Mapping[str, Any]) -> bool:
    """Whether the job starts on updates of tables that its settings leave to the rows.

    >>> watches({"trigger": {"table_update": {"condition": "ANY_UPDATED"}}})
    True
    """
    trigger = job.get("trigger")
    if not isinstance(trigger, Mapping) or "table_update" not in trigger:
        return False
    update = trigger["table_update"]
    return update is None or (isinstance(update, Mapping) and "table_names" not in update)


def watched_tables(plan: Plan, context: Context) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
    """The tables in order of their names, with bundle variables for catalogs, and what is not known of them.

    A table of the layer's own would start the job again when it ends, for as long as anything changes.
    """
    settings = context.settings.settings
    if not watches(settings.layer(plan.layer).job):
        return (), ()
    loads = [task.action.entry for task in plan.loads if isinstance(task.action, Load)]
    once: dict[str, str] = {}
    for name in sorted(_outside(loads, context)):
        once.setdefault(name.lower(), name)
    names = tuple(once[key] for key in sorted(once))
    return names, tuple(_problems(plan, loads, names, context))


def _outside(loads: list[Entry], context: Context) -> Iterator[str]:
    settings = context.settings.settings
    variables = {variable.lower(): variable for variable in settings.catalogs.values()}
    lineage = read_lineage(loads, context)
    for entry in loads:
        for read in lineage.of(entry):
            if read.maker is None:
                catalog, _, rest = read.table.partition(".")
                variable = variables.get(catalog.strip("{}").lower()) if catalog.startswith("{") else None
                yield f"{f'${{var.{variable}}}' if variable else settings.mapped(catalog)}.{rest}"


def _problems(plan: Plan, loads: list[Entry], names: tuple[str, ...], context: Context) -> Iterator[Problem]:
    path = ("layers", plan.layer, "job", *_PATH)
    unknown = [entry for entry in loads if not knows_reads(entry)]
    remedy = "write table_names: [catalog.schema.table, ...]"
    if not names:
        yield context.settings.problem(path, "the rows of this layer name no table to wait for", remedy)
    elif unknown:
        count = f"{len(unknown)} row{'' if len(unknown) == 1 else 's'}"
        what = f"what the runners of {count} read is not known, so their tables do not start the job"
        yield context.settings.problem(path, what, remedy, severity="warning")
