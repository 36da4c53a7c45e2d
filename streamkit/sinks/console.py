"""`ConsoleSink`: answers on a terminal, or into a pipe."""

from __future__ import annotations

import os
import sys
from collections import deque
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal, Protocol, TextIO, TypeAlias

from .meter import Meter, meter_of
from .terminal import has_colours, visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..model import Completion
    from ..stream import CompletionStream

__all__ = ["ConsoleSink", "Screen"]

Kind: TypeAlias = Literal["text", "reasoning"]

_WINDOW: Final = 2.0
"""Seconds over which the rate is taken while a stream runs."""


class Screen(Protocol):
    """Where one answer after the other is shown."""

    def begin(self, figures: Callable[[], str]) -> None:
        """An answer begins; `figures` says how it stands."""

    def write(self, kind: Kind, text: str) -> None:
        """A piece of it."""

    def end(self, figures: str) -> None:
        """It is over; all of it is to be shown now."""


class ConsoleSink:
    """Shows each answer as it comes.

    Into a file or a pipe goes the text and nothing else, character for character. On a terminal reasoning is dim, and with
    rich (the extra `cli`) Markdown is rendered: each block once, when it is whole; what is still open is shown as it is, with
    a status line below it, and replaced. Control characters in an answer are made visible, `NO_COLOR` is honoured, and an
    answer that ends early stays on the screen as far as it had come.

    Args:
        file: a text file; default: standard output as it is now.
        markdown: whether a terminal gets Markdown. None: if rich is there.
        reasoning: whether a terminal shows what the model thinks.
        status: whether figures follow each answer (`ttft 0.42 s · 87 tok · 61 tok/s`): below it on a terminal that shows
            Markdown, else on standard error. None: if that is a terminal.

    Of streams that run at the same time, the one that speaks first is shown, and the others when it has ended, in the order in
    which they began to speak. When the file can take no more (nobody reads the pipe), the sink is silent and the streams run on.

    Raises:
        ImportError: `markdown=True`, and rich is not there. TypeError: no text file.

    >>> import asyncio
    >>> from streamkit import StreamDriver
    >>> from streamkit.testing import chunk, completion_server, sse
    >>> async def main():
    ...     feed = sse(chunk("Hello, "), chunk("world."), chunk(finish_reason="stop"))
    ...     async with completion_server(feed) as server, StreamDriver(server.base_url) as driver:
    ...         await driver.stream("hi", model="m").attach(ConsoleSink())
    >>> asyncio.run(main())
    Hello, world.
    """

    def __init__(
        self,
        file: TextIO | None = None,
        *,
        markdown: bool | None = None,
        reasoning: bool = True,
        status: bool | None = None,
    ) -> None:
        out: TextIO = sys.stdout if file is None else file
        for method in ("write", "flush", "isatty"):
            if not callable(getattr(out, method, None)):
                raise TypeError(f"file must be a text file, not {type(out).__name__}")
        if markdown and find_spec("rich") is None:
            raise ImportError(
                "Markdown on a terminal needs rich: pip install 'streamkit-asyncio[cli]', or markdown=False"
            )
        if markdown is None:
            markdown = find_spec("rich") is not None
        self._is_terminal = out.isatty()
        self._screen: Screen
        if markdown and self._is_terminal and os.environ.get("TERM") != "dumb":
            from .markdown_screen import MarkdownScreen

            self._screen = MarkdownScreen(out, status=status is not False)
        else:
            self._screen = _PlainScreen(out, sys.stderr.isatty() if status is None else status)
        self._shows_reasoning = reasoning and self._is_terminal
        self._queue: deque[_Answer] = deque()
        """The answers that have begun to speak; the first is on the screen."""
        self._broken = False

    def __call__(self, stream: CompletionStream) -> None:
        """Show a stream."""
        answer = _Answer(meter_of(stream))

        def text(text: str) -> None:
            self._say(answer, "text", text)

        def reasoning(text: str) -> None:
            self._say(answer, "reasoning", text)

        def chunk(chunk: object) -> None:
            answer.count(stream.read_at)

        def end(completion: Completion) -> None:
            answer.summary = str(answer.meter.stats(completion))
            self._say(answer, "text", "")  # has it shown, also where it had nothing to say

        stream.on("text", text, replay=True)
        stream.on("refusal", text, replay=True)
        if self._shows_reasoning:
            stream.on("reasoning", reasoning, replay=True)
        if self._is_terminal:
            stream.on("chunk", chunk)
        stream.on("end", end, replay=True)

    def _say(self, answer: _Answer, kind: Kind, text: str) -> None:
        if self._broken:
            return
        if self._is_terminal:
            text = visible(text)
        queue = self._queue
        try:
            if answer.summary is None and queue and queue[0] is answer:
                self._screen.write(kind, text)  # it is on the screen, and nothing of it waits
                return
            answer.pending.append((kind, text))
            if not answer.queued:
                answer.queued = True
                queue.append(answer)
            self._show()
        except BrokenPipeError:
            self._broken = True  # who read has seen enough
        except (OSError, ValueError):  # ValueError: the file was closed
            self._broken = True
            raise

    def _show(self) -> None:
        """What the first in the queue has to say, and the next ones, as far as the ones before have ended."""
        queue, screen = self._queue, self._screen
        while queue:
            answer = queue[0]
            if not answer.begun:
                answer.begun = True
                screen.begin(answer.figures)
            pending, answer.pending = answer.pending, []
            for kind, text in pending:
                if text:
                    screen.write(kind, text)
            if answer.summary is None:
                return
            queue.popleft()
            screen.end(answer.summary)


