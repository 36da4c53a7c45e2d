"""What stands between a server and the application, and what it may not do to a stream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any

import pytest

from streamkit import StreamDriver
from streamkit.testing import Hang, answer, completion_server
from streamkit.web import CORS, asgi_client

from ..conftest import require_or_skip
from .asgi_call import Call, calling, until_there
from .relayed import HELLO, HELLO_FEED, OPEN, relay_over


@pytest.fixture(autouse=True)
def _frameworks() -> None:
    for module in ("fastapi", "litestar"):
        if find_spec(module) is None:
            require_or_skip(f"{module} is not installed: pip install {module}")


def endpoint_behind(driver: StreamDriver, middleware: Callable[[Any], Any], **settings: Any) -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.routing import Route

    from streamkit.web.starlette import RelayResponse

    async def endpoint(request: Request) -> RelayResponse:
        return RelayResponse(driver.stream("hi"), **settings)

    return middleware(Starlette(routes=[Route("/", endpoint, methods=["POST"])]))


def with_function(app: Any) -> Any:
    """What `@app.middleware("http")` makes of a function."""
    from starlette.middleware.base import BaseHTTPMiddleware

    async def function(request: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        return await call_next(request)

    return BaseHTTPMiddleware(app, function)


def replaying(app: Any) -> Any:
    """A recipe that logs bodies: it reads the body, and gives it again to whoever asks, as often as they ask."""

    async def replayed(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()

        async def again() -> Any:
            return message

        await app(scope, again, send)

    return replayed


async def test_client_that_leaves_before_the_answer_leaves_no_traceback_behind_a_function() -> None:
    async with completion_server([Hang()]) as upstream, StreamDriver(upstream.base_url, model="m") as driver:
        call = Call("POST", "/")
        async with calling(endpoint_behind(driver, with_function), call) as answering:
            while not upstream.requests:
                await asyncio.sleep(0.001)
            call.leave.set()
            await asyncio.wait_for(upstream.requests[0].closed.wait(), 5)
            await answering  # raises what a server would log
    assert call.status == 499


async def test_body_that_is_given_again_and_again_does_not_hold_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    asgi_client._tell_of_repeated_bodies.cache_clear()
    async with completion_server(HELLO_FEED) as upstream, StreamDriver(upstream.base_url, model="m") as driver:
        call = await Call("POST", "/", {"a": 1}).run(endpoint_behind(driver, replaying, encoding="plain"))
    assert (call.body, call.is_whole) == (b"Hello", True)
    (record,) = [record for record in caplog.records if record.name == "streamkit.web"]
    assert record.levelno == logging.WARNING
    assert "cannot be seen to leave" in record.message


async def test_relay_reads_a_body_that_is_given_again() -> None:
    async with relay_over(HELLO_FEED) as (_, relay):
        call = await Call("POST", "/stream", HELLO).run(replaying(relay.asgi()))
    assert call.status == 200
    assert call.body.endswith(b"data: [DONE]\n\n")


def gzip(app: Any) -> Any:
    """Starlette's as it was when it knew of no content that is not to be compressed."""
    from starlette.middleware.gzip import GZipMiddleware

    return GZipMiddleware(app, minimum_size=1, exclude_content_types=())


def gzip_of_litestar(app: Any) -> Any:
    """Litestar's compresses whatever is not excluded, and collects it."""
    from litestar import Litestar, types
    from litestar.config.compression import CompressionConfig
    from litestar.handlers import asgi

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    mounted.__annotations__ = {"scope": types.Scope, "receive": types.Receive, "send": types.Send, "return": None}
    config = CompressionConfig(backend="gzip", minimum_size=1, exclude_opt_key="uncompressed")
    handler = asgi("/", is_mount=True, copy_scope=True, uncompressed=True)(mounted)
    return Litestar([handler], compression_config=config, logging_config=None)


@pytest.mark.parametrize("compressing", [gzip, gzip_of_litestar])
@pytest.mark.parametrize("path", ["/stream", "/v1/chat/completions"])
async def test_no_middleware_compresses_a_stream(compressing: Callable[[Any], Any], path: str) -> None:
    async with relay_over(OPEN) as (_, relay):
        call = Call("POST", path, {**HELLO, "stream": True}, accept_encoding="gzip, br")
        async with calling(compressing(relay.asgi()), call):
            await call.until(until_there(b"lo"))
    assert call.headers["content-encoding"] == "identity"


