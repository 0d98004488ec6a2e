"""One HTML file from a template: its style and its script inside, and a policy that lets no other run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

_HERE = Path(__file__).parent


def filled(template: str, *, styles: Sequence[str], scripts: Sequence[str], **parts: str) -> str:
    """The template with these parts, which are markup, in the places named for them."""
    style, script = ("\n".join(_source(name) for name in names) for names in (styles, scripts))
    own = {"style": style, "script": script, "style-hash": _hash(style), "script-hash": _hash(script)}
    text = re.sub(r"\[\[([\w-]+)\]\]", lambda match: (own | parts)[match[1]], _source(template))
    return text.encode("utf-8", "replace").decode("utf-8")  # half of a surrogate pair has no bytes


def as_json(document: object) -> str:
    """JSON that is also harmless inside a script element."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _source(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What the page's policy lets run: this text and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
