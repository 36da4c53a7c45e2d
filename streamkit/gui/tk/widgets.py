"""`bind`: a stream in a `tkinter.Text`."""

from __future__ import annotations

import tkinter as tk
import weakref
from tkinter import font, ttk
from typing import TYPE_CHECKING

from ...stream import CompletionStream
from ..frames import Batch, FrameSink
from ..spans import Span, shown_by
from .dispatcher import TkDispatcher, exists

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..dispatcher import Call

__all__ = ["bind"]

LINE_CHARACTERS = 8000
"""Tk lays a line out anew from its beginning whenever something is added: 0.2 s for each piece in a line of 100,000."""


def bind(
    stream: CompletionStream,
    widget: tk.Text,
    *,
    reasoning: tk.Text | None = None,
    stop: tk.Button | ttk.Button | None = None,
    on_batch: Callable[[Batch], object] | None = None,
    fps: float = 60,
    max_chars: int = 4096,
) -> Call:
    """Show a stream in a Text: appended as it comes, failures and tool calls in lines of their own.

    In the window's thread, before the stream starts or while it runs; the stream itself runs elsewhere, best on a `LoopThread`.
    The Text is disabled for typing (`state="disabled"`), and scrolled along as long as its end is in sight. What is shown has
    the tags `reasoning`, `note` and `error`: dim italics, dim, and red, unless they are configured already. When the Text is
    destroyed, the stream is aborted.

    Args:
        stream: what is to be shown.
        widget: what is in it stays.
        reasoning: another Text, for the reasoning; default: in the same, before the answer.
        stop: a button that aborts the stream, of several that which was bound last; enabled until it has ended.
        on_batch: called with each `Batch` when it has been shown: for a line of figures, and for what is to be done at the end.
        fps, max_chars: see `FrameSink`.

    Returns:
        A function that ends the showing, not the stream; in the window's thread.

    Raises:
        TypeError: a widget of another kind.
        ValueError: see `FrameSink`.
        DispatcherClosed: the Text is destroyed already.
    """
    _check(stream, widget, reasoning, stop)
    if on_batch is not None and not callable(on_batch):
        raise TypeError(f"on_batch must be callable, not {type(on_batch).__name__}")
    dispatcher = _dispatcher_of(widget)
    page = _Page(widget)
    thoughts_page = page if reasoning is None else _Page(reasoning)
    append_batch = shown_by(page.append, None if reasoning is None else thoughts_page.append)

    def show(batch: Batch) -> None:
        append_batch(batch)
        if batch.ending is not None:
            unbind()
        if on_batch is not None:
            on_batch(batch)

    def gone() -> None:
        stream.abort("the window was closed")
        release_stop()

    def unbind() -> None:
        sink.close()
        stay()
        release_stop()

    sink = FrameSink(dispatcher, show, fps, max_chars)
    release_stop: Call = _nothing if stop is None else _wire(stop, stream)
    stay = dispatcher.on_close(gone)
    try:
        # Not attached: there, a failure that only sinks heard counts as unheard, but here a person reads it.
        sink(stream)
    except BaseException:
        unbind()
        raise
    return unbind


class _Page:
    """The end of a Text."""

    def __init__(self, text: tk.Text) -> None:
        # Weakly: whoever holds the stream, in another thread, must not be the last to let go of a widget.
        self._text = weakref.ref(text)
        self._column = 0
        """How long the last line is, of what was shown here."""
        text.configure(state="disabled")
        dim, look = _between(text), font.Font(root=text, font=text.cget("font")).actual()
        for tag, colour, slant in (
            ("reasoning", dim, "italic"),
            ("note", dim, look["slant"]),
            ("error", "#d0433b", look["slant"]),
        ):
            if tag not in text.tag_names():
                text.tag_configure(tag, foreground=colour, font=(look["family"], look["size"], look["weight"], slant))

    def append(self, spans: list[Span]) -> None:
        text = self._text()
        if text is None or not spans or not exists(text):
            return  # that for the reasoning may go before the other
        follow = _end_in_sight(text)
        text.configure(state="normal")
        for style, words in spans:
            text.insert("end", self._broken(words), style)
        text.configure(state="disabled")
        if follow:
            text.see("end")

    def _broken(self, words: str) -> str:
        """A text whose lines are no longer than Tk can take."""
        lines = words.split("\n")
        if self._column + len(lines[0]) <= LINE_CHARACTERS >= max(map(len, lines)):
            self._column = len(lines[-1]) + (self._column if len(lines) == 1 else 0)
            return words
        broken: list[str] = []
        for number, line in enumerate(lines):
            if number:
                broken.append("\n")
                self._column = 0
            while self._column + len(line) > LINE_CHARACTERS:
                room = LINE_CHARACTERS - self._column
                cut = line.rfind(" ", 0, room) + 1 or room
                broken += (line[:cut], "\n")
                line, self._column = line[cut:], 0  # noqa: PLW2901 - what is left of it
            broken.append(line)
            self._column += len(line)
        return "".join(broken)


def _check(*things: object) -> None:
    kinds: tuple[tuple[str, str, tuple[type, ...]], ...] = (
        ("stream", "CompletionStream", (CompletionStream,)),
        ("widget", "tkinter.Text", (tk.Text,)),
        ("reasoning", "tkinter.Text", (tk.Text, type(None))),
        ("stop", "tkinter.Button or ttk.Button", (tk.Button, ttk.Button, type(None))),
    )
    for thing, (name, wanted, allowed) in zip(things, kinds, strict=True):
        if not isinstance(thing, allowed):
            raise TypeError(f"{name} must be a {wanted}, not a {type(thing).__name__}")


# One for each widget: the next stream that is bound to it needs no second.
_dispatchers: dict[tk.Misc, TkDispatcher] = {}


def _dispatcher_of(widget: tk.Misc) -> TkDispatcher:
    if (dispatcher := _dispatchers.get(widget)) is None:
        dispatcher = _dispatchers[widget] = TkDispatcher(widget)
        dispatcher.on_close(lambda: _dispatchers.pop(widget))
    return dispatcher


def _wire(stop: tk.Button | ttk.Button, stream: CompletionStream) -> Call:
    """Let a button abort the stream; returns how to take that back."""
    # A command of its own, deleted afterwards: tkinter keeps what `command=` was given, and so the stream, until the button dies.
    command = stop.register(lambda: stream.abort("the user pressed Stop"))
    stop.configure(command=command, state="normal")
    button = weakref.ref(stop)  # see _Page

    def release() -> None:
        nonlocal command
        if not command or (stop := button()) is None or not exists(stop):
            return
        if str(stop.cget("command")) == command:  # no other stream has it meanwhile
            stop.configure(command="", state="disabled")
        stop.deletecommand(command)
        command = ""

    return release


def _end_in_sight(text: tk.Text) -> bool:
    # Of a window that is not on the screen yet, nothing is in sight.
    return not text.winfo_viewable() or text.dlineinfo("end-1c") is not None


def _between(text: tk.Text) -> str:
    """A colour between those of the text and its background, for light windows and dark ones."""
    ink, paper = (text.winfo_rgb(text.cget(option)) for option in ("foreground", "background"))
    return "#" + "".join(f"{(3 * a + 2 * b) // 5 >> 8:02x}" for a, b in zip(ink, paper, strict=True))


def _nothing() -> None:
    pass