async def test_headers_of_the_application_take_the_place_of_the_streams_own() -> None:
    own = {"Cache-Control": "private", "X-Accel-Buffering": "yes", "X-Mine": "1", "Content-Length": "3"}
    async with completion_server(HELLO_FEED) as upstream, StreamDriver(upstream.base_url, model="m") as driver:
        call = await Call("POST", "/").run(endpoint_behind(driver, lambda app: app, headers=own))
    names = [name for name, _ in call.sent[0]["headers"]]
    assert len(names) == len(set(names))
    assert (call.headers["cache-control"], call.headers["x-mine"]) == ("private", "1")
    assert "content-length" not in names
    assert call.is_whole


async def test_error_keeps_its_own_headers() -> None:
    own = {"Content-Type": "text/x-mine", "Cache-Control": "private", "X-Mine": "1"}
    refusal = answer(429, {"error": {"message": "slow down"}})
    async with completion_server(refusal) as upstream, StreamDriver(upstream.base_url, model="m", retries=0) as driver:
        call = await Call("POST", "/").run(endpoint_behind(driver, lambda app: app, headers=own))
    assert call.status == 429
    assert (call.headers["content-type"], call.headers["cache-control"]) == ("application/json", "no-store")
    assert call.headers["x-mine"] == "1"


async def test_cookies_are_all_sent() -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.routing import Route

    from streamkit.web.starlette import RelayResponse

    async with completion_server(HELLO_FEED) as upstream, StreamDriver(upstream.base_url, model="m") as driver:

        async def endpoint(request: Request) -> RelayResponse:
            response = RelayResponse(driver.stream("hi"))
            response.set_cookie("a", "1")
            response.set_cookie("b", "2")
            return response

        call = await Call("POST", "/").run(Starlette(routes=[Route("/", endpoint, methods=["POST"])]))
    cookies = [value for name, value in call.sent[0]["headers"] if name == b"set-cookie"]
    assert [cookie[:3] for cookie in cookies] == [b"a=1", b"b=2"]


PAGE = "https://chat.example"
"""Where the page of the next tests comes from."""


def with_cors(app: Any) -> Any:
    from starlette.middleware.cors import CORSMiddleware

    return CORSMiddleware(app, allow_origins=[PAGE], allow_methods=["*"], allow_headers=["*"])


async def asked_by_a_page(app: Any, path: str, body: object) -> Call:
    """What a browser sends for a page of another origin: first whether it may."""
    origin: dict[str, Any] = {"origin": PAGE, "sec_fetch_site": "cross-site"}
    asking: dict[str, Any] = {
        "access_control_request_method": "POST",
        "access_control_request_headers": "content-type,last-event-id",
    }
    preflight = await Call("OPTIONS", path, **origin, **asking).run(app)
    assert preflight.status in {200, 204}
    assert preflight.headers["access-control-allow-origin"] == PAGE
    assert {"content-type", "last-event-id"} <= {
        name.strip().lower() for name in preflight.headers["access-control-allow-headers"].split(",")
    }
    return await Call("POST", path, body, **origin).run(app)


async def test_cors_of_the_application_lets_a_page_read_an_endpoint() -> None:
    async with completion_server(HELLO_FEED) as upstream, StreamDriver(upstream.base_url, model="m") as driver:
        call = await asked_by_a_page(with_cors(endpoint_behind(driver, lambda app: app)), "/", None)
    assert (call.status, call.headers["access-control-allow-origin"]) == (200, PAGE)


@pytest.mark.parametrize("around", [lambda app: app, with_cors])
async def test_cors_of_the_relay_lets_a_page_read_it_behind_any_other(around: Callable[[Any], Any]) -> None:
    async with relay_over(HELLO_FEED, cors=CORS([PAGE])) as (_, relay):
        call = await asked_by_a_page(around(relay.asgi()), "/streams", {**HELLO, "stream": True})
    assert call.status == 201
    names = [name for name, _ in call.sent[0]["headers"] if name.startswith(b"access-control-")]
    assert len(names) == len(set(names))  # twice, and a browser refuses
    assert call.headers["access-control-allow-origin"] == PAGE
    assert "x-streamkit-stream" in call.headers["access-control-expose-headers"]


async def test_relay_does_not_take_the_word_of_other_cors_for_it() -> None:
    async with relay_over(HELLO_FEED) as (upstream, relay):
        call = await asked_by_a_page(with_cors(relay.asgi()), "/streams", HELLO)
        assert not upstream.requests
    assert (call.status, call.json["error"]["code"]) == (403, "origin_not_allowed")
