"""Spark's AUTO CDC, run in an environment of its own: `python -m tests.oracles.auto_cdc FOLDER`.

FOLDER/batches holds one folder of Parquet files for each batch. A run of the pipeline follows each; at the end type 1
and type 2 stand in FOLDER/scd1 and FOLDER/scd2, as Parquet. The tables live in memory, in the catalog of Spark's own
tests: it takes a MERGE the way that AUTO CDC asks for (docs/oracles.md says who does not).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localjobs.spark import connect_server
from localjobs.spark_home import fetch_jars, find_spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-autocdc"
JARS = Path(__file__).with_name("auto_cdc.ivy.xml")
SCHEMA = "history bigint, id bigint, a string, b bigint, c string, gone boolean, seq timestamp"
CATALOG = "org.apache.spark.sql.connector.catalog.SharedTablesInMemoryRowLevelOperationTableCatalog"
SETTINGS = {
    "spark.sql.catalog.memory": CATALOG,
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.shuffle.partitions": "1",
    # Rows are few and plans large: compiling code for them takes most of the time.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
}


def run_auto_cdc(folder: Path) -> str:
    """Run this module in its environment, beside a server of it; what it printed."""
    home = find_spark(ENVIRONMENT, JARS)
    settings = SETTINGS | {"spark.sql.warehouse.dir": str(folder / "warehouse")}
    with connect_server(home, settings, folder / "server.log") as server:
        done = subprocess.run(
            [str(ENVIRONMENT / "bin/python"), "-m", "tests.oracles.auto_cdc", str(folder)],
            cwd=ROOT,
            env=os.environ | {"SPARK_REMOTE": server.remote, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, f"{done.stdout}{done.stderr[-8000:]}"
    return done.stdout


def main(folder: Path) -> None:
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    spark.sql("CREATE NAMESPACE memory.db").collect()
    (folder / "events").mkdir()
    for batch in sorted((folder / "batches").iterdir()):
        for file in batch.iterdir():
            file.rename(folder / "events" / f"{batch.name}-{file.name}")
        started = time.monotonic()
        _run_pipeline(spark, folder)
        print(f"batch {batch.name}: {time.monotonic() - started:.1f} s", flush=True)
    for name in ("scd1", "scd2"):
        spark.table(f"memory.db.{name}").drop("__spark_autocdc_metadata").write.parquet(str(folder / name))
    spark.stop()


def _run_pipeline(spark: SparkSession, folder: Path) -> None:
    """One update of the pipeline, as `spark-pipelines run` makes it."""
    from pyspark.pipelines.add_pipeline_analysis_context import add_pipeline_analysis_context
    from pyspark.pipelines.graph_element_registry import graph_element_registration_context
    from pyspark.pipelines.spark_connect_graph_element_registry import SparkConnectGraphElementRegistry
    from pyspark.pipelines.spark_connect_pipeline import create_dataflow_graph, start_run

    graph = create_dataflow_graph(spark, default_catalog="memory", default_database="db", sql_conf={})
    registry = SparkConnectGraphElementRegistry(spark, graph)
    context = add_pipeline_analysis_context(spark=spark, dataflow_graph_id=graph, flow_name=None)
    with graph_element_registration_context(registry), context:
        _define(spark, folder)
    nothing: dict[str, Any] = {"full_refresh": None, "full_refresh_all": False, "refresh": None, "dry": False}
    for _ in start_run(spark, graph, storage=(folder / "storage").as_uri(), **nothing):
        pass  # a run that fails raises here


def _define(spark: SparkSession, folder: Path) -> None:
    from pyspark import pipelines as dp

    @dp.temporary_view(name="events")
    def events() -> Any:
        return spark.readStream.schema(SCHEMA).parquet(str(folder / "events"))

    for kind in (1, 2):
        dp.create_streaming_table(f"scd{kind}")
        dp.create_auto_cdc_flow(
            target=f"scd{kind}",
            source="events",
            keys=["history", "id"],
            sequence_by="seq",
            apply_as_deletes="gone",
            except_column_list=["gone", "seq"],
            stored_as_scd_type=kind,
        )


if __name__ == "__main__":
    if sys.argv[1:] == ["fetch"]:
        fetch_jars(ENVIRONMENT, JARS)
        find_spark(ENVIRONMENT, JARS)
    else:
        main(Path(sys.argv[1]))
