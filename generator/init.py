"""`init`: a file of proposed rows for the tables of one schema."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from generator.problem import Problem
from generator.proposal_text import proposal_text
from generator.propose import propose
from generator.shape import SchemaName, Shapes


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The schema to read and the one to load; `workspace` is a folder of localjobs, None for Unity Catalog."""

    source: SchemaName
    target: SchemaName
    workspace: Path | None
    out: Path


def init(request: Request) -> tuple[str, tuple[Problem, ...]]:
    """Write the file and say what it holds. A file that is there already is left alone."""
    file = request.out.as_posix()
    there = Problem(file=file, what="is there already", remedy="move it away, or name another file with --out")
    if request.out.exists():
        return "", (there,)
    shapes, problems = _shapes(request)
    if problems:
        return "", problems
    proposals = propose(shapes, request.source, request.target)
    try:
        request.out.parent.mkdir(parents=True, exist_ok=True)
        with request.out.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(proposal_text(proposals, request.source, request.target))
    except FileExistsError:
        return "", (there,)
    except OSError as error:
        return "", (Problem(file=file, what=f"cannot be written: {error.strerror}"),)
    runners = Counter(str(proposal.row["execution_pipeline"]) for proposal in proposals)
    counts = ", ".join(f"{count:,} {runner}" for runner, count in sorted(runners.items()))
    gaps = sum(len(proposal.gaps) for proposal in proposals)
    fill = f"; {gaps:,} gap{'' if gaps == 1 else 's'} to fill, marked GAP" if gaps else ""
    said = f"{file}: {len(proposals):,} table{'' if len(proposals) == 1 else 's'} of {request.source}: {counts}{fill}\n"
    return f"{said}read it, change it, and see what it makes: python -m generator diff --source {file}\n", ()


def _shapes(request: Request) -> Shapes:
    if request.workspace is None:
        from generator.catalog_shapes import read_catalog

        return read_catalog(request.source)
    from generator.folder_shapes import read_folder

    return read_folder(request.workspace, request.source)
