"""The command line: the only place that prints and decides exit codes. 0 fine, 1 problems, 2 wrong usage."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generator.problem import Problem, as_github, as_json, as_text, errors
from generator.shape import SchemaName
from laketasks.sql_fingerprint import fingerprint

if TYPE_CHECKING:
    from generator.build import Build
    from generator.effects import SqlTexts

DESCRIPTION = """\
Turn the rows of execution_table into Databricks job files, one for each layer.

Everything wrong with the rows is reported at once; nothing is written unless everything is right.
"""
EXAMPLES = """\
examples:
  python -m generator generate                          write resources/<layer>.job.yml
  python -m generator generate --source rows.csv        from other rows
  python -m generator check --source prod.metadata.execution_table    the table in the workspace, by a SQL warehouse
  python -m generator check                             are the committed files what generate would write?
  python -m generator check --format github             the same, as annotations of a pull request
  python -m generator diff                              what the rows change: tables that come, go and wait
  python -m generator diff --against origin/main --format markdown    the same for a pull request
  python -m generator explain dim_customer              what one row reads, what it waits for and why, its parameters
  python -m generator graph --layer bronze_to_silver    the job as a Mermaid flowchart, to paste into a pull request
  python -m generator init dev_bronze.erp dev_silver.core             rows for the tables of a schema, to edit

exit codes: 0 fine, 1 problems found, 2 wrong usage
"""
INIT = """\
Propose a row for every table of a schema, from what can be seen: names, columns and declared keys. The file is
yours to edit, and says why each row is as it is and what could not be known. A file that is there is left alone.
"""
INIT_EXAMPLES = """\
examples:
  python -m generator init dev_bronze.erp dev_silver.core                       from Unity Catalog
  python -m generator init dev_bronze.tpcds dev_silver.retail --workspace .demo from a workspace of localjobs
  python -m generator diff --source bundle/execution_table.erp.yml              what it makes, or still lacks
