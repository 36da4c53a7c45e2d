"""The relay's routes for aiohttp's server, and an application that is nothing else.

::

    app = web.Application()
    app.add_routes(relay_routes(relay, prefix="/ai"))
    app.on_shutdown.append(closing(relay))

Behind `web.run_app(app, shutdown_timeout=2, access_log=None)`: the timeout counts for what does not end by itself, and aiohttp's
access log would write down the query strings, in which signed links are.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from aiohttp import web

from .aiohttp_outlet import ResponseOutlet
from .http import PATHS, Answer, Request, StreamAnswer, handle
from .page import PAGE_PATHS
from .refusals import Refused
from .serving import linger_after, serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .relay import Relay

__all__ = ["closing", "relay_app", "relay_routes"]

_LOOK_EVERY: Final = 0.1
"""How often, in seconds, a request without an answer is looked after: aiohttp tells nobody that a client has left."""

_BODY_SECONDS: Final = 30.0
"""How long a client may take to send its request."""


def relay_routes(relay: Relay, prefix: str = "") -> list[web.RouteDef]:
    """The relay's routes, for `app.add_routes`; `closing(relay)` belongs to them.

    Args:
        relay: what answers.
        prefix: what all paths begin with, as in "/ai".

    Raises:
        ValueError: a prefix that is no path.
    """
    if prefix and (not prefix.startswith("/") or prefix.endswith("/") or "{" in prefix):
        raise ValueError(f"prefix must begin with a slash and not end with one, as in /ai, not {prefix!r}")

    endpoint = _endpoint(relay, prefix)
    paths = [*PATHS, *(PAGE_PATHS if relay.page else ())]
    return [web.route("*", prefix + path, endpoint) for path in paths]


def relay_app(relay: Relay, prefix: str = "") -> web.Application:
    """An application with the relay's routes, which closes the relay when it is shut down.

    >>> from streamkit import StreamDriver
    >>> from streamkit.web import Relay
    >>> app = relay_app(Relay(StreamDriver("http://localhost:8000/v1")))
    >>> "/v1/chat/completions" in {resource.canonical for resource in app.router.resources()}
    True
    """
    app = web.Application()
    app.add_routes(relay_routes(relay, prefix))
    # What there is not is answered as an API answers, with an error object.
    app.router.add_route("*", prefix + "/{nothing:.*}", _endpoint(relay, prefix))
    app.on_shutdown.append(closing(relay))
    return app


def closing(relay: Relay) -> Callable[[web.Application], Awaitable[None]]:
    """What an application has to do `on_shutdown`: end the streams and tell every client; aiohttp would wait for them."""

    async def close(app: web.Application) -> None:
        await relay.close()

    return close


def _endpoint(relay: Relay, prefix: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    return partial(_respond, relay, prefix)


def _asked(request: web.Request, prefix: str) -> Request:
    return Request(
        method=request.method,
        path=request.path.removeprefix(prefix),
        headers={name.lower(): value for name, value in request.headers.items()},
        read=lambda limit: _read(request, limit),
        query=dict(request.query),
        root=prefix,
    )


async def _respond(relay: Relay, prefix: str, request: web.Request) -> web.StreamResponse:
    # Nothing of the question is kept while the answer streams: it is a tenth of what a reader costs.
    answer = await _while_there(request, asyncio.ensure_future(handle(relay, _asked(request, prefix))))
    if isinstance(answer, Answer):
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body or None)
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    subscription = answer.subscription
    del answer
    outlet = ResponseOutlet(request, response, silence=2 * relay.heartbeat)
    try:
        await outlet.prepare()
        outcome = await serve(subscription, outlet, send_timeout=relay.send_timeout)
    except OSError:  # the client left before the headers
        outcome = "gone"
    finally:
        subscription.close("gone")
    await outlet.finish(outcome, linger=linger_after(subscription))
    return outlet.response


async def _while_there(request: web.Request, answering: asyncio.Future[Answer | StreamAnswer]) -> Answer | StreamAnswer:
    """Wait for the answer as long as the client does; without one, whatever was started for it ends."""
    try:
        while not answering.done():
            await asyncio.wait([answering], timeout=_LOOK_EVERY)
            if request.transport is None or request.transport.is_closing():
                break
    except asyncio.CancelledError:  # with aiohttp's handler_cancellation, the client's leaving
        _drop(await _given_up(answering))
        raise
    return await _given_up(answering)


async def _given_up(answering: asyncio.Future[Answer | StreamAnswer]) -> Answer | StreamAnswer:
    """What the answer is now, or would be: nobody waits any longer."""
    if not answering.done():
        answering.cancel()
        await asyncio.wait([answering])
    return Answer(499) if answering.cancelled() else answering.result()  # nginx's number for a client that has left


def _drop(answer: Answer | StreamAnswer) -> None:
    if isinstance(answer, StreamAnswer):
        answer.subscription.close("gone")


async def _read(request: web.Request, limit: int) -> bytes:
    too_large = Refused(f"the request is larger than {limit} bytes", status=413, code="request_too_large")
    if request.content_length is not None and request.content_length > limit:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for data in request.content.iter_any():
                body += data
                if len(body) > limit:
                    raise too_large
    except TimeoutError:
        raise Refused("the request took too long to come", status=408, code="request_timeout") from None
    return bytes(body)
