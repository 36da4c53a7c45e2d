"""A client that hides nothing: every byte that came before a reset, which asyncio's streams throw away."""

from __future__ import annotations

import asyncio
import socket

REQUEST = b"POST /v1 HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}"


async def exchange(port: int, data: bytes = REQUEST, *, until: bytes | None = None) -> tuple[list[bytes], bool]:
    """Send bytes, and read until the server closes or has said `until`.

    Returns what each read gave, and whether the connection was reset.
    """
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.sock_sendall(sock, data)
        reads: list[bytes] = []
        try:
            while piece := await loop.sock_recv(sock, 2**16):
                reads.append(piece)
                if until is not None and b"".join(reads).endswith(until):
                    break
        except ConnectionResetError:
            return reads, True
        return reads, False
