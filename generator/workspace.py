"""The Databricks workspace, by its SDK and the SDK's own ways to log in. What it refuses becomes a problem.

The SDK loads when a workspace is asked for, and not before.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from generator.problem import Problem
from laketasks.redact import redact

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

# Of one request. The SDK tries again for five minutes by default, which is long for a host that is misspelt.
RETRY_SECONDS = 10
HTTP_SECONDS = 60

T = TypeVar("T")
STRANGER = "what answers is not a Databricks workspace"
HOST = "check DATABRICKS_HOST or the profile"
_LOG_IN = "log in again (databricks auth login), or renew the token"
_CREDENTIALS = (
    "set DATABRICKS_HOST and DATABRICKS_TOKEN, or log in (databricks auth login) and name the profile in "
    "DATABRICKS_CONFIG_PROFILE"
)


class Refused(Exception):  # noqa: N818
    """Raised where the workspace does not give what was asked; holds what to tell the user."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.what)
        self.problem = problem


class Workspace:
    """A client, and every question to it by `ask`. `file` is what problems name."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._secrets: tuple[str, ...] = ()
        try:
            from databricks.sdk import WorkspaceClient
            from databricks.sdk.core import Config
        except ImportError:
            remedy = "install what is missing: python -m pip install databricks-sdk"
            raise self.refused("reading a workspace needs databricks-sdk", remedy) from None
        logging.getLogger("databricks.sdk").addHandler(logging.NullHandler())  # what matters is said here
        config = self.ask(
            lambda: Config(product="laketasks", retry_timeout_seconds=RETRY_SECONDS, http_timeout_seconds=HTTP_SECONDS),
        )
        self._secrets = tuple(
            str(value) for a in Config.attributes() if a.sensitive and (value := getattr(config, a.name, None))
        )
        self.client: WorkspaceClient = self.ask(lambda: WorkspaceClient(config=config))

    def ask(self, question: Callable[[], T], remedy: Callable[[str], str] = lambda _: "") -> T:
        """The answer, or Refused; `remedy` gives the way out where the kind of error alone does not tell it."""
        from databricks.sdk.errors import DatabricksError

        try:
            return question()
        except (AttributeError, KeyError, TypeError, json.JSONDecodeError):
            raise self.refused(STRANGER, HOST) from None
        except (OSError, ValueError) as error:
            cause = _root(error)  # the SDK's own time-out has what it tried again for as its cause
            if isinstance(cause, DatabricksError):
                what, way_out = _refusal(cause)
                raise self.refused(what, way_out or remedy(f"{cause.error_code}: {_said(cause)}")) from None
            if isinstance(error, OSError):
                raise self.refused(f"the workspace does not answer: {cause}", f"{HOST}, and the network") from None
            raise self.refused(_configuration(error), _CREDENTIALS) from None

    def refused(self, what: str, remedy: str) -> Refused:
        return Refused(Problem(file=self.file, what=self._shown(what), remedy=remedy))

    def _shown(self, text: str) -> str:
        """One line, printable, not long, without a secret."""
        line = next((line for line in redact(text, self._secrets).splitlines() if line.strip()), "")
        line = "".join(c if c.isprintable() else " " for c in line).strip().rstrip(".")
        return line if len(line) <= 300 else f"{line[:297]}..."


def _refusal(error: Any) -> tuple[str, str]:
    """What the service says, and the way out where the kind of error alone tells it."""
    from databricks.sdk import errors

    said = _said(error)
    token = "token" in said.lower() and isinstance(error, errors.PermissionDenied)
    if isinstance(error, errors.Unauthenticated) or token:
        return f"the workspace refuses the credentials: {said}", _LOG_IN
    if isinstance(error, errors.TooManyRequests | errors.TemporarilyUnavailable | errors.InternalError):
        return f"the workspace cannot answer now: {said}", "try again later"
    return f"the workspace refuses: {said}", ""


def _configuration(error: ValueError) -> str:
    said = _said(error)
    if "cannot configure default credentials" in said:
        return "no credentials for a workspace were found"
    return f"no way to log in to a workspace: {said}"


def _said(error: Exception) -> str:
    """The text of an error without the configuration that the SDK appends."""
    return re.split(r"[.] Config: |[.] Env: ", str(error))[0] or type(error).__name__


def _root(error: BaseException) -> BaseException:
    """The first cause, which says more than `Timed out after 0:00:10`."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return error
