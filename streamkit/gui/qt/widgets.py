"""`bind`: a stream in a text widget of Qt."""

from __future__ import annotations

import weakref
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ...stream import CompletionStream
from ..backlog import Batch
from ..frames import FrameSink
from ..spans import Span, shown_by
from .binding import binding_of, is_alive
from .dispatcher import QtDispatcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtWidgets import QAbstractButton, QLabel, QPlainTextEdit, QTextEdit

    from ..dispatcher import Call

    TextWidget: TypeAlias = QPlainTextEdit | QTextEdit | QLabel

__all__ = ["bind"]

_COLOURS: Final[dict[str, str]] = {"reasoning": "#808080", "note": "#808080", "error": "#d0433b"}
"""Readable on light and on dark; the answer itself has the widget's own colour."""

_STREAMS: Final = "streamkit.streams"
"""The property of a Stop button that counts the streams it can stop."""

_KINDS: Final = "QPlainTextEdit, QTextEdit, QLabel"


def bind(
    stream: CompletionStream,
    widget: TextWidget,
    *,
    reasoning: TextWidget | None = None,
    stop: QAbstractButton | None = None,
    on_batch: Callable[[Batch], object] | None = None,
    fps: float = 60,
    max_chars: int = 4096,
) -> Callable[[], None]:
    r"""Show a stream in a widget of PySide6 or PyQt6: appended as it comes, failures and tool calls in lines of their own.

    Scrolls along only where it stood at the end; leaves the cursor and the selection alone. When the widget goes, or the
    application ends, the stream is aborted. Widgets are held weakly: keep them, as `self.view`, or in a parent.

    Args:
        stream: started by you, before or after this; where it runs does not matter (`LoopThread`, qasync).
        widget: a QPlainTextEdit, a QTextEdit (a QTextBrowser is one), or a QLabel, which shows one style only and is meant for
            answers of a few lines.
        reasoning: a widget of its own for the model's reasoning; default before the answer, in grey.
        stop: a button that aborts the stream; it is enabled until the stream has ended.
        on_batch: called with each `Batch` when it has been shown: for a line of figures, and for what is to be done at the end.
        fps, max_chars: see `FrameSink`.

    Returns:
        A function, to be called on Qt's thread, that ends the showing, but not the stream.

    Raises:
        TypeError: an argument of another kind.
        RuntimeError: this is not Qt's thread.
        ValueError: `fps` or `max_chars` makes no sense.

    >>> import os
    >>> os.environ["QT_QPA_PLATFORM"] = "offscreen"  # only where there is no display
    >>> from streamkit import StreamDriver, demo_tape
    >>> from streamkit.gui.qt import application
    >>> from streamkit.loop_thread import LoopThread
    >>> from streamkit.testing import replay_server
    >>> app, thread = application(), LoopThread.shared()
    >>> from PySide6.QtWidgets import QPlainTextEdit  # after application(), PyQt6 would do as well
    >>> view = QPlainTextEdit()
    >>> with thread.enter(replay_server(demo_tape(), speed=0)) as server:
    ...     with thread.enter(StreamDriver(server.base_url, model="m")) as driver:
    ...         stream = driver.stream("Write a poem")
    ...         unbind = bind(stream, view)
    ...         thread.call_soon(stream.start)
    ...         while not view.toPlainText().endswith("hears it once."):
    ...             app.processEvents()
    >>> view.toPlainText()
    'A stream is a letter that you read while it is being written.\n...'
    """
    _check_stream(stream)
    append = _appender(widget, "widget")
    append_reasoning = append if reasoning is None else _appender(reasoning, "reasoning")
    if stop is not None:
        binding_of(stop, "QAbstractButton", "stop")
    if on_batch is not None and not callable(on_batch):
        raise TypeError(f"on_batch must be callable, not {type(on_batch).__name__}")
    dispatcher = QtDispatcher(widget)
    append_batch = shown_by(append, None if reasoning is None else append_reasoning)

    def show(batch: Batch) -> None:
        append_batch(batch)
        if batch.ending is not None:
            unbind()
        if on_batch is not None:
            on_batch(batch)

    def gone() -> None:
        release_stop()
        stream.abort("the window was closed")

    def unbind() -> None:
        stay()
        release_stop()
        dispatcher.close()

    release_stop: Call = _nothing if stop is None else _wire(stop, stream)
    stay = dispatcher.on_close(gone)
    try:
        # Not attached: there, a failure that only sinks heard counts as unheard, but here a person reads it.
        FrameSink(dispatcher, show, fps, max_chars)(stream)
    except BaseException:
        unbind()
        raise
    return unbind


