from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from streamkit.testing import Cut, End, Headers, Script, Send, Wait, chunk, sse
from streamkit.web import Limits
from streamkit.web.access import CORS
from streamkit.web.routes import closing, relay_app, relay_routes

from .relayed import HELLO, HELLO_FEED, KEY, OPEN, relay_over, site

STREAM = {**HELLO, "stream": True}


STARTS: list[tuple[str, dict[str, Any]]] = [
    ("/stream", HELLO),
    ("/v1/chat/completions", STREAM),
    ("/v1/chat/completions", HELLO),
]


async def test_all_paths_work_below_a_prefix() -> None:
    async with (
        relay_over() as (_, relay),
        site(relay_app(relay, "/ai")) as base,
        aiohttp.ClientSession(base) as session,
    ):
        async with session.post("/ai/streams", json=HELLO) as response:
            url = response.headers["location"]
            assert (response.status, url) == (201, f"/ai/streams/{(await response.json())['stream']}")
        async with session.get(url) as response:
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            events = await response.text()
            assert "event: end" in events
            last = [line for line in events.splitlines() if line.startswith("id: ")][-1].removeprefix("id: ")
        async with session.get(url, headers={"Last-Event-ID": last}) as response:
            assert (response.status, await response.read()) == (204, b"")
        async with session.head(url) as response:
            assert (response.status, response.headers["x-streamkit-status"]) == (200, "ended")
        async with session.get("/ai/health") as response:
            assert await response.json() == {"status": "ok"}
        async with session.get("/health") as response:
            assert response.status == 404


@pytest.mark.parametrize("prefix", ["ai", "/ai/", "/", "/{x}"])
async def test_prefix_is_a_path(prefix: str) -> None:
    async with relay_over() as (_, relay):
        with pytest.raises(ValueError, match="prefix"):
            relay_routes(relay, prefix)


async def test_tokens_come_one_by_one() -> None:
    slow = [step for text in "abcde" for step in (Send(sse(chunk(text), done=False)), Wait(0.05))]
    async with (
        relay_over([*slow, Send(sse(chunk(finish_reason="stop")))]) as (_, relay),
        site(relay_app(relay)) as base,
        aiohttp.ClientSession(base) as session,
        session.post("/stream", json={"message": "hi"}) as response,
    ):
        assert "content-encoding" not in response.headers
        reads = [data async for data in response.content.iter_any()]

    assert [data for data in reads if b"content" in data] == [
        b'data: {"content":"%b"}\n\n' % text.encode() for text in "abcde"
    ]


async def test_failed_answer_is_cut_and_a_whole_one_is_not() -> None:
    cut: Script = [Send(sse(chunk("Hel"), done=False)), Wait(0.02), Cut()]
    async with (
        relay_over(cut, HELLO_FEED) as (_, relay),
        site(relay_app(relay)) as base,
        aiohttp.ClientSession(base) as session,
    ):
        got = b""
        with pytest.raises(aiohttp.ClientPayloadError):
            async with session.post("/v1/chat/completions", json=STREAM) as response:
                async for data in response.content.iter_any():
                    got += data
        async with session.post("/v1/chat/completions", json=STREAM) as response:
            whole = await response.read()

    assert json.loads(got.split(b"data: ")[-1])["error"]["code"] == "upstream_cut"
    assert whole.endswith(b"data: [DONE]\n\n")


async def many(size: int) -> Any:
    for _ in range(size // 1000):
        yield b"x" * 1000


@pytest.mark.parametrize("chunked", [False, True])
async def test_large_body_is_refused_whatever_it_says_of_its_length(chunked: bool) -> None:
    data = many(20_000) if chunked else b"x" * 20_000
    async with (
        relay_over(limits=Limits(max_body=10_000)) as (upstream, relay),
        site(relay_app(relay)) as base,
        aiohttp.ClientSession(base) as session,
        session.post("/stream", data=data, headers={"content-type": "application/json"}) as response,
    ):
        assert response.status == 413
        assert (await response.json())["error"]["code"] == "request_too_large"
        assert not upstream.requests


async def test_compressed_bomb_is_refused_unopened() -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    async with (
        relay_over() as (_, relay),
        site(relay_app(relay)) as base,
        aiohttp.ClientSession(base) as session,
        session.post("/stream", data=b"x", headers=headers) as response,
    ):
        assert response.status in {400, 415}  # aiohttp itself refuses what is no gzip


async def test_body_that_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamkit.web.routes._BODY_SECONDS", 0.1)
    async with relay_over() as (_, relay), site(relay_app(relay), lingering_time=0) as base:
        host, port = base.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /stream HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"
        )
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n")
        writer.close()
        await writer.wait_closed()

    assert head == b"HTTP/1.1 408 Request Timeout\r\n"


async def test_http_1_0_gets_a_body_that_ends_with_the_connection() -> None:
    async with relay_over() as (_, relay), site(relay_app(relay)) as base:
        host, port = base.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps({"message": "hi"}).encode()
        writer.write(
            b"POST /stream HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()

    head, _, told = answer.partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    assert told.removeprefix(b": hb\n") == b'data: {"content":"Hel"}\n\ndata: {"content":"lo"}\n\ndata: [DONE]\n\n'


async def test_application_of_somebody_else_closes_the_relay_too() -> None:
    async with relay_over(OPEN) as (_, relay), aiohttp.ClientSession() as session:
        app = web.Application()
        app.add_routes(relay_routes(relay, "/ai"))
        app.on_shutdown.append(closing(relay))
        async with site(app) as base:
            response = await session.post(f"{base}/ai/stream", json=HELLO)
            await response.content.readany()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()

    assert relay.closed


async def test_preflight_of_a_browser() -> None:
    cors = CORS(["https://chat.example"])
    async with (
        relay_over(cors=cors) as (_, relay),
        site(relay_app(relay)) as base,
        aiohttp.ClientSession(base) as session,
    ):
        async with session.options(
            "/v1/chat/completions",
            headers={
                "Origin": "https://chat.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type",
            },
        ) as response:
            assert response.status == 204
            assert response.headers["access-control-allow-headers"] == "authorization, content-type"
        async with session.post("/stream", json=HELLO, headers={"Origin": "https://chat.example"}) as response:
            assert response.headers["access-control-allow-origin"] == "https://chat.example"
            assert KEY not in repr(response.headers) + await response.text()


async def test_key_is_in_no_byte_that_a_client_gets() -> None:
    script: Script = [
        Headers(headers={"x-request-id": f"Bearer {KEY}", "set-cookie": KEY, "openai-organization": KEY}),
        Send(HELLO_FEED),
        End(),
    ]
    async with relay_over(script) as (_, relay), site(relay_app(relay)) as base:
        host, port = base.removeprefix("http://").split(":")
        for path, body in [*STARTS, ("/streams", HELLO)]:
            reader, writer = await asyncio.open_connection(host, int(port))
            data = json.dumps(body).encode()
            writer.write(
                b"POST %b HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (path.encode(), len(data), data)
            )
            async with asyncio.timeout(5):
                answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            assert b"canary" not in answer
            assert answer.startswith(b"HTTP/1.1 20")


async def test_connection_serves_again_after_a_whole_stream() -> None:
    async with relay_over() as (_, relay), site(relay_app(relay)) as base:
        host, port = base.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        data = json.dumps(STREAM).encode()
        async with asyncio.timeout(5):
            for _ in range(3):
                writer.write(
                    b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                    % (len(data), data)
                )
                answer = await reader.readuntil(b"\r\n0\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
                assert b"data: [DONE]" in answer
        writer.close()
        await writer.wait_closed()
