from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streamkit.web.asgi_client import ASGIClient
from streamkit.web.encoded import Piece
from streamkit.web.refusals import Refused

from ..clock import driven
from .asgi_call import Call


def client_of(call: Call, max_body: int = 100) -> ASGIClient:
    return ASGIClient(call.receive, call.send, max_body)


@pytest.mark.parametrize("parts", [1, 3, 10])
async def test_body_comes_in_parts(parts: int) -> None:
    async with client_of(Call("POST", "/", b"0123456789", parts=parts)) as client:
        assert await client.body(10) == b"0123456789"
        assert not client.gone()


async def test_body_that_is_too_large_is_refused_and_not_kept() -> None:
    call = Call("POST", "/", b"x" * 1000, parts=100)
    async with client_of(call, max_body=50) as client:
        with pytest.raises(Refused, match="larger than 50 bytes") as refused:
            await client.body(50)
        assert refused.value.status == 413
        assert len(client._body) == 60  # the part that went over


@driven
async def test_body_that_never_ends_is_refused_in_time() -> None:
    begin = asyncio.get_running_loop().time()
    call = Call("POST", "/", b"abc")
    call.withheld = True
    async with client_of(call) as client:
        with pytest.raises(Refused) as refused:
            await client.body(10)

    assert refused.value.status == 408
    assert asyncio.get_running_loop().time() - begin == pytest.approx(30)


async def test_leaving_is_told_once_and_to_the_last_who_asked() -> None:
    call, told = Call("POST", "/", b"{}"), list[str]()
    async with client_of(call) as client:
        client.when_gone(lambda: told.append("first"))
        client.when_gone(lambda: told.append("second"))
        call.leave.set()
        await client.until_gone(5)

        assert client.gone()
        assert told == ["second"]
        client.when_gone(lambda: told.append("third"))
    assert told == ["second", "third"]


@driven
async def test_waiting_for_the_leaving_ends_in_time() -> None:
    begin = asyncio.get_running_loop().time()
    async with client_of(Call("GET", "/")) as client:
        await client.until_gone(0.5)
        assert not client.gone()

    assert asyncio.get_running_loop().time() - begin == pytest.approx(0.5)


async def test_work_for_a_client_that_left_is_cancelled() -> None:
    call = Call("GET", "/")
    async with client_of(call) as client:
        done = asyncio.ensure_future(asyncio.sleep(0, "answer"))
        await client.while_there(done)
        assert done.result() == "answer"

        endless = asyncio.ensure_future(asyncio.sleep(3600))
        asyncio.get_running_loop().call_soon(call.leave.set)
        await client.while_there(endless)
        assert endless.cancelled()


async def test_cancelling_the_wait_cancels_the_work() -> None:
    async with client_of(Call("GET", "/")) as client:
        work = asyncio.ensure_future(asyncio.sleep(3600))
        waiting = asyncio.ensure_future(client.while_there(work))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert work.cancelled()


async def test_nothing_is_sent_to_a_client_that_left() -> None:
    call = Call("GET", "/")
    async with client_of(call) as client:
        await client.start(200, [])
        await client.send(b"a")
        assert not client.offer(Piece(b"b"))
        call.leave.set()
        await client.until_gone(5)
        with pytest.raises(ConnectionResetError):
            await client.send(b"c")

    assert call.body == b"a"
    assert not call.is_whole


async def test_server_that_fails_to_receive_is_a_client_that_left() -> None:
    async def receive() -> Any:
        raise OSError("a bug of the server's")

    call = Call("GET", "/")
    async with ASGIClient(receive, call.send, 10) as client:
        await client.until_gone(5)
        assert client.gone()
