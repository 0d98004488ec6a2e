"""The surrogate key of a dimension: the md5 of its business key, and of when the version begins where it has versions.

It says nothing but which row is meant, and is the same on every rebuild. The unknown member's is '-1'.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql.types import DataType, StringType

from laketasks.canonical import canonical
from laketasks.change import Load
from laketasks.column import VALID_FROM
from laketasks.source import Source
from laketasks.spec import DIMENSIONS, LoadSpec
from laketasks.sql import quote, text


def surrogate_columns(spec: LoadSpec) -> dict[str, DataType]:
    """The column that the row of a dimension names as its surrogate key.

    None for facts, which merge on theirs, and for scd1 where it is the business key, of which there is one row each.
    """
    named, natural = ({name.lower() for name in c} for c in (spec.primary_key_columns, spec.business_key_columns))
    if spec.execution_pipeline not in DIMENSIONS or (spec.execution_pipeline == "scd1" and named == natural):
        return {}
    return {name: StringType() for name in spec.primary_key_columns}


def surrogates(load: Load, source: Source, start: str = "") -> dict[str, str]:
    """The value of the surrogate key, where the row names one, of a key or of its version that begins at `start`."""
    keys = {key: source.carried[key] for key in load.keys}
    return dict.fromkeys(surrogate_columns(load.spec), surrogate_key(keys, start))


def surrogate_key(keys: Mapping[str, DataType], start: str = "") -> str:
    """As SQL over the keys' columns; they count by name, in alphabetical order."""
    parts = [f"{text(key.lower())}, {canonical(quote(key), keys[key])}" for key in sorted(keys, key=str.lower)]
    if start:
        parts.append(f"'{VALID_FROM}', unix_micros({start})")
    return f"md5(to_json(named_struct({', '.join(parts)})))"
