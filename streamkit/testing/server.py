"""A small HTTP/1.1 server on loopback that answers by script.

It writes to the socket itself, because what it is for (a body cut in a chunk, a reset, a malformed chunk size, exact write
boundaries) is what server frameworks see to it that nobody does.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final, Self, cast

from .listening import stop_listening
from .request import BadRequestError, ReceivedRequest, RequestReader
from .reset import all_sent, reset_on_close
from .script import At, Cut, End, Hang, Headers, Raw, Reset, Script, Send, Step, Wait, answer, check_script

__all__ = ["ScriptedServer", "completion_server"]

# So many writes in a row, and the loop's other tasks have a turn: the client may run beside the server.
_WRITES_A_TURN: Final = 64


def completion_server(*scripts: Script) -> ScriptedServer:
    r"""A server that answers POST requests by the scripts, in order; the last one repeats.

    Returns:
        An async context manager that gives the server: `.base_url`, `.requests`.

    Raises:
        ValueError, TypeError: no script, or one that makes no sense.

    >>> import asyncio, aiohttp
    >>> async def main():
    ...     script = [Send(b"data: 1\n\n"), Wait(0.01), Send(b"data: 2\n\n"), End()]
    ...     async with completion_server(script) as server, aiohttp.ClientSession() as session:
    ...         async with session.post(server.base_url + "/chat/completions", json={"n": 1}) as response:
    ...             print(response.status, await response.read())
    ...         print(server.requests[0].path, server.requests[0].json)
    >>> asyncio.run(main())
    200 b'data: 1\n\ndata: 2\n\n'
    /v1/chat/completions {'n': 1}
    """
    return ScriptedServer(*scripts)


class ScriptedServer:
    """What `completion_server` and `replay_server` give; listens on 127.0.0.1 while it is entered, by default on a free port.

    Leaving it closes every connection and leaves no task and no socket behind.

    Attributes:
        requests: what was received, in order, whatever the method.
    """

    def __init__(self, *scripts: Script, port: int = 0) -> None:
        if not scripts:
            raise ValueError("a server needs a script: what to say to a request")
        self._scripts = [check_script(script) for script in scripts]
        self._posts = 0
        self._port = port
        self._listener: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self.requests: list[ReceivedRequest] = []

    @property
    def port(self) -> int:
        """The port it listens on.

        Raises:
            RuntimeError: it is not entered.
        """
        if self._listener is None:
            raise RuntimeError("the server does not listen: enter it with `async with`")
        return cast("int", self._listener.sockets[0].getsockname()[1])

    @property
    def base_url(self) -> str:
        """The base URL for a client, `http://127.0.0.1:PORT/v1`."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Connection(self, self._connections), "127.0.0.1", self._port)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        listener, self._listener = self._listener, None
        if listener is None:
            return
        await stop_listening(listener)
        await asyncio.gather(*[connection.abort() for connection in list(self._connections)])
        await listener.wait_closed()

    @property
    def listens(self) -> bool:
        """Whether it is entered."""
        return self._listener is not None

    def script_for(self, request: ReceivedRequest) -> tuple[Step, ...]:
        """Note the request and return what to say to it."""
        self.requests.append(request)
        if request.method != "POST":
            message = f"this server answers POST only, not {request.method}"
            return answer(405, {"error": {"message": message, "type": "invalid_request_error"}}, {"allow": "POST"})
        script = self._scripts[min(self._posts, len(self._scripts) - 1)]
        self._posts += 1
        return script


