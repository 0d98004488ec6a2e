"""The wheel that a generated job runs: loaders, run log, summary."""
