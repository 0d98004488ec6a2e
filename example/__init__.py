"""The example's bronze data: TPC-DS as Fivetran would leave it, on two days, and the demo that loads both.

`python -m example --help` tells what there is. tests/example compares what the loaders make of it with
what DuckDB computes from the two bronze days alone.
"""
