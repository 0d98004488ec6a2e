"""`python -m laketasks COMMAND --name=value ...`: what the entry points do, with exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields

from laketasks.entry import (
    adopt_table,
    bootstrap_workspace,
    list_quarantine,
    load_table,
    named_parameters,
    release_table,
    summarize_run,
)
from laketasks.error import LoadError
from laketasks.spec import AdoptSpec, BootstrapSpec, LoadSpec, QuarantineSpec, RunContext, SpecError, SummarySpec

_USAGE = """\
usage: python -m laketasks COMMAND --name=value ...

  load        load one table and append a row to the run log
  summarize   print what a run did; exit 1 when anything in it failed
  adopt       take over a table that another tool has filled: print the plan; with --dry_run=false add and fill the
              loaders' columns. For all tables of a job file: python -m localjobs adopt --help
  bootstrap   make the schemas, the run log and the table of execution_table_sql where they are not there yet
  quarantine list     print the rows that were set aside and wait, by rule, since when, with samples
  quarantine release  load the rows that wait and meet the rules now, each once and in order

load takes       {load}
  and            {context}
summarize takes  {summary}
adopt takes      what load takes of the row, and {adopt}
bootstrap takes  {bootstrap}
quarantine list takes     {quarantine}
quarantine release takes  what load takes

Table names have three levels; lists and maps are JSON. The engine is the one that SPARK_REMOTE names:
  SPARK_REMOTE=sc://127.0.0.1:50051 python -m laketasks load --execution_pipeline=scd1 \\
    --source_table=dev_bronze.crm.customer --target_table=dev_silver.crm.dim_customer \\
    --business_key_columns='["customer_id"]' --task_key=dim_customer \\
    --run_log=dev_silver.metadata.run_log --job_run_id=1

The plan for a history that dbt kept; with --dry_run=false it is carried out:
  python -m laketasks adopt --execution_pipeline=scd2 --target_table=dev_silver.crm.dim_customer \\
    --source_table=dev_bronze.crm.customer --business_key_columns='["customer_id"]' \\
    --valid_from=dbt_valid_from --valid_to=dbt_valid_to
"""


_COMMANDS = {
    "load": load_table,
    "summarize": summarize_run,
    "adopt": adopt_table,
    "bootstrap": bootstrap_workspace,
    "quarantine list": list_quarantine,
    "quarantine release": release_table,
}


def main(arguments: Sequence[str]) -> int:
    """Run one command; 0 fine, 1 it failed, 2 wrong usage."""
    if not arguments or arguments[0] in ("-h", "--help") or {"-h", "--help"} & set(arguments[1:]):
        print(_usage())
        return 0 if arguments else 2
    words = 2 if arguments[0] == "quarantine" else 1
    command = " ".join(arguments[:words])
    if command not in _COMMANDS:
        print(f"unknown command {command!r}; one of {', '.join(_COMMANDS)}", file=sys.stderr)
        return 2
    try:
        _COMMANDS[command](named_parameters(arguments[words:]))
    except SpecError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 2
    except LoadError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _usage() -> str:
    specs = (LoadSpec, RunContext, SummarySpec, AdoptSpec, BootstrapSpec, QuarantineSpec)
    names = {spec: ", ".join(f.name for f in fields(spec)) for spec in specs}
    return _USAGE.format(
        load=names[LoadSpec],
        context=names[RunContext],
        summary=names[SummarySpec],
        adopt=names[AdoptSpec],
        bootstrap=names[BootstrapSpec],
        quarantine=names[QuarantineSpec],
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
