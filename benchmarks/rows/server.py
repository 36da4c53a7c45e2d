"""The server of the rows: ``python -m benchmarks.rows.server`` prints where it listens and runs until its input ends.

A request names its case in its path, ``/RUN/MODE/ROW/PLACE/v1/chat/completions``: the run of a reader, "whole" or "bytes" (one
byte a write), the row and the place of the case in it. The requests of one run are answered by the scripts of the case in order.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from streamkit.testing import Headers, ReceivedRequest, ScriptedServer, Send, Step, Wait, chunk, sse
from streamkit.testing.script import check_script

from .case import STOP
from .table import CASES

__all__ = ["RowServer", "row_server"]

LEAKED = sse(chunk("the key came along", role="assistant"), STOP)
SPLIT_BYTES = 4_096


class RowServer(ScriptedServer):
    """Answers each request by the script of the case that its path names.

    Args:
        other: the server that stands for another host; it has none itself.
    """

    def __init__(self, other: RowServer | None = None) -> None:
        super().__init__(b"")
        self._asked: Counter[str] = Counter()
        self._other = other

    def script_for(self, request: ReceivedRequest) -> tuple[Step, ...]:
        """The script for a request; nothing is kept of it."""
        path = urlsplit(request.path).path  # a proxy is asked with the whole URL
        run, mode, row, place, *_ = path.strip("/").split("/")
        case = CASES[row, int(place)]
        if self._other is None:
            assert case.other is not None
            return check_script(LEAKED if "authorization" in request.headers else case.other)
        key = f"{run}/{mode}/{row}/{place}"
        script = case.scripts[min(self._asked[key], len(case.scripts) - 1)]
        self._asked[key] += 1
        located = [self._located(step, f"http://localhost:{self._other.port}{path}") for step in check_script(script)]
        return tuple(located if mode == "whole" else _in_bytes(located))

    def _located(self, step: Step, other: str) -> Step:
        if isinstance(step, Headers) and step.names.get("location") == "{other}":
            return replace(step, headers={**step.names, "location": other})
        return step


def _in_bytes(steps: list[Step]) -> list[Step]:
    split: list[Step] = []
    for step in steps:
        if isinstance(step, Send) and len(step.data) <= SPLIT_BYTES:
            for byte in step.data:
                split += [Send(bytes([byte])), Wait(0)]
        else:
            split.append(step)
    return split


@asynccontextmanager
async def row_server() -> AsyncIterator[dict[str, str]]:
    """Serve; gives the base of the URLs (of a Unix socket its path) by the way in which a case reaches the server."""
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(RowServer())
        server = await stack.enter_async_context(RowServer(other))
        here = f"http://127.0.0.1:{server.port}"
        ways = {"ipv4": here, "proxy": "http://streamkit.invalid", "proxy_at": here}

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            back, on = await asyncio.open_connection("127.0.0.1", server.port)
            with suppress(ConnectionError):
                await asyncio.gather(_copy(reader, on), _copy(back, writer))

        with suppress(OSError):  # a machine without IPv6
            ipv6 = await stack.enter_async_context(await asyncio.start_server(forward, "::1", 0))
            ways["ipv6"] = f"http://[::1]:{ipv6.sockets[0].getsockname()[1]}"
        if sys.platform != "win32":
            path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "rows"
            await stack.enter_async_context(await asyncio.start_unix_server(forward, path))
            ways["unix"] = str(path)
        yield ways


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def _main() -> None:
    async with row_server() as ways:
        print(json.dumps(ways), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
