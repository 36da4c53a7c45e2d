"""What can go wrong, as one tree.

::

    StreamkitError
    ├── StreamError          the payload of `error`
    │   ├── ConnectionFailed   no connection: DNS, refused, TLS, proxy   (also a ConnectionError)
    │   ├── ConnectionLost     cut in the middle                         (also a ConnectionError)
    │   ├── StreamTimeout      one of the four limits of Timeout ran out (also a TimeoutError)
    │   ├── StatusError        4xx, 5xx
    │   ├── ServerError        an error that the server sent inside the stream
    │   ├── ProtocolError      no feed, or too much of it malformed
    │   ├── TruncatedStream    ended without a finish
    │   ├── EmptyStream        ended without a chunk
    │   └── of streamkit.tools: ToolFailed, TooManyRounds, ParseFailed
    ├── StreamAborted        somebody called abort()
    ├── ListenerError        a subscriber raised; the payload of `listener_error`
    ├── TapeError            a recording that cannot be read or written    (also a ValueError)
    └── of streamkit.tools: ToolArgumentsError                             (also a ValueError)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from .model import Completion

__all__ = [
    "ConnectionFailed",
    "ConnectionLost",
    "EmptyStream",
    "ListenerError",
    "ProtocolError",
    "ServerError",
    "StatusError",
    "StreamAborted",
    "StreamError",
    "StreamTimeout",
    "StreamkitError",
    "TapeError",
    "TruncatedStream",
]


class StreamkitError(Exception):
    """Every exception that streamkit raises on purpose, bad arguments (ValueError, TypeError) aside."""


class StreamError(StreamkitError):
    """A stream failed; nothing that had arrived is lost.

    Attributes:
        message: what happened and what to do, one sentence or two; `str()` adds the request id.
        completion: what had arrived, set by the stream before anyone sees the error.
        retryable: the same request may succeed later.
        status: the HTTP status, or the one that the server hid inside the stream; None if there was none.
        code: the server's own error code, as text.
        type: the server's own error type.
        request_id: what to quote to the server's operators.

    >>> error = ServerError("overloaded", code="529", retryable=True, request_id="req_1")
    >>> str(error), error.retryable
    ('overloaded (request id req_1)', True)
    """

    completion: Completion

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        status: int | None = None,
        code: str | None = None,
        type: str | None = None,  # noqa: A002 - the name that the APIs give it
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.status = status
        self.code = code
        self.type = type
        self.request_id = request_id

    @property
    def message(self) -> str:
        """What happened and what to do."""
        return str(self.args[0])

    @message.setter
    def message(self, message: str) -> None:
        # In one place only: what is taken out of the message (a key) must not stay behind in the repr.
        self.args = (message, *self.args[1:])

    def __str__(self) -> str:
        return f"{self.message} (request id {self.request_id})" if self.request_id else self.message


class ConnectionFailed(StreamError, ConnectionError):
    """No connection could be made: DNS, refused, TLS, proxy."""


class ConnectionLost(StreamError, ConnectionError):
    """The connection was cut before the answer was whole."""


class StreamTimeout(StreamError, TimeoutError):
    """A limit of `Timeout` ran out; `phase` says which one."""

    def __init__(
        self,
        message: str,
        *,
        phase: Literal["connect", "first", "idle", "total"] = "idle",
        retryable: bool = True,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, retryable=retryable, request_id=request_id)
        self.phase = phase


class StatusError(StreamError):
    """The server answered with a 4xx or 5xx status.

    `retry_after` is the pause that the server asked for, in seconds, or None.
    """

    retry_after: float | None = None


class ServerError(StreamError):
    """The server reported an error inside a stream that had begun well."""


class ProtocolError(StreamError):
    """What came is no completion feed, or too much of it is malformed."""


class TruncatedStream(StreamError):
    """The feed ended cleanly, but no finish_reason and no `[DONE]` had come: the answer is cut short."""


class EmptyStream(StreamError):
    """The feed ended without a single chunk."""


class StreamAborted(StreamkitError):
    """The stream was aborted on request: the payload of `abort`, and what `await stream` then raises.

    >>> str(StreamAborted("user pressed Stop"))
    'aborted: user pressed Stop'
    """

    completion: Completion

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"aborted: {self.reason}" if self.reason else "aborted"


class ListenerError(StreamkitError):
    """A listener raised; its exception is the `__cause__`. The stream itself is not affected.

    Attributes:
        event: the event that the listener was called for.
        listener: the callable; None where it was not subscribed through the stream.
    """

    def __init__(self, event: str, listener: Callable[..., object] | None = None) -> None:
        super().__init__(event, listener)
        self.event = event
        self.listener = listener

    @property
    def listener_name(self) -> str:
        """Module and name of the listener: never its repr, which could hold a prompt."""
        function = getattr(self.listener, "func", self.listener)  # a partial has no name of its own
        name = getattr(function, "__qualname__", None) or type(function).__qualname__
        module = getattr(function, "__module__", None) or type(function).__module__
        return f"{module}.{name}"

    def __str__(self) -> str:
        who = "a listener on stream.emitter" if self.listener is None else f"listener {self.listener_name}"
        return f"{who} raised while it handled {self.event!r}"


class TapeError(StreamkitError, ValueError):
    """A recording cannot be read or written; the message names the file and says what to do."""
