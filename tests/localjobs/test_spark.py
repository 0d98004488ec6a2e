"""What engine spark says before any server starts; the journey on Spark starts one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localjobs.problem import ProblemsError
from localjobs.spark import spark
from localjobs.spark_home import find_spark


def environment(folder: Path) -> Path:
    """An environment that has Spark, as far as its folders tell."""
    (folder / "lib/python3.11/site-packages/pyspark").mkdir(parents=True)
    return folder


def java(folder: Path, version: str) -> Path:
    """A JAVA_HOME whose Java says this version."""
    program = folder / "bin/java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    program.chmod(0o755)
    return folder


def test_a_missing_environment_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match=r"not installed in .*: make \.venv-spark/spark\.stamp"):
        find_spark(tmp_path)


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.22"])
def test_an_old_java_is_refused_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setenv("JAVA_HOME", str(java(tmp_path / "java", version)))
    monkeypatch.setenv("PATH", os.devnull)
    main = version.split(".")[1 if version.startswith("1.") else 0]
    with pytest.raises(ProblemsError, match=rf"needs Java 17 or newer: .* is Java {main}\. Install one"):
        find_spark(environment(tmp_path))


def test_missing_jars_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(java(tmp_path / "java", "17.0.1")))
    with pytest.raises(ProblemsError, match=r"delta-spark_4\.1_2\.13-4\.1\.0\.jar, delta-storage-4\.1\.0\.jar, unity"):
        find_spark(environment(tmp_path))


def test_a_catalog_that_spark_cannot_have_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ProblemsError, match="the job names dev_silver: run with --target local_spark"),
        spark(["dev_silver", "spark_catalog"], tmp_path, tmp_path / "log"),
    ):
        pass
