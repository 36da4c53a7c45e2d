"""Many readers of one stream, a process of its own: ``python -m benchmarks.fanout_readers [CPU]``.

Answers each line of standard input: ``{"do": "open", "port": …, "path": …, "count": …}`` when so many more have their headers,
``{"do": "result"}`` with what came since the last result.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from functools import partial
from typing import Any

from .concurrent_reader import percentile
from .cores import allow_many_connections, stay_on

__all__ = ["main"]

_TIME = re.compile(rb"t(\d+);")


class _Readers:
    def __init__(self) -> None:
        self.delays: list[int] = []
        self.open = 0
        self.lost = 0
        self.opened = asyncio.Event()
        self.wanted = 0


class _Reader(asyncio.Protocol):
    """Looks for times, wherever they stand."""

    def __init__(self, readers: _Readers, path: str) -> None:
        self._readers = readers
        self._path = path
        self._head: bytes | None = b""
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(f"GET {self._path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        readers = self._readers
        if self._head is not None:
            self._head += data
            if b"\r\n\r\n" not in self._head:
                return
            assert self._head.startswith(b"HTTP/1.1 200"), self._head
            self._head = None
            readers.open += 1
            if readers.open == readers.wanted:
                readers.opened.set()
        data = self._rest + data
        end = 0
        for found in _TIME.finditer(data):
            readers.delays.append(now - int(found[1]))
            end = found.end()
        self._rest = data[end:][-40:]

    def connection_lost(self, exc: Exception | None) -> None:
        self._readers.lost += 1


async def _run() -> None:
    loop = asyncio.get_running_loop()
    readers = _Readers()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        question = json.loads(line)
        answer: dict[str, Any]
        if question["do"] == "open":
            readers.wanted += question["count"]
            readers.opened.clear()
            reader = partial(_Reader, readers, question["path"])
            for _ in range(question["count"]):
                await loop.create_connection(reader, "127.0.0.1", question["port"])
            await asyncio.wait_for(readers.opened.wait(), 60)
            answer = {"open": readers.open}
        else:
            ordered = sorted(delay / 1e6 for delay in readers.delays)
            readers.delays.clear()
            answer = {"delivered": len(ordered), "lost": readers.lost}
            if ordered:
                answer |= {
                    "p50_ms": percentile(ordered, 0.5),
                    "p99_ms": percentile(ordered, 0.99),
                    "max_ms": ordered[-1],
                }
        print(json.dumps(answer), flush=True)


def main(core: str | None = None) -> None:
    """Read until standard input ends."""
    stay_on(None if core is None else int(core))
    allow_many_connections()
    asyncio.run(_run(), debug=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
