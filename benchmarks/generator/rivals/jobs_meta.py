"""lakeflow-jobs-meta from its YAML to what it sends to the Jobs API. Runs in .venv-rivals.

It keeps its tables in Delta by Spark and its jobs in a workspace. Both are stood in for here by what costs next to
nothing: a list for the table, a file for the API. What it does in Python is its own.
"""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

FILES = Path("out_jobs_meta")


class Rows(list):
    """What it asks of a data frame."""

    def filter(self, wanted):
        return Rows(row for row in self if wanted(row))

    def select(self, *names):
        return self

    def limit(self, number):
        return Rows(self[:number])

    def collect(self):
        return self

    def first(self):
        return self[0] if self else None

    def createOrReplaceTempView(self, name):  # noqa: N802 - Spark's
        Session.rows = self

    def withColumn(self, name, value):  # noqa: N802
        return self


class Column:
    def __init__(self, name):
        self.name = name

    def __eq__(self, value):
        return lambda row: row[self.name] == value

    __hash__ = None


class Session:
    """The active session: its control table is what was merged last, its table of jobs is empty."""

    rows = Rows()

    @staticmethod
    def getActiveSession():  # noqa: N802
        return Session

    @staticmethod
    def sql(text):
        return Rows([{"user": "somebody"}] if "current_user" in text else [])

    @staticmethod
    def table(name):
        return Rows() if name.endswith("_jobs") else Session.rows

    @staticmethod
    def createDataFrame(rows, schema=None):  # noqa: N802
        return Rows(rows) if schema is not None else Rows.__new__(Unmerged)


class Unmerged(Rows):
    def createOrReplaceTempView(self, name):  # noqa: N802
        """The row of a job that was made: not the control table's."""


def _stand_in(name, **members):
    module = ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module
    return module


def _type(*arguments, **named):
    return arguments


functions = SimpleNamespace(col=Column, current_timestamp=lambda: None)
_stand_in("pyspark")
_stand_in("pyspark.sql", SparkSession=Session, Row=SimpleNamespace, functions=functions)
_stand_in("pyspark.sql.types", **dict.fromkeys(("StructType", "StructField", "StringType", "BooleanType"), _type))
_stand_in("delta")
_stand_in("delta.tables", DeltaTable=SimpleNamespace(forName=lambda session, name: None))

from databricks.sdk.service.jobs import JobSettings  # noqa: E402
from lakeflow_jobs_meta.orchestrator import JobOrchestrator  # noqa: E402


class Jobs:
    """The Jobs API: what would be sent stands in a file."""

    made = 0

    def create(self, **settings):
        Jobs.made += 1
        text = json.dumps(JobSettings(**settings).as_dict())
        (FILES / f"{settings['name'].split()[-1]}.json").write_text(text, encoding="utf-8")
        return SimpleNamespace(job_id=Jobs.made)


FILES.mkdir(exist_ok=True)
orchestrator = JobOrchestrator("main.metadata.tables", workspace_client=SimpleNamespace(jobs=Jobs()))
_, jobs = orchestrator.metadata_manager.load_yaml("jobs_meta.yml")
for job in jobs:
    orchestrator.create_or_update_job(job, default_pause_status=True)
