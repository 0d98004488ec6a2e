"""`python -m localjobs`: reads the command line, runs, says how it went. The only place that decides exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from localjobs.adopt import adopt
from localjobs.engines import ENGINES
from localjobs.problem import ProblemsError, UsageError
from localjobs.start import Request, repair, start
from localjobs.terminal import clean

_DESCRIPTION = "Run a generated job file on this machine as the Jobs service would."
_REPAIR = (
    "Run again, in the same run, the tasks that did not succeed and all that wait for one of them: by the job file as "
    "it is now, with the options that the run was started with."
)
_ADOPT = """\
Take over the tables of a job file that another tool has filled. Prints one plan for all of them: what is added, how
each column is filled, what is guessed from the columns of a history, what no load will fill, and which tables are not
fit. Nothing is written without --dry_run=false. A table that was adopted before has nothing to do, so tables that need
other options are adopted by a second command with --only. In a workspace: databricks bundle run adopt.
"""
_ADOPT_OPTIONS = {
    "valid_from": "SQL over the table's columns: from when a version of an scd2 table is valid",
    "valid_to": "SQL: until when, exclusive; NULL or a day of the year 9999 where it is open",
    "is_deleted": "SQL: whether the row is deleted (default: false)",
    "sequence": "SQL: what the row was loaded with (default: the row's sequence_by, else valid_from)",
    "view": "a view with the old columns, such as {table}_before; Sail forgets it with the command",
}
_PARALLEL = 2 * (os.cpu_count() or 1)


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0 the run succeeded, 1 it did not or could not, 2 the command line is wrong."""
    try:
        options = _parser().parse_args(arguments)
        return _COMMANDS[options.command](options)
    except UsageError as error:
        return _say(error, 2)
    except ProblemsError as error:
        return _say(error, 1)
    except KeyboardInterrupt:
        return _say(ProblemsError(["canceled before the first task"]), 130)


def _adopt(options: argparse.Namespace) -> int:
    return adopt(_request(options), {name: getattr(options, name) for name in (*_ADOPT_OPTIONS, "dry_run")})


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = MappingProxyType(
    {
        "run": lambda options: start(_request(options)),
        "repair": lambda options: repair(options.run_id, options.workspace),
        "adopt": _adopt,
    }
)


def _say(error: ProblemsError, code: int) -> int:
    sys.stderr.write("".join(f"{clean(problem)}\n" for problem in error.problems))
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m localjobs", description=_DESCRIPTION)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    run = commands.add_parser("run", help="run a job file", description=_DESCRIPTION)
    _add_job_file(run)
    run.add_argument("--only", default="", metavar="KEYS", help="tasks to run: a,+b (and all before), c+ (all after)")
    run.add_argument("--params", action="append", default=[], metavar="K=V", help="a job parameter's value")
    default = f"default: {_PARALLEL}, twice the cores"
    run.add_argument("--max-parallel", type=int, default=_PARALLEL, metavar="N", help=f"tasks at once ({default})")
    again = commands.add_parser("repair", help="run again what failed in a run", description=_REPAIR)
    again.add_argument("run_id", type=int, metavar="RUN_ID", help="such as 260301040000, a folder in DIR/runs")
    again.add_argument("--workspace", type=Path, required=True, metavar="DIR", help="folder of tables and runs")
    take = commands.add_parser("adopt", help="take over tables that another tool filled", description=_ADOPT)
    _add_job_file(take)
    take.add_argument("--only", default="", metavar="KEYS", help="loads whose tables are adopted: a,b (default: all)")
    for name, told in _ADOPT_OPTIONS.items():
        take.add_argument(f"--{name}", default="", metavar="NAME" if name == "view" else "SQL", help=told)
    take.add_argument("--dry_run", choices=["true", "false"], default="true", help="false carries out the plan")
    take.set_defaults(params=[], max_parallel=1)
    return parser


def _add_job_file(command: argparse.ArgumentParser) -> None:
    command.add_argument("job_file", type=Path, metavar="JOB_FILE", help="such as resources/bronze_to_silver.job.yml")
    command.add_argument("--workspace", type=Path, required=True, metavar="DIR", help="folder of tables and runs")
    command.add_argument("--engine", choices=[*ENGINES], default="sail", help="what executes the SQL (default: sail)")
    command.add_argument("--target", default="local", help="target of databricks.yml (default: local)")
    command.add_argument("--var", action="append", default=[], metavar="K=V", help="a bundle variable's value")


def _request(options: argparse.Namespace) -> Request:
    if options.max_parallel < 1:
        raise UsageError([f"--max-parallel: expected a number from 1, found {options.max_parallel}"])
    return Request(
        job_file=options.job_file,
        workspace=options.workspace,
        engine=options.engine,
        target=options.target,
        only=tuple(key.strip() for key in options.only.split(",") if key.strip("+ ")),
        parameters=_pairs("--params", options.params),
        variables=_pairs("--var", options.var),
        max_parallel=options.max_parallel,
    )


def _pairs(option: str, words: Sequence[str]) -> dict[str, str]:
    wrong = [word for word in words if "=" not in word]
    if wrong:
        raise UsageError(f"{option}: expected name=value, found {word!r}" for word in wrong)
    pairs = (word.split("=", 1) for word in words)
    return {name.strip(): value for name, value in pairs}
