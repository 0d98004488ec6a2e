"""What a change of the rows means for the job: which tables come, go and change, and who waits for them.

Both sides are job files, the one that was and the one that the rows make now, so that it does not matter where the rows
of the one that was are today. Read, not judged: `cli.py` prints it, as text or for a pull request.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from generator.conflicts import MERGED, conflict_line
from generator.effects import SqlTexts, effects
from generator.problem import Problem, printable
from generator.render import SUFFIX, is_generated, read_file
from generator.strict_yaml import parse
from laketasks.known_tasks import PARAMETER as TASK_KEYS
from laketasks.spec import PIPELINES

_NO_SQL = SqlTexts()
_HEADING = re.compile(r"^ *# order (\d+):")
_KEY = re.compile(r"^ *- task_key: (?P<quote>'?)(?P<key>[A-Za-z0-9_-]+)(?P=quote)$")
_PARAMETERS = "python_wheel_task.named_parameters."
_JSON = ("cdc_source_config", "business_key_columns", "primary_key_columns")
_FOUND_OUT = ("sql_fingerprint", "sql_repeatable", "upstream_tables")
_REMARKS = {
    "target_table": "the old table stays as it is",
}
_STAYS = {
    "scd2": "its history stays in the old table",
    "fact_overwrite": "its grants and its versions stay with the old table",
}
_LISTED, _ALIKE = 6, 3  # so many names are written out; so many tables have a line each for the same change


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTask:
    """A task that loads a table. `order` is 0 where the file does not tell it; `waits` looks through gates and lanes.

    `run_if` is empty for a task that waits for nothing. `child` names the child job that has it, if one does;
    `parameters` are those of a task of the wheel.
    """

    key: str
    order: int
    waits: frozenset[str]
    run_if: str
    told: Mapping[str, str]
    child: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def runner(self) -> str:
        pipeline = self.told.get("execution_pipeline", "")
        return pipeline if pipeline in PIPELINES else next(name for name in self.told if "_task." in name).split(".")[0]

    @property
    def label(self) -> str:
        return f"{self.runner}, order {self.order}" if self.order else self.runner


@dataclass(frozen=True)
class JobFile:
    """A job file, read back. Empty for a file that is not there."""

    tasks: Mapping[str, JobTask]
    told: Mapping[str, str]

    @cached_property
    def followers(self) -> Mapping[str, int]:
        """How many tables wait for each table."""
        counts = dict.fromkeys(self.tasks, 0)
        for waits, tasks in Counter(task.waits for task in self.tasks.values()).items():
            for before in waits & counts.keys():
                counts[before] += tasks
        return counts

    @property
    def edges(self) -> int:
        return sum(len(task.waits) for task in self.tasks.values())

    @cached_property
    def readers(self) -> Mapping[str, tuple[str, ...]]:
        """The SQL files of the tasks that read each table, by the table's name."""
        found: dict[str, tuple[str, ...]] = {}
        for task in self.tasks.values():
            path = task.told.get("sql_file_path", "").removeprefix("${workspace.file_path}/")
            for table in json.loads(task.parameters.get("reads", "[]")):
                found[table] = (*found.get(table, ()), path)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One change: `+` a table that comes, `-` one that goes, `~` one that changes.

    `key` is that of the table, or how many tables change alike, or empty where the job itself changes.
    """

    sign: str
    key: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """All that changes in one file."""

    file: str
    before: int
    after: int
    lines: tuple[Line, ...]


def differences(old: Mapping[str, str], new: Mapping[str, str], sql: SqlTexts = _NO_SQL) -> tuple[FileChange, ...]:
    """What changes between two sets of job files, texts by file name; files that say the same are left out.

    `sql` has the SQL texts of both, so that it can be said what changes in them.
    """
    found = []
    was, now = read_jobs(old), read_jobs(new)
    renamed = renames(was, now)
    for name in sorted({*was, *now}):
        before, after = was.get(name, _NO_JOB), now.get(name, _NO_JOB)
        lines = tuple(_lines(before, after, renamed.get(name, {}), sql))
        if lines:
            found.append(FileChange(file=name, before=len(before.tasks), after=len(after.tasks), lines=lines))
    return tuple(found)


def renames(was: Mapping[str, JobFile], now: Mapping[str, JobFile]) -> dict[str, dict[str, JobTask]]:
    """Return, by file and task key, the task that a new task has perhaps been: one with its source and keys is gone.

    Of several the one counts that is most alike; each is named once.
    """
    gone: dict[tuple[str, ...], list[JobTask]] = {}
    for name, job in was.items():
        for key in job.tasks.keys() - now.get(name, _NO_JOB).tasks.keys():
            gone.setdefault(_identity(job.tasks[key]), []).append(job.tasks[key])
    found: dict[str, dict[str, JobTask]] = {}
    for name, job in sorted(now.items()):
        for key in sorted(job.tasks.keys() - was.get(name, _NO_JOB).tasks.keys()):
            task = job.tasks[key]
            if _identity(task) and (alike := gone.get(_identity(task))):
                old = min(alike, key=lambda other: (len(set(other.told.items()) ^ set(task.told.items())), other.key))
                alike.remove(old)
                found.setdefault(name, {})[key] = old
    return found


def _identity(task: JobTask) -> tuple[str, ...]:
    """Return loader, source and keys of a load; () for a task that is not one."""
    if "target_table" not in task.told:
        return ()
    source = task.told.get("source_table") or task.told.get("sql_file_path", "")
    keys = (task.told.get(column, "") for column in ("business_key_columns", "primary_key_columns"))
    return (task.runner, source.lower(), *(text.lower() for text in keys))


def _rename(old: JobTask, new: JobTask) -> str:
    """Return the statement that lets the table keep what it has, and what happens without it."""
    before, after = old.told["target_table"], new.told["target_table"]
    stays = _STAYS.get(new.runner, "what its source no longer has is lost")
    statement = f"ALTER TABLE {before} RENAME TO {after}"
    if before.rsplit(".", 2)[0] != after.rsplit(".", 2)[0]:  # which Unity Catalog renames no table across
        statement = f"CREATE TABLE {after} DEEP CLONE {before}"
    return f"run {statement} before the deployment, or {stays}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One job of one file: its own fields, its tasks by key, and their orders from the headings of the file."""

    fields: Mapping[str, Any]
    tasks: Mapping[str, Mapping[str, Any]]
    orders: Mapping[str, int]


