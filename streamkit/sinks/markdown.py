"""Where a Markdown text that still grows can be cut, so that what stands before the cut is final. Pure."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MarkdownBlocks"]

_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_ITEM: Final = re.compile(r" {0,3}(?:[-+*]|\d{1,9}[.)])(?:\s|$)")


class MarkdownBlocks:
    r"""Splits a growing Markdown text into its top-level blocks (CommonMark 0.31), each given out when no more can change it.

    A block ends at a blank line that is not in a fence; a list (or a quote of an item that follows it) ends at the first line
    after a blank one that neither is indented nor begins an item. Every line is looked at once.

    >>> blocks = MarkdownBlocks()
    >>> blocks.feed("# Title\n\nSome te")
    ['# Title\n\n']
    >>> blocks.feed("xt.\n\n```py\nx = 1\n\ny = 2\n```\nThe r")
    ['Some text.\n\n', '```py\nx = 1\n\ny = 2\n```\n']
    >>> blocks.open, blocks.close()
    ('The r', 'The r')
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        """The whole lines of the block that is open."""
        self._rest: list[str] = []
        """The parts of the line that has not ended."""
        self._fence: str | None = None
        self._is_list = False
        self._blank = False
        """The latest line of the open block is blank."""

    @property
    def open(self) -> str:
        """The text of the block that is open."""
        return "".join((*self._lines, *self._rest))

    @property
    def in_fence(self) -> bool:
        """The open block is a fenced one."""
        return self._fence is not None

    def tail(self, lines: int, characters: int) -> str:
        """The last lines of the open block, so many at most; costs no more than what it returns."""
        rest = "".join(self._rest)[-characters:]
        return "".join((*self._lines[-lines:], rest))[-characters:]

    def feed(self, text: str) -> list[str]:
        """Take in a piece; return the blocks that it makes final, each with the blank lines that follow it."""
        if "\n" not in text:
            self._rest.append(text)
            return []
        first, *others = text.split("\n")
        lines = ["".join((*self._rest, first, "\n")), *(line + "\n" for line in others[:-1])]
        self._rest = [others[-1]] if others[-1] else []
        done: list[str] = []
        for line in lines:
            self._take(line, done)
        return done

    def close(self) -> str:
        """No more comes: what is open is final."""
        text = self.open
        self.__init__()  # type: ignore[misc]  # as new
        return text

    def _take(self, line: str, done: list[str]) -> None:
        stripped = line.strip()
        if self._fence is not None:
            self._lines.append(line)
            if _closes(self._fence, line):
                self._fence = None
                if not self._is_list:
                    self._cut(done)
            return
        if not stripped:
            if self._lines:
                self._lines.append(line)
                self._blank = True
                if not self._is_list and not self._is_indented_code:
                    self._cut(done)
            return
        if self._blank and not line.startswith(("  ", "\t")) and not (self._is_list and _ITEM.match(line)):
            self._cut(done)
        self._blank = False
        if not self._lines:
            self._is_list = _ITEM.match(line) is not None
        # An item may hold a fence, which is then indented as far as its text.
        fence = _FENCE.match(stripped if self._is_list else line)
        if fence is not None and not ("`" in fence[2] and fence[1][0] == "`"):
            if self._lines and not self._is_list:
                self._cut(done)  # a fence may interrupt a paragraph
            self._fence = fence[1]
        self._lines.append(line)

    @property
    def _is_indented_code(self) -> bool:
        return self._lines[0].startswith(("    ", "\t"))

    def _cut(self, done: list[str]) -> None:
        if self._lines:
            done.append("".join(self._lines))
        self._lines = []
        self._is_list = self._blank = False


def _closes(fence: str, line: str) -> bool:
    mark = line.strip()
    return len(mark) >= len(fence) and not mark.strip(fence[0])