def _appender(widget: Any, name: str) -> Callable[[list[Span]], None]:  # noqa: ANN401 - of either binding
    """How spans get into a widget."""
    binding = binding_of(widget, _KINDS, name)
    gui: Any = import_module(f"{binding}.QtGui")
    core: Any = import_module(f"{binding}.QtCore")
    living = _weakly(widget)
    if hasattr(widget, "setTextFormat"):
        widget.setTextFormat(core.Qt.TextFormat.PlainText)  # else what looks like HTML would be taken for it

        def append_to_label(spans: list[Span]) -> None:
            if (widget := living()) is not None:
                widget.setText(widget.text() + "".join([span.text for span in spans]))

        return append_to_label
    formats: dict[str, Any] = {"text": gui.QTextCharFormat()}
    for style, colour in _COLOURS.items():
        formats[style] = gui.QTextCharFormat()
        formats[style].setForeground(gui.QColor(colour))

    def append(spans: list[Span]) -> None:
        if (widget := living()) is None:
            return  # the one for reasoning may go alone
        bar = widget.verticalScrollBar()
        was_at_end = bar.value() >= bar.maximum()
        cursor = gui.QTextCursor(widget.document())  # one of its own: the user's may hold a selection
        cursor.movePosition(gui.QTextCursor.MoveOperation.End)
        users = widget.textCursor()
        selected = (users.anchor(), users.position()) if users.selectionEnd() == cursor.position() else None
        cursor.beginEditBlock()
        for style, text in spans:
            cursor.insertText(text, formats[style])
        cursor.endEditBlock()
        if selected is not None and selected[0] != selected[1]:  # else it would grow with the text
            place = bar.value()
            users.setPosition(selected[0])
            users.setPosition(selected[1], gui.QTextCursor.MoveMode.KeepAnchor)
            widget.setTextCursor(users)
            bar.setValue(place)
        if was_at_end:
            bar.setValue(bar.maximum())

    return append


def _weakly(thing: Any) -> Callable[[], Any]:  # noqa: ANN401 - of either binding
    """An object of Qt, while there is one: the stream's thread, which holds what shows it, must not be the last to let go."""
    reference = weakref.ref(thing)

    def living() -> Any:  # noqa: ANN401 - likewise
        thing = reference()
        return thing if thing is not None and is_alive(thing) else None

    return living


def _wire(stop: Any, stream: CompletionStream) -> Callable[[], None]:  # noqa: ANN401 - of either binding
    """Let a button abort the stream; returns how to take that back."""
    # One button may serve a stream that is still ending and the next one.
    stop.setProperty(_STREAMS, (stop.property(_STREAMS) or 0) + 1)
    stop.setEnabled(True)

    def pressed(*_: object) -> None:
        stream.abort("the user pressed Stop")

    released, living = False, _weakly(stop)

    def release() -> None:
        nonlocal released
        if released or (stop := living()) is None:
            return
        released = True
        stop.clicked.disconnect(pressed)
        left = stop.property(_STREAMS) - 1
        stop.setProperty(_STREAMS, left)
        stop.setEnabled(left > 0)

    stop.clicked.connect(pressed)
    return release


def _check_stream(stream: object) -> None:
    if not isinstance(stream, CompletionStream):
        raise TypeError(f"stream must be a CompletionStream, not a {type(stream).__name__}")


def _nothing() -> None:
    pass
