"""One plan for the adoption of many tables: look at all of them, print the plan, carry it out table by table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from laketasks.adopt import Adoption, carry_out, plan_adoption
from laketasks.error import LoadError, TargetError
from laketasks.load import loader_of
from laketasks.spec import AdoptSpec, LoadSpec, RunContext

_AT_ONCE = 4  # tables that are looked at or adopted at the same time: most of it is waiting for the engine
_SHOWN = 6


def adopt_all(
    spark: SparkSession, loads: Sequence[tuple[LoadSpec, RunContext]], asked: AdoptSpec, say: Callable[[str], None]
) -> None:
    """Plan the adoption of all tables and print it; carry it out where it is no dry run.

    Raises TargetError if a table cannot be adopted, when all others have been.
    """
    plans = _plans(spark, loads, asked, say)
    for line in report(plans):
        say(line)
    wanted = [plan for plan in plans if not plan.state and not plan.problems]
    failed: list[str] = []
    if asked.dry_run and wanted:
        say("dry run, nothing done; --dry_run=false carries it out")
    elif not asked.dry_run:
        failed = _carried_out(wanted, say)
    unfit = [plan for plan in plans if plan.problems or (len(plans) == 1 and not plan.target.exists)]
    if len(plans) == 1 and unfit:
        reasons = "; ".join(plans[0].problems)
        raise TargetError(f"{plans[0].target.name} {plans[0].state or f'cannot be adopted: {reasons}'}")
    if unfit or failed:
        raise TargetError(f"{len(unfit) + len(failed)} of {_tables(len(plans))} not adopted; the plan above says why")


def _plans(
    spark: SparkSession, loads: Sequence[tuple[LoadSpec, RunContext]], asked: AdoptSpec, say: Callable[[str], None]
) -> list[Adoption]:
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        looks = [pool.submit(plan_adoption, spark, loader_of(spec), spec, context, asked) for spec, context in loads]
        for done, _ in enumerate(as_completed(looks), start=1):
            if len(loads) > _SHOWN and (done % 25 == 0 or done == len(loads)):
                say(f"looked at {done} of {_tables(len(loads))}")
    return [look.result() for look in looks]


def _carried_out(plans: list[Adoption], say: Callable[[str], None]) -> list[str]:
    """The tables whose adoption failed."""

    def adopt(plan: Adoption) -> float:
        begin = time.monotonic()
        carry_out(plan)
        return time.monotonic() - begin

    failed = []
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        running = {pool.submit(adopt, plan): plan for plan in plans}
        for number, done in enumerate(as_completed(running), start=1):
            plan = running[done]
            try:
                took = done.result()
            except (LoadError, PySparkException) as error:
                failed.append(plan.target.name)
                say(
                    f"[{number}/{len(plans)}] {plan.target.name}: FAILED, run adopt again: {str(error).splitlines()[0]}"
                )
            else:
                told = f"adopted, {plan.rows:,} rows in {took:.1f} s; the next load goes on from them"
                say(f"[{number}/{len(plans)}] {plan.target.name}: {told}")
    return failed


# --- the plan as text ---


def report(plans: Sequence[Adoption]) -> Iterator[str]:
    """The plan: tables with the same plan are one entry with the SQL of the first of them."""
    wanted = [plan for plan in plans if not plan.state and not plan.problems]
    if len(plans) > 1:
        rows = sum(plan.rows for plan in wanted)
        unfit = sum(1 for plan in plans if plan.problems)
        idle = len(plans) - len(wanted) - unfit
        yield f"{_tables(len(plans))}: {len(wanted)} to adopt ({rows:,} rows), {idle} with nothing to do, {unfit} unfit"
    for group in _groups(wanted, _same_plan):
        yield from _entry(group, many=len(plans) > 1)
    for group in _groups([plan for plan in plans if plan.state], lambda plan: plan.state):
        if len(plans) == 1:
            yield f"{group[0].target.name}: {group[0].state}"
        else:
            yield f"{_tables(len(group))}, {_names(group)}: {group[0].state}"
    if len(plans) > 1:
        for group in _groups([plan for plan in plans if plan.problems], lambda plan: plan.problems):
            yield f"UNFIT {_names(group)}:"
            yield from (f"  {problem}" for problem in group[0].problems)


def _entry(group: list[Adoption], *, many: bool) -> Iterator[str]:
    first = group[0]
    if many:
        yield f"{_tables(len(group))} of {first.pipeline}, {sum(p.rows for p in group):,} rows: {_names(group)}"
    guessed = ", ".join(f"{name} = {sql}" for name, sql in first.options.items())
    if guessed:
        yield f"  guessed from the columns: {guessed}"
    yield from (f"  {note}" for note in first.notes)
    if many:
        yield f"  {first.target.name}:"
    yield from (f"{'    ' if many else ''}{statement};" for statement in first.statements)
    if first.view and first.view.made and not first.view_name:
        names = ", ".join(first.view.made)
        yield f"  --view={{table}}_before makes a view in which {names} go on as before:"
        yield f"    {first.view.select(first.target.quoted)}"


def _same_plan(plan: Adoption) -> object:
    """What plans have in common that differ only in the table."""
    view = tuple(plan.view.expressions.items()) if plan.view else ()
    parts = (plan.values, plan.renamed, plan.options, {n: k.simpleString() for n, k in plan.added.items()})
    return (plan.pipeline, plan.required, plan.notes, view, bool(plan.view_name), *(tuple(p.items()) for p in parts))


def _groups(plans: Iterable[Adoption], key: Callable[[Adoption], object]) -> list[list[Adoption]]:
    groups: dict[object, list[Adoption]] = {}
    for plan in plans:
        groups.setdefault(key(plan), []).append(plan)
    return list(groups.values())


def _names(group: list[Adoption]) -> str:
    names = [plan.target.name for plan in group[:_SHOWN]]
    rest = len(group) - len(names)
    return ", ".join(names) + (f" and {rest} more" if rest else "")


def _tables(count: int) -> str:
    return f"{count} table{'s' if count != 1 else ''}"
