"""`python -m benchmarks.loaders`: our loaders beside the other ways to do the same, on one engine, in one run.

For each loader (scd2, scd1, merge, overwrite) every side loads a table of --rows rows for the first time, then a day
on which one row in a hundred has changed, then that day again. A side is our loader, another tool's statement, or the
floor: the same files read and written with nothing in between. Each has a server and a target of its own; after every
phase the target is compared with the source. Ratios are per round, the other side's seconds by ours: above 1 we are
faster. Processor time and peak memory are those of the engine's processes during the phase; on a machine that others
use too, processor time is the steadier figure.

examples:
  python -m benchmarks.loaders                                    1 M rows on Sail, some minutes a round
  python -m benchmarks.loaders --only scd2 --sides laketasks,floor   while tuning a loader
  python -m benchmarks.loaders --rows 1000000,10000000 --rounds 1    how time grows; 5 GB of disk, 12 GB of memory
  python -m benchmarks.loaders --engine spark                     needs `make .venv-spark/spark.stamp`
  python -m benchmarks.loaders --engine spark --warm 1000000      a JVM that has compiled what it runs
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.loaders import arrow, ours, statement
from benchmarks.loaders.data import SPREADS, Days, write_days
from benchmarks.loaders.measure import BRONZE, Measure, Plan, run_side
from benchmarks.loaders.process import Bounds
from benchmarks.loaders.report import goals, growth, table
from benchmarks.loaders.server import CATALOG, serve
from benchmarks.loaders.side import LOADERS, Side
from localjobs.engines import ENGINES


def main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    measures: list[Measure] = []
    with tempfile.TemporaryDirectory(prefix="laketasks_loaders_", dir=given.folder) as folder:
        for rows in given.rows:
            print(f"{rows:,} rows on {given.engine}, 1 % changed ({given.change}), {given.rounds} rounds", flush=True)
            workspace = Path(folder) / str(rows)
            workspace.mkdir()
            days, small = _sources(given.engine, workspace, rows, given.change, given.warm)
            for loader in given.only:
                plan = Plan(
                    engine=given.engine,
                    workspace=workspace,
                    loader=loader,
                    days=days,
                    small=small,
                    vectors=given.deletion_vectors,
                    bounds=Bounds(memory=given.memory << 30, seconds=given.seconds),
                )
                for measure in _measured(plan, _sides(loader, given.sides), given.rounds):
                    measures.append(measure)
                    if given.json:
                        given.json.write_text(json.dumps([asdict(m) for m in measures], indent=1), encoding="utf-8")
            shutil.rmtree(workspace)
            of_size = [m for m in measures if m.rows == rows]
            print(
                "\n".join(["", f"{rows:,} rows on {given.engine}", "", table(of_size), "", *goals(of_size), ""]),
                flush=True,
            )
    print("\n".join(growth(measures)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.loaders", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=_numbers, default=[1_000_000], help="rows of the table, or several: 1000000,...")
    parser.add_argument("--engine", choices=[*ENGINES], default="sail", help="what everything runs on (default sail)")
    parser.add_argument("--only", type=_loaders, default=[*LOADERS], help=f"loaders, of {','.join(LOADERS)}")
    parser.add_argument("--sides", type=_words, default=[], help="sides whose name holds one of these (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="how often every side is measured (default 3)")
    parser.add_argument(
        "--warm",
        type=int,
        default=1_000,
        help="rows that each side loads first, unmeasured (default 1000); as many as --rows for a warm engine",
    )
    parser.add_argument("--change", choices=SPREADS, default="spread", help="changed ids: over all files, or one range")
    parser.add_argument(
        "--deletion-vectors", action="store_true", help="give the tables of the other statements deletion vectors"
    )
    parser.add_argument("--memory", type=int, default=12, help="GiB at which a phase is ended (default 12)")
    parser.add_argument("--seconds", type=float, default=900, help="seconds after which a phase is ended (default 900)")
    parser.add_argument("--json", type=Path, help="write every measurement to this file, as the run goes")
    parser.add_argument("--folder", type=Path, help="where the tables are made (default: the system's scratch folder)")
    return parser


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str) -> list[int]:
    return [int(word.replace("_", "")) for word in _words(text)]


def _loaders(text: str) -> list[str]:
    unknown = [word for word in _words(text) if word not in LOADERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no loader {', '.join(unknown)}; known: {', '.join(LOADERS)}")
    return _words(text)


def _sides(loader: str, wanted: list[str]) -> list[Side]:
    sides = [ours.side(loader), *statement.sides(loader), *arrow.sides(loader)]
    chosen = [side for side in sides if not wanted or any(word.lower() in side.name.lower() for word in wanted)]
    for side in chosen:
        print(f"  {loader}: {side.name}: {side.about}")
    return chosen


def _sources(engine: str, workspace: Path, rows: int, change: str, warm: int) -> tuple[Days, Days]:
    started = time.monotonic()
    with serve(engine, workspace, [BRONZE]) as served:
        days = write_days(served.spark, f"{CATALOG}.{BRONZE}", "", rows, change)
        small = write_days(served.spark, f"{CATALOG}.{BRONZE}", "small_", warm, change)
    print(f"  both days of the source written in {time.monotonic() - started:.1f} s", flush=True)
    return days, small


def _measured(plan: Plan, sides: list[Side], rounds: int) -> Iterator[Measure]:
    for number in range(rounds):
        turn = number % max(1, len(sides))
        for side in (*sides[turn:], *sides[:turn]):  # another one first each time
            for measure in run_side(plan, side, number):
                took = f"{measure.seconds:.2f} s" if measure.seconds is not None else f"not possible: {measure.error}"
                wrong = f"; {measure.wrong}" if measure.wrong else ""
                print(f"  round {number + 1}: {plan.loader}, {side.name}, {measure.phase}: {took}{wrong}", flush=True)
                yield measure


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
