"""What a dry run cannot judge: a table made from tables that only this run would make.

No task of a dry run writes, so that the first one in a new workspace reads tables that are not there. Its run log tells
them from tables that are really missing: the tasks before have written there what they would have made.
"""

from __future__ import annotations

import re

from pyspark.sql import SparkSession

from laketasks.counts import DRY_RUN
from laketasks.error import SourceError
from laketasks.run_log import rows_of_run
from laketasks.source import read_sql, statement
from laketasks.spec import LoadSpec, RunContext
from laketasks.sql import quote_table


def awaited(spark: SparkSession, spec: LoadSpec, context: RunContext) -> tuple[str, ...]:
    """The tables of this dry run that the source names and that nothing has made yet, by name."""
    try:
        select = statement(spec, context, read_sql(spec)) if spec.sql_file_path else spec.source_table
        named = select.replace("`", "").lower()
    except SourceError:
        return ()
    rows = rows_of_run(spark, context.run_log, context.job_run_id)
    counted = sorted({str(row["target"]) for row in rows if row["status"] == DRY_RUN and row["error"] is None})
    read = (table for table in counted if re.search(rf"(?<![\w.]){re.escape(table.lower())}(?!\w)", named))
    return tuple(table for table in read if not spark.catalog.tableExists(quote_table(table)))
