"""A team's clone of a bare repository with the generator in it, and a double of `gh` in front of its PATH.

The double keeps pull requests and their comments in a file and knows the options that `gh` has, and no others.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.generator.rows import SETTINGS, row

ROOT = Path(__file__).parents[1]
GH = """\
import argparse, json, os, pathlib, re, subprocess, sys

pulls_at = pathlib.Path(os.environ["FAKE_GH"])
comments_at = pulls_at.with_name("comments.json")
parser = argparse.ArgumentParser(allow_abbrev=False)
groups = parser.add_subparsers(dest="group", required=True)
api = groups.add_parser("api", allow_abbrev=False)
api.add_argument("endpoint")
api.add_argument("--method", default="GET")
for flag in ("--paginate", "--silent"):
    api.add_argument(flag, action="store_true")
for option in ("--jq", "--field"):
    api.add_argument(option, default="")
commands = groups.add_parser("pr").add_subparsers(dest="command", required=True)
options = {
    "list": ["head", "base", "state", "json", "jq"],
    "create": ["base", "head", "title", "body-file"],
    "edit": ["body-file"],
    "close": ["comment"],
}
for name, given in options.items():
    command = commands.add_parser(name, allow_abbrev=False)
    if name in ("edit", "close"):
        command.add_argument("number", type=int)
    if name == "close":
        command.add_argument("--delete-branch", action="store_true")
    for option in given:
        command.add_argument(f"--{option}", required=True)


def read(place):
    return json.loads(place.read_text()) if place.exists() else []


def of_comments(asked):
    comments = read(comments_at)
    known = r"repos/{owner}/{repo}/issues/(comments/)?([0-9]+)(/comments)?"
    base, number, rest = re.fullmatch(known, asked.endpoint).groups()
    body = pathlib.Path(asked.field.removeprefix("body=@")).read_text() if asked.field else ""
    if asked.method == "GET":
        mark = asked.jq.split('startswith("')[1].split('")')[0]
        assert asked.jq == f'.[] | select(.user.type == "Bot" and (.body | startswith("{mark}"))) | .id', asked.jq
        assert rest and not base and asked.paginate
        found = [c for c in comments if c["number"] == number and c["by"] == "Bot" and c["body"].startswith(mark)]
        print(*[c["id"] for c in found], sep="\\n", end="\\n" if found else "")
    elif asked.method == "POST":
        assert rest and not base and body
        comments.append(dict(id=len(comments) + 1, number=number, by="Bot", body=body, edits=0))
    else:
        assert asked.method == "PATCH" and base and not rest and body
        comment = comments[int(number) - 1]
        comment |= dict(body=body, edits=comment["edits"] + 1)
    comments_at.write_text(json.dumps(comments))


def of_pull_requests(asked):
    pulls = read(pulls_at)
    if asked.command == "list":
        assert (asked.json, asked.jq) == ("number", ".[].number")
        for pull in pulls:
            if (pull["head"], pull["base"], pull["state"]) == (asked.head, asked.base, asked.state):
                print(pull["number"])
    elif asked.command == "create":
        body = pathlib.Path(asked.body_file).read_text()
        pull = dict(head=asked.head, base=asked.base, title=asked.title, body=body, state="open", edits=0)
        pulls.append(pull | dict(number=len(pulls) + 1))
    elif asked.command == "edit":
        pull = pulls[asked.number - 1]
        pull |= dict(body=pathlib.Path(asked.body_file).read_text(), edits=pull["edits"] + 1)
    else:
        pulls[asked.number - 1] |= dict(state="closed", comment=asked.comment)
        subprocess.run(["git", "push", "-q", "origin", "--delete", pulls[asked.number - 1]["head"]], check=True)
    pulls_at.write_text(json.dumps(pulls))


asked = parser.parse_args()
of_comments(asked) if asked.group == "api" else of_pull_requests(asked)
"""


@dataclass(frozen=True)
class Team:
    """A clone of a bare repository. The rows stand outside, as in a table of the workspace."""

    folder: Path

    @property
    def clone(self) -> Path:
        return self.folder / "clone"

    @property
    def pulls(self) -> list[dict[str, Any]]:
        place = self.folder / "pulls.json"
        return json.loads(place.read_text()) if place.exists() else []

    def rows(self, *rows: dict[str, object]) -> None:
        (self.folder / "table.yml").write_text(yaml.safe_dump(list(rows)), encoding="utf-8")

    def git(self, *arguments: str, folder: str = "clone") -> str:
        named = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
        run = subprocess.run(["git", *named, *arguments], cwd=self.folder / folder, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return run.stdout.strip()

    @property
    def comments(self) -> list[dict[str, Any]]:
        place = self.folder / "comments.json"
        return json.loads(place.read_text()) if place.exists() else []

    def propose(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return self._run("propose", environment)

    def comment(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return self._run("comment", environment)

    def _run(self, script: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        who = {
            f"GIT_{who}_{what}": f"a@{what}.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "PYTHON": sys.executable, "FAKE_GH": str(self.folder / "pulls.json"), **who}
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITHUB_"))}
        return subprocess.run(
            [f".ci/{script}", "--source", "../table.yml"],
            cwd=self.clone,
            env={**outside, **own, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def at(self, reference: str) -> str:
        """The commit of a branch in the remote; "" where there is none."""
        return self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{reference}", folder="remote.git")


def new_team(folder: Path) -> Team:
    """The first rows are committed and pushed, with the job file that they make."""
    made = Team(folder)
    (folder / "bin").mkdir()
    (folder / "bin" / "gh").write_text(f"#!{sys.executable}\n{GH}")
    (folder / "bin" / "gh").chmod(0o755)
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", folder / "remote.git"], check=True)
    made.clone.mkdir()
    for part in ("generator", "bundle/templates"):
        shutil.copytree(ROOT / part, made.clone / part, ignore=shutil.ignore_patterns("__pycache__"))
    (made.clone / ".ci").mkdir()
    for script in ("comment", "cut", "propose"):
        shutil.copy2(ROOT / ".ci" / script, made.clone / ".ci" / script)
    (made.clone / ".gitignore").write_text("__pycache__/\n")
    (made.clone / "bundle" / "settings.yml").write_text(yaml.safe_dump(dict(SETTINGS)))
    made.rows(row(), row(dst_table_name="fact", execution_order=2))
    for words in (("init", "-q", "-b", "main"), ("remote", "add", "origin", "../remote.git")):
        made.git(*words)
    generate = [sys.executable, "-m", "generator", "generate", "--source", "../table.yml"]
    subprocess.run(generate, cwd=made.clone, check=True, capture_output=True)
    for words in (("add", "."), ("commit", "-qm", "first"), ("push", "-q", "origin", "main")):
        made.git(*words)
    return made
