"""One request to an ASGI application, without a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

__all__ = ["Call", "calling", "until_there"]


class Call:
    """What a server does for one request, step by step.

    Attributes:
        sent: the messages of the application.
        leave: set it, and the client has gone.
        room: cleared, it makes the application wait at its next `send`, as a server does whose client takes nothing.
    """

    def __init__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        root: str = "",
        query: bytes = b"",
        parts: int = 1,
        **headers: str,
    ) -> None:
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        size = max(1, -(-len(data) // parts))
        self._parts = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
        self.withheld = False
        """The end of the body does not come."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            names.setdefault("content-type", "application/json")
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "root_path": root,
            "headers": [(name.encode(), value.encode()) for name, value in names.items()],
            "client": ("127.0.0.1", 1234),
            "server": ("127.0.0.1", 80),
        }
        self.sent: list[Any] = []
        self.leave = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()
        self.failing: BaseException | None = None
        """What `send` raises, for a server whose connection is gone."""
        self._news = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if self._parts:
            part = self._parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self._parts) or self.withheld}
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self.room.wait()
        if self.failing is not None:
            raise self.failing
        self.sent.append(message)
        self._news.set()

    async def until(self, condition: Callable[[Call], object]) -> None:
        """Wait for what the application sends."""
        async with asyncio.timeout(10):
            while not condition(self):
                self._news.clear()
                await self._news.wait()

    async def run(self, app: Any) -> Call:
        """See it through to the end."""
        async with asyncio.timeout(20):
            await app(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_whole(self) -> bool:
        """Whether the body has got its end."""
        return bool(self.sent) and not self.sent[-1].get("more_body", False)


@asynccontextmanager
async def calling(app: Any, call: Call) -> AsyncIterator[asyncio.Task[None]]:
    """The call, while it goes on; it is over at the end."""
    task = asyncio.ensure_future(app(call.scope, call.receive, call.send))
    try:
        yield task
    finally:
        if not task.done():
            call.leave.set()
            call.room.set()
        async with asyncio.timeout(10):
            await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def until_there(text: bytes) -> Callable[[Call], bool]:
    """For `Call.until`: the body has this."""
    return lambda call: len(call.sent) > 1 and text in call.body