class _Answer:
    """What one stream has to show, and how it stands."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.pending: list[tuple[Kind, str]] = []
        self.queued = self.begun = False
        self.summary: str | None = None
        self._seen: deque[tuple[float, int]] = deque()
        """Times of reads, and how many chunks had come by then."""

    def count(self, at: float) -> None:
        """A chunk came with a read."""
        seen, chunks = self._seen, self.meter.chunks
        if seen and at - seen[-1][0] < 0.1:
            seen[-1] = (seen[-1][0], chunks)  # ten a second are enough
            return
        seen.append((at, chunks))
        while seen[0][0] < at - _WINDOW:
            seen.popleft()

    def figures(self) -> str:
        """While the stream runs: its chunks, which are only about its tokens."""
        figures = [] if self.meter.ttft is None else [f"ttft {self.meter.ttft:.2f} s"]
        figures.append(f"~{self.meter.chunks} tok")
        if len(self._seen) > 1 and (seconds := self._seen[-1][0] - self._seen[0][0]) > 0:
            figures.append(f"~{(self._seen[-1][1] - self._seen[0][1]) / seconds:.0f} tok/s")
        return " · ".join(figures)


class _PlainScreen:
    """Text as it comes."""

    def __init__(self, file: TextIO, status: bool) -> None:
        self._file = file
        self._status = status
        self._is_terminal = file.isatty()
        self._dim, self._normal = ("\x1b[2m", "\x1b[0m") if has_colours(file) else ("", "")
        self._kind: Kind = "text"
        self._ends_line = True

    def begin(self, figures: Callable[[], str]) -> None:
        self._kind, self._ends_line = "text", True

    def write(self, kind: Kind, text: str) -> None:
        if kind != self._kind:
            if not self._ends_line:
                self._print("\n")
            self._kind = kind
        self._print(f"{self._dim}{text}{self._normal}" if kind == "reasoning" else text)
        self._ends_line = text.endswith("\n")
        self._file.flush()

    def end(self, figures: str) -> None:
        if self._is_terminal and not self._ends_line:
            self._print("\n")
        self._file.flush()
        if self._status:
            sys.stderr.write(f"{figures}\n")
            sys.stderr.flush()

    def _print(self, text: str) -> None:
        try:
            self._file.write(text)
        except UnicodeEncodeError:  # a character that the encoding of the file does not have
            encoding = self._file.encoding or "ascii"
            self._file.write(text.encode(encoding, "replace").decode(encoding))
