"""`python -m benchmarks.generator`: the way from tables to job files, ours beside the others', in one run.

Every side is given the same tables, as its user has them, and runs as a whole process to the point where the job files
or the JSON for the Jobs API exist; then the tasks and edges that it left are counted. A round runs every side once, in
turn; ratios are per round, the other side's processor time by ours. Needs `make .venv-rivals/rivals.stamp`.

examples:
  python -m benchmarks.generator                            all sizes; some minutes a round
  python -m benchmarks.generator --rows 140 --rounds 10     while tuning the start
  python -m benchmarks.generator --sides laketasks          without the others
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.generator.sides import OURS, PARSE, RIVALS, SIDES, Side, Taken, counts, prepare, run
from benchmarks.generator.tables import Shape, edges, write

_EDGES = ("barrier", "gate", "lineage")
_MANY = 200_000  # edges that are given to no side but ours, whose text does not grow with them


def main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    asked = {*given.sides, *([PARSE] if "dbt-factory" in given.sides else [])}  # which makes the manifest
    sides = [side for side in SIDES if side.name in asked]
    if any(side.name != OURS for side in sides) and not (RIVALS / "python").exists():
        raise SystemExit("the others are not installed: make .venv-rivals/rivals.stamp, or --sides laketasks")
    for rows in given.rows:
        for mode in given.edges:
            shape = Shape(rows=rows, edges=mode)
            few = sides if edges(shape) <= _MANY else [side for side in sides if side.name == OURS]
            with tempfile.TemporaryDirectory(prefix="laketasks_generator_", dir=given.folder) as folder:
                write(Path(folder), shape)
                print(_heading(shape), flush=True)
                print(_table(_measured(few, shape, Path(folder), given.rounds, given.seconds)), flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    first, _, rest = str(__doc__).partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.generator",
        description=first,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    numbers = [140, 1_000, 10_000]
    add("--rows", type=int, nargs="+", default=numbers, help="how many tables (140 1000 10000)")
    add("--edges", nargs="+", choices=_EDGES, default=list(_EDGES), help="what tasks wait for (all three)")
    add("--sides", nargs="+", choices=[side.name for side in SIDES], default=[side.name for side in SIDES])
    add("--rounds", type=int, default=3, help="how often every side is measured (%(default)s)")
    add("--seconds", type=float, default=180, help="a side that takes longer is ended (%(default)s)")
    add("--folder", type=Path, help="where the projects are made (a temporary folder)")
    return parser


def _measured(
    sides: Sequence[Side], shape: Shape, folder: Path, rounds: int, seconds: float
) -> Mapping[str, list[Taken] | str]:
    found: dict[str, list[Taken] | str] = {side.name: [] for side in sides}
    prepare(folder)
    for _ in range(rounds):
        for side in sides:
            before = found[side.name]
            if isinstance(before, str):
                continue
            taken = run(side.commands(shape), folder, seconds)
            if isinstance(taken, str):
                found[side.name] = taken
            else:
                before.append(taken)
                _check(side, shape, folder)
        prepare(folder)
    return found


def _check(side: Side, shape: Shape, folder: Path) -> None:
    if side.name == PARSE:
        return
    loads, waits = counts(side, folder)
    if (loads, waits) != (shape.rows, edges(shape)):
        raise SystemExit(f"{side.name} made {loads} tasks and {waits} edges of {shape.rows} and {edges(shape)}")


def _heading(shape: Shape) -> str:
    many = "job" if shape.layers == 1 else "jobs"
    return f"\n{shape.rows:,} tables in {shape.layers} {many}, {shape.edges}: {edges(shape):,} edges"


def _table(found: Mapping[str, list[Taken] | str]) -> str:
    lines = [f"{'':22}{'wall s: min, median, max':>26}{'CPU s':>9}{'MiB':>7}{'CPU by ours':>13}{'wall by ours':>14}"]
    for name, taken in found.items():
        lines.append(f"{name:22}{taken:>26}" if isinstance(taken, str) else _line(name, taken, found[OURS]))
    parse, factory = found.get(PARSE), found.get("dbt-factory")
    if isinstance(parse, list) and isinstance(factory, list):
        both = [_together(one, other) for one, other in zip(parse, factory, strict=True)]
        lines.append(_line("dbt parse + factory", both, found[OURS]))
    return "\n".join(lines)


def _line(name: str, taken: list[Taken], ours: list[Taken] | str) -> str:
    walls = [one.wall for one in taken]
    spread = f"{min(walls):.2f}, {median(walls):.2f}, {max(walls):.2f}"
    ratios = ""
    if isinstance(ours, list):
        cpu = median(one.cpu / own.cpu for one, own in zip(taken, ours, strict=True))
        wall = median(one.wall / own.wall for one, own in zip(taken, ours, strict=True))
        ratios = f"{cpu:>13.1f}{wall:>14.1f}"
    memory = max(one.memory for one in taken)
    return f"{name:22}{spread:>26}{median(one.cpu for one in taken):>9.2f}{memory:>7}{ratios}"


def _together(one: Taken, other: Taken) -> Taken:
    return Taken(wall=one.wall + other.wall, cpu=one.cpu + other.cpu, memory=max(one.memory, other.memory))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
