"""A project made from the template: by `databricks bundle init` where the CLI is, else by what the template uses of it.

Files are copied, links followed, `.tmpl` cut off; of Go's text/template there is `{{.answer}}`, `{{if eq|ne A B}}`,
`{{else}}`, `{{end}}` and the `{{-` that cuts the space before it. Anything else is refused.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.template.links import ROOT

TEMPLATE = ROOT / "template"
SCHEMA = ROOT / "databricks_template_schema.json"
_ACTION = re.compile(r"(?P<before>\s*)\{\{(?P<trim>-?)\s*(?P<action>.*?)\s*\}\}", re.DOTALL)
_CONDITION = re.compile(r"if (eq|ne) (\S+) (\"[^\"]*\"|\S+)")


def answers(**given: str) -> dict[str, str]:
    """The defaults of the questions, and what is given in their place."""
    properties = json.loads(SCHEMA.read_text(encoding="utf-8"))["properties"]
    return {name: question["default"] for name, question in properties.items()} | given


def instantiate(folder: Path, given: Mapping[str, str]) -> Path:
    """Make the project below the folder; returns its root."""
    if shutil.which("databricks"):
        _by_the_cli(folder, given)
    else:
        _by_hand(folder, given)
    return folder / given["project_name"]


def _by_the_cli(folder: Path, given: Mapping[str, str]) -> None:
    config = folder / "answers.json"
    config.write_text(json.dumps(given), encoding="utf-8")
    command = ["databricks", "bundle", "init", str(ROOT), "--config-file", str(config), "--output-dir", str(folder)]
    # It asks for a workspace's address and a token, and uses neither.
    login = {"DATABRICKS_HOST": "http://127.0.0.1:9", "DATABRICKS_TOKEN": "none", "DATABRICKS_CONFIG_FILE": os.devnull}
    subprocess.run(command, env={**os.environ, **login}, check=True, capture_output=True, text=True)


def _by_hand(folder: Path, given: Mapping[str, str]) -> None:
    for path in sorted(TEMPLATE.rglob("*")):
        if not path.is_file():
            continue
        target = folder / fill(path.relative_to(TEMPLATE).as_posix(), given)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".tmpl":
            target.with_suffix("").write_text(fill(path.read_text(encoding="utf-8"), given), encoding="utf-8")
        else:
            shutil.copy(path, target)


def fill(text: str, given: Mapping[str, str]) -> str:
    """The template with its answers.

    >>> fill('a{{if eq .x "1"}}b{{else}}c{{end}} {{.x}}', {"x": "2"})
    'ac 2'
    """
    parts: list[str] = []
    shown = [True]  # whether the text counts, for each `if` that is open
    end = 0
    for match in _ACTION.finditer(text):
        before = text[end : match.start()] + ("" if match["trim"] else match["before"])
        parts.append(before if all(shown) else "")
        parts.append(_perform(match["action"], given, shown))
        end = match.end()
    if len(shown) != 1:
        raise ValueError("an {{if}} has no {{end}}")
    return "".join([*parts, text[end:]])


def _perform(action: str, given: Mapping[str, str], shown: list[bool]) -> str:
    condition = _CONDITION.fullmatch(action)
    if condition:
        left, right = (_value(word, given) for word in condition.groups()[1:])
        shown.append((left == right) == (condition[1] == "eq"))
    elif action == "else":
        shown.append(not shown.pop())
    elif action == "end":
        shown.pop()
    else:
        return _value(action, given) if all(shown) else ""
    return ""


def _value(word: str, given: Mapping[str, str]) -> str:
    if word.startswith('"'):
        return word.strip('"')
    if not re.fullmatch(r"\.\w+", word):
        raise ValueError(f"{{{{{word}}}}} is not known here")
    return given[word[1:]]
