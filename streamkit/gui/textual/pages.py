"""How spans of text get to the end of a Log, a RichLog or a Markdown."""

from __future__ import annotations

import asyncio
import logging
import re
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from rich.text import Text
from textual.widget import Widget
from textual.widgets import Log, Markdown, RichLog

from .dispatcher import WORKERS, is_mounted

if TYPE_CHECKING:
    from textual.worker import Worker

    from ..spans import Span, Style

__all__ = ["LogPage", "MarkdownPage", "Page", "RichLogPage", "TextWidget", "page_of"]

log = logging.getLogger("streamkit.gui")


class LogPage:
    """Plain text: a Log knows no styles."""

    def __init__(self, widget: Log) -> None:
        self._widget = widget

    def append(self, spans: list[Span]) -> None:
        if spans:
            self._widget.write("".join([span.text for span in spans]), scroll_end=_end_in_sight(self._widget))

    def close(self) -> None:
        pass


_STYLES: dict[Style, str] = {"text": "", "reasoning": "dim italic", "note": "dim", "error": "red"}


class RichLogPage:
    """What is written to a RichLog is a line at least, and stays as it is: so the line that grows waits here."""

    def __init__(self, widget: RichLog) -> None:
        self._widget = widget
        self._line = Text()

    def append(self, spans: list[Span]) -> None:
        for style, words in spans:
            self._line.append(words, _STYLES[style])
        *whole, self._line = self._line.split("\n", allow_blank=True)
        width = max(self._widget.scrollable_content_region.width, self._widget.min_width)
        if self._widget.wrap and len(self._line) * 2 >= width:  # a character takes two cells at most
            *full, self._line = self._line.wrap(self._widget.app.console, width)
            whole += full
        self._write(whole)

    def close(self) -> None:
        if self._line:
            self._write([self._line])
            self._line = Text()

    def _write(self, lines: list[Text]) -> None:
        if lines:
            follow = _end_in_sight(self._widget)
            self._widget.write(Text("\n").join(lines), scroll_end=follow)
            if follow:
                # At once: `write` does so after the next refresh, and until then the end would seem to be out of sight.
                self._widget.scroll_end(animate=False, immediate=True, x_axis=False)


class MarkdownPage:
    """Fed by a worker of the widget, which ends with it."""

    def __init__(self, widget: Markdown) -> None:
        self._widget = widget
        self._pieces: asyncio.Queue[str | None] | None = None
        self._style: Style = "text"
        self._source: list[str] = []

    def append(self, spans: list[Span]) -> None:
        for span in spans:
            piece = self._markdown(span)
            self._source.append(piece)
            self._style = span.style
            if self._pieces is None:
                self._pieces = asyncio.Queue()
                self._worker: Worker[None] = self._widget.run_worker(
                    partial(self._feed, self._pieces), "markdown", WORKERS, exit_on_error=False
                )
                _follow(self._widget)
            self._pieces.put_nowait(piece)

    def close(self) -> None:
        if self._pieces is not None:
            self._pieces.put_nowait(None)
            self._pieces = None

    def _markdown(self, span: Span) -> str:
        style, text = span
        if style == "text":
            return text
        words = text.lstrip("\n")
        breaks = text[: len(text) - len(words)]
        if style == "reasoning":
            return breaks + ("" if self._style == style else "> ") + words.replace("\n", "\n> ")
        marks = "**" if style == "error" else "*"
        return f"{_close_fence(''.join(self._source))}\n\n{marks}{_escape(words)}{marks}\n\n"

    async def _feed(self, pieces: asyncio.Queue[str | None]) -> None:
        piece = await pieces.get()
        markdown = Markdown.get_stream(self._widget)
        try:
            while piece is not None:
                await markdown.write(piece)
                piece = await pieces.get()
        finally:
            try:
                await markdown.stop()
            except Exception:
                # What was still to come, of a widget that goes, finds no place any more.
                if is_mounted(self._widget):
                    log.exception("a Markdown widget could not show a stream")


TextWidget: TypeAlias = Log | RichLog | Markdown
Page: TypeAlias = LogPage | RichLogPage | MarkdownPage


def page_of(widget: TextWidget, name: str) -> Page:
    """The page of a widget; `name` is what the argument is called, for the message."""
    match widget:
        case Log():
            return LogPage(widget)
        case RichLog():
            return RichLogPage(widget)
        case Markdown():
            return MarkdownPage(widget)
    raise TypeError(f"{name} must be a Log, a RichLog or a Markdown of Textual, not a {type(widget).__name__}")


_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$", re.MULTILINE)


def _close_fence(source: str) -> str:
    """What ends the code block that a text leaves open; "" if it leaves none."""
    fence = ""
    for mark, rest in _FENCE.findall(source):
        if not fence:
            fence = mark
        elif mark.startswith(fence) and not rest.strip():
            fence = ""
    return f"\n{fence}" if fence else ""


def _escape(text: str) -> str:
    """A text as Markdown that says just that."""
    return re.sub(r"([\\`*_{}\[\]()<>#+.!|~-])", r"\\\1", text).replace("\n", " ")


def _follow(widget: Widget) -> None:
    """Let what a widget scrolls in stay at its end, if it is there."""
    for node in widget.ancestors_with_self:
        if isinstance(node, Widget) and node.styles.overflow_y in {"auto", "scroll"}:
            if node.is_vertical_scroll_end and not node.is_anchored:
                node.anchor()
            return


def _end_in_sight(widget: Widget) -> bool:
    return widget.is_vertical_scroll_end and not widget.is_vertical_scrollbar_grabbed
