"""`StreamDriver`: completion feeds over aiohttp. The only client code of streamkit that knows HTTP."""

from __future__ import annotations

import asyncio
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
from yarl import URL

from ..settings import ListenerErrors, OnTruncation, RetryPolicy, Settings, Timeout
from ..stream import CompletionStream, Source
from ..wire.request import Prompt, chat_request, encode_request
from .http import HTTPSource, proxy_from_environment, trace_reuse

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from pyee import EventEmitter

__all__ = ["StreamDriver"]

_Stream = TypeVar("_Stream", bound=CompletionStream)

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

DEFAULT_BASE_URL = "https://api.openai.com/v1"


class StreamDriver:
    """Opens completion streams on one server; owns the connections, or borrows the caller's session.

    Args:
        base_url: as the OpenAI SDKs take it; default OPENAI_BASE_URL, then OpenAI's. A trailing slash is
            ignored, a query is kept.
        api_key: sent as a bearer token; default OPENAI_API_KEY, then none (local servers need none).
        model: for streams that name none.
        session: an aiohttp session to borrow; it is not closed.
        ssl: an SSLContext, or False to skip the verification of certificates.
        headers: sent with every request.
        timeout: the limits of every stream, see `Timeout`.
        retries: further attempts while nothing has been published: a number, or a `RetryPolicy`.
        on_truncation: "error", or "accept" a feed that just stops as an answer (with a warning).
        max_malformed: how many malformed chunks of one stream are skipped, with a warning each, before it fails.
        max_event_bytes: how large one event may be; None: no limit.
        think_tags: move `<think>…</think>` from the text to the reasoning.
        listener_errors: what happens when a listener raises: "log", "raise" (from `await stream`, at the end), "detach".
        drain_timeout: after how many seconds without a finished listener call the listeners that run are given up.
        sinks: attached to every stream.

    A driver belongs to the loop of its first stream. `async with`, or `await close()`: aborts what runs, waits for its
    `end`, closes what it owns. Raises ValueError or TypeError, naming the argument, for settings that make no sense.

    >>> StreamDriver("http://localhost:8000/v1/", "secret")
    <StreamDriver http://localhost:8000/v1>
    >>> StreamDriver("localhost:8000")
    Traceback (most recent call last):
    ...
    ValueError: base_url must begin with http:// or https://, as in http://localhost:8000/v1, not 'localhost:8000'
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        model: str | None = None,
        session: aiohttp.ClientSession | None = None,
        ssl: SSLContext | bool | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        retries: int | RetryPolicy = 2,
        on_truncation: OnTruncation = "error",
        max_malformed: int = 20,
        max_event_bytes: int | None = 64 * 2**20,
        think_tags: bool = False,
        listener_errors: ListenerErrors = "log",
        drain_timeout: float = 5.0,
        sinks: Iterable[Callable[[CompletionStream], object]] = (),
    ) -> None:
        self._settings = Settings(
            timeout=Timeout() if timeout is None else timeout,
            retry=_retry_policy(retries),
            on_truncation=on_truncation,
            max_malformed=max_malformed,
            max_event_bytes=max_event_bytes,
            think_tags=think_tags,
            listener_errors=listener_errors,
            drain_timeout=drain_timeout,
        )
        if not isinstance(session, aiohttp.ClientSession | None):
            raise TypeError(f"session must be an aiohttp.ClientSession, not {type(session).__name__}")
        if not isinstance(ssl, SSLContext | bool | None):
            raise TypeError(f"ssl must be an SSLContext, or False, not {type(ssl).__name__}")
        if not isinstance(model, str | None):
            raise TypeError(f"model must be a text, not {type(model).__name__}")
        if not isinstance(sinks, Iterable):
            raise TypeError(f"sinks must be a list of functions of a stream, not {type(sinks).__name__}")
        self._session = session
        self._owns_session = session is None
        self._ssl = ssl
        self._base_url = _base_url(base_url)
        self._api_key = _api_key(api_key)
        self._headers = _headers(headers)
        self._model = model
        self._sinks = tuple(sinks)
        for sink in self._sinks:
            if not callable(sink):
                raise TypeError(f"sinks must be functions of a stream, not {type(sink).__name__}")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams: set[CompletionStream] = set()
        self._lingering: set[asyncio.Task[None]] = set()
        self._closed = False

    def stream(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        timeout: Timeout | None = None,
        retries: int | RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        emitter: EventEmitter | None = None,
        extra_body: Mapping[str, Any] | None = None,
        **request: Any,  # noqa: ANN401 - what the API takes, as given
    ) -> CompletionStream:
        """A stream for a prompt, a list of messages, or a whole request as a dict; it has not started.

        `request` (temperature=, tools=, n=, …) and then `extra_body` go into the body as given. `timeout`, `retries`, `headers`
        replace the driver's for this stream. `emitter` is a pyee emitter to publish on, instead of the stream's own.
        Raises TypeError or ValueError for what cannot be sent.
        """
        source, settings = self.source(
            prompt, model=model, timeout=timeout, retries=retries, headers=headers, extra_body=extra_body, **request
        )
        return self.adopt(CompletionStream(source, settings=settings, emitter=emitter))

    def source(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        timeout: Timeout | None = None,
        retries: int | RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        **request: Any,  # noqa: ANN401 - what the API takes, as given
    ) -> tuple[Source, Settings]:
        """What `stream` reads from, and how it is driven: for streams of another kind, to be given to `adopt`."""
        if self._closed:
            raise RuntimeError("this StreamDriver is closed")
        body = chat_request(prompt, model=model or self._model, extra_body=extra_body, **request)
        encode_request(body)
        settings = self._settings
        if timeout is not None:
            settings = replace(settings, timeout=timeout)
        if retries is not None:
            settings = replace(settings, retry=_retry_policy(retries))
        source = HTTPSource(
            self._open_session,
            _completions_url(self._base_url),
            body,
            headers={**self._headers, **_headers(headers)},
            api_key=self._api_key,
            ssl=self._ssl,
            connect_timeout=settings.timeout.connect,
            # A borrowed session has its own way with proxies.
            proxy_for=proxy_from_environment if self._owns_session else lambda _: None,
            linger=self._linger,
            settle=self._settle,
        )
        return source, settings

    def adopt(self, stream: _Stream) -> _Stream:
        """Make a stream over a `source` of this driver one of its own, with its sinks; `close` ends it. Returns the stream."""
        stream.when_started(self._started)
        return stream.attach(*self._sinks)

    async def close(self) -> None:
        """Abort what runs, wait for its `end`, close what is owned. Closing again does nothing.

        Raises RuntimeError on another event loop than that of its streams, and inside a listener of one of them.
        """
        if self._loop is not None and self._loop is not asyncio.get_running_loop():
            raise RuntimeError("this StreamDriver belongs to another event loop: close it there")
        running = list(self._streams)
        for stream in running:
            stream.refuse_inside_listener("close its driver")
        self._closed = True
        try:
            for stream in running:
                stream.abort("the driver was closed")
            for stream in running:
                await stream.finished()
        finally:
            for task in list(self._lingering):
                task.cancel()
            if self._lingering:
                await asyncio.wait(self._lingering)
            if self._owns_session and self._session is not None:
                await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        url = self._base_url.with_query(None).with_user(None)  # either may hold a key
        return f"<StreamDriver {url}>"

    def __del__(self) -> None:
        # getattr: the constructor may have raised half-way.
        if getattr(self, "_owns_session", False) and self._session is not None and not self._session.closed:
            warnings.warn(
                f"unclosed {self!r}: use `async with`, or `await driver.close()`", ResourceWarning, stacklevel=2
            )

    def _started(self, stream: CompletionStream) -> None:
        loop = asyncio.get_running_loop()
        if self._closed:
            raise RuntimeError("this StreamDriver is closed")
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError("this StreamDriver belongs to another event loop: make one for each loop")
        self._streams.add(stream)
        stream.when_finished(self._streams.discard)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # No limit of its own: whoever opens a thousand streams wants a thousand connections.
                connector=aiohttp.TCPConnector(limit=0),
                # aiohttp's own default ends every stream after five minutes.
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[trace_reuse()],
            )
        return self._session

    def _linger(self, response: aiohttp.ClientResponse) -> None:
        """Give a feed that has ended a moment to end its body too, so that the connection can serve again."""

        async def finish() -> None:
            try:
                async with asyncio.timeout(LINGER_SECONDS):
                    while await response.content.readany():
                        pass
            except (
                TimeoutError,
                aiohttp.ClientError,
                OSError,
                RuntimeError,
            ):  # RuntimeError: closed already, aiohttp says
                pass
            finally:
                response.close()  # a body that was read to its end has given its connection back already

        task = asyncio.get_running_loop().create_task(finish(), name="streamkit.linger")
        self._lingering.add(task)
        task.add_done_callback(self._lingering.discard)

    async def _settle(self) -> None:
        """Wait a little for a connection that is just about to be free; a new one takes longer."""
        if self._lingering:
            await asyncio.wait(self._lingering, timeout=SETTLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)


LINGER_SECONDS = 0.05
SETTLE_SECONDS = 0.01


def _retry_policy(retries: int | RetryPolicy) -> RetryPolicy:
    return retries if isinstance(retries, RetryPolicy) else RetryPolicy(retries=retries)


def _base_url(value: str | None) -> URL:
    text = value if value is not None else os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
    if not isinstance(text, str):
        raise TypeError(f"base_url must be a text, not {type(text).__name__}")
    try:
        url = URL(text.strip())
    except ValueError as error:
        raise ValueError(f"base_url is no URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"base_url must begin with http:// or https://, as in http://localhost:8000/v1, not {text!r}")
    return url.with_path(url.raw_path.rstrip("/"), encoded=True, keep_query=True)


def _completions_url(base: URL) -> URL:
    path = base.raw_path.rstrip("/").removesuffix("/chat/completions")
    return base.with_path(f"{path}/chat/completions", encoded=True, keep_query=True)


def _api_key(value: str | None) -> str | None:
    key = value if value is not None else os.environ.get("OPENAI_API_KEY")
    if key is None:
        return None
    if not isinstance(key, str):
        raise TypeError(f"api_key must be a text, not {type(key).__name__}")
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError("api_key holds characters that no key has; was something else pasted?")
    return key or None


def _headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    if not isinstance(headers, Mapping | None):
        raise TypeError(f"headers must map texts to texts, not be a {type(headers).__name__}")
    checked = {}
    for name, value in (headers or {}).items():
        if not all(isinstance(part, str) for part in (name, value)):
            raise TypeError(f"headers must map texts to texts; {name!r} does not")
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a header (RFC 9110 5.6.2)")
        if any(character in value for character in "\r\n\0"):
            raise ValueError(f"header {name!r} holds a line break")
        checked[name.lower()] = value
    return checked