def read_jobs(texts: Mapping[str, str]) -> dict[str, JobFile]:
    """The jobs of the files, by file name; the children of a job that is split are read as a part of it."""
    jobs = {name: _read_job(text) for name, text in texts.items()}
    children = {name: _children(name, job, jobs) for name, job in jobs.items()}
    held = {child for found in children.values() for child in found.values()}
    return {
        name: _job_file(job, {key: jobs[child] for key, child in children[name].items()})
        for name, job in jobs.items()
        if name not in held
    }


def _children(name: str, job: _Job, jobs: Mapping[str, _Job]) -> dict[str, str]:
    """The file of each child job that a task of this job runs, by the task's key."""
    files = {key: f"{name.removesuffix(SUFFIX)}__{key}{SUFFIX}" for key, task in job.tasks.items() if _runs_job(task)}
    return {key: file for key, file in files.items() if file in jobs and _runs(job.tasks[key], file)}


def _runs_job(task: Mapping[str, Any]) -> bool:
    return isinstance(task.get("run_job_task"), Mapping)


def _runs(task: Mapping[str, Any], file: str) -> bool:
    return bool(task["run_job_task"].get("job_id") == f"${{resources.jobs.{file.removesuffix(SUFFIX)}.id}}")


def _read_job(text: str) -> _Job:
    """Read a job file back; what is not one of ours has no tasks."""
    content = parse(text, "")[0].value if text else None
    jobs = content.get("resources", {}).get("jobs", {}) if isinstance(content, dict) else {}
    job: dict[str, Any] = next(iter(jobs.values()), {})
    tasks = {task["task_key"]: task for task in job.get("tasks", ())}
    fields = {name: value for name, value in job.items() if name != "tasks"}
    if isinstance(fields.get("parameters"), list):  # that of the task keys is no news beside the tasks
        fields["parameters"] = [p for p in fields["parameters"] if p.get("name") != TASK_KEYS]
    return _Job(fields=fields, tasks=tasks, orders=_orders(text))


