"""Liquid clustering where the engine has it, a note where it has not."""

from __future__ import annotations

from typing import Any

import pytest

from laketasks.cluster import can_cluster
from laketasks.error import TargetError
from tests.laketasks.warehouse import Warehouse

PIPELINES = ["scd1", "scd2", "fact_overwrite", "fact_incremental_merge"]


def clustering(warehouse: Warehouse) -> Any:
    return warehouse.spark.sql(f"DESCRIBE DETAIL {warehouse.target}").collect()[0]["clusteringColumns"]


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_the_table_is_clustered_or_the_log_says_why_not(
    warehouse: Warehouse, pipeline: str, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    warehouse.source("id bigint, A string", (1, "a"))
    warehouse.load(pipeline, cluster_by=["ID", "a"])
    assert warehouse.rows("id", "A") == [(1, "a")]
    assert can_cluster(warehouse.spark) is (engine == "spark")
    if not can_cluster(warehouse.spark):
        assert "cluster_by is left out: this engine has no CLUSTER BY" in capsys.readouterr().out
        return
    assert clustering(warehouse) == ["id", "A"]
    warehouse.load(pipeline, cluster_by=["id"])
    assert clustering(warehouse) == ["id"]


def test_unknown_columns(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, a string", (1, "a"))
    with pytest.raises(TargetError, match="cluster_by: the table has no column b"):
        warehouse.load("scd1", cluster_by=["b"])
