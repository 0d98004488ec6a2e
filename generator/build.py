"""The five arrows in a row: from files to the texts of the job files. Reads, writes nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from generator.bootstrap_rules import bootstrap_problems
from generator.checks import check, check_alone
from generator.context import Context
from generator.document import Bundle, Document, make_document
from generator.jobs_api import load_types
from generator.lanes import FILE, read_durations
from generator.layer_rules import LayerRead, layer_problems, layer_reads
from generator.limits import document_problems
from generator.load_inputs import load_inputs
from generator.model import Entry, read_entries
from generator.plan import Plan, make_plans
from generator.problem import Problem, errors, in_order
from generator.render import SUFFIX, Header, generated, is_generated, read_file, render
from generator.settings import SettingsFile, check_settings, named_source, read_settings, read_variables
from generator.source import TableName, locate, read_rows, read_sql
from generator.split import SIZE, JobSize, present_children, split_plans
from generator.sql_rules import is_below
from generator.target_rules import production_of, read_targets, target_problems
from generator.watched import watched_tables

_TEMPLATE = Path("templates") / "job.yml.j2"
_OWN_TEMPLATE = Path(__file__).parent.parent / "bundle" / _TEMPLATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line names; `source` is None for the settings' execution_table, else a file or a table."""

    settings: Path
    source: Path | str | None
    out: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """All that one set of rows makes. `texts` is by file name; `stale` are generated files whose layer is gone.

    `present` has the texts of the generated files that are there. `layer_reads` are the tables that one layer reads
    and another loads.
    """

    entries: tuple[Entry, ...]
    context: Context
    documents: tuple[Document, ...]
    texts: Mapping[str, str]
    stale: tuple[str, ...]
    present: Mapping[str, str]
    layer_reads: tuple[LayerRead, ...]

    @property
    def plans(self) -> tuple[Plan, ...]:
        """A plan for each layer; those of child jobs stand in it."""
        return tuple(document.plan for document in self.documents if not document.plan.part)


def build(options: Options, size: JobSize = SIZE) -> tuple[Build | None, tuple[Problem, ...]]:
    """Make the texts, or say everything that stands in the way; warnings come with both.

    A step goes on with what the steps before it found right, so that one mistake hides no other.
    """
    found, problems = read_settings(options.settings, _shown(options.settings))
    if found is None:
        return None, in_order((*problems, *_rows_alone(options)))
    root = bundle_root(options.settings)
    try:
        types = load_types()
    except (OSError, ValueError, KeyError, TypeError):
        remedy = "write it anew: `databricks bundle schema > FILE`; or unset it"
        return None, (Problem(what="LAKETASKS_BUNDLE_SCHEMA names no bundle schema", remedy=remedy),)
    variables, unread = read_variables(root / "databricks.yml", _shown(root / "databricks.yml"))
    targets = read_targets(root / "databricks.yml")
    problems = (*problems, *unread, *check_settings(found, types, variables), *target_problems(found, targets))
    settings_are_right = not errors(problems)

    source = _source(options, found.settings.execution_table)
    raw, unread = read_rows(source, _named(source))
    entries, unreadable = read_entries(raw, found.settings.runners)
    sql = read_sql(options.settings.parent, _sql_paths(entries))
    durations, untimed = read_durations(options.settings.parent / FILE, _shown(options.settings.parent / FILE))
    context = Context(settings=found, sql=sql, durations=durations, production=production_of(targets))
    problems = (*problems, *unread, *unreadable, *untimed)
    if entries:
        problems = (*problems, *check(entries, context, complete=not errors(unread)))
    elif not errors(unread):
        problems = (*problems, Problem(file=_named(source), what="holds no rows", remedy="write one for each table"))
    if not settings_are_right:
        return None, in_order(problems)

    # A row that is only in the wrong order, perhaps because of another, can still be made a task.
    wrong = {problem.row for problem in errors(problems) if problem.column != "execution_order"}
    plans, large = make_plans([entry for entry in entries if entry.source.number not in wrong], context)
    header = _header(options, found, source, root)
    old = generated(options.out, header.settings)
    plans, too_large = split_plans(plans, context, size, present_children(old))
    problems = (*problems, *large, *too_large)
    if errors((*large, *too_large)):
        return None, in_order(problems)
    bundle = Bundle(sql_folder=_relative(options.settings.parent, root) + "/", wheel=_wheel(root, options.out))
    watched = {plan.key: watched_tables(plan, context) for plan in plans}
    problems = (*problems, *(problem for _, unwatched in watched.values() for problem in unwatched))
    inputs = load_inputs(entries, context)
    documents = tuple(
        make_document(job, found.settings, bundle, types, watched[plan.key][0], inputs)
        for plan in plans
        for job in plan.jobs
    )
    unsound = [problem for document in documents for problem in document_problems(document, context, types)]
    if errors(problems):  # what is wrong with the job as a whole then follows from its rows
        unsound = [problem for problem in unsound if problem.row]
    problems = (*problems, *unsound)
    names = {f"{document.plan.key}{SUFFIX}": document for document in documents}
    written = [(path, _shown(path)) for path in sorted(options.out.glob("*.yml")) if path.is_file()]
    problems = (*problems, *_in_the_way(options.out, names), *bootstrap_problems(written, entries, context))
    between = layer_reads(written, documents, entries, context)
    problems = (*problems, *layer_problems(between, context))
    if errors(problems):
        return None, in_order(problems)
    template = _template(options.settings)
    layout, unread = _layout(template)
    rendered = {name: render(doc, layout, header) for name, doc in names.items() if not unread}
    broken = {*unread} | {Problem(file=_shown(template), what=what) for _, what in rendered.values() if what}
    if broken:
        return None, in_order((*problems, *broken))
    texts = {name: text for name, (text, _) in rendered.items()}
    stale = tuple(name for name in old if name not in texts)
    made = Build(
        entries=entries,
        context=context,
        documents=documents,
        texts=texts,
        stale=stale,
        present=old,
        layer_reads=between,
    )
    return made, in_order(problems)


