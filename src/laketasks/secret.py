"""Texts without what logs in to a workspace: what a client says of a failed login may hold what it tried."""

from __future__ import annotations

import os
import re

_SECRET = re.compile(r"(?i)(TOKEN|SECRET|PASSWORD|PASSPHRASE)$|CREDENTIALS$|^(https?|all)_proxy$")
_LOOKS_LIKE_ONE = re.compile(
    r"\b(?:dapi|dose|dkea)[0-9A-Za-z_-]{8,}|\beyJ[\w-]{6,}\.[\w.-]+|(?i:\b(?:Bearer|Basic)\s+)[\w.~+/=-]{8,}|(?<=://)[^\s/@]+@"
)
_SHORTEST = 6  # a value that is shorter would take words out of the text


def without_secrets(text: str) -> str:
    """The text with `***` for whatever is, in this environment, or looks like, a token, a secret or a password.

    >>> without_secrets("403 for Bearer dapi-0123456789 by http://me:secret@proxy:1")
    '403 for *** by http://***proxy:1'
    """
    values = {value for name, value in os.environ.items() if _SECRET.search(name) and len(value) >= _SHORTEST}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, "***")
    return _LOOKS_LIKE_ONE.sub("***", text)
