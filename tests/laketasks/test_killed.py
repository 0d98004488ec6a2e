"""Case 67: a load that is killed is made good by the next, to the table that an undisturbed one gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.laketasks.warehouse import OPEN, T, Warehouse

SEQ = "id bigint, a string, seq timestamp"
# Ends the process at its MERGE: before it is sent, when all is staged, or after, when nothing is logged yet.
KILLED = """
import json, os, sys
import pyspark.sql.connect.session as session
from laketasks.entry import load_table

own, moment = session.SparkSession.sql, sys.argv[2]

def sql(self, statement, *more, **named):
    if statement.startswith("MERGE INTO"):
        if moment == "after":
            own(self, statement, *more, **named).collect()
        os._exit(9)
    return own(self, statement, *more, **named)

session.SparkSession.sql = sql
load_table(json.loads(sys.argv[1]))
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_67_a_killed_load_is_made_good(warehouse: Warehouse, moment: str) -> None:
    warehouse.source(SEQ, (1, "a", T(1)), (2, "b", T(1)))
    warehouse.load("scd2", sequence_by="seq", twice=False)
    commits = warehouse.commits()
    warehouse.source(SEQ, (1, "c", T(2)), (2, "b", T(1)), (3, "d", T(2)))
    parameters = json.dumps(warehouse.parameters("scd2", sequence_by="seq"))
    environment = os.environ | {"SPARK_HOME": "unused", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, parameters, moment]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 9, done.stderr
    assert warehouse.commits() - commits == (moment == "after")
    staging = warehouse.leftovers()
    assert len(staging) == 1
    for table in staging:  # which the summary sweeps a day later
        warehouse.spark.sql(f"DROP TABLE {warehouse.silver_table(table)}").collect()
    row = warehouse.load("scd2", sequence_by="seq")
    assert (row["rows_inserted"], row["rows_updated"]) == ((0, 0) if moment == "after" else (2, 1))
    assert warehouse.history("a") == [
        (1, "a", "T1", "T2", "N"),
        (1, "c", "T2", OPEN, "Y"),
        (2, "b", "T1", OPEN, "Y"),
        (3, "d", "T2", OPEN, "Y"),
    ]
