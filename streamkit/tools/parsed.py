"""`stream_parsed`: a completion as a value of a Python type, and what there is of it on the way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar, cast

from ..errors import StreamError
from ..model import Completion, StreamWarning
from ..stream import CompletionStream
from ..subscriptions import EVENTS, Subscription
from .answer import NOTHING_YET, TypedAnswer
from .partial import PartialJSON
from .shape import Shape
from .typed_parsed import ParsedCompletion, ParsedEvents, ParsedSubscribe, ParsedWaitFor
from .values import InvalidJSON, InvalidValue
from .wrapped_source import WrappedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Self

    from pyee import EventEmitter

    from ..driver import StreamDriver
    from ..model import Event
    from ..settings import Settings
    from ..stream import Source
    from ..wire.request import Prompt

__all__ = ["ParseFailed", "ParsedCompletion", "ParsedStream", "stream_parsed"]

T = TypeVar("T")

_Reason: TypeAlias = Literal["type", "json", "length", "content_filter", "refusal", "tool_calls"]

_FENCE: Final = re.compile(r"[\s\ufeff]*```[^\n`]*\n(.*?)\s*(?:```)?\s*", re.DOTALL)

_COPIED_PER_DELTA: Final = 4096
"""How many bytes of snapshots a delta may cause to be copied, on average: what a snapshot costs over that is saved up for. So a
long text is shown in larger steps, and the time for all of it stays proportional to its length."""


class ParseFailed(StreamError):
    """The answer is whole, but no value of the type; its text is in `completion.text`.

    Attributes:
        reason: "type" (JSON of another shape), "json" (no JSON), "length", "content_filter" (cut short by these), "refusal",
            "tool_calls" (the model called tools instead).
        detail: what does not fit, and where. It may hold words of the model; `str()` does not.
    """

    def __init__(self, message: str, *, reason: _Reason, detail: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.detail = detail


class ParsedStream(CompletionStream, Generic[T]):
    """A completion stream whose answer is a value: `(await stream).parsed`.

    Adds the event `partial`: what the answer says so far, as dicts, lists, strings and numbers. Texts are there as far as they
    go; what makes sense only when it is whole (numbers, enums, dates) is there when it is whole. Each begins with what the one
    before it said, and the last is the whole answer. Of a long answer not every step is published. What is in it must not be
    changed: the next one shares it.
    """

    def __init__(self, source: _ParsedSource[T], *, settings: Settings, emitter: EventEmitter | None = None) -> None:
        super().__init__(source, settings=settings, emitter=emitter, events=(*EVENTS, "partial"))
        self._partial = PartialJSON(Shape(source.answer.schema))
        self._answer = source.answer
        self._unread: list[str] = []
        self._budget = 0
        self._told = 0

    if TYPE_CHECKING:
        # The narrower types: a checker has to be told that nobody assigns to these.
        on: ParsedSubscribe[T]  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]
        once: ParsedSubscribe[T]  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]
        prepend_listener: ParsedSubscribe[T]  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]
        wait_for: ParsedWaitFor[T]  # pyright: ignore[reportIncompatibleVariableOverride]
        events: ParsedEvents[T]  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]

        def __await__(self) -> Generator[Any, None, ParsedCompletion[T]]: ...

    def start(self) -> Self:
        """Start the stream beside what runs on this loop; returns the stream. Starting it again does nothing."""
        if self._task is None:
            super().start()
            # Of a scope, as a sink is: it is nobody who would hear of a failure.
            subscription = Subscription("*", self._hear, scope=self._partial)
            # Without its context, into which it could not come a second time: what it publishes is heard by `*`, and so by it.
            subscription.call = self._hear
            self._subs.insert(subscription)
        return self

    def _hear(self, event: Event) -> None:
        """Of `*`, since by then everyone has heard the text itself."""
        if event.name == "text_done":
            self._tell_rest()
        if event.name != "text":
            return
        self._unread.append(event.payload)
        self._budget += _COPIED_PER_DELTA + len(event.payload)
        if self._is_wanted():
            self._read()
            if self._partial.version != self._told and self._budget >= (cost := self._partial.cost):
                self._budget -= cost
                self._tell()

    def _is_wanted(self) -> bool:
        return "partial" in self._subs.wanted or self.listener_count("*") > 1 or self._subs.has_observer("*")

    def _read(self) -> None:
        self._partial.feed("".join(self._unread))
        self._unread.clear()

    def _tell(self) -> None:
        self._told = self._partial.version
        value = self._answer.unwrap(self._partial.snapshot())
        if value is not NOTHING_YET:
            self.publish("partial", value)

    def _tell_rest(self) -> None:
        """The last `partial` is all of the answer."""
        if self._is_wanted():
            self._read()
            self._partial.close()
            if self._partial.version != self._told:
                self._tell()


class _ParsedSource(WrappedSource, Generic[T]):
    """A `RoundsSource` of one round, which ends with a value or with ParseFailed."""

    def __init__(self, source: Source, answer: TypedAnswer[T]) -> None:
        super().__init__(source)
        self.answer = answer
        self._parsed: T | None = None
        self._fenced = False

    def begin(self, publish: Callable[[str, object], None]) -> None:
        """The stream has started."""

    async def more(self, completion: Completion, publish: Callable[[str, object], None]) -> bool:
        """The answer is whole: read its value."""
        text = completion.text
        if (fence := _FENCE.fullmatch(text)) is not None:
            text = fence[1]
        try:
            self._parsed = self.answer.decode(text.lstrip("\ufeff"))
        except (InvalidJSON, InvalidValue) as error:
            raise _failure(completion, self.answer.name, error) from error
        if fence is not None:
            self._fenced = True
            publish("warning", StreamWarning("fenced_json", "the answer stood in a Markdown code fence"))
        return False

    def whole(self, completion: Completion) -> ParsedCompletion[T]:
        """The completion with its value."""
        fields = {name: getattr(completion, name) for name in completion.__struct_fields__}
        if self._fenced:
            fields["quirks"] = {**completion.quirks, "fenced_json": 1}
        return ParsedCompletion(**fields, parsed=cast("T", self._parsed))


def _failure(completion: Completion, name: str, error: InvalidJSON | InvalidValue) -> ParseFailed:
    """Why there is no value: the reason that explains most."""
    detail = str(error)
    if completion.refusal:
        return ParseFailed("the model refused; its words are in .completion.refusal", reason="refusal")
    if completion.tool_calls and not completion.text.strip():
        return ParseFailed("the model called tools, and gave no answer", reason="tool_calls")
    if completion.finish_reason == "length":
        return ParseFailed(
            f"the answer was cut at its largest length, before it was a {name}: allow more max_completion_tokens",
            reason="length",
            detail=detail,
        )
    if completion.finish_reason == "content_filter":
        return ParseFailed("the server's content filter cut the answer short", reason="content_filter", detail=detail)
    if isinstance(error, InvalidJSON):
        return ParseFailed("the answer is no JSON; its text is in .completion.text", reason="json", detail=detail)
    return ParseFailed(
        f"the answer does not fit {name} (at {error.path}): .detail says why, its text is in .completion.text",
        reason="type",
        detail=detail,
    )


def stream_parsed(
    driver: StreamDriver,
    prompt: Prompt,
    type: type[T],  # noqa: A002 - what it is
    *,
    name: str | None = None,
    strict: bool | None = None,
    emitter: EventEmitter | None = None,
    **request: Any,  # noqa: ANN401 - as StreamDriver.stream takes it
) -> ParsedStream[T]:
    """A stream whose answer is a value of a type; it has not started.

    Args:
        driver, prompt, emitter, request: as of `StreamDriver.stream`. A `response_format` of your own replaces the one that is
            made of the type, for servers that know no JSON schema; the answer is read as the type all the same.
        type: any type that msgspec has a JSON schema for, or a pydantic model.
        name: of the schema, as the model sees it.
        strict: whether the model is held to the schema. None: where strict mode can express it. True: ValueError if it cannot.

    `await stream` returns a ParsedCompletion, with the value in `.parsed`; ParseFailed, with the text in
    `.completion.text`, where the answer is none. Raises TypeError for a type without a schema.

    >>> import asyncio
    >>> from dataclasses import dataclass
    >>> from streamkit import StreamDriver
    >>> from streamkit.testing import chunk, completion_server, sse
    >>> @dataclass
    ... class City:
    ...     name: str
    ...     people: int
    >>> async def main():
    ...     feed = sse(chunk('{"name": "Os'), chunk('lo", "people": 7'), chunk("00000}", finish_reason="stop"))
    ...     async with completion_server(feed) as server, StreamDriver(server.base_url, "key", model="m") as driver:
    ...         stream = stream_parsed(driver, "The capital of Norway?", City)
    ...         stream.on("partial", print)
    ...         return (await stream).parsed
    >>> asyncio.run(main())
    {'name': 'Os'}
    {'name': 'Oslo'}
    {'name': 'Oslo', 'people': 700000}
    City(name='Oslo', people=700000)
    """
    answer: TypedAnswer[T] = TypedAnswer(type, name, strict)
    request.setdefault("response_format", answer.response_format)
    source, settings = driver.source(prompt, **request)
    return driver.adopt(ParsedStream(_ParsedSource(source, answer), settings=settings, emitter=emitter))
