"""From execution_table to a job file: `python -m generator --help`."""
