"""Why a load stops. Every message names the table and the remedy.

Nothing has been written when one is raised, but for NotLoggedError.

LoadError
├── SourceError     the source cannot be read as described: columns, SQL, sequence
├── TargetError     the target is not a table that this loader may write to
│   └── SchemaError     its columns and the source's do not fit
├── GuardError      the data would do harm: empty source, too many deletes, NULL keys, conflicting duplicates
├── StaleInputError a table that it reads was not loaded by this run, and the job skips what reads one
├── ConflictError   other writers kept changing the table while the load was planned
└── NotLoggedError  the table was written, and then the run log could not be
"""


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


class ConflictError(LoadError):
    """Source or target changed each time the load was planned."""


class NotLoggedError(LoadError):
    """The load ended and its table holds its rows, but the run log has no row of it."""
