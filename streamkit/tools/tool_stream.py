"""`ToolStream`: a stream over several rounds, with the events of their calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..stream import CompletionStream
from ..subscriptions import EVENTS
from .payloads import TOOL_EVENTS

if TYPE_CHECKING:
    from collections.abc import Generator

    from pyee import EventEmitter

    from ..settings import Settings
    from .payloads import ToolCompletion
    from .rounds import ToolSource
    from .typed import ToolEvents, ToolSubscribe, ToolWaitFor

__all__ = ["ToolStream"]


class ToolStream(CompletionStream):
    """A `CompletionStream` over all rounds of a run; `run_tools` makes it.

    It adds the events `round`, `tool_start`, `tool_result` and `tool_error`, and its completion is a `ToolCompletion`.
    """

    def __init__(
        self, source: ToolSource, *, settings: Settings | None = None, emitter: EventEmitter | None = None
    ) -> None:
        super().__init__(source, settings=settings, emitter=emitter, events=(*EVENTS, *TOOL_EVENTS))

    if TYPE_CHECKING:
        # `done` carries more here, so that `on` returns listeners that take more: no subtype in the strict sense.
        on: ToolSubscribe  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]  # see above
        once: ToolSubscribe  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]  # likewise
        prepend_listener: ToolSubscribe  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]  # likewise
        wait_for: ToolWaitFor  # pyright: ignore[reportIncompatibleVariableOverride]  # likewise
        events: ToolEvents  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]  # likewise

        @property
        def completion(self) -> ToolCompletion: ...
        def __await__(self) -> Generator[Any, None, ToolCompletion]: ...
