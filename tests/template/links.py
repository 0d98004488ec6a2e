"""What a project takes from this repository as it is: links in template/, made by `make template`.

`databricks bundle init` copies what a link to a file leads to, and does not follow a link to a folder.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "template" / "{{.project_name}}"
_FOLDERS = ("generator", "localjobs", "monitor", "src/laketasks")
_FILES = (
    ".ci/comment",
    ".ci/cut",
    ".ci/propose",
    ".ci/smoke",
    ".ci/why",
    ".ci/tested",
    ".github/dependabot.yml",
    ".github/workflows/check.yml",
    ".github/workflows/deploy.yml",
    ".github/workflows/metadata.yml",
    ".pre-commit-config.yaml",
    "LICENSE",
    "bundle/execution_table.sql",
    "bundle/templates/job.yml.j2",
    "constraints.txt",
    "project.mk",
    "pyproject.toml",
)


def taken() -> list[str]:
    """The files, below the root."""
    below = [path for folder in _FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    inside = [path.relative_to(ROOT).as_posix() for path in below if "__pycache__" not in path.parts]
    return sorted([*inside, *_FILES])


def links() -> dict[str, str]:
    """The files that are links now, and where each leads, below the root."""
    found = [path for path in PROJECT.rglob("*") if path.is_symlink()]
    return {path.relative_to(PROJECT).as_posix(): os.path.relpath(path.resolve(), ROOT) for path in found}


def main() -> None:
    for name in links():
        (PROJECT / name).unlink()
    for folder in _FOLDERS:
        shutil.rmtree(PROJECT / folder, ignore_errors=True)
    for name in taken():
        link = PROJECT / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(ROOT / name, link.parent))


if __name__ == "__main__":
    main()
