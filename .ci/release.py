"""What a release is made of.

    python .ci/release.py notes v1.2.3     what is new; fails unless this is the version and the newest in CHANGELOG.md
    python .ci/release.py build FOLDER     the source and the wheel; fails unless the source makes the same wheel again

`build` needs hatchling (`make .venv/release.stamp`), whose archives have no times and owners: same files, same bytes.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_SECTION = re.compile(
    r"^## \[(?P<name>[^\]]+)\](?: - (?P<date>\d{4}-\d\d-\d\d))?\n(?P<text>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL
)
_UNRELEASED = "Unreleased"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A version of the changelog: what is new in it."""

    name: str
    date: str
    text: str


def sections(changelog: str) -> list[Section]:
    """In the order of the file, what is not released yet among them."""
    return [
        Section(name=found["name"], date=found["date"] or "", text=found["text"].strip())
        for found in _SECTION.finditer(changelog)
    ]


def notes(tag: str, version: str, changelog: str) -> tuple[str, list[str]]:
    """What is new in the tag's version, and what keeps it from being released."""
    found = sections(changelog)
    waiting = [section for section in found if section.name == _UNRELEASED and section.text]
    released = [section for section in found if section.name != _UNRELEASED]
    newest = released[0] if released else Section(name="", date="", text="")
    problems = []
    if tag != f"v{version}":
        problems.append(f"{tag} is not v{version}, the version of pyproject.toml: set it there, or tag another commit")
    if newest.name != version:
        problems.append(f"CHANGELOG.md begins with {newest.name or 'no version'}: give {version} a section on top")
    elif not newest.date or not newest.text:
        problems.append(f"CHANGELOG.md: {version} needs a date and what is new")
    if waiting:
        problems.append(f"CHANGELOG.md: move what stands under {_UNRELEASED} into {version}")
    return newest.text, problems


def build(folder: Path) -> tuple[list[Path], list[str]]:
    """The source and the wheel, which are then in the folder, and what keeps them from being released."""
    with tempfile.TemporaryDirectory() as place:
        source, wheel = (_built(ROOT, Path(place), kind) for kind in ("sdist", "wheel"))
        with tarfile.open(source) as archive:
            archive.extractall(place, filter="data")
        again = _built(Path(place) / source.name.removesuffix(".tar.gz"), Path(place) / "again", "wheel")
        if again.name != wheel.name or again.read_bytes() != wheel.read_bytes():
            return [], [f"{source.name} makes another {again.name} than this checkout does"]
        folder.mkdir(parents=True, exist_ok=True)
        return [Path(shutil.copy(made, folder)) for made in (source, wheel)], []


def _built(project: Path, folder: Path, kind: str) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(folder)]
    subprocess.run(command, cwd=project, check=True, capture_output=True, text=True)
    (made,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code: 0 fine, 1 problems."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("notes").add_argument("tag")
    commands.add_parser("build").add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "notes":
        version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
        said, problems = notes(options.tag, version, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    else:
        made, problems = build(options.folder)
        said = "\n".join(str(path) for path in made)
    if problems:
        sys.stderr.write("".join(f"release: {problem}\n" for problem in problems))
        return 1
    sys.stdout.write(f"{said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
