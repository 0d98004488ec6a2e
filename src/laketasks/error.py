"""Why a load stops. Every message names the table and the remedy.

Nothing has been written when one is raised, but for NotLoggedError.

LoadError
├── SourceError     the source cannot be read as described: columns, SQL, sequence
├── TargetError     the target is not a table that this loader may write to
│   └── SchemaError     its columns and the source's do not fit
├── GuardError      the data would do harm: empty source, too many deletes, NULL keys, conflicting duplicates
├── StaleInputError a table that it reads was not loaded by this run, and the job skips what reads one
├── EngineError     the engine refused a statement or a value
├── ConflictError   other writers kept changing the table while the load was planned
└── NotLoggedError  the table was written, and then the run log could not be
"""

import re

_UNKNOWN = "Read the cause below; run the row's SQL or a SELECT of its source alone to see whether it comes from there"


class LoadError(Exception):
    """A load that stopped; before it wrote, unless the class says otherwise."""


class SourceError(LoadError):
    """The source cannot be read as the row describes it."""


class TargetError(LoadError):
    """The target is not a table that this loader may write to."""


class SchemaError(TargetError):
    """The source's columns do not fit the target's."""


class GuardError(LoadError):
    """The data would do harm; the guard's key in cdc_source_config, or override_guards for one run, lets it pass."""


class StaleInputError(LoadError):
    """A table that the load reads was not loaded by this run, and `on_upstream_failure: skip_readers` is set."""


class EngineError(LoadError):
    """The engine refused a statement of the load, or a value in it."""


class ConflictError(LoadError):
    """Source or target changed each time the load was planned."""


class NotLoggedError(LoadError):
    """The load ended and its table holds its rows, but the run log has no row of it."""


_REMEDIES = {
    r"NOT[_ ]NULL": "A column of the table that is NOT NULL gets a NULL: give it a value in the row's SQL file, set "
    "the rows aside with an expectation, or run ALTER TABLE ... ALTER COLUMN ... DROP NOT NULL",
    r"CHECK[_ ]CONSTRAINT|VIOLATE_CONSTRAINT": "Rows of the source break a CHECK constraint of the table: leave them "
    "out with `where` or an expectation, or drop the constraint",
    r"CAST_INVALID|CAST_OVERFLOW|can't cast|OUT_OF_RANGE|too large to store|DIVIDE[_ ]BY[_ ]ZERO": "A value of the "
    "source cannot become what the SQL makes of it: use try_cast or try_divide in the row's SQL file, or leave the "
    "rows out with `where`",
}


def from_engine(table: str, error: BaseException) -> LoadError:
    """Return what an engine's refusal means for a table: its first line, and what helps; the cause has the rest."""
    said = str(error).strip()
    first = next((line for line in said.splitlines() if line.strip()), type(error).__name__)
    remedy = next((r for sought, r in _REMEDIES.items() if re.search(sought, said, re.IGNORECASE)), _UNKNOWN)
    return EngineError(f"{table}: the engine stopped the load: {first.rstrip('. ')}. {remedy}")
