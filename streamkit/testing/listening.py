"""Ports on loopback that can listen, and refuse, and listen again."""

from __future__ import annotations

import asyncio
import os
import socket

__all__ = ["hold_port", "stop_listening"]


def hold_port(port: int = 0) -> socket.socket:
    """A socket of 127.0.0.1 that holds the port (0: a free one) and does not listen: who connects to it is refused."""
    held = socket.socket()
    try:
        if os.name == "posix":  # where it lets a port with open connections be bound; elsewhere it lets one be stolen
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))
    except OSError:
        held.close()
        raise
    return held


async def stop_listening(listener: asyncio.Server) -> None:
    """Close the listener, and let connections that it has accepted already be made.

    `Server.close()` by itself leaves the socket of a connection whose transport is still to be made open, with an
    AssertionError in the log (https://github.com/python/cpython/issues/109564).
    """
    loop = asyncio.get_running_loop()
    for sock in listener.sockets:
        try:
            loop.remove_reader(sock.fileno())
        except NotImplementedError:  # Windows: the proactor has no readers, and no such turn in between
            break
    await asyncio.sleep(0)
    listener.close()