def _job_file(job: _Job, children: Mapping[str, _Job]) -> JobFile:
    """All tasks of a job and its children as if they were one job's: the first of a child wait for what that does."""
    every = {key: task for key, task in job.tasks.items() if key not in children}
    depends = {key: _depends(task) for key, task in job.tasks.items()}
    orders = {key: job.orders.get(key, 0) for key in every}
    held = {own: key for key, child in children.items() for own in child.tasks}
    for key, child in children.items():
        every |= child.tasks
        depends |= {own: _depends(task) or depends[key] for own, task in child.tasks.items()}
        orders |= child.orders
    between = {key: depends[key] for key, task in job.tasks.items() if "condition_task" in task}
    for key, child in children.items():
        awaited = frozenset[str]().union(*(_depends(task) for task in child.tasks.values()))
        between[key] = frozenset(child.tasks.keys() - awaited)
    behind = {on: _through(on, between) for on in {depends[key] for key in every.keys() - between.keys()}}
    waits = _without_lanes({key: behind[depends[key]] for key in every.keys() - between.keys()}, orders)
    tasks = {
        key: JobTask(
            key=key,
            order=orders.get(key, 0),
            waits=waits[key],
            run_if=task.get("run_if", ""),
            told=_told(task),
            child=held.get(key, ""),
            parameters=_parameters(task),
        )
        for key, task in every.items()
        if key not in between and not _is_summary(task)
    }
    return JobFile(tasks=tasks, told=dict(_flat(job.fields)))


_NO_JOB = JobFile(tasks={}, told={})


def from_folder(folder: Path) -> dict[str, str]:
    """The generated files of a folder, by name."""
    texts = {path.name: read_file(path) for path in folder.glob(f"*{SUFFIX}") if path.is_file()}
    return {name: text for name, text in texts.items() if is_generated(text)}


def from_git(revision: str, folder: Path) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """The generated files that a folder has in a revision."""
    listed = _git(folder, "ls-tree", "--name-only", "--end-of-options", revision, "./")
    if isinstance(listed, Problem):
        return {}, (listed,)
    texts: dict[str, str] = {}
    for name in listed.splitlines():
        text = _git(folder, "show", "--end-of-options", f"{revision}:./{name}") if name.endswith(SUFFIX) else ""
        if isinstance(text, str) and is_generated(text):
            texts[name] = text.removeprefix("\ufeff")
    return texts, ()


def sql_before(revision: str, root: Path, paths: Iterable[str]) -> dict[str, str]:
    """The SQL files that a revision has, by path from the bundle's root."""
    found = {path: _git(root, "show", "--end-of-options", f"{revision}:./{path}") for path in paths}
    return {path: text for path, text in found.items() if isinstance(text, str)}


def merged(texts: Mapping[str, str], folder: Path) -> Iterator[Problem]:
    """Yield a problem for each file with conflict markers: what it was before the merge is not in it."""
    remedy = "run `python -m generator generate`, which writes it from the rows, or name a revision with --against"
    for name, text in texts.items():
        if line := conflict_line(text):
            yield Problem(file=(folder / name).as_posix(), line=line, what=MERGED, remedy=remedy)


def as_text(changes: Sequence[FileChange]) -> str:
    """A block for each file."""
    if not changes:
        return "the rows make the job as it is: no change\n"
    blocks = (
        "".join([f"{change.file}: {_size(change)}\n", *(f"  {printable(_sentence(line))}\n" for line in change.lines)])
        for change in changes
    )
    return "\n".join(blocks)


def as_markdown(changes: Sequence[FileChange]) -> str:
    """The same for the text of a pull request."""
    if not changes:
        return "The rows make the job as it is: no change.\n"
    blocks = []
    for change in changes:
        rows = (f"| {line.sign} | {_code(line.key) or 'the job'} | {_cell(line.what)} |\n" for line in change.lines)
        blocks.append(f"### {_code(change.file)}: {_size(change)}\n\n| | table | |\n|---|---|---|\n{''.join(rows)}")
    return "\n".join(blocks)


