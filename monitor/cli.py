"""`python -m monitor`: reads the command line, finds the run, shows it. The only place that decides exit codes."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from monitor.collect import collect
from monitor.durations import durations_of, merge, write
from monitor.lines import clean
from monitor.page import page
from monitor.problem import ProblemsError, UsageError
from monitor.report import report_of
from monitor.terminal import show, show_first

_WIDTH = 200  # of what is not a terminal: a line of a log may be long
_DESCRIPTION = """\
Show a run of a job: what failed, what that holds up, what to do; then what is
different from the last good run, what takes the time, every error in full and
every table with its counts. A run may still be going on.

  python -m monitor simulate JOB_FILE    what a job would take in each way to run it
  python -m monitor trends DIR           what got slower, what stopped changing
"""
_EPILOG = """\
RUN is one of
  DIR            a workspace of localjobs: its latest run       python -m monitor .demo
  DIR, FILE      the folder of a run, or its record             python -m monitor .demo/runs/260301040000
                 (a record is also what `databricks jobs get-run ID` prints)
  ID             the id of a job's run in the workspace         python -m monitor 512389072345612
  URL            the address of its page, or of a task's page   python -m monitor https://HOST/jobs/1/runs/2

Of a workspace: credentials as for the Databricks CLI (DATABRICKS_CONFIG_PROFILE, or DATABRICKS_HOST and
DATABRICKS_TOKEN, ...). The counts come from the run log, through the SQL warehouse that DATABRICKS_WAREHOUSE_ID
names, else through one that is running; none is started.

exit code: 0 nothing failed (so far), 1 something failed or the run cannot be shown, 2 the command line is wrong
"""


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0 nothing failed, 1 something did or cannot be shown, 2 the command line is wrong."""
    command, options = _command(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name may hold what this terminal cannot show
    try:
        return command(options)
    except UsageError as error:
        return _say(error, 2)
    except ProblemsError as error:
        return _say(error, 1)
    except KeyboardInterrupt:
        return 130


def _command(arguments: Sequence[str]) -> tuple[Callable[[argparse.Namespace], int], argparse.Namespace]:
    """What the first word asks for: one of the commands, else a run to be shown."""
    if arguments[:1] == ["simulate"]:
        from monitor import simulate_cli  # YAML is for who needs it

        return partial(simulate_cli.command, _console()), simulate_cli.parser().parse_args(arguments[1:])
    if arguments[:1] == ["trends"]:
        from monitor import trends_cli

        return partial(trends_cli.command, _console()), trends_cli.parser().parse_args(arguments[1:])
    return _monitor, _parser().parse_args(arguments)


def _monitor(options: argparse.Namespace) -> int:
    with Console(stderr=True).status("looking ..."):  # seen on a terminal only; a workspace may take its time
        evidence = collect(options.run)
    report = report_of(evidence)
    console = _console()
    if options.html or options.durations:
        show_first(console, report)
    else:
        show(console, report)
    if options.html:
        text = page(report)
        write(options.html, text)
        said = f"\npage: {options.html} ({len(text.encode()) / 1000:,.0f} kB)"
        console.print(said, highlight=False, soft_wrap=True, markup=False)
    if options.durations:
        seconds = durations_of(evidence)
        lines = merge(options.durations, evidence.run.layer, seconds)
        said = f"{len(seconds)} of layer {evidence.run.layer}, {lines} in all"
        console.print(f"\ndurations: {options.durations} ({said})", highlight=False, soft_wrap=True, markup=False)
    return int(report.bad)


def _console() -> Console:
    """Of its own width on a terminal; elsewhere wide, and without colours whatever the environment says."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH, color_system=None)


def _say(error: ProblemsError, code: int) -> int:
    sys.stderr.write("".join(f"{clean(problem)}\n" for problem in error.problems))
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m monitor",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "run", metavar="RUN", help="what to show: a folder, a record, a run id or an address, see below"
    )
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write the page: one file, for a browser, a mail, a printer"
    )
    parser.add_argument(
        "--durations",
        type=Path,
        metavar="FILE",
        help="put the tables' seconds into this file (bundle/durations.csv), by which the generator divides lanes",
    )
    return parser