"""
_AS_IT_IS = argparse.RawDescriptionHelpFormatter
_SETTINGS, _OUT = Path("bundle/settings.yml"), Path("resources")
_WRITERS = {"text": as_text, "json": as_json, "github": as_github}


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.command == "init":
        return _init(options)
    from generator.build import Options, build  # pydantic and YAML are not for --help

    made, problems = build(Options(settings=options.settings, source=options.source, out=options.out))
    if made is None:
        _report(problems, options.format, "; nothing was written" if options.command == "generate" else " found")
        return 1
    code = 0
    if options.command in ("generate", "check"):
        from generator.removals import removal_problems

        removed = removal_problems(made, options.out, allowed=options.override_guards)
        problems = (*problems, *removed, *_files(made, options))
        if options.command == "generate" and errors(removed):
            _report(problems, options.format, "; nothing was written")
            return 1
    if options.command == "generate":
        unwritten = _generate(made, options)
        problems, code = (*problems, *unwritten), 1 if unwritten else 0
    elif options.command == "check":
        different = _check(made, options)
        problems = (*problems, *different)
        code = 1 if errors(problems) else 0
    elif options.command == "diff":
        problems = (*problems, *_diff(made, options))
        code = 1 if errors(problems) else 0
    else:
        text, unknown = _shown(made, options)
        sys.stdout.write(text)
        problems, code = unknown, 1 if unknown else 0
    _report(problems, options.format, "")
    return code


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    add = shared.add_argument
    add("--settings", type=Path, default=_SETTINGS, help="how rows become jobs (%(default)s)")
    source = "the rows: a .yml, .csv, .json or .parquet file, a Delta folder, or catalog.schema.table in a workspace"
    add("--source", metavar="SOURCE", help=f"{source} (execution_table of the settings)")
    add("--out", type=Path, default=_OUT, help="the folder of the job files (%(default)s)")
    guards = "let a job lose half of its tables, or all since none of its rows is active"
    add("--override-guards", action="store_true", help=guards)
    parser = argparse.ArgumentParser(
        prog="python -m generator",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=_AS_IT_IS,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="generate|check|diff|explain|graph|init")
    for name, text in (
        ("generate", "write the job files; remove those whose layer is gone"),
        ("check", "compare the job files with what generate would write; exit 1 and show the difference"),
        ("diff", "say what the rows change in the job: tables that come, go and change, and who waits for them"),
        ("explain", "say what one row becomes: what it reads and where that is written, what it waits for and why"),
        ("graph", "write the jobs as a Mermaid flowchart: orders as boxes, waits as thick arrows, reads as thin ones"),
    ):
        command = commands.add_parser(
            name,
            parents=[shared],
            help=text,
            description=text[:1].upper() + text[1:] + ".",
            epilog=EXAMPLES,
            formatter_class=_AS_IT_IS,
        )
        formats = (*_WRITERS, "markdown") if name == "diff" else tuple(_WRITERS)
        command.add_argument("--format", choices=formats, default="text", help="how to write it (%(default)s)")
        if name == "diff":
            against = "what the jobs were: a folder, or a git revision (the files of --out as they are)"
            command.add_argument("--against", metavar="FOLDER|REVISION", help=against)
        if name == "explain":
            command.add_argument("table", metavar="TABLE", help="task key, table, or catalog.schema.table")
        if name == "graph":
            command.add_argument("--layer", metavar="L", help="the job of one layer (all of them)")
    _add_init(commands)
    return parser


def _add_init(commands: Any) -> None:
    text = "propose rows for the tables of a schema: a file to edit, with the reasons in its comments"
    command = commands.add_parser("init", help=text, description=INIT, epilog=INIT_EXAMPLES, formatter_class=_AS_IT_IS)
    add = command.add_argument
    add("schema", type=_schema, metavar="CATALOG.SCHEMA", help="the tables to load from")
    add("target", type=_schema, metavar="CATALOG.SCHEMA", help="where the loaded tables go")
    add("--workspace", type=Path, metavar="DIR", help="a workspace of localjobs (Unity Catalog, as the SDK logs in)")
    add("--out", type=Path, metavar="FILE", help="the file to write (bundle/execution_table.<schema>.yml)")
    add("--format", choices=tuple(_WRITERS), default="text", help="how to write problems (%(default)s)")


def _schema(text: str) -> SchemaName:
    parts = text.split(".")
    if len(parts) != 2 or not all(parts):
        raise argparse.ArgumentTypeError(f"expected catalog.schema, found {text!r}")
    return SchemaName(*parts)


def _init(options: argparse.Namespace) -> int:
    from generator.init import Request, init

    out = options.out or Path(f"bundle/execution_table.{options.schema.schema}.yml")
    request = Request(source=options.schema, target=options.target, workspace=options.workspace, out=out)
    text, problems = init(request)
    sys.stdout.write(text)
    _report(problems, options.format, "; nothing was written")
    return 1 if problems else 0


def _shown(made: Build, options: argparse.Namespace) -> tuple[str, tuple[Problem, ...]]:
    if options.command == "graph":
        from generator.graph import graph

        return graph(made, options.layer)
    from generator.explain import explain

    return explain(made, options.table)


def _files(made: Build, options: argparse.Namespace) -> tuple[Problem, ...]:
    """The files of runners that are not there: `check` fails, and `generate` warns, since they may come after it."""
    from generator.build import bundle_root
    from generator.file_rules import file_problems

    found = file_problems(made, options.out, bundle_root(options.settings))
    if options.command == "generate":
        return tuple(replace(problem, severity="warning") for problem in found)
    return found


def _generate(made: Build, options: argparse.Namespace) -> tuple[Problem, ...]:
    from generator.render import publish

    try:
        publish(options.out, made.texts, made.stale)
    except OSError as error:
        return (Problem(file=options.out.as_posix(), what=f"cannot be written: {error.strerror}"),)
    _result(made, options)
    return ()


def _check(made: Build, options: argparse.Namespace) -> tuple[Problem, ...]:
    """Show how each file differs; a problem for each that does."""
    from generator.conflicts import MERGED, conflict_line
    from generator.render import read_file

    found: list[Problem] = []
    remedy = f"run `python -m generator generate{_other_than_default(options)}` and commit what it writes"
    for name in sorted({*made.texts, *made.stale}):
        path = options.out / name
        old = read_file(path) if path.is_file() else ""
        new = made.texts.get(name, "")
        if old == new:
            continue
        what = "differs from what the rows make" if old and new else "is missing" if new else "has no rows any more"
        merged = conflict_line(old)
        found.append(Problem(file=path.as_posix(), line=merged or 1, what=MERGED if merged else what, remedy=remedy))
        if options.format == "text" and not merged:
            sys.stdout.writelines(_difference(old, new, path.as_posix()))
    if not found:
        _result(made, options)
    elif options.format == "text":
        sys.stdout.writelines(_effects(made, options))
    return tuple(found)


def _effects(made: Build, options: argparse.Namespace) -> list[str]:
    """What the next loads will do about the changes that no load can simply go on with."""
    from generator import difference
    from generator.effects import NEXT_LOAD

    old = difference.from_folder(options.out)
    changes = difference.differences(old, made.texts, _sql_texts(made, options, old))
    lines = (line for change in changes for line in change.lines if line.what.startswith((NEXT_LOAD, "SQL: ")))
    return [f"{line.key}: {line.what}\n" for line in lines]


def _diff(made: Build, options: argparse.Namespace) -> tuple[Problem, ...]:
    from generator import difference

    against = options.against or options.out
    old, problems = (
        (difference.from_folder(Path(against)), ())
        if options.against is None or Path(against).is_dir()
        else difference.from_git(against, options.out)
    )
    problems = problems or tuple(difference.merged(old, Path(against)))
    if problems:
        return problems
    changes = difference.differences(old, made.texts, _sql_texts(made, options, old))
    if options.format == "json":
        sys.stdout.write(json.dumps([asdict(change) for change in changes], indent=2, ensure_ascii=False) + "\n")
    else:
        write = difference.as_markdown if options.format == "markdown" else difference.as_text
        sys.stdout.write(write(changes))
    return ()


def _sql_texts(made: Build, options: argparse.Namespace, old: Mapping[str, str]) -> SqlTexts:
    """The SQL files of the rows, and as they were in the revision that is compared with, or in HEAD."""
    from generator.build import bundle_root
    from generator.difference import sql_before
    from generator.effects import SqlTexts

    root, folder = bundle_root(options.settings), options.settings.resolve().parent
    place = f"{folder.relative_to(root).as_posix()}/" if folder != root else ""
    now = {f"{place}{path}": text for path, text in made.context.sql.items() if text is not None}
    against = getattr(options, "against", None)
    revision = "HEAD" if against is None or Path(against).is_dir() else against
    changed = [path for path, text in now.items() if not any(fingerprint(text) in file for file in old.values())]
    return SqlTexts(before=sql_before(revision, root, changed), now=now)


def _other_than_default(options: argparse.Namespace) -> str:
    """The options as they were given, so that the remedy can be pasted."""
    given = {"settings": options.settings, "source": options.source, "out": options.out}
    default = {"settings": _SETTINGS, "source": None, "out": _OUT}
    return "".join(f" --{name} {path}" for name, path in given.items() if path != default[name])


def _difference(old: str, new: str, name: str) -> list[str]:
    """A unified diff; of a file that is new or gone only the headings."""
    if not (old and new):
        return [f"--- {name if old else '/dev/null'}\n", f"+++ {name if new else '/dev/null'}\n"]
    lines = unified_diff(old.splitlines(True), new.splitlines(True), name, f"{name} (generated now)")
    return [line if line.endswith("\n") else f"{line}\n" for line in lines]


def _result(made: Build, options: argparse.Namespace) -> None:
    from generator.render import SUFFIX, figures

    files = {(options.out / f"{plan.layer}{SUFFIX}").as_posix(): plan for plan in made.plans}
    if options.format == "json":
        counts = [
            {
                "file": file,
                "tables": len(plan.loads),
                "orders": len(plan.orders),
                "tasks": sum(len(job.tasks) for job in plan.jobs),
                "edges": plan.edges,
                **({"children": [f"{child.key}{SUFFIX}" for child in plan.children]} if plan.children else {}),
            }
            for file, plan in files.items()
        ]
        sys.stdout.write(json.dumps({"files": counts}, indent=2) + "\n")
        return
    same = " as generated" if options.command == "check" else ""
    sys.stdout.writelines(f"{file}: {figures(plan)}{',' if same else ''}{same}\n" for file, plan in files.items())
    if options.command == "generate":
        sys.stdout.writelines(
            f"{(options.out / name).as_posix()}: removed, it has no rows any more\n" for name in made.stale
        )


def _report(problems: Sequence[Problem], style: str, closing: str) -> None:
    if problems:
        sys.stderr.write(_WRITERS.get(style, as_text)(problems))
    if style == "text" and errors(problems) and closing:
        count = len(errors(problems))
        sys.stderr.write(f"{count} problem{'' if count == 1 else 's'}{closing}\n")
