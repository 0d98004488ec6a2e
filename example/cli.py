"""The command line of the example: `day` and `demo`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from example.problem import ExampleError

_TEACHING = """\
The example is a retail warehouse: the 24 tables of TPC-DS, as Fivetran would leave them in bronze
(_fivetran_synced, _fivetran_deleted), on two days. bundle/execution_table.yml says how they become silver.

  python -m example day 1 --workspace .demo      land the first day as Delta tables in .demo/dev_bronze/tpcds
  python -m generator generate                   write resources/bronze_to_silver.job.yml
  python -m localjobs run resources/bronze_to_silver.job.yml --workspace .demo
  python -m example day 2 --workspace .demo      customers move, prices rise, a store closes, sales arrive late
  python -m localjobs run resources/bronze_to_silver.job.yml --workspace .demo

`python -m example demo` does all of that in turn and shows one customer's history. Everything is
deterministic: the same day at the same scale factor has the same rows. A day that has landed is left as it is."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 done, 1 a problem or a step that failed, 2 wrong usage."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except ExampleError as error:
        sys.stderr.write(f"example: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m example", description=_TEACHING, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    day = commands.add_parser("day", help="land the first or the second day of bronze")
    day.add_argument("number", type=int, choices=(1, 2), help="1: land everything; 2: change it")
    day.set_defaults(run=_day)
    demo = commands.add_parser("demo", help="both days, loaded one after the other, and a customer's history")
    demo.add_argument("--keep", action="store_true", help="go on with what the workspace holds, not afresh")
    demo.set_defaults(run=_demo)
    for command in (day, demo):
        command.add_argument("--workspace", type=Path, required=True, metavar="DIR", help="the folder to work in")
        command.add_argument(
            "--scale-factor", type=_scale_factor, metavar="N", help="size of TPC-DS (default: 0.01; 1 is about 1 GB)"
        )
    return parser


def _scale_factor(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number <= 100:
        raise argparse.ArgumentTypeError(f"expected a number above 0 and up to 100, found {text!r}")
    return number


def _day(arguments: argparse.Namespace) -> int:
    from example.land import land_day  # pyarrow and deltalake load only for the commands that need them

    land_day(arguments.workspace, arguments.number, arguments.scale_factor, _say)
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from example.demo import run_demo

    return run_demo(arguments.workspace, arguments.scale_factor, afresh=not arguments.keep, say=_say)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
