from __future__ import annotations

import asyncio
import socket

import pytest

from streamkit.testing.listening import hold_port, stop_listening
from tests.clock import turns


async def connects(port: int) -> bool:
    with socket.socket() as sock:
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except ConnectionRefusedError:
            return False
        return True


async def test_a_port_that_is_held_refuses_until_it_listens_and_can_be_held_again() -> None:
    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    held = hold_port()
    port = held.getsockname()[1]
    for _ in range(2):
        assert not await connects(port)
        server = await asyncio.start_server(close, sock=held)
        assert await connects(port)
        await stop_listening(server)
        held = hold_port(port)
    held.close()


def test_a_port_that_somebody_listens_on_cannot_be_held() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(OSError):
        hold_port(server.getsockname()[1])


@pytest.mark.parametrize("count", range(6))
async def test_a_connection_that_comes_meanwhile_is_made_or_closed(count: int) -> None:
    made: list[asyncio.BaseTransport] = []

    class Noted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)

    loop = asyncio.get_running_loop()
    unhandled: list[object] = []
    loop.set_exception_handler(lambda _, context: unhandled.append(context))
    server = await loop.create_server(Noted, sock=hold_port())
    with socket.socket() as late:
        late.setblocking(False)
        late.connect_ex(server.sockets[0].getsockname())
        await turns(count)
        await stop_listening(server)
        await turns(3)
        for transport in made:
            transport.close()
        try:
            assert await asyncio.wait_for(loop.sock_recv(late, 1), 5) == b""
        except ConnectionError:
            assert not made
    await server.wait_closed()
    assert not unhandled
