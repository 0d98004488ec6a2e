"""Text for a terminal: what tables are called and what errors say is not ours, and must not steer it."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    r"""The text with a replacement character for each that a terminal would obey.

    >>> clean("a\x1b[2Jb\n\tc")
    'a\ufffd[2Jb\n\tc'
    """
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
