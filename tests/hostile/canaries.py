"""Secrets that are none, and what finds them again in whatever a command has left."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

TOKEN = "dapi-canary-of-the-token-0001"
PROFILE = "dapi-canary-of-the-profile-0002"
CLIENT = "canary-of-the-client-secret-0003"
PASSWORD = "canary-of-the-password-0004"
PROXY = "canary:of/the-proxy-0005"
ALL = (TOKEN, PROFILE, CLIENT, PASSWORD, PROXY)


def forms(secret: str) -> Iterator[bytes]:
    """As it is, as an address has it, and the part of its base64 that is the same whatever stands before and behind."""
    yield secret.encode()
    yield quote(secret, safe="").encode()
    for before in range(3):
        text = base64.b64encode(b"x" * before + secret.encode())
        yield text[4 * bool(before) : len(text) // 4 * 4 - 4]


def found_in(content: bytes, secrets: Iterable[str] = ALL) -> list[str]:
    """The secrets that the bytes hold, in a form that gives them away; of an archive those of its files."""
    parts = [content]
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = [archive.read(name) for name in archive.namelist()]
    return [secret for secret in secrets if any(form in part for form in forms(secret) for part in parts)]


def found_below(folder: Path, secrets: Iterable[str] = ALL) -> list[str]:
    """`file: secret` for each file below the folder that holds one."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [f"{path}: {secret}" for path in files for secret in found_in(path.read_bytes(), secrets)]