def _lines(before: JobFile, after: JobFile, renamed: Mapping[str, JobTask], sql: SqlTexts) -> Iterator[Line]:
    for key in sorted(after.tasks.keys() - before.tasks.keys(), key=lambda key: (after.tasks[key].order, key)):
        yield Line(sign="+", key=key, what=_comes(after.tasks[key], after.followers[key]))
        old = renamed.get(key)
        if old and old.told["target_table"] != after.tasks[key].told["target_table"]:
            what = f"renamed from {old.key}? It has its source and keys: {_rename(old, after.tasks[key])}"
            yield Line(sign="~", key=key, what=what)
    changed: dict[str, list[str]] = {}
    both = before.tasks.keys() & after.tasks.keys()
    staying = _Staying(frozenset(key for key in both if before.tasks[key].order == after.tasks[key].order))
    for key in sorted(both):
        old, new = before.tasks[key], after.tasks[key]
        for what in (*_changes(old, new, staying), *effects(old.parameters, new.parameters, sql, after.readers)):
            changed.setdefault(what, []).append(key)
    for what, keys in changed.items():
        alike = len(keys) > _ALIKE
        lines = [(_tables(len(keys)), f"{what}: {_some(keys)}")] if alike else [(key, what) for key in keys]
        yield from (Line(sign="~", key=key, what=said) for key, said in lines)
    for key in sorted(before.tasks.keys() - after.tasks.keys()):
        waited = before.followers[key]
        stays = f"{before.tasks[key].told.get('target_table', 'its table')} stays as it is"
        yield Line(sign="-", key=key, what=f"({before.tasks[key].label}): {_tables(waited)} waited for it; {stays}")
    if before.tasks and after.tasks:
        for what in _differing(before.told, after.told):
            yield Line(sign="~", key="", what=what)


def _comes(task: JobTask, followers: int) -> str:
    into = f" into {task.told['target_table']}" if "target_table" in task.told else ""
    waits = f"waits for {_tables(len(task.waits))}" if task.waits else "waits for nothing"
    return f"({task.label}){into}: {waits}, {_tables(followers)} now wait{'s' if followers == 1 else ''} for it"


class _Staying:
    """The tables that stay in their order. Tasks share few lists of waits, so each is looked at once."""

    def __init__(self, keys: frozenset[str]) -> None:
        self._keys = keys
        self._known: dict[frozenset[str], frozenset[str]] = {}

    def of(self, waits: frozenset[str]) -> frozenset[str]:
        if waits not in self._known:
            self._known[waits] = waits & self._keys
        return self._known[waits]


def _changes(old: JobTask, new: JobTask, staying: _Staying) -> Iterator[str]:
    if old.order != new.order:
        yield f"order {old.order} -> {new.order}"
    if old.child != new.child:
        was, now = (f"child job {job}" if job else "the job of the layer" for job in (old.child, new.child))
        yield f"moves from {was} to {now}: its earlier runs stay with {was}"
    if old.run_if and new.run_if and old.run_if != new.run_if:
        yield f"run_if {old.run_if} -> {new.run_if}"
    yield from _differing(old.told, new.told)
    if (
        old.told.get("target_table") != new.told.get("target_table")
        and _identity(old)
        and _identity(old) == _identity(new)
    ):
        yield f"renamed? It has the same source and keys: {_rename(old, new)}"
    if old.order == new.order:
        yield from _waits(staying.of(old.waits), staying.of(new.waits))


def _waits(old: frozenset[str], new: frozenset[str]) -> Iterator[str]:
    """Whom a table waits for otherwise than before, of those that stay in their order."""
    if old == new:
        return
    for words, others in (("now waits for", new - old), ("no longer waits for", old - new)):
        if others:
            count = f" ({_tables(len(others))})" if len(others) > _LISTED else ""
            yield f"{words} {_some(sorted(others))}{count}"


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if name in _FOUND_OUT:
            continue  # `effects` says what changed in the SQL
        if old.get(name) != new.get(name):
            remark = _REMARKS.get(name.split(".")[0].split("[")[0], "") if name in old and name in new else ""
            change = f"{name}: {old.get(name, 'not set')} -> {new.get(name, 'not set')}"
            yield f"{change} ({remark})" if remark else change


def _parameters(task: Mapping[str, Any]) -> dict[str, str]:
    body = task.get("python_wheel_task")
    given = body.get("named_parameters") if isinstance(body, Mapping) else None
    return {str(name): str(value) for name, value in given.items()} if isinstance(given, Mapping) else {}