class _Connection(asyncio.Protocol):
    """One connection: its requests, one after the other."""

    def __init__(self, server: ScriptedServer, connections: set[_Connection]) -> None:
        self._server = server
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._reader = RequestReader()
        self._requests: list[ReceivedRequest] = []
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = asyncio.Event()
        self._writes = 0
        self._closing = False  # by us: then the client has not left

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        # pause_writing means "the kernel did not take it all", and resume_writing that it has.
        self._transport.set_write_buffer_limits(0)
        # asyncio does so itself on the systems that we know; the write boundaries depend on it.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections.add(self)
        if not self._server.listens:  # accepted while the server was left
            self._closing = True
            self._transport.abort()

    @property
    def _socket(self) -> socket.socket:
        return cast("socket.socket", self._transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._next()

    def eof_received(self) -> None:
        # A client that closes its sending half has left; that it might still read is of no use to tests of an abort.
        self._client_left()

    def connection_lost(self, exc: Exception | None) -> None:
        self._client_left()
        self._connections.discard(self)
        self._writable.set()
        self._lost.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def abort(self) -> None:
        """Drop the connection and wait until nothing is left of it."""
        self._closing = True
        self._transport.abort()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._lost.wait()

    def _client_left(self) -> None:
        if self._closing:
            return
        self._closing = True
        for request in self._requests:
            request.closed_at = self._loop.time()
            request.closed.set()
        if self._task is not None:
            self._task.cancel()

    def _next(self) -> None:
        """Answer the next request, if there is one and the last one is answered."""
        if self._closing or (self._task is not None and not self._task.done()):
            return
        try:
            request = self._reader.next_request()
        except BadRequestError as error:
            self._closing = True
            self._transport.write(f"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n{error}\n".encode())
            self._transport.close()
            return
        if request is None:
            if self._reader.wants_continue:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        request.at = self._loop.time()
        self._requests.append(request)
        self._task = self._loop.create_task(self._answer(request, self._server.script_for(request)))
        self._task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.result()  # a bug of ours: to the loop's exception handler
            self._next()

    async def _answer(self, request: ReceivedRequest, script: tuple[Step, ...]) -> None:
        head: Headers | None = None
        sent = 0
        for step in (*script, End()):
            # Before the last byte, which the client may see at once.
            request.answered = isinstance(step, End | Cut | Reset)
            if head is None and isinstance(step, Send | End):
                head = Headers()
                await self._write(head.encode())
            match step:
                case Headers():
                    head = step
                    await self._write(head.encode())
                case Send(data):
                    if data:  # an empty HTTP chunk would be the last one
                        await self._write(
                            b"%x\r\n%b\r\n" % (len(data), data) if head is not None and head.is_chunked else data
                        )
                    sent += len(data)
                case Raw(data):
                    head = head or Headers(framing="close")  # what is raw from the start frames itself
                    await self._write(data)
                case Wait(seconds):
                    await asyncio.sleep(seconds)
                case At(seconds):
                    await asyncio.sleep(max(0.0, request.at + seconds - self._loop.time()))
                case Hang():
                    await self._lost.wait()
                case Cut():
                    self._close()
                    break
                case Reset():
                    await self._reset()
                    break
                case End():
                    if head is not None and head.is_chunked:
                        await self._write(b"0\r\n\r\n")
                    if not _keeps_alive(request, head, sent):
                        self._close()
                    break

    async def _write(self, data: bytes) -> None:
        """Write in one go; return when the kernel has it all, so that a reset or a cut loses nothing of it."""
        if self._transport.is_closing():
            return  # the client has gone; asyncio would log a warning at the fifth write
        self._transport.write(data)
        self._writes += 1
        if not self._writable.is_set():
            await self._writable.wait()
        elif self._writes % _WRITES_A_TURN == 0:
            await asyncio.sleep(0)

    def _close(self) -> None:
        self._closing = True
        self._transport.close()

    async def _reset(self) -> None:
        await all_sent(self._socket)
        reset_on_close(self._socket)
        self._closing = True
        self._transport.abort()


def _keeps_alive(request: ReceivedRequest, head: Headers | None, sent: int) -> bool:
    if head is None or "close" in request.headers.get("connection", "").lower():
        return False
    if "close" in head.names.get("connection", "").lower():
        return False
    # After a body of another length than it says, the connection is of no more use.
    return head.is_chunked or not head.has_body or head.names.get("content-length") == str(sent)
