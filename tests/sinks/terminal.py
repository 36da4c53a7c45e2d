"""A terminal as far as the console sink uses one: text, line ends, carriage returns, cursor up, erase below, colours."""

from __future__ import annotations

import re

__all__ = ["Terminal"]

_TOKEN = re.compile(r"\x1b\[([\d;]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)", re.DOTALL)


class Terminal:
    """Lines that wrap at a width, as most terminals keep them: `resize` wraps them anew."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.lines = [""]
        self.line = self.column = 0

    def write(self, text: str) -> None:
        position = 0
        while position < len(text):
            token = _TOKEN.match(text, position)
            assert token is not None, f"unknown to this terminal: {text[position : position + 20]!r}"
            position = token.end()
            number, command, carriage, line_end, printed = token.groups()
            if command == "A":
                for _ in range(int(number or 1)):
                    self._up()
            elif command == "J":
                assert number in ("", "0")
                self.lines[self.line] = self.lines[self.line][: self.column]
                del self.lines[self.line + 1 :]
            elif carriage:
                self.column -= self.column % self.width
            elif line_end:
                self.line += 1
                self.column = 0
                if self.line == len(self.lines):
                    self.lines.append("")
            elif printed:
                old = self.lines[self.line].ljust(self.column)
                self.lines[self.line] = old[: self.column] + printed + old[self.column + len(printed) :]
                self.column += len(printed)
            else:
                assert command == "m", f"unknown to this terminal: {token[0]!r}"

    def _up(self) -> None:
        """A row up: of the same line, if that is wrapped."""
        if self.column >= self.width:
            self.column -= self.width
            return
        assert self.line > 0, "above the top"
        self.line -= 1
        rows = max(1, -(-len(self.lines[self.line]) // self.width))
        self.column += (rows - 1) * self.width

    def resize(self, width: int) -> None:
        """Another width: lines wrap anew, and the cursor stays behind its character."""
        self.width = width

    @property
    def text(self) -> str:
        """What can be seen and scrolled to."""
        return "\n".join(line.rstrip() for line in self.lines)
