"""`.ci/release.py` for real: what it says of a changelog, and what it builds."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VERSION = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)[0]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
HEADINGS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a release is made of."""
    folder = tmp_path / "checkout"
    for name in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        ".gitignore",
        ".ci/release.py",
        "docs/README.md",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return folder


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    file.write_text(text.replace(old, new), encoding="utf-8")


def release(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ".ci/release.py", *arguments]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def test_the_changelog_has_its_form_and_ends_with_this_version() -> None:
    sections = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    assert sections[0] == "[Unreleased]"
    versions = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d\d-\d\d)", section) for section in sections[1:]]
    assert all(versions), sections
    orders = [(tuple(int(number) for number in found.groups()[:3]), found[4]) for found in versions if found]
    assert orders == sorted(orders, reverse=True)
    assert sections[1].startswith(f"[{VERSION}] ")
    assert set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)) <= HEADINGS


def test_the_notes_are_the_newest_section(checkout: Path) -> None:
    change(checkout / "pyproject.toml", f'version = "{VERSION}"', 'version = "9.1.0"')
    log = checkout / "CHANGELOG.md"
    before, _, rest = log.read_text(encoding="utf-8").partition("## [Unreleased]\n")
    older = rest[rest.index("## [") :]
    new = "## [Unreleased]\n\n## [9.1.0] - 2030-01-02\n\n### Added\n\n- This.\n\n"
    log.write_text(f"{before}{new}{older}", encoding="utf-8")
    done = release(checkout, "notes", "v9.1.0")
    assert (done.returncode, done.stdout, done.stderr) == (0, "### Added\n\n- This.\n", "")


@pytest.mark.parametrize(
    ("tag", "old", "new", "said"),
    [
        ("v9.9.9", "", "", f"v9.9.9 is not v{VERSION}"),
        (VERSION, "", "", f"{VERSION} is not v{VERSION}"),
        (f"v{VERSION}", f"## [{VERSION}]", "## [9.9.9]", f"begins with 9.9.9: give {VERSION} a section on top"),
        (f"v{VERSION}", f"## [{VERSION}] - ", f"## [{VERSION}]\n\n", "needs a date"),
        (f"v{VERSION}", "## [Unreleased]\n", "## [Unreleased]\n\n- That.\n", "move what stands under Unreleased"),
    ],
)  # fmt: skip
def test_what_is_not_ready_is_not_released(checkout: Path, tag: str, old: str, new: str, said: str) -> None:
    if old:
        change(checkout / "CHANGELOG.md", old, new)
    done = release(checkout, "notes", tag)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr


def test_the_source_has_the_wheels_code_and_no_more(checkout: Path) -> None:
    done = release(checkout, "build", "made")
    assert done.returncode == 0, done.stderr
    source, wheel = (checkout / line for line in done.stdout.splitlines())
    assert {path.name for path in (checkout / "made").iterdir()} == {source.name, wheel.name}
    modules = {path.name for path in (ROOT / "src" / "laketasks").glob("*.py")}
    with tarfile.open(source) as archive:
        held = {name.removeprefix(f"laketasks-{VERSION}/") for name in archive.getnames()}
    beside = {"LICENSE", "README.md", "PKG-INFO", "pyproject.toml", ".gitignore"}
    assert held == beside | {f"src/laketasks/{name}" for name in modules}
    with zipfile.ZipFile(wheel) as archive:
        assert {name.removeprefix("laketasks/") for name in archive.namelist() if "dist-info" not in name} == modules
    assert not (checkout / "dist").exists()


def test_the_same_files_make_the_same_bytes(checkout: Path, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(checkout, tmp_path / "elsewhere" / "deeper")
    for path in (elsewhere / "src" / "laketasks").iterdir():
        path.touch()
    made = []
    for folder in (checkout, elsewhere):
        assert release(folder, "build", "made").returncode == 0
        made.append({path.name: path.read_bytes() for path in (folder / "made").iterdir()})
    assert made[0] == made[1]


def test_a_source_that_makes_another_wheel_is_not_released(checkout: Path) -> None:
    change(
        checkout / "pyproject.toml",
        'include = ["/src/laketasks",',
        'exclude = ["/src/laketasks/adopt.py"]\ninclude = ["/src/laketasks",',
    )
    done = release(checkout, "build", "made")
    assert done.returncode == 1
    assert "makes another laketasks" in done.stderr
    assert not (checkout / "made").exists()
