"""Markdown on a terminal, with rich: what is whole is printed once, what is still open stands below it and is replaced."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Final, Literal, TextIO

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from .markdown import MarkdownBlocks

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MarkdownScreen"]

_INTERVAL: Final = 1 / 12
"""Seconds between two drawings, at least."""
_SHARE: Final = 0.1
"""Of the time, so much goes into drawing, at most: it runs on the loop that reads the stream."""
_ROWS: Final = 12
"""Of what is open, so many rows are shown, at most."""


class MarkdownScreen:
    """A `Screen` on a terminal.

    Re-rendering the whole document with each piece (rich's `Live`) takes time that grows with the square of its length: 20 s
    for 14 kB. Here every block is rendered once. What that costs: a link reference that is defined further down stays text.
    """

    def __init__(self, file: TextIO, *, status: bool = True) -> None:
        self._console = Console(file=file, highlight=False, markup=False, emoji=False)
        self._file = file
        self._status = status
        self._figures: Callable[[], str] = str
        self._blocks = MarkdownBlocks()
        self._thought = ""
        """The line of reasoning that has not ended."""
        self._kind: Literal["text", "reasoning"] | None = None
        self._ready: list[Markdown | Text] = []
        self._below: list[int] = []
        """The widths of the rows below what is final, in cells."""
        self._width = 0
        """The terminal's width when they were drawn."""
        self._timer: asyncio.TimerHandle | None = None
        self._interval = _INTERVAL
        self._failure: Exception | None = None

    def begin(self, figures: Callable[[], str]) -> None:
        self._figures = figures
        self._kind = None

    def write(self, kind: Literal["text", "reasoning"], text: str) -> None:
        if self._failure is not None:
            raise self._failure
        if kind != self._kind:
            self._finish_kind()
            self._kind = kind
        if kind == "text":
            self._ready.extend(map(self._markdown, self._blocks.feed(text)))
        else:
            *lines, self._thought = (self._thought + text).split("\n")
            self._ready.extend(Text(line, "dim") for line in lines)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)

    def end(self, figures: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._failure is not None:
            raise self._failure
        self._finish_kind()
        if self._status:
            self._ready.append(Text(figures, "dim"))
        self._draw(open_rows=[])

    def _finish_kind(self) -> None:
        """What comes next is of another kind: what is open is final."""
        if self._kind == "text" and (rest := self._blocks.close()):
            self._ready.append(self._markdown(rest))
        elif self._kind == "reasoning":
            if self._thought:
                self._ready.append(Text(self._thought, "dim"))
            self._thought = ""
            self._ready.append(Text(""))

    @staticmethod
    def _markdown(block: str) -> Markdown:
        # Links in full: what an answer shows is not to hide where it leads.
        return Markdown(block, hyperlinks=False)

    def _tick(self) -> None:
        self._timer = None
        before = time.perf_counter()
        try:
            self._draw(self._open_rows())
        except (OSError, ValueError) as error:  # the terminal is gone; the next write says so
            self._failure = error
        self._interval = max(_INTERVAL, (time.perf_counter() - before) / _SHARE)

    def _open_rows(self) -> list[tuple[str, str]]:
        """The rows below what is final, each with its style."""
        width, height = self._console.size
        rows = min(_ROWS, height - 2)
        tail, style = (
            (self._thought[-rows * width :], "dim")
            if self._kind == "reasoning"
            else (self._blocks.tail(rows, rows * width), "")
        )
        wrapped = [
            row for line in tail.expandtabs(4).splitlines() for row in (chop_cells(line, width - 1) if line else [""])
        ]
        shown = [(row, style) for row in wrapped[-rows:]] if rows > 0 else []
        if self._status:
            shown.append((self._figures()[: width - 1], "dim"))
        return shown

    def _draw(self, open_rows: list[tuple[str, str]]) -> None:
        console = self._console
        width = console.width
        ready, self._ready = self._ready, []
        parts = [self._erase(width), *map(self._rendered, ready)]
        for number, (row, style) in enumerate(open_rows):
            with console.capture() as capture:
                console.print(Text(row, style), end="" if number == len(open_rows) - 1 else "\n", no_wrap=True)
            parts.append(capture.get())
        self._file.write("".join(parts))
        self._file.flush()
        self._below = [cell_len(row) for row, _ in open_rows]
        self._width = width

    def _rendered(self, final: Markdown | Text) -> str:
        with self._console.capture() as capture:
            self._console.print(final)
        # rich puts blank lines around some kinds of block and not around others: here one follows each.
        return capture.get().strip("\n") + "\n\n" if isinstance(final, Markdown) else capture.get()

    def _erase(self, width: int) -> str:
        """Take away what stands below what is final; terminals wrap it anew when they get narrower."""
        if not self._below:
            return ""
        rows = sum(max(1, math.ceil(cells / width)) for cells in self._below)
        up = f"\x1b[{rows - 1}A" if rows > 1 else ""
        return f"\r{up}\x1b[J"
