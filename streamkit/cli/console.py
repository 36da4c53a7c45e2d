"""What the command shows, and where: the answer on standard output, everything else on standard error."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import TextIO

    from ..model import Event, StreamWarning

__all__ = ["Console", "UsageError"]

# A model's answer is not to move the cursor, set the title or write the clipboard of the terminal that shows it.
_CONTROLS: Final = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"},
    **dict.fromkeys(range(0x7F, 0xA0), "\N{REPLACEMENT CHARACTER}"),
}


class UsageError(Exception):
    """The command makes no sense as it was given; says why, and what to do."""


class Console:
    """Listeners that print, and the order of both outputs where one terminal shows them.

    Attributes:
        said_something: a part of an answer was printed.
    """

    def __init__(self) -> None:
        self.said_something = False
        self._unended: TextIO | None = None
        """Where a line has begun and not ended."""
        self._started_at = 0.0
        self._dim, self._plain = ("\x1b[2m", "\x1b[0m") if _has_colours(sys.stderr) else ("", "")

    def text(self, text: str) -> None:
        """Print a piece of the answer."""
        if self._unended is sys.stderr:
            self.end_line()
        self.said_something = True
        self._write(sys.stdout, text)

    def reasoning(self, text: str) -> None:
        """Print a piece of what the model thinks before it answers."""
        if self._unended is sys.stdout:
            self._break_line()
        self._write(sys.stderr, text, self._dim, self._plain)

    def note(self, line: str) -> None:
        """Print a line that is not the answer."""
        self._break_line()
        self._write(sys.stderr, f"{line}\n")

    def warning(self, warning: StreamWarning) -> None:
        """Print that something in the feed was skipped or mended."""
        self._aside(f"warning: {warning.detail} ({warning.kind})")

    def event(self, event: Event) -> None:
        """Print a line about an event, with the seconds since the start."""
        if event.name == "start":
            self._started_at = event.at
        line = f"{event.at - self._started_at:8.3f} {event.name:<10} {event.payload!r}"
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns
            line = line if len(line) <= width else line[: width - 3] + "..."
        self._aside(line)

    def end_line(self) -> None:
        """End the line that has begun, if one has, where it has begun: a piped answer ends in a line end, too."""
        if self._unended is not None:
            self._write(self._unended, "\n")

    def _aside(self, line: str) -> None:
        self._break_line()
        self._write(sys.stderr, line, self._dim, f"{self._plain}\n")
        self._unended = None

    def _break_line(self) -> None:
        # The line end that parts an answer from a note on one terminal must not get into a file or a pipe.
        if self._unended is sys.stderr or (sys.stdout.isatty() and sys.stderr.isatty()):
            self.end_line()

    def _write(self, output: TextIO, text: str, before: str = "", after: str = "") -> None:
        if output.isatty():
            text = text.translate(_CONTROLS)
        output.write(f"{before}{text}{after}")
        output.flush()
        self._unended = None if text.endswith("\n") else output


def _has_colours(output: TextIO) -> bool:
    # https://no-color.org: set and not empty.
    return output.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
