"""The first hour of docs/deploy.md, command by command, by the Databricks CLI on the loopback workspace."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import deltalake
import pytest
from pyarrow.csv import read_csv

from tests.generator.loopback import log_in
from tests.template.instantiate import answers
from tests.template.links import PROJECT, ROOT
from tests.workspace.project import needs_cli
from tests.workspace.server import workspace

pytestmark = [pytest.mark.cli, needs_cli]

_SAMPLES = Path("samples/tpch")
_STANDS_FOR = {  # what logs in, asks, or gets packages
    "databricks auth login --host https://<your workspace>": "true",
    "databricks bundle init <where this repository is>": f"databricks bundle init '{ROOT}' --config-file answers.json",
    "make generate test": "python3 -m generator generate && python3 -m pytest -q -p no:cacheprovider",
}


def commands() -> list[str]:
    """Those of the section, up to the ones that look for tables of the reader's own."""
    document = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    section = document.partition("## The first hour")[2].partition("\n## ")[0]
    written = [line[4:].partition("  #")[0].strip() for line in section.splitlines() if line.startswith("    ")]
    return written[: written.index("make .venv/workspace.stamp")]


def test_it_goes_as_the_document_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "answers.json").write_text(json.dumps(answers()), encoding="utf-8")
    hour = commands()
    assert {*_STANDS_FOR} <= {*hour}
    script = "\n".join(["set -ex", *(_STANDS_FOR.get(command, command) for command in hour)])
    with workspace(tmp_path / "there") as there:
        log_in(monkeypatch, tmp_path, there.url)
        for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "EMAIL"):
            monkeypatch.setenv(name, "ana@example.com")
        monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # python3
        monkeypatch.setenv("PYTHONPATH", "src")
        for file in (PROJECT / "tests" / "tables" / _SAMPLES).glob("*.csv"):
            deltalake.write_deltalake(str(there.lake / _SAMPLES / file.stem), read_csv(file))
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
        print(done.stdout, done.stderr)
        assert done.returncode == 0
        assert not there.unknown
        assert not there.refused
    said = done.stdout + done.stderr
    assert re.findall(r"^all 3 tables .*", said, re.MULTILINE) == [
        "all 3 tables looked at, nothing written",
        "all 3 tables loaded",
        "all 3 tables loaded",
    ]
    first, second = said.rsplit("all 3 tables loaded", 2)[1:]
    assert "+rows" in first
    assert "+rows" not in second
    assert "Validation OK!" in said
