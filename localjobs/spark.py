"""OSS Spark with Delta as the engine: a Spark Connect server on this machine's Java, with one catalog."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from localjobs.engine import Engine, served
from localjobs.environment import inherited
from localjobs.problem import ProblemsError
from localjobs.spark_home import SparkHome, find_spark

CATALOG = "spark_catalog"  # Delta's catalog works under no other name
_LISTENS = re.compile(r"Spark Connect server started at: 127\.0\.0\.1:(\d+)")
_LOGGING = Path(__file__).with_name("log4j2.properties")
_SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
_MEMORY = "2g"
_OPENED = (  # what Spark's own start scripts open of a Java from 17 on
    *("java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util"),
    *("java.util.concurrent", "java.util.concurrent.atomic", "jdk.internal.ref", "sun.nio.ch", "sun.nio.cs"),
    *("sun.security.action", "sun.util.calendar"),
)
_SETTINGS = {
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.connect.grpc.binding.port": "0",
    "spark.connect.session.manager.defaultSessionTimeout": "7d",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "2",  # small data: the default cuts every shuffle into 200 tasks
    # A load has more statements than the default of 100 keeps the code of: each would be made anew by the next load.
    "spark.sql.codegen.cache.maxEntries": "1000",
    # Sessions bring no classes of their own; looking for some, the server would ask itself for each class by RPC.
    "spark.sql.artifact.isolation.enabled": "false",
    # It would answer a task from what it answered another: those that share a session number their questions alike.
    "spark.connect.session.planCache.enabled": "false",
    # The defaults, as plain numbers: a client of the next minor version cannot read what this server makes of them.
    "spark.sql.session.localRelationSizeLimit": str(3 << 30),
    "spark.sql.session.localRelationChunkSizeBytes": str(16 << 20),
    "spark.sql.session.localRelationBatchOfChunksSizeBytes": str(1 << 30),
}
_DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.databricks.delta.snapshotPartitions": "2",  # the default cuts each of Delta's own queries into 50 tasks
}


_SMALL = {  # a statement over a few rows is mostly the making of its code, by Spark and then by Java
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
_SMALL_JAVA = (
    "-XX:TieredStopAtLevel=1",
    "-XX:ReservedCodeCacheSize=240m",  # as without the first: it leaves 48, and a full cache ends all compiling
    "-XX:+UseSerialGC",
)


@contextmanager
def spark(catalogs: Sequence[str], workspace: Path, log: Path, *, small: bool = False) -> Iterator[Engine]:
    """Run a Spark Connect server; raises ProblemsError for catalogs that it cannot have, or where Spark is missing.

    With `small` a statement takes half the time on a handful of rows, and many times on a million.
    """
    others = ", ".join(name for name in catalogs if name != CATALOG)
    if others:
        problem = (
            f"engine spark has the one catalog {CATALOG}, and the job names {others}: run with --target local_spark, "
            f"or another target of databricks.yml that sets every catalog variable to {CATALOG}"
        )
        raise ProblemsError([problem])
    default = str(workspace.absolute() / CATALOG / "default")  # where schema `default` lies
    settings = _DELTA | {"spark.sql.warehouse.dir": default} | (_SMALL if small else {})
    with connect_server(find_spark(), settings, log, _SMALL_JAVA if small else ()) as engine:
        yield engine


@contextmanager
def connect_server(
    home: SparkHome, settings: Mapping[str, str], log: Path, java: Sequence[str] = ()
) -> Iterator[Engine]:
    """Run a Spark Connect server with these settings and options of Java, on a port that is free."""
    with tempfile.TemporaryDirectory(prefix="localjobs_spark_", ignore_cleanup_errors=True) as scratch:
        command = _command(home, {**_SETTINGS, **settings, "spark.local.dir": scratch}, Path(scratch), java)
        with served("Spark", command, _environment(home), _LISTENS, log) as engine:
            yield engine


def _command(home: SparkHome, settings: Mapping[str, str], scratch: Path, java: Sequence[str]) -> list[str]:
    """Java itself and not `spark-submit`: nothing stands between the guard and the server, and it is up sooner."""
    return [
        *(str(home.java), f"-Xmx{_MEMORY}", *java, f"-Djava.io.tmpdir={scratch}", f"-Dderby.system.home={scratch}"),
        f"-Dlog4j2.configurationFile={_LOGGING.as_uri()}",
        "-Djdk.reflect.useDirectMethodHandle=false",
        "-Dio.netty.tryReflectionSetAccessible=true",
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
        *("-cp", home.classpath, "org.apache.spark.deploy.SparkSubmit"),
        *("--master", "local[*]", "--class", _SERVER),
        *(word for name, value in settings.items() for word in ("--conf", f"{name}={value}")),
        "spark-internal",
    ]


def _environment(home: SparkHome) -> Mapping[str, str]:
    """The own environment, without what would point Spark at another installation, configuration or server."""
    kept = {name: value for name, value in inherited().items() if not name.startswith(("SPARK_", "PYSPARK_"))}
    return kept | {"SPARK_HOME": str(home.folder), "SPARK_LOCAL_IP": "127.0.0.1"}
