from __future__ import annotations

import asyncio
import builtins
import importlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

import pytest

from streamkit import StreamDriver
from streamkit.testing import completion_server
from streamkit.web import Relay

from ..conftest import require_or_skip
from .asgi_call import Call, calling, until_there
from .relayed import HELLO, HELLO_FEED, OPEN, relay_over, until


@pytest.fixture(autouse=True)
def _frameworks() -> None:
    for module in ("fastapi", "litestar", "django"):
        if find_spec(module) is None:
            require_or_skip(f"{module} is not installed: pip install {module}")


async def test_endpoint_returns_a_stream() -> None:
    from fastapi import FastAPI
    from starlette.background import BackgroundTask

    from streamkit.web.starlette import RelayResponse

    after: list[str] = []
    async with (
        completion_server(HELLO_FEED) as upstream,
        StreamDriver(upstream.base_url, model="m") as driver,
    ):
        app = FastAPI()

        @app.post("/stream", response_model=None)
        async def endpoint() -> Any:
            answer = RelayResponse(
                driver.stream("hi"),
                encoding="guide",
                headers={"x-mine": "1"},
                background=BackgroundTask(after.append, "background"),
            )
            answer.set_cookie("session", "2")
            return answer

        call = await Call("POST", "/stream").run(app)

    assert call.status == 200
    assert call.headers["x-mine"] == "1"
    assert call.headers["set-cookie"].startswith("session=2")
    assert call.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in call.headers
    assert call.body.removeprefix(b": hb\n") == (
        b'data: {"content":"Hel"}\n\ndata: {"content":"lo"}\n\ndata: [DONE]\n\n'
    )
    assert call.is_whole
    assert after == ["background"]


async def test_client_that_leaves_an_endpoint_aborts_its_stream() -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.routing import Route

    from streamkit.web.starlette import RelayResponse

    async with completion_server(OPEN) as upstream, StreamDriver(upstream.base_url, model="m") as driver:

        async def endpoint(request: Request) -> RelayResponse:
            return RelayResponse(driver.stream("hi"))

        app = Starlette(routes=[Route("/", endpoint)])
        call = Call("GET", "/")
        async with calling(app, call):
            await call.until(until_there(b"lo"))
            call.leave.set()
        await asyncio.wait_for(upstream.requests[0].closed.wait(), 5)


def fastapi_app(relay: Any) -> Any:
    from fastapi import FastAPI

    app = FastAPI()
    app.mount("/ai", relay)
    return app


def starlette_app(relay: Any) -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    return Starlette(routes=[Mount("/outer", routes=[Mount("/ai", relay)]), Mount("/ai", relay)])


def litestar_app(relay: Any) -> Any:
    """Litestar leaves the mount out of the path, and does not say so."""
    from litestar import Litestar, types
    from litestar.handlers import asgi

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await relay({**scope, "root_path": scope["root_path"] + "/ai"}, receive, send)

    mounted.__annotations__ = {"scope": types.Scope, "receive": types.Receive, "send": types.Send, "return": None}
    return Litestar([asgi("/ai", is_mount=True, copy_scope=True)(mounted)], logging_config=None)


def django_app(relay: Any) -> Any:
    """As Django's documentation puts two ASGI applications side by side."""
    from django.conf import settings  # type: ignore[import-untyped]  # Django has no types
    from django.core.asgi import get_asgi_application  # type: ignore[import-untyped]  # likewise

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x")
    site = get_asgi_application()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await relay(scope, receive, send)
        elif scope["path"].startswith("/ai/"):
            await relay({**scope, "root_path": scope["root_path"] + "/ai"}, receive, send)
        else:
            await site(scope, receive, send)

    return application


urlpatterns: list[Any] = []


@pytest.mark.parametrize("framework", [fastapi_app, starlette_app, litestar_app, django_app])
async def test_relay_is_mounted(framework: Any) -> None:
    async with relay_over(HELLO_FEED, HELLO_FEED, OPEN) as (upstream, relay):
        app = framework(relay.asgi())
        elsewhere = await Call("GET", "/elsewhere", host="x").run(app)
        assert elsewhere.status == 404

        started = await Call("POST", "/ai/streams", HELLO).run(app)
        assert started.status == 201
        assert started.headers["location"] == f"/ai/streams/{started.json['stream']}"
        events = await Call("GET", started.headers["location"]).run(app)
        assert b"event: end" in events.body
        assert events.is_whole
        guide = await Call("POST", "/ai/stream", {"message": "hi"}).run(app)
        assert guide.body.endswith(b"data: [DONE]\n\n")

        call = Call("POST", "/ai/v1/chat/completions", {**HELLO, "stream": True})
        async with calling(app, call):
            await call.until(until_there(b"lo"))
            call.leave.set()
        await asyncio.wait_for(upstream.requests[2].closed.wait(), 5)
        await until(lambda: not relay.running)


async def test_mount_in_a_mount() -> None:
    async with relay_over() as (_, relay):
        started = await Call("POST", "/outer/ai/streams", HELLO).run(starlette_app(relay.asgi()))

    assert started.headers["location"].startswith("/outer/ai/streams/")


def test_application_with_a_relay_starts_again_for_each_test_client() -> None:
    """As docs/fastapi.md mounts it, before what takes all paths."""
    from fastapi import FastAPI
    from starlette.responses import PlainTextResponse
    from starlette.testclient import TestClient

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            completion_server(HELLO_FEED) as upstream,
            StreamDriver(upstream.base_url, model="m") as driver,
            Relay(driver) as relay,
        ):
            app.state.relay = relay.asgi()
            yield

    app = FastAPI(lifespan=lifespan)

    async def ai(scope: Any, receive: Any, send: Any) -> None:
        await app.state.relay(scope, receive, send)

    app.mount("/ai", ai)
    app.mount("/", PlainTextResponse("a page"))
    for _ in range(2):
        with TestClient(app) as client:
            url = client.post("/ai/streams", json=HELLO).headers["location"]
            assert "event: end" in client.get(url).text
            assert client.get("/anything").text == "a page"


def test_without_the_framework_one_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def missing(name: str, *args: Any) -> Any:
        if name.partition(".")[0] == "starlette":
            raise ImportError(f"No module named {name!r}")
        return original(name, *args)

    monkeypatch.delitem(sys.modules, "streamkit.web.starlette", raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match="pip install fastapi") as refused:
        importlib.import_module("streamkit.web.starlette")

    assert "\n" not in str(refused.value)


def test_the_application_itself_imports_no_framework() -> None:
    import subprocess

    code = (
        "import sys, streamkit.web.asgi as asgi; from streamkit.web import Relay; Relay(None).asgi();"
        "print({'starlette', 'fastapi', 'uvicorn', 'anyio'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True)

    assert result.stdout == "set()\n"