def _rows_alone(options: Options) -> tuple[Problem, ...]:
    """What is wrong with the rows whatever the settings are, where those cannot be read."""
    named = named_source(options.settings)
    if options.source is None and not named:
        return ()
    source = _source(options, named)
    raw, unread = read_rows(source, _named(source))
    entries, unreadable = read_entries(raw)
    return (*unread, *unreadable, *check_alone(entries))


def bundle_root(settings: Path) -> Path:
    """The bundle's root: where databricks.yml stands, beside the settings' folder or in it."""
    folder = settings.resolve().parent
    return folder if (folder / "databricks.yml").is_file() else folder.parent


def _sql_paths(entries: tuple[Entry, ...]) -> list[str]:
    return [
        entry.row.sql_file_path for entry in entries if entry.row.sql_file_path and is_below(entry.row.sql_file_path)
    ]


def _source(options: Options, named: str) -> Path | TableName:
    if options.source is None:
        return locate(named, options.settings.parent)
    return locate(str(options.source), Path())


def _named(source: Path | TableName) -> str:
    return str(source) if isinstance(source, TableName) else _shown(source)


def _origin(source: Path | TableName, root: Path) -> str:
    """What a job file calls its source: the same from wherever the command is run."""
    return str(source) if isinstance(source, TableName) else _relative(source, root)


def _header(options: Options, found: SettingsFile, source: Path | TableName, root: Path) -> Header:
    settings = _relative(options.settings, root)
    words = []
    if settings != "bundle/settings.yml":
        words.append(f" --settings {settings}")
    if _origin(source, root) != _origin(locate(found.settings.execution_table, options.settings.parent), root):
        words.append(f" --source {_origin(source, root)}")
    if options.out.resolve() != root / "resources":
        words.append(f" --out {_relative(options.out, root)}")
    return Header(source=_origin(source, root), settings=settings, options="".join(words))


def _wheel(root: Path, out: Path) -> str:
    """From the job file to the wheel; a folder outside the bundle gets what the bundle's own would."""
    folder = out.resolve() if out.resolve().is_relative_to(root) else root / "resources"
    return Path(os.path.relpath(root / "dist", folder)).as_posix() + "/*.whl"


def _relative(path: Path, root: Path) -> str:
    """The path below the root; elsewhere its name alone, so that no file holds a path of one machine."""
    resolved = path.resolve()
    return resolved.relative_to(root).as_posix() if resolved.is_relative_to(root) else resolved.name


def _shown(path: Path) -> str:
    """The path as one would type it here."""
    resolved = path.resolve()
    return resolved.relative_to(Path.cwd()).as_posix() if resolved.is_relative_to(Path.cwd()) else str(path)


def _template(settings: Path) -> Path:
    own = settings.parent / _TEMPLATE
    return own if own.is_file() else _OWN_TEMPLATE


def _layout(template: Path) -> tuple[str, tuple[Problem, ...]]:
    """The text of the template; or the problem that it cannot be read."""
    try:
        return template.read_text(encoding="utf-8-sig"), ()
    except UnicodeDecodeError:
        why = "not UTF-8 text"
    except OSError as error:
        why = error.strerror or type(error).__name__
    remedy = f"the jobs are laid out by it: bring it back, such as by `git checkout -- {_shown(template)}`"
    return "", (Problem(file=_shown(template), what=f"cannot be read: {why}", remedy=remedy),)


def _in_the_way(out: Path, names: Mapping[str, Document]) -> tuple[Problem, ...]:
    what = "is in the way: it is not a generated file"
    hand_written = (name for name in names if (out / name).is_file() and not is_generated(read_file(out / name)))
    return tuple(Problem(file=_shown(out / name), what=what, remedy="rename it, or the layer") for name in hand_written)
