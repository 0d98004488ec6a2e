"""The jobs that a job's tasks run, read from the files beside its own, and theirs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from localjobs.bundle import Bundle, read_job_document, runnable_part
from localjobs.graph import order_problems
from localjobs.job import EachTask, Job, JobTask, NotebookTask, PythonTask, Task, read_job, unsupported
from localjobs.problem import ProblemsError
from localjobs.references import RunValues, checked, child_of, with_parameters

MOST_DEEP = 3  # run_job_tasks below one another, as the Jobs service has it


def read_file(file: Path, bundle: Bundle) -> Job:
    """The job of a file, without its children; raises ProblemsError with everything that is wrong."""
    key, document = read_job_document(file)
    resolved, unresolved = bundle.resolve(runnable_part(document))
    job, problems = read_job(key, resolved)
    if job is None or unresolved:
        raise ProblemsError(f"{file}: {problem}" for problem in (unresolved or problems))
    if wrong := order_problems(job):
        raise ProblemsError(f"{file}: {problem}" for problem in wrong)
    return job


def with_children(job: Job, file: Path, bundle: Bundle, above: tuple[str, ...] = ()) -> Job:
    """The job with those that its tasks run; raises ProblemsError with what cannot run here of any of them."""
    children: dict[str, Job] = {}
    job, absent = _with_files(job, file.absolute().parent)
    problems = [f"{file}: {problem}" for problem in absent]
    problems += [f"{file}: {problem}" for problem in unsupported(job)]
    for task in job.tasks:
        if isinstance(task.body, JobTask):
            try:
                children[task.task_key] = _child(task, task.body, bundle, (*above, job.key))
            except ProblemsError as error:
                problems += [p if p.startswith(str(file.parent)) else f"{file}: {p}" for p in error.problems]
    if problems:
        raise ProblemsError(dict.fromkeys(problems))
    return replace(job, children=children)


def _with_files(job: Job, folder: Path) -> tuple[Job, list[str]]:
    """The job with the paths of its notebooks and Python files, which are relative to its own, and which are absent."""
    problems: list[str] = []

    def found(task: Task, path: str) -> str:
        beside = [folder / path, folder / f"{path}.py"]
        if not any(candidate.is_file() for candidate in beside):
            problems.append(f"task {task.task_key}: there is no file {folder / path}")
        return str(next((candidate for candidate in beside if candidate.is_file()), folder / path))

    def with_file(task: Task) -> Task:
        body = task.body
        if isinstance(body, NotebookTask):
            return replace(task, body=replace(body, notebook_path=found(task, body.notebook_path)))
        if isinstance(body, PythonTask):
            return replace(task, body=replace(body, python_file=found(task, body.python_file)))
        if isinstance(body, EachTask):
            return replace(task, body=replace(body, task=with_file(body.task)))
        return task

    return replace(job, tasks=tuple(with_file(task) for task in job.tasks)), problems


def _child(task: Task, body: JobTask, bundle: Bundle, above: tuple[str, ...]) -> Job:
    file = bundle.jobs.get(body.job_id)
    if file is None:
        raise ProblemsError([f"task {task.task_key}: job {body.job_id} has no file beside this one"])
    child = read_file(file, bundle)
    if child.key in above:
        circle = " -> ".join((*above[above.index(child.key) :], child.key))
        raise ProblemsError([f"task {task.task_key}: these jobs run each other without end: {circle}"])
    if len(above) > MOST_DEEP:
        raise ProblemsError([f"task {task.task_key}: run_job_tasks stand at most {MOST_DEEP} deep"])
    if unknown := sorted(body.job_parameters.keys() - child.parameters.keys()):
        known = ", ".join(child.parameters) or "none"
        said = f"job {child.key} has no parameter {', '.join(unknown)} (it has: {known})"
        raise ProblemsError([f"task {task.task_key}: {said}"])
    return with_children(child, file, bundle, above)


def all_tasks(job: Job, values: RunValues) -> tuple[list[Task], list[str]]:
    """The tasks of the job and its children as their first attempts would see them, and what is wrong with them."""
    job, values = with_parameters(job, values)
    seen, problems = checked(job, values)
    tasks = list(seen.tasks)
    for task in seen.tasks:
        if task.task_key in job.children:
            child = child_of(job, task, values.parameters)
            below, more = all_tasks(child, replace(values, job_id=child.id, job_name=child.name))
            tasks += below
            problems += [f"job {child.key}: {problem}" for problem in more]
    return tasks, problems


def holders(job: Job) -> Iterator[tuple[str, Job]]:
    """Every task key of the children, with the job that has it."""
    for child in job.children.values():
        yield from ((task.task_key, child) for task in child.tasks)
        yield from holders(child)