def _told(task: Mapping[str, Any]) -> dict[str, str]:
    """All that a task says besides its key and its waits, by path; a row's own values by their column's name."""
    said = {name: value for name, value in task.items() if name not in ("task_key", "depends_on", "run_if")}
    return {name.removeprefix(_PARAMETERS): value for name, value in _flat(said)}


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    name = path.removeprefix(_PARAMETERS)
    if name in _JSON and isinstance(value, str):
        value = _from_json(value)
    if isinstance(value, Mapping) and value:
        for below, item in value.items():
            yield from _flat(item, f"{path}.{below}" if path else str(below))
    elif isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        for index, item in enumerate(value):
            yield from _flat(item, f"{path}[{_index(item, index)}]")
    else:
        yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _index(item: Any, index: int) -> str:
    """An item is known by its name, so that one which comes before it changes nothing."""
    named = ("name", "environment_key", "job_cluster_key", "whl")
    return next((str(item[name]) for name in named if isinstance(item, Mapping) and name in item), str(index))


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _orders(text: str) -> dict[str, int]:
    """The order of each task, from the headings of the file."""
    orders: dict[str, int] = {}
    order = 0
    for line in text.splitlines():
        if found := _HEADING.match(line):
            order = int(found[1])
        elif found := _KEY.match(line):
            orders.setdefault(found["key"], order)  # it stands again where others wait for it
    return orders


def _depends(task: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(dependency["task_key"] for dependency in task.get("depends_on") or ())


def _through(waits: frozenset[str], between: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The tables that a task waits for, be it by gates or child jobs in between."""
    tables = waits.difference(between)
    return tables.union(*(_through(between[key], between) for key in waits.intersection(between)))


def _without_lanes(waits: Mapping[str, frozenset[str]], orders: Mapping[str, int]) -> dict[str, frozenset[str]]:
    """The tables of other orders that each task waits for, be it through a lane: a chain of tasks of one order."""
    alike = {(on, orders.get(key, 0)) for key, on in waits.items()}
    neighbours = {
        (on, order): next((other for other in on if order and orders.get(other) == order), "") for on, order in alike
    }
    before = {key: neighbours[on, orders.get(key, 0)] for key, on in waits.items()}
    lanes = {key: _lane(key, before) for key in waits}
    starts = {key: waits[lane[-1]] for key, lane in lanes.items()}
    whole = {on: frozenset(key for other in on for key in lanes.get(other, ())) for on in set(starts.values())}
    return {key: whole[on] for key, on in starts.items()}


def _lane(key: str, before: Mapping[str, str]) -> list[str]:
    """The task, the one before it in its lane, and so on to the first."""
    lane = [key]
    while before.get(lane[-1]):
        lane.append(before[lane[-1]])
    return lane


def _is_summary(task: Mapping[str, Any]) -> bool:
    body = task.get("python_wheel_task")
    return isinstance(body, Mapping) and body.get("entry_point") == "summarize"


def _git(folder: Path, *arguments: str) -> str | Problem:
    existing = next(place for place in (folder, *folder.resolve().parents) if place.is_dir())
    try:
        done = subprocess.run(
            ["git", "-C", str(existing), *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
    except OSError as error:
        return Problem(what=f"git cannot be run: {error.strerror}", remedy="name a folder with --against")
    if done.returncode:
        said = done.stderr.strip().splitlines()
        remedy = "name a folder, or a revision that `git rev-parse` knows (in CI: fetch it first)"
        return Problem(what=f"--against: {said[0] if said else 'git failed'}", remedy=remedy)
    return done.stdout


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:_LISTED]) + (" ..." if len(keys) > _LISTED else "")


def _size(change: FileChange) -> str:
    now = _tables(change.after)
    return now if change.before == change.after else f"{now}, {change.before} before"


def _tables(number: int) -> str:
    return f"{number:,} table{'' if number == 1 else 's'}"


def _sentence(line: Line) -> str:
    if not line.key:
        return f"{line.sign} the job: {line.what}"
    return (
        f"{line.sign} {line.key} {line.what}" if line.what.startswith("(") else f"{line.sign} {line.key}: {line.what}"
    )


def _code(text: str) -> str:
    """A name as code; a backtick would end it, and a bar the cell."""
    shown = re.sub(r"[`|]|\s+", "?", text)
    return f"`{shown}`" if shown else ""


def _cell(text: str) -> str:
    """Text that a Markdown table shows as it is: no markup, no link, nobody told of it."""
    escaped = re.sub(r"([\\`*_{}\[\]<>&#|~])|(?<=:)(/)(?=/)|(?<=www)(\.)", r"\\\g<0>", text, flags=re.IGNORECASE)
    return re.sub(r"\s+", " ", escaped).replace("@", "@\u200b")
