"""The server of many streams, or of a long one: raw asyncio, a process of its own.

It answers ``POST /<mode>/...`` with a chunked event stream. The modes:

``paced/<streams>/<rate>/<events>``
    waits until so many streams are open, then writes ``rate`` chunks a second to each, ``events`` of them; the streams
    take turns, evenly. The text of a chunk is the time of its write: nanoseconds of the monotonic clock, which on Linux
    is one for all processes.
``idle``
    a role, one word, then silence until the client goes.
``long/<events>``
    so many chunks of text, in 64 KiB blocks, made as they are written.

``python -m benchmarks.load_server [CPU]``, CPU being the core it shall stay on, prints ``{"port": ...}`` and runs until
its standard input is closed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import sys
import time
from contextlib import suppress

from .cores import allow_many_connections, stay_on
from .feed import feed
from .feed_server import HEADERS, request_path

__all__ = ["main", "stamped"]

BLOCK_EVENTS = 200


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_ROLE, _WORD, *_REST = feed(1).events
_END = b"".join(map(_framed, _REST)) + b"0\r\n\r\n"
_BEFORE, _AFTER = _framed(_WORD.replace(b'" the"', b'"%020d"' % 0)).split(b"0" * 20)


def stamped(nanoseconds: int) -> bytes:
    """The HTTP chunk with the event whose text says when it was written.

    >>> line = stamped(7).split(b"\\r\\n")[1]
    >>> json.loads(line.removeprefix(b"data: "))["choices"][0]["delta"]
    {'content': '00000000000000000007'}
    """
    return b"%b%020d%b" % (_BEFORE, nanoseconds, _AFTER)


class _Paced:
    """The streams of one run; they begin when the last of them has been opened."""

    def __init__(self, streams: int, rate: float, events: int) -> None:
        self._streams, self._rate, self._events = streams, rate, events
        self._writers: list[asyncio.StreamWriter] = []
        self._over = asyncio.Event()

    async def join(self, writer: asyncio.StreamWriter) -> None:
        writer.write(HEADERS + _framed(_ROLE))
        self._writers.append(writer)
        if len(self._writers) == self._streams:
            await self._write()
            self._over.set()
        await self._over.wait()

    async def _write(self) -> None:
        step = 1 / (self._rate * self._streams)
        clock, stamp = time.monotonic, time.monotonic_ns
        due = clock()
        for _ in range(self._events):
            for writer in self._writers:
                due += step
                # asyncio rounds a timer up to a millisecond, so what is due within one is written together.
                if (early := due - clock()) > 0:
                    await asyncio.sleep(early)
                if not writer.is_closing():
                    writer.write(stamped(stamp()))
            await asyncio.sleep(0)  # also where it lags behind: connections that break have to be noticed
        for writer in self._writers:
            writer.write(_END)


async def _long(writer: asyncio.StreamWriter, events: int) -> None:
    writer.write(HEADERS + _framed(_ROLE))
    block = _framed(_WORD * BLOCK_EVENTS)
    for _ in range(events // BLOCK_EVENTS):
        writer.write(block)
        await writer.drain()
    if rest := events % BLOCK_EVENTS:
        writer.write(_framed(_WORD * rest))
    writer.write(_END)
    await writer.drain()


class _Server:
    def __init__(self) -> None:
        self._runs: dict[str, _Paced] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            # A client that goes away in the middle is how most of these runs end.
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    await self._answer(await request_path(reader), reader, writer)
        finally:
            writer.close()

    async def _answer(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match path.split("/"):
            case ["", "paced", streams, rate, events, *_]:
                if path not in self._runs:
                    self._runs[path] = _Paced(int(streams), float(rate), int(events))
                await self._runs[path].join(writer)
            case ["", "idle", *_]:
                writer.write(HEADERS + _framed(_ROLE) + _framed(_WORD))
                await reader.read(1)
            case ["", "long", events, *_]:
                await _long(writer, int(events))
            case _:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


async def main() -> None:
    """Serve on a free port of 127.0.0.1, print it, stop when standard input ends."""
    stay_on(*map(int, itertools.islice(sys.argv, 1, 2)))
    allow_many_connections()
    server = await asyncio.start_server(_Server().serve, "127.0.0.1", 0, backlog=2048)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    # What is still being served is cancelled now, which Python 3.11 takes for an error of each connection.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
