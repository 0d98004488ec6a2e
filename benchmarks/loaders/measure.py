"""Runs sides and keeps what each phase of each took, and whether its target then holds what it should."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.loaders.data import ATTRIBUTES, KEY, Days
from benchmarks.loaders.process import Bounds, EndedError, bounded, forget_peak, peak, worked
from benchmarks.loaders.server import CATALOG, Served, serve
from benchmarks.loaders.side import PHASES, Own, Side, Step

BRONZE, SILVER = "bronze", "silver"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One phase of one side in one round. `wrong` says how the target differs from what it should hold."""

    engine: str
    rows: int
    loader: str
    phase: str
    side: str
    round: int
    seconds: float | None = None
    worked: float | None = None  # seconds of processor time of the engine's processes
    peak: int | None = None
    files: int = 0
    bytes: int = 0
    wrong: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What all sides of a loader meet: the measured days, and small ones to warm up with."""

    engine: str
    workspace: Path
    loader: str
    days: Days
    small: Days
    vectors: bool
    bounds: Bounds


def run_side(plan: Plan, side: Side, number: int) -> Iterator[Measure]:
    """First load, changed day and rerun of one side, on a server of its own and a target of its own."""
    shutil.rmtree(plan.workspace / CATALOG / SILVER, ignore_errors=True)
    with serve(plan.engine, plan.workspace, [BRONZE, SILVER]) as served:
        side.prepare(_steps(plan, served, plan.small, "small")[0])
        failed = ""
        for phase, step in enumerate(_steps(plan, served, plan.small, "small")):
            failed = failed or _failure(side, step)
            if failed:
                yield _measure(plan, side, number, phase, error=failed)
        if failed:
            return
        for phase, step in enumerate(_steps(plan, served, plan.days, "target")):
            measure = _phase(plan, side, number, phase, served, step)
            yield measure
            if measure.error:
                break
    shutil.rmtree(plan.workspace / CATALOG / SILVER, ignore_errors=True)


def _steps(plan: Plan, served: Served, days: Days, name: str) -> list[Step]:
    return [
        Step(
            spark=served.spark,
            workspace=plan.workspace,
            loader=plan.loader,
            source=source,
            target=f"{CATALOG}.{SILVER}.{name}",
            number=number,
            vectors=plan.vectors,
            bounds=plan.bounds,
        )
        for number, source in enumerate((days.first, days.second, days.second))
    ]


def _phase(plan: Plan, side: Side, number: int, phase: int, served: Served, step: Step) -> Measure:
    before, had = _files(step), worked(served.process)
    forget_peak(served.process)
    started = time.monotonic()
    with bounded(served.process, plan.bounds) as watch:
        try:
            own = side.load(step)
        except Exception as error:  # a tool that an engine cannot run is a result too
            return _measure(plan, side, number, phase, error=watch.ended or _said(error))
        took = own or Own(
            seconds=time.monotonic() - started, worked=worked(served.process) - had, peak=peak(served.process)
        )
    new = {name: size for name, size in _files(step).items() if name not in before}
    return Measure(
        engine=plan.engine,
        rows=plan.days.rows,
        loader=plan.loader,
        phase=PHASES[phase],
        side=side.name,
        round=number,
        seconds=took.seconds,
        worked=took.worked,
        peak=took.peak,
        files=len(new),
        bytes=sum(new.values()),
        wrong=_wrong(plan, side, step, own) if side.checked else "",
    )


def _measure(plan: Plan, side: Side, number: int, phase: int, error: str) -> Measure:
    return Measure(
        engine=plan.engine,
        rows=plan.days.rows,
        loader=plan.loader,
        phase=PHASES[phase],
        side=side.name,
        round=number,
        error=error,
    )


def _failure(side: Side, step: Step) -> str:
    try:
        side.load(step)
    except Exception as error:  # as above: the small days only find it out sooner
        return _said(error)
    return ""


def _said(error: Exception) -> str:
    if isinstance(error, EndedError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    return f"{type(error).__name__}: {lines[0]}"[:300]


def _files(step: Step) -> dict[str, int]:
    """Data files in the folders of the target and of its copy, with their bytes."""
    folders = (step.folder(step.target), step.folder(f"{step.target}_copy"))
    found = [path for folder in folders for path in folder.rglob("*.parquet") if "_delta_log" not in path.parts]
    found += [path for folder in folders for path in folder.rglob("*.bin")]
    return {str(path): path.stat().st_size for path in found}


def _wrong(plan: Plan, side: Side, step: Step, own: Own | None) -> str:
    """How rows, rows in force and their values differ from the source's."""
    versions = plan.days.rows + (plan.days.changed if plan.loader == "scd2" and not step.first else 0)
    if own and own.found:
        found, expected = own.found, (versions, plan.days.rows, plan.days.rows)
    else:
        expected = (versions, *_fingerprint(step, step.source, "true")[1:])
        found = _fingerprint(step, step.target, side.current)
    named = zip(("rows", "in force", "values"), found, expected, strict=True)
    return ", ".join(f"{name} {held}, expected {due}" for name, held, due in named if held != due)


def _fingerprint(step: Step, table: str, current: str) -> tuple[int, int, int]:
    values = f"bit_xor(IF({current}, xxhash64({', '.join((KEY, *ATTRIBUTES))}), 0L))"
    row = step.spark.sql(f"SELECT count(*), count_if({current}), {values} FROM {table}").collect()[0]
    return int(row[0]), int(row[1]), int(row[2])
