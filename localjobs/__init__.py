"""Runs a generated job file on this machine as the Jobs service would: `python -m localjobs run JOB_FILE`."""
