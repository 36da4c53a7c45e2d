from __future__ import annotations

import asyncio
import socket
import sys

import pytest

from streamkit.testing.reset import all_sent, reset_on_close


def connection() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    return near, far


def test_the_other_end_reads_what_was_sent_and_then_a_reset() -> None:
    near, far = connection()
    with far:
        near.sendall(b"last words")
        reset_on_close(near)
        near.close()

        assert far.recv(100) == b"last words"
        with pytest.raises(ConnectionResetError):
            far.recv(100)


def test_without_it_closing_is_a_clean_end() -> None:
    near, far = connection()
    with far:
        near.close()

        assert far.recv(100) == b""


@pytest.mark.skipif(sys.platform != "linux", reason="no other system tells what it has not sent")
async def test_all_is_sent_once_the_other_end_has_room() -> None:
    near, far = connection()
    with near, far:
        near.setblocking(False)
        try:
            while True:
                near.send(bytes(2**16))
        except BlockingIOError:
            pass
        waiting = asyncio.create_task(all_sent(near))
        await asyncio.sleep(0)
        assert not waiting.done()

        far.setblocking(False)
        while not waiting.done():
            try:
                far.recv(2**20)
            except BlockingIOError:
                await asyncio.sleep(0)


async def test_a_closed_socket_has_nothing_to_send() -> None:
    near, far = connection()
    near.close()
    far.close()

    await asyncio.wait_for(all_sent(near), 5)
