"""The server of the feed: raw asyncio, a process of its own, so that it takes nothing from a contender's clock.

It answers ``POST /<mode>/<events>/...`` with a chunked event stream, and the connection stays open for the next one.
The modes:

``blocks``
    64 KiB a write, cut without regard for events: what a client sees that has fallen behind, or a proxy that buffers.
``single``
    one event a write, one HTTP chunk a write, TCP_NODELAY, a loop turn between them: as fast as it goes, so a client
    that is slower than the server finds several events in a read.
``paced``
    the same, one event every `PACE` seconds: each event is a read of its own for a client that keeps up.

``python -m benchmarks.feed_server`` prints ``{"port": ...}`` and runs until its standard input is closed, so it cannot
outlive whoever started it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

from .feed import feed

__all__ = ["HEADERS", "MODES", "PACE", "main", "request_path"]

MODES = ("blocks", "single", "paced")
PACE = 250e-6
BLOCK = 64 * 1024

HEADERS = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


def _writes(mode: str, events: int) -> Iterator[bytes]:
    """The HTTP chunks of a feed, one a write."""
    if mode != "blocks":
        return (b"%x\r\n%b\r\n" % (len(event), event) for event in feed(events).events)
    body = b"".join(feed(events).events)
    blocks = (body[at : at + BLOCK] for at in range(0, len(body), BLOCK))
    return (b"%x\r\n%b\r\n" % (len(block), block) for block in blocks)


async def _send(writer: asyncio.StreamWriter, mode: str, events: int) -> None:
    writes = list(_writes(mode, events))  # made beforehand: the server shall not be what the client waits for
    writer.write(HEADERS)
    due = time.perf_counter()
    for data in writes:
        if mode == "paced":
            due += PACE
            # asyncio rounds a timer up to a millisecond; only turning the loop over is fine enough.
            while time.perf_counter() < due:
                await asyncio.sleep(0)
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def request_path(reader: asyncio.StreamReader) -> str:
    """Read one request; returns its path."""
    head = await reader.readuntil(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    await reader.readexactly(int(headers["content-length"]))
    return line.split(" ")[1]


async def _request(reader: asyncio.StreamReader) -> tuple[str, int]:
    """Read one request; returns the mode and the number of events that its path asks for."""
    path = await request_path(reader)
    _, mode, events, *_ = path.split("/")
    if mode not in MODES:
        raise ValueError(f"the path {path!r} names no mode; known are {', '.join(MODES)}")
    return mode, int(events)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        # A client that goes away, between feeds or in one, is the ordinary end of a connection.
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await _send(writer, *await _request(reader))
    except (KeyError, ValueError) as error:
        print(f"feed server: bad request: {error!r}", file=sys.stderr)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    finally:
        writer.close()


async def main() -> None:
    """Serve on a free port of 127.0.0.1, print it, stop when standard input ends."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
