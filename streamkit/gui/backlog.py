"""What waits for the user interface: the events of one stream since its last frame."""

from __future__ import annotations

import io
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from ..errors import StreamAborted, StreamError
from ..model import Completion, Event, ToolCall
from ..subscriptions import ENDINGS, REPLAYABLE, TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..stream import CompletionStream

__all__ = ["DEFAULT_EVENTS", "Backlog", "Batch", "Inbox", "StreamEnding"]

DEFAULT_EVENTS = ("reasoning", "text", "refusal", "tool_call")
"""What is handed over besides the ending."""

StreamEnding: TypeAlias = Completion | StreamError | StreamAborted
"""How a stream ended: the payload of `done`, `error` or `abort`; the latter two carry what arrived as `.completion`."""


class Batch(msgspec.Struct, frozen=True):
    """What came since the last frame.

    Attributes:
        events: in the order in which they came. Text that follows text of the same kind is joined to it.
        ending: how the stream ended, in the last batch of a stream; None in all others.
    """

    events: tuple[Event, ...] = ()
    ending: StreamEnding | None = None

    @property
    def text(self) -> str:
        """The text of it, "" if there is none."""
        return self._joined("text")

    @property
    def reasoning(self) -> str:
        """The reasoning text of it, "" if there is none."""
        return self._joined("reasoning")

    @property
    def refusal(self) -> str:
        """The refusal in it, "" if there is none."""
        return self._joined("refusal")

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls that became whole."""
        return tuple(event.payload for event in self.events if event.name == "tool_call")

    def _joined(self, name: str) -> str:
        return "".join([event.payload for event in self.events if event.name == name])


class Backlog:
    """What waits for its frame: no clock, no thread, no dispatcher.

    >>> backlog = Backlog()
    >>> for word in ("one ", "two ", "three"):
    ...     backlog.add("text", word, 0.0)
    >>> backlog.end(Completion())
    >>> backlog.take(10).text, bool(backlog)
    ('one two th', True)
    >>> backlog.take(10)
    Batch(events=(Event(name='text', payload='ree', at=0.0),), ending=Completion(...))
    """

    def __init__(self) -> None:
        self._events: deque[Event | _Text] = deque()
        self._ending: StreamEnding | None = None

    def __bool__(self) -> bool:
        return bool(self._events) or self._ending is not None

    def add(self, name: str, payload: object, at: float) -> None:
        """An event came; `at` is when."""
        if name not in TEXTS:
            self._events.append(Event(name, payload, at))
            return
        last = self._events[-1] if self._events else None
        if not isinstance(last, _Text) or last.name != name:
            last = _Text(name, at)
            self._events.append(last)
        last.write(str(payload))

    def end(self, ending: StreamEnding) -> None:
        """The stream ended."""
        self._ending = ending

    def take(self, max_chars: int) -> Batch:
        """The next batch, of at most so many characters of text; with the ending if nothing is left after it."""
        events: list[Event] = []
        room = max_chars
        while self._events:
            first = self._events[0]
            if isinstance(first, Event):
                events.append(first)
            elif room:
                text = first.read(room)
                events.append(Event(first.name, text, first.at))
                room -= len(text)
                if first.size:
                    break
            else:
                break
            self._events.popleft()
        if self._events:
            return Batch(tuple(events))
        ending, self._ending = self._ending, None
        return Batch(tuple(events), ending)


class _Text:
    """Text that grows at one end and is taken from the other, in one buffer: a long wait costs no more than its characters."""

    __slots__ = ("_buffer", "_taken", "at", "name", "size")

    def __init__(self, name: str, at: float) -> None:
        self.name = name
        self.at = at
        self.size = 0
        self._taken = 0
        self._buffer = io.StringIO(newline="")  # line ends as they are

    def write(self, text: str) -> None:
        self._buffer.write(text)
        self.size += len(text)

    def read(self, limit: int) -> str:
        if not self._taken and self.size <= limit:
            text = self._buffer.getvalue()
        else:
            self._buffer.seek(self._taken)
            text = self._buffer.read(limit)
            self._buffer.seek(0, io.SEEK_END)
        self._taken += len(text)
        self.size -= len(text)
        return text


class Inbox:
    """The backlog of one stream, filled on the stream's thread and emptied on another one.

    It is *awake* from the moment that it calls `wake` until `rest`: as long as that, what comes only waits.

    Args:
        wake: called on the stream's thread when something is there to be taken.
    """

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._backlog = Backlog()
        self._awake = False
        self._ended = False
        self._closed = False
        # Never held while anything of others is called; re-entrant because a finaliser may run anywhere, and close this.
        self._lock = threading.RLock()

    def subscribe(self, stream: CompletionStream, events: Iterable[str]) -> None:
        """Listen to these events, and to the ending, of a stream; what it has said already comes first."""
        on: Any = stream.on  # overloaded on literal names, and these are not
        for name in events:
            if name not in ENDINGS:
                on(name, self._listener(name, stream), replay=name in REPLAYABLE)
        # Last, so that a late subscriber is told how it ended after what it said.
        for name in ENDINGS:
            on(name, self._end, replay=True)

    def take(self, max_chars: int) -> Batch:
        """The next batch, which may be empty."""
        with self._lock:
            return self._backlog.take(max_chars)

    def rest(self) -> bool:
        """If nothing is left, sleep, to be woken by what comes next; returns whether it sleeps."""
        with self._lock:
            self._awake = bool(self._backlog)
            return not self._awake

    def close(self) -> None:
        """Drop what waits and what comes; from any thread."""
        with self._lock:
            self._closed = True
            self._backlog = Backlog()

    @property
    def closed(self) -> bool:
        """It takes nothing any more."""
        return self._closed

    def _listener(self, name: str, stream: CompletionStream) -> Callable[[Any], None]:
        def listener(payload: object) -> None:
            with self._lock:
                if self._closed or self._ended:
                    return
                self._backlog.add(name, payload, stream.read_at)
                if self._awake:
                    return
                self._awake = True
            self._wake()

        return listener

    def _end(self, ending: StreamEnding) -> None:
        with self._lock:
            if self._closed or self._ended:
                return
            self._ended = True
            self._backlog.end(ending)
            if self._awake:
                return
            self._awake = True
        self._wake()
