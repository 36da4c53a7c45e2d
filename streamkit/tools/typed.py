"""The types of `on`, `once` and their kin on a `ToolStream`; for type checkers only.

Overloads cannot be inherited in part: these are those of `streamkit.stream.typed`, with the four events of calls added, and a
completion that knows its rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias, TypeVar, overload

from ..errors import ListenerError, StreamAborted, StreamError
from ..mailbox import Overflow
from ..model import (
    Chunk,
    Connected,
    Event,
    Heartbeat,
    Read,
    Retry,
    Stall,
    StreamStart,
    StreamWarning,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from ..stream import EventIterator
from .payloads import RoundStart, ToolCompletion, ToolFailure, ToolResult, ToolStart

__all__ = ["ToolEvents", "ToolSubscribe", "ToolWaitFor"]

_OfChunk = TypeVar("_OfChunk", bound=Callable[[Chunk], object])
_OfText = TypeVar("_OfText", bound=Callable[[str], object])
_OfCompletion = TypeVar("_OfCompletion", bound=Callable[[ToolCompletion], object])
_OfError = TypeVar("_OfError", bound=Callable[[StreamError], object])
_OfAbort = TypeVar("_OfAbort", bound=Callable[[StreamAborted], object])
_OfStart = TypeVar("_OfStart", bound=Callable[[StreamStart], object])
_OfConnected = TypeVar("_OfConnected", bound=Callable[[Connected], object])
_OfRead = TypeVar("_OfRead", bound=Callable[[Read], object])
_OfToolCallDelta = TypeVar("_OfToolCallDelta", bound=Callable[[ToolCallDelta], object])
_OfToolCall = TypeVar("_OfToolCall", bound=Callable[[ToolCall], object])
_OfUsage = TypeVar("_OfUsage", bound=Callable[[Usage], object])
_OfRetry = TypeVar("_OfRetry", bound=Callable[[Retry], object])
_OfWarning = TypeVar("_OfWarning", bound=Callable[[StreamWarning], object])
_OfHeartbeat = TypeVar("_OfHeartbeat", bound=Callable[[Heartbeat], object])
_OfStall = TypeVar("_OfStall", bound=Callable[[Stall], object])
_OfListenerError = TypeVar("_OfListenerError", bound=Callable[[ListenerError], object])
_OfRoundStart = TypeVar("_OfRoundStart", bound=Callable[[RoundStart], object])
_OfToolStart = TypeVar("_OfToolStart", bound=Callable[[ToolStart], object])
_OfToolResult = TypeVar("_OfToolResult", bound=Callable[[ToolResult], object])
_OfToolFailure = TypeVar("_OfToolFailure", bound=Callable[[ToolFailure], object])
_OfEvent = TypeVar("_OfEvent", bound=Callable[[Event], object])

_Text: TypeAlias = Literal["text", "reasoning", "refusal", "text_done"]
_Whole: TypeAlias = Literal["done", "end"]


class ToolSubscribe(Protocol):
    """`on`, `once`, `prepend_listener`: as a call, which returns the listener, or as a decorator.

    Listeners take one argument and may return anything; what can be awaited is awaited, in order.
    """

    @overload
    def __call__(
        self,
        event: Literal["round"],
        listener: Callable[[RoundStart], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[RoundStart], object]: ...
    @overload
    def __call__(
        self, event: Literal["round"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfRoundStart], _OfRoundStart]: ...
    @overload
    def __call__(
        self,
        event: Literal["tool_start"],
        listener: Callable[[ToolStart], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[ToolStart], object]: ...
    @overload
    def __call__(
        self, event: Literal["tool_start"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfToolStart], _OfToolStart]: ...
    @overload
    def __call__(
        self,
        event: Literal["tool_result"],
        listener: Callable[[ToolResult], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[ToolResult], object]: ...
    @overload
    def __call__(
        self, event: Literal["tool_result"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfToolResult], _OfToolResult]: ...
    @overload
    def __call__(
        self,
        event: Literal["tool_error"],
        listener: Callable[[ToolFailure], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[ToolFailure], object]: ...
    @overload
    def __call__(
        self, event: Literal["tool_error"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfToolFailure], _OfToolFailure]: ...
    @overload
    def __call__(
        self,
        event: Literal["chunk"],
        listener: Callable[[Chunk], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[Chunk], object]: ...
    @overload
    def __call__(
        self, event: Literal["chunk"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfChunk], _OfChunk]: ...
    @overload
    def __call__(
        self, event: _Text, listener: Callable[[str], object], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[str], object]: ...
    @overload
    def __call__(
        self, event: _Text, /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfText], _OfText]: ...
    @overload
    def __call__(
        self,
        event: _Whole,
        listener: Callable[[ToolCompletion], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[ToolCompletion], object]: ...
    @overload
    def __call__(
        self, event: _Whole, /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfCompletion], _OfCompletion]: ...
    @overload
    def __call__(
        self,
        event: Literal["error"],
        listener: Callable[[StreamError], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[StreamError], object]: ...
    @overload
    def __call__(
        self, event: Literal["error"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfError], _OfError]: ...
    @overload
    def __call__(
        self,
        event: Literal["abort"],
        listener: Callable[[StreamAborted], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[StreamAborted], object]: ...
    @overload
    def __call__(
        self, event: Literal["abort"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfAbort], _OfAbort]: ...
    @overload
    def __call__(
        self,
        event: Literal["start"],
        listener: Callable[[StreamStart], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[StreamStart], object]: ...
    @overload
    def __call__(
        self, event: Literal["start"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfStart], _OfStart]: ...
    @overload
    def __call__(
        self,
        event: Literal["connect"],
        listener: Callable[[Connected], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[Connected], object]: ...
    @overload
    def __call__(
        self, event: Literal["connect"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfConnected], _OfConnected]: ...
    @overload
    def __call__(
        self,
        event: Literal["read"],
        listener: Callable[[Read], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[Read], object]: ...
    @overload
    def __call__(
        self, event: Literal["read"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfRead], _OfRead]: ...
    @overload
    def __call__(
        self,
        event: Literal["tool_delta"],
        listener: Callable[[ToolCallDelta], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[ToolCallDelta], object]: ...
    @overload
    def __call__(
        self, event: Literal["tool_delta"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfToolCallDelta], _OfToolCallDelta]: ...
    @overload
    def __call__(
        self,
        event: Literal["tool_call"],
        listener: Callable[[ToolCall], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[ToolCall], object]: ...
    @overload
    def __call__(
        self, event: Literal["tool_call"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfToolCall], _OfToolCall]: ...
    @overload
    def __call__(
        self,
        event: Literal["usage"],
        listener: Callable[[Usage], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[Usage], object]: ...
    @overload
    def __call__(
        self, event: Literal["usage"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfUsage], _OfUsage]: ...
    @overload
    def __call__(
        self,
        event: Literal["retry"],
        listener: Callable[[Retry], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[Retry], object]: ...
    @overload
    def __call__(
        self, event: Literal["retry"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfRetry], _OfRetry]: ...
    @overload
    def __call__(
        self,
        event: Literal["warning"],
        listener: Callable[[StreamWarning], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[StreamWarning], object]: ...
    @overload
    def __call__(
        self, event: Literal["warning"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfWarning], _OfWarning]: ...
    @overload
    def __call__(
        self,
        event: Literal["heartbeat"],
        listener: Callable[[Heartbeat], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[Heartbeat], object]: ...
    @overload
    def __call__(
        self, event: Literal["heartbeat"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfHeartbeat], _OfHeartbeat]: ...
    @overload
    def __call__(
        self,
        event: Literal["stall"],
        listener: Callable[[Stall], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[Stall], object]: ...
    @overload
    def __call__(
        self, event: Literal["stall"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfStall], _OfStall]: ...
    @overload
    def __call__(
        self,
        event: Literal["listener_error"],
        listener: Callable[[ListenerError], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[ListenerError], object]: ...
    @overload
    def __call__(
        self, event: Literal["listener_error"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfListenerError], _OfListenerError]: ...
    @overload
    def __call__(
        self,
        event: Literal["*"],
        listener: Callable[[Event], object],
        /,
        *,
        replay: bool = False,
        overflow: Overflow = "block",
    ) -> Callable[[Event], object]: ...
    @overload
    def __call__(
        self, event: Literal["*"], /, *, replay: bool = False, overflow: Overflow = "block"
    ) -> Callable[[_OfEvent], _OfEvent]: ...


class ToolWaitFor(Protocol):
    """`wait_for`: the payload of the next event of a name."""

    @overload
    async def __call__(self, event: Literal["round"], /) -> RoundStart: ...
    @overload
    async def __call__(self, event: Literal["tool_start"], /) -> ToolStart: ...
    @overload
    async def __call__(self, event: Literal["tool_result"], /) -> ToolResult: ...
    @overload
    async def __call__(self, event: Literal["tool_error"], /) -> ToolFailure: ...
    @overload
    async def __call__(self, event: Literal["chunk"], /) -> Chunk: ...
    @overload
    async def __call__(self, event: _Text, /) -> str: ...
    @overload
    async def __call__(self, event: _Whole, /) -> ToolCompletion: ...
    @overload
    async def __call__(self, event: Literal["error"], /) -> StreamError: ...
    @overload
    async def __call__(self, event: Literal["abort"], /) -> StreamAborted: ...
    @overload
    async def __call__(self, event: Literal["start"], /) -> StreamStart: ...
    @overload
    async def __call__(self, event: Literal["connect"], /) -> Connected: ...
    @overload
    async def __call__(self, event: Literal["read"], /) -> Read: ...
    @overload
    async def __call__(self, event: Literal["tool_delta"], /) -> ToolCallDelta: ...
    @overload
    async def __call__(self, event: Literal["tool_call"], /) -> ToolCall: ...
    @overload
    async def __call__(self, event: Literal["usage"], /) -> Usage: ...
    @overload
    async def __call__(self, event: Literal["retry"], /) -> Retry: ...
    @overload
    async def __call__(self, event: Literal["warning"], /) -> StreamWarning: ...
    @overload
    async def __call__(self, event: Literal["heartbeat"], /) -> Heartbeat: ...
    @overload
    async def __call__(self, event: Literal["stall"], /) -> Stall: ...
    @overload
    async def __call__(self, event: Literal["listener_error"], /) -> ListenerError: ...
    @overload
    async def __call__(self, event: Literal["*"], /) -> Event: ...


class ToolEvents(Protocol):
    """`events`: the payloads of the events of a name, one after the other."""

    @overload
    def __call__(self, event: Literal["round"], /, *, maxsize: int = ...) -> EventIterator[RoundStart]: ...
    @overload
    def __call__(self, event: Literal["tool_start"], /, *, maxsize: int = ...) -> EventIterator[ToolStart]: ...
    @overload
    def __call__(self, event: Literal["tool_result"], /, *, maxsize: int = ...) -> EventIterator[ToolResult]: ...
    @overload
    def __call__(self, event: Literal["tool_error"], /, *, maxsize: int = ...) -> EventIterator[ToolFailure]: ...
    @overload
    def __call__(self, event: Literal["chunk"], /, *, maxsize: int = ...) -> EventIterator[Chunk]: ...
    @overload
    def __call__(self, event: _Text, /, *, maxsize: int = ...) -> EventIterator[str]: ...
    @overload
    def __call__(self, event: _Whole, /, *, maxsize: int = ...) -> EventIterator[ToolCompletion]: ...
    @overload
    def __call__(self, event: Literal["error"], /, *, maxsize: int = ...) -> EventIterator[StreamError]: ...
    @overload
    def __call__(self, event: Literal["abort"], /, *, maxsize: int = ...) -> EventIterator[StreamAborted]: ...
    @overload
    def __call__(self, event: Literal["start"], /, *, maxsize: int = ...) -> EventIterator[StreamStart]: ...
    @overload
    def __call__(self, event: Literal["connect"], /, *, maxsize: int = ...) -> EventIterator[Connected]: ...
    @overload
    def __call__(self, event: Literal["read"], /, *, maxsize: int = ...) -> EventIterator[Read]: ...
    @overload
    def __call__(self, event: Literal["tool_delta"], /, *, maxsize: int = ...) -> EventIterator[ToolCallDelta]: ...
    @overload
    def __call__(self, event: Literal["tool_call"], /, *, maxsize: int = ...) -> EventIterator[ToolCall]: ...
    @overload
    def __call__(self, event: Literal["usage"], /, *, maxsize: int = ...) -> EventIterator[Usage]: ...
    @overload
    def __call__(self, event: Literal["retry"], /, *, maxsize: int = ...) -> EventIterator[Retry]: ...
    @overload
    def __call__(self, event: Literal["warning"], /, *, maxsize: int = ...) -> EventIterator[StreamWarning]: ...
    @overload
    def __call__(self, event: Literal["heartbeat"], /, *, maxsize: int = ...) -> EventIterator[Heartbeat]: ...
    @overload
    def __call__(self, event: Literal["stall"], /, *, maxsize: int = ...) -> EventIterator[Stall]: ...
    @overload
    def __call__(self, event: Literal["listener_error"], /, *, maxsize: int = ...) -> EventIterator[ListenerError]: ...
    @overload
    def __call__(self, event: Literal["*"], /, *, maxsize: int = ...) -> EventIterator[Event]: ...
