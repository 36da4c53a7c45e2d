"""A stream of your own as the response of a FastAPI or Starlette endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .asgi import send_stream
from .encode import encoding as encoder_of
from .starting import check_is_stream

try:
    from starlette.responses import Response
except ImportError as error:
    raise ImportError(
        "streamkit.web.starlette needs Starlette, which FastAPI brings: pip install fastapi. "
        "Without a framework there is streamkit.web.asgi.send_stream"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.background import BackgroundTask
    from starlette.types import Receive, Scope, Send

    from ..stream import CompletionStream
    from .encode import EncodingName

__all__ = ["RelayResponse"]


class RelayResponse(Response):
    """Sends a CompletionStream to the one client that asked: `return RelayResponse(driver.stream(...))`.

    The client's leaving aborts the stream, a failure is told in the stream and the body cut, heartbeats keep the connection
    alive, and the server's shutdown is told. Listeners and sinks that the stream has hear everything, as always.

    Args:
        stream: not started, or without a chunk yet.
        encoding: "native" events, "openai" chunks, "guide" (`data: {"content": …}` … `[DONE]`), "plain" text.
        headers: more of them; they take the place of the stream's own.
        background: runs after the response.
        heartbeat: seconds of silence after which the client gets a sign of life.
        send_timeout: seconds that the client may take nothing before it is given up.

    Raises:
        TypeError: it is no stream.
        ValueError: there is no such encoding.
        RuntimeError: when it is sent, for a stream that has ended, has begun, is relayed already, or runs on another event loop.
    """

    def __init__(
        self,
        stream: CompletionStream,
        *,
        encoding: EncodingName = "native",
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
        heartbeat: float = 15.0,
        send_timeout: float = 20.0,
    ) -> None:
        check_is_stream(stream)
        encoder_of(encoding, "none")  # here, where the traceback shows who said so
        super().__init__(headers=headers, background=background)
        self._stream = stream
        self._encoding: EncodingName = encoding
        self._heartbeat = heartbeat
        self._send_timeout = send_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, from its first event to its end."""
        # What was added since, cookies among it.
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.raw_headers]
        await send_stream(
            self._stream,
            scope,
            receive,
            send,
            encoding=self._encoding,
            headers=headers,
            heartbeat=self._heartbeat,
            send_timeout=self._send_timeout,
        )
        if self.background is not None:
            await self.background()
