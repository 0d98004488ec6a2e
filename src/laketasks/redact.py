"""Removal of secrets from a text: the one list of their forms, for wheel and tools. Standard library only."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

HIDDEN = "***"
_SHORT = 6  # a value with fewer characters is no secret: replacing it would only spoil the text
# How the name of a secret ends, in a variable, a header, a connection string, JSON or a URL.
_NAME = (
    r"pass(?:word|wd|phrase)|pwd|secret|token|credentials?|signature|(?<![a-z])sig"
    r"|(?:api|access|account|storage|secret|private|sas|subscription)[._-]?key"
)
_OF_ENVIRONMENT = re.compile(rf"(?i)(?:{_NAME})$")
_NOT_OF_ENVIRONMENT = frozenset(("PWD", "OLDPWD"))  # folders
_SIGN = r"""\\*["']?\s*(?::|=>?)\s*\\*["']?"""
# Each has words of which one is in every text that it matches: most texts have none, and are not searched.
_SHAPES: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (
    (
        ("://",),
        re.compile(r"""(?<=://)[^\s/@:'"<>]{0,100}:(?!\d+(?:/|$))[^\s'"<>]{1,300}@|(?<=://)[^\s/'"<>]{0,300}@"""),
    ),
    (("bearer",), re.compile(r"(?i)\bbearer\s+[\w.~+/=-]{8,}")),
    (("basic",), re.compile(r"(?i)\bbasic\s+(?!auth|access|credential|login|password)[\w.~+/=-]{8,}")),
    (("dapi", "dkea", "dose"), re.compile(r"\b(?:dapi|dkea)[\w-]{8,}|\bdose(?=[\w-]*\d)[\w-]{8,}")),
    (("eyj",), re.compile(r"\beyJ[\w.~+/=-]{8,}")),
    (("gh", "glpat-", "xox"), re.compile(r"\b(?:gh[opsur]_|github_pat_|glpat-|xox[abprs]-)[\w-]{10,}")),
    (("akia", "aiza"), re.compile(r"\b(?:AKIA[0-9A-Z]{16}\b|AIza[\w-]{30,})")),
    (
        ("slack.com/", "office.com/"),
        re.compile(r"(?<=hooks\.slack\.com/services/)[\w/-]+|(?<=\.office\.com/webhook)\S+"),
    ),
    (("-----begin",), re.compile(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)")),
)
# Of these the name stays and the value goes.
_HEADER = re.compile(rf"""(?i)(authorization{_SIGN})(?:[a-z][\w-]*\s+)?[^\s"'\\,;]+(?:,\s*\w+=[^\s"'\\,;]+)*""")
_ASSIGNED = re.compile(
    rf"""(?i)(?P<name>(?:{_NAME})(?:\.[\w.-]{{1,100}})?)(?P<sign>{_SIGN})"""
    r"""(?P<value>(?<=["'])[^"'\\\r\n]+|\{[^{}\r\n]*\}|[^\s"'\\&;,)}\]>]+)"""
)
_OPTION = re.compile(rf"(?i)(?<!\S)(--[\w-]{{0,40}}(?:{_NAME})\s+)(?!-)\S+")
_NAMES = ("pass", "pwd", "secret", "token", "credential", "sig", "key")
_ENCODED = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{12,}={0,2}")
_LOGIN = re.compile(r"[^\s:]+:[^\s:]\S{2,}")


def redact(text: str, known: Iterable[str] = ()) -> str:
    """Return the text with `***` for what is a secret in this environment, is `known` to be one, or has its form.

    >>> redact("403 for Bearer dapi-0123456789 by http://me:secret@proxy:1")
    '403 for *** by http://***proxy:1'
    >>> redact('{"token": "a b", "rows": 1} Server=x;Uid=me;Pwd=ab1;Port=1')
    '{"token": "***", "rows": 1} Server=x;Uid=me;Pwd=***;Port=1'
    """
    secrets = sorted({*_of_environment(), *(value for value in known if len(value) >= _SHORT)}, key=len, reverse=True)
    for secret in secrets:
        for form in dict.fromkeys((secret, quote(secret, safe=""))):
            text = text.replace(form, HIDDEN)
    lower = text.lower()
    for words, shape in _SHAPES:
        if any(word in lower for word in words):
            text = shape.sub(HIDDEN, text)
    if "authorization" in lower:
        text = _HEADER.sub(rf"\g<1>{HIDDEN}", text)
    if any(name in lower for name in _NAMES):
        text = _ASSIGNED.sub(_without_value, _OPTION.sub(rf"\g<1>{HIDDEN}", text))
    return _ENCODED.sub(lambda found: HIDDEN if _holds_login(found[0], secrets) else found[0], text)


def _of_environment() -> Iterator[str]:
    for name, value in os.environ.items():
        if len(value) >= _SHORT and name not in _NOT_OF_ENVIRONMENT and _OF_ENVIRONMENT.search(name):
            yield value


def _without_value(found: re.Match[str]) -> str:
    """Hide the value, unless a colon stands between two words of prose: `column password: expected a text`."""
    prose = found["sign"].strip() == ":"
    if prose and not (len(found["value"]) >= _SHORT and re.search(r"\d", found["value"])):
        return found[0]
    return f"{found['name']}{found['sign']}{HIDDEN}"


def _holds_login(text: str, secrets: Iterable[str]) -> bool:
    """Return true for base64 that holds `user:password` or one of the secrets."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(plain + "=" * (-len(plain) % 4))
    except binascii.Error:
        return False
    if any(secret.encode() in raw for secret in secrets):
        return True
    return raw.isascii() and (decoded := raw.decode()).isprintable() and _LOGIN.fullmatch(decoded) is not None
