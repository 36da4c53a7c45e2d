"""The relay as an ASGI application (https://asgi.readthedocs.io/en/latest/specs/www.html), with no framework behind it.

::

    app = FastAPI(lifespan=lifespan)  # which has `async with driver, relay:` around its yield
    app.mount("/ai", relay_asgi(relay))

It runs by itself, too: `uvicorn module:app` with `app = relay_asgi(relay)`. Mounted, it is not told of the server's start and end
(no framework passes them on), so that your application has to enter the relay.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import parse_qsl
from weakref import finalize, ref

from ..errors import StreamError
from .asgi_answer import joined_headers, raw_headers, send_answer, stream_headers
from .asgi_client import ASGIClient
from .encode import encoding as encoder_of
from .failures import failure_answer
from .http import Answer, Request, StreamAnswer, handle
from .limits import Limits
from .messages import headers_of_encoding, stream_answer
from .relay import Relay
from .shutdown import hear_shutdown
from .starting import check_whole

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    from ..stream import CompletionStream
    from .asgi_answer import RawHeader
    from .asgi_client import Receive, Send
    from .encode import EncodingName
    from .relayed import Relayed
    from .subscription import RelaySubscription

__all__ = ["ASGIApp", "relay_asgi", "send_stream"]

Scope: TypeAlias = "MutableMapping[str, Any]"
ASGIApp: TypeAlias = "Callable[[Scope, Receive, Send], Awaitable[None]]"

_UNLIMITED: Final = Limits(max_streams=None, max_streams_per_principal=None, max_seconds=None, max_output_bytes=None)
"""For a stream that the application itself has made."""

log = logging.getLogger("streamkit.web")


def relay_asgi(relay: Relay, *, signals: bool = True) -> ASGIApp:
    """The relay as an ASGI application, to be run or to be mounted.

    Args:
        relay: what answers. At the end of the lifespan, if the server tells of that, it is closed, and its driver with it.
        signals: close it also at SIGTERM and SIGINT, from the first request on. Without that, a server that waits for open
            responses before it says goodbye (all do) waits for streams that know of nothing.

    >>> from streamkit import StreamDriver
    >>> from streamkit.web import Relay
    >>> app = relay_asgi(Relay(StreamDriver("http://localhost:8000/v1")))
    """
    return _RelayASGI(relay, signals=signals)


class _RelayASGI:
    def __init__(self, relay: Relay, *, signals: bool) -> None:
        self._relay = relay
        self._signals = signals
        self._lives = False
        """The server tells of its start and end."""
        self._has_served = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _check_loop()
        kind = scope["type"]
        if kind == "http":
            if not self._has_served:
                self._has_served = True
                self._before_first_request()
            await self._serve(scope, receive, send)
        elif kind == "lifespan":
            await self._live(receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1003, "reason": "this is HTTP only"})
        else:
            raise RuntimeError(f"the relay serves http, not ASGI scopes of type {kind!r}")

    def _before_first_request(self) -> None:
        if self._signals:
            # Where it is mounted, nobody says when it is not needed any more.
            finalize(self._relay, _close_on_signal(self._relay)).atexit = False
        if not self._lives and not self._relay.entered:
            log.warning(
                "the relay is not told when the server ends, because no lifespan reaches it: put `async with relay:` "
                "around the yield of your application's lifespan, or its streams end untold"
            )

    async def _live(self, receive: Receive, send: Send) -> None:
        self._lives = True
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._relay.close()
        if self._relay.driver is not None:
            await self._relay.driver.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with ASGIClient(receive, send, self._relay.limits.max_body) as client:
            answering = handle(self._relay, _request(scope, client))
            await send_answer(answering, client, self._relay.send_timeout)


async def send_stream(
    stream: CompletionStream,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    encoding: EncodingName = "native",
    headers: Iterable[tuple[str, str]] = (),
    heartbeat: float = 15.0,
    send_timeout: float = 20.0,
) -> None:
    """Answer one ASGI request with a stream of your own, from its first event to its end; it is started here.

    An upstream that refuses before its first chunk becomes an HTTP status with a JSON error object; what fails later is told in
    the stream, and the body is cut. The client's leaving aborts the stream; the server's shutdown is told to the client. HEAD
    gets the headers, and asks nothing of the upstream.

    Args:
        stream: not started, or without a chunk yet.
        scope, receive, send: of the request.
        encoding: "native" events, "openai" chunks, "guide" (`{"content": …}`), "plain" text.
        headers: more of them; they take the place of the stream's own.
        heartbeat: seconds of silence after which the client gets a sign of life.
        send_timeout: seconds that the client may take nothing before it is given up.

    Raises:
        RuntimeError: the stream has ended, has begun, is relayed already, or runs on another event loop; or this loop is not
            asyncio's.
        TypeError: it is no stream.
        ValueError: there is no such encoding, or a number of seconds is none.
    """
    _check_loop()
    more_headers = raw_headers(headers)
    own = raw_headers(headers_of_encoding(encoder_of(encoding, "none")).items())
    if scope["method"] == "HEAD":
        await _send_none(stream, "HEAD asks for no answer", 200, stream_headers(own, more_headers), send)
        return
    if encoding == "native" and any(name.lower() == b"last-event-id" for name, _ in scope["headers"]):
        # An EventSource asks again when the answer has ended, or was cut. That would be another answer, and one that is paid for.
        await _send_none(
            stream, "an answer cannot be resumed without a relay", 204, joined_headers(more_headers, ()), send
        )
        return
    relay = Relay(
        None,
        on_disconnect="continue",  # it is ended below, where there is more to say of why
        limits=_UNLIMITED,
        heartbeat=heartbeat,
        early_commit=min(10.0, heartbeat),
        send_timeout=send_timeout,
        max_lag_bytes=None,  # whoever is cut cannot come back
    )
    relayed = await relay.adopt(stream)
    stop_hearing = _close_on_signal(relay)
    try:
        subscription = await relay.subscribe(relayed.id, 0, encoding)
        try:
            async with ASGIClient(receive, send, 0) as client:
                outcome = await send_answer(_first_word(relayed, subscription), client, send_timeout, more_headers)
        finally:
            subscription.close("gone")  # it has not begun, if the client left before
        if outcome not in ("end", "error"):
            stream.abort("the client has gone" if outcome in (None, "gone") else "the client takes nothing")
    finally:
        stop_hearing()
        await relay.close()


async def _send_none(stream: CompletionStream, why: str, status: int, headers: list[RawHeader], send: Send) -> None:
    """Answer without the stream, which is not to complain that nobody has started it."""
    check_whole(stream)
    stream.abort(why)
    with suppress(OSError):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body"})


async def _first_word(relayed: Relayed, subscription: RelaySubscription) -> Answer | StreamAnswer:
    try:
        await relayed.ready()
    except StreamError as error:
        status, headers, body = failure_answer(error)
        return Answer(status, {"content-type": "application/json", "cache-control": "no-store", **headers}, body)
    return stream_answer(subscription, {})


def _request(scope: Scope, client: ASGIClient) -> Request:
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    # The specification has the mount in the path; older servers and frameworks do not.
    if root and path.startswith(root + "/"):
        path = path[len(root) :]
    return Request(
        method=scope["method"],
        # Litestar puts a slash at the end of what it has mounted, and at the top level none before it.
        path="/" + path.removeprefix("/").rstrip("/"),
        headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        read=client.body,
        query=dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)),
        root=root,
    )


def _check_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "streamkit runs on asyncio, and this server on another event loop: choose its asyncio worker"
        ) from None


def _close_on_signal(relay: Relay) -> Callable[[], None]:
    """Close the relay when the process is told to end, if there still is a relay; returns what undoes that."""
    loop = asyncio.get_running_loop()
    known = ref(relay)
    closing: set[asyncio.Task[None]] = set()

    def close(relay: Relay) -> None:
        closing.add(loop.create_task(relay.close(), name="streamkit.web.shutdown"))

    def heard() -> None:
        if (there := known()) is not None and not loop.is_closed():
            loop.call_soon_threadsafe(close, there)

    return hear_shutdown(heard)
