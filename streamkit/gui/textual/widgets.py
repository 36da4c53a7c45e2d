"""`bind`: a stream in a text widget of Textual; and `StopButton`, which aborts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Button

from ...stream import CompletionStream
from ..frames import Batch, FrameSink
from ..spans import shown_by
from .dispatcher import TextualDispatcher
from .pages import page_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..dispatcher import Call
    from .pages import TextWidget

__all__ = ["StopButton", "bind"]


class StopButton(Button):
    """A button that aborts the stream to which `bind` has tied it; a plain Button can only tell its parents.

    The arguments are those of Button. It is disabled while there is nothing to stop.
    """

    def __init__(self, label: str = "Stop", *, disabled: bool = True, **options: Any) -> None:  # noqa: ANN401 - Button's
        super().__init__(label, disabled=disabled, **options)
        self._streams: list[CompletionStream] = []

    def tie(self, stream: CompletionStream) -> Call:
        """Abort the stream when this is pressed; returns how to take that back."""
        self._streams.append(stream)
        self.disabled = False

        def release() -> None:
            if stream in self._streams:
                self._streams.remove(stream)
                self.disabled = not self._streams

        return release

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Textual's."""
        event.stop()
        for stream in self._streams:
            stream.abort("the user pressed Stop")


def bind(
    stream: CompletionStream,
    widget: TextWidget,
    *,
    reasoning: TextWidget | None = None,
    stop: StopButton | None = None,
    on_batch: Callable[[Batch], object] | None = None,
    fps: float = 60,
    max_chars: int = 4096,
) -> Call:
    """Show a stream in a Log, a RichLog or a Markdown: appended as it comes, failures and tool calls in lines of their own.

    In the app's thread, in `on_mount` or later, before the stream starts or while it runs; the stream may run on the app's loop
    (`stream.start()`), or elsewhere. What scrolls is scrolled along as long as its end is in sight. When the widget is removed,
    or the app ends, the stream is aborted.

    - A Markdown is fed through its `MarkdownStream`; the reasoning is a quotation there. What scrolls is what it is in: that is
      anchored (`Widget.anchor`).
    - A RichLog shows whole lines only; with `wrap`, those of its width, and so a line of it at a time.
    - A Log knows no styles, and does not wrap.

    Args:
        stream: what is to be shown.
        widget: what is in it stays.
        reasoning: another widget, for the reasoning; default: in the same, before the answer.
        stop: aborts the stream; enabled until it has ended.
        on_batch: called with each `Batch` when it has been shown: for a line of figures, and for what is to be done at the end.
        fps, max_chars: see `FrameSink`.

    Returns:
        A function that ends the showing, not the stream; in the app's thread.

    Raises:
        TypeError: an argument of another kind.
        RuntimeError: outside the app's event loop.
        ValueError: see `FrameSink`.
        DispatcherClosed: the widget is not mounted (any more).
    """
    if not isinstance(stream, CompletionStream):
        raise TypeError(f"stream must be a CompletionStream, not a {type(stream).__name__}")
    if stop is not None and not isinstance(stop, StopButton):
        raise TypeError(f"stop must be a streamkit.gui.textual.StopButton, not a {type(stop).__name__}")
    if on_batch is not None and not callable(on_batch):
        raise TypeError(f"on_batch must be callable, not {type(on_batch).__name__}")
    page = page_of(widget, "widget")
    thoughts_page = page if reasoning is None else page_of(reasoning, "reasoning")
    dispatcher = TextualDispatcher(widget)
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
        stay()
        release_stop()
        dispatcher.close()
        page.close()
        thoughts_page.close()

    release_stop: Call = _nothing if stop is None else stop.tie(stream)
    stay = dispatcher.on_close(gone)
    try:
        # Not attached: there, a failure that only sinks heard counts as unheard, but here a person reads it.
        FrameSink(dispatcher, show, fps, max_chars)(stream)
    except BaseException:
        unbind()
        raise
    return unbind


def _nothing() -> None:
    pass
