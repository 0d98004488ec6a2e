"""Lines for a terminal, or for what is none: broken under their own beginning, harmless whatever they hold."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def paged(console: Console, parts: Sequence[RenderableType]) -> None:
    """Print the parts, on a terminal that they do not fit through the pager."""
    if console.is_terminal and not console.is_dumb_terminal and _height(console, parts) > console.height:
        os.environ.setdefault("LESS", "FRX")  # colours as they are, and what was read stays on the screen
        with console.pager(styles=not console.no_color):
            print_parts(console, parts)
    else:
        print_parts(console, parts)


def print_parts(console: Console, parts: Iterable[RenderableType]) -> None:
    for part in parts:
        console.print(part, markup=False, highlight=False, soft_wrap=_is_whole(console, part))


def _height(console: Console, parts: Iterable[RenderableType]) -> int:
    return sum(len(console.render_lines(part, pad=False)) for part in parts)


def _is_whole(console: Console, part: RenderableType) -> bool:
    """Whether lines are left as long as they are: commands, to be copied, and all where there is no terminal."""
    return isinstance(part, Whole) or (isinstance(part, Line) and not console.is_terminal)


class Line:
    """Text that goes on under its own beginning where it is broken."""

    def __init__(self, text: Text, indent: int = 0) -> None:
        self._text, self._indent = text, indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width - self._indent
        lines = self._text.split("\n") if options.no_wrap else self._text.wrap(console, max(20, width))
        for line in lines or [Text()]:
            line.rstrip()
            yield Text.assemble(" " * self._indent, line)


class Whole(Line):
    def __init__(self, text: str) -> None:
        super().__init__(Text(clean(text), no_wrap=True))


def heading(name: str, more: str = "") -> Line:
    return line((f"\n{name}", "bold"), f": {more}" if more else "")


def line(*parts: str | tuple[str, str], indent: int = 0) -> Line:
    cleaned = ((clean(p), "") if isinstance(p, str) else (clean(p[0]), p[1]) for p in parts)
    return Line(Text.assemble(*cleaned), indent)


def clean(text: str) -> str:
    """Without what would make a terminal do something: what tables and errors are called is not ours."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
