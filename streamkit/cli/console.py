"""What the command shows, and where: the answer on standard output, everything else on standard error."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from ..sinks.terminal import has_colours, visible

if TYPE_CHECKING:
    from typing import TextIO

    from ..model import Event, StreamWarning

__all__ = ["Console", "UsageError"]


class UsageError(Exception):
    """The command makes no sense as it was given; says why, and what to do."""


class Console:
    """Listeners that print, and the order of both outputs where one terminal shows them.

    Attributes:
        said_something: a part of an answer was printed.
    """

    def __init__(self) -> None:
        self.said_something = False
        self._unended: set[TextIO] = set()
        """Where a line has begun and not ended."""
        self._started_at = 0.0
        self._dim, self._plain = ("\x1b[2m", "\x1b[0m") if has_colours(sys.stderr) else ("", "")

    def text(self, text: str) -> None:
        """Print a piece of the answer."""
        self._end_line(sys.stderr)
        self.said_something = True
        self._write(sys.stdout, text)

    def reasoning(self, text: str) -> None:
        """Print a piece of what the model thinks before it answers."""
        self._break_answer()
        self._write(sys.stderr, text, self._dim, self._plain)

    def note(self, line: str) -> None:
        """Print a line that is not the answer."""
        self._write_line(line)

    def warning(self, warning: StreamWarning) -> None:
        """Print that something in the feed was skipped or mended."""
        self._write_line(f"warning: {warning.detail} ({warning.kind})", self._dim, self._plain)

    def event(self, event: Event) -> None:
        """Print a line about an event, with the seconds since the start."""
        if event.name == "start":
            self._started_at = event.at
        line = f"{event.at - self._started_at:8.3f} {event.name:<10} {event.payload!r}"
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns
            line = line if len(line) <= width else line[: width - 3] + "..."
        self._write_line(line, self._dim, self._plain)

    def end_line(self) -> None:
        """End the lines that have begun: a piped answer ends in a line end, too."""
        for output in (sys.stdout, sys.stderr):
            self._end_line(output)

    def _end_line(self, output: TextIO) -> None:
        if output in self._unended:
            self._write(output, "\n")

    def _break_answer(self) -> None:
        # The line end that parts an answer from a note on one terminal must not get into a file or a pipe.
        if sys.stdout.isatty() and sys.stderr.isatty():
            self._end_line(sys.stdout)

    def _write_line(self, line: str, before: str = "", after: str = "") -> None:
        self._break_answer()
        self._end_line(sys.stderr)
        self._write(sys.stderr, line, before, after)
        self._write(sys.stderr, "\n")

    def _write(self, output: TextIO, text: str, before: str = "", after: str = "") -> None:
        if output.isatty():
            text = visible(text)
        output.write(f"{before}{text}{after}")
        output.flush()
        if text:
            (self._unended.discard if text.endswith("\n") else self._unended.add)(output)
