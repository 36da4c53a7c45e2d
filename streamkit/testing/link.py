"""One TCP connection through a proxy: two ends, and in each direction what is wrong with it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, Literal, TypeAlias, cast

from .link_faults import LinkFaults
from .reset import all_sent, reset_on_close

__all__ = ["Direction", "Link", "Peer"]

_logger = logging.getLogger(__name__)

# What one direction of a connection holds back at most, beside one read: then the sender has to wait.
_HELD_BYTES: Final = 2**16
# A limited bandwidth is spent in pieces of so many seconds' worth. A loop that runs late makes up for no more than that.
_PIECE_SECONDS: Final = 0.02
# A receiver that does not read keeps what it was sent from leaving: a reset does not wait for it for ever.
_FLUSH_SECONDS: Final = 0.25

_Ending: TypeAlias = Literal["close", "reset", "cut"]


class Direction:
    """What the connections of a proxy share in one direction.

    Attributes:
        faults: what is wrong at present.
        passed: how many bytes were passed on.
    """

    def __init__(self, name: str, faults: LinkFaults) -> None:
        self._name = name
        self.passed = 0
        self.change(faults)

    def change(self, faults: LinkFaults) -> None:
        """Set the faults.

        Raises:
            TypeError: they are none.
        """
        if not isinstance(faults, LinkFaults):
            raise TypeError(f"{self._name} takes a LinkFaults, not {type(faults).__name__}")
        self.faults = faults


class Peer(asyncio.Protocol):
    """One end of a connection: the client, or the server."""

    transport: asyncio.Transport

    def __init__(self, connected: Callable[[Peer], object]) -> None:
        self._connected = connected
        self.says: _Way | None = None  # where to what this end says goes; None: it is to be dropped
        self.is_connected = False
        self.writable = asyncio.Event()
        self.writable.set()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.is_connected = True
        # pause_writing means "the kernel did not take it all", and resume_writing that it has.
        self.transport.set_write_buffer_limits(0)
        # asyncio does so itself on the systems that we know; slices depend on it.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connected(self)

    @property
    def socket(self) -> socket.socket:
        """The connection's socket."""
        return cast("socket.socket", self.transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        self._say(data)

    def eof_received(self) -> bool:
        self._say(b"")
        return True  # the other half of the connection goes on

    def connection_lost(self, exc: Exception | None) -> None:
        self.writable.set()
        self.lost.set()
        self._say(None)

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def close_half(self) -> None:
        """Send a FIN."""
        try:
            self.transport.write_eof()
        except OSError:
            pass  # reset by the peer, which the loop has not yet said

    def _say(self, data: bytes | None) -> None:
        if self.says is not None:
            self.says.put(data)

    async def drop(self) -> None:
        """Drop the connection, and wait until nothing is left of it."""
        if self.is_connected:
            self.transport.abort()
            await self.lost.wait()


class Link:
    """A client's connection and the one to the server, and a task that carries what either says to the other.

    Attributes:
        task: ends when both connections are gone.
    """

    def __init__(self, client: Peer, to_client: Direction, to_server: Direction, host: str, port: int) -> None:
        self._client = client
        self._server = Peer(lambda _: None)
        self._address = host, port
        self._ending: asyncio.Future[tuple[_Ending, _Way]] = asyncio.get_running_loop().create_future()
        self.to_client = _Way(self, self._server, client, to_client)
        self.to_server = _Way(self, client, self._server, to_server)
        self.task = asyncio.get_running_loop().create_task(self._run())

    def end(self, how: _Ending, way: _Way) -> None:
        """End the connection, in this direction; the first that does so counts."""
        if not self._ending.done():
            self._ending.set_result((how, way))

    async def close(self) -> None:
        """Drop the connection, and wait until nothing is left of it."""
        self.task.cancel()
        await asyncio.wait([self.task])
        await self._drop()  # a task that was cancelled before its first step has not done so

    def reverse(self, way: _Way) -> _Way:
        """The other direction."""
        return self.to_server if way is self.to_client else self.to_client

    async def _drop(self) -> None:
        await self._client.drop()
        await self._server.drop()

    async def _run(self) -> None:
        try:
            how, way = await self._carry() if await self._connect() else ("reset", self.to_client)
            if how == "reset":
                await way.reset()
            elif how == "cut":
                await way.cut()
        finally:
            await self._drop()

    async def _connect(self) -> bool:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self._server, *self._address)
        except OSError as error:
            _logger.warning("no connection to %s:%d, so the client is reset: %s", *self._address, error)
            return False
        return True

    async def _carry(self) -> tuple[_Ending, _Way]:
        async with asyncio.TaskGroup() as group:
            carriers = [group.create_task(way.carry()) for way in (self.to_client, self.to_server)]
            ending = await self._ending
            for carrier in carriers:
                carrier.cancel()
        return ending


class _Way:
    """One direction of a connection: what its source has said, and its target is still to hear."""

    def __init__(self, link: Link, source: Peer, target: Peer, direction: Direction) -> None:
        self._link = link
        self._source = source
        self._target = target
        self._direction = direction
        self._loop = asyncio.get_running_loop()
        # Each with the time it came: bytes, b"" for the end of them (FIN), None for a connection that is gone (RST).
        self._items: deque[tuple[float, memoryview | None]] = deque()
        self._held = 0
        self._passed = 0
        self._free_at = 0.0  # when the bandwidth is spent
        self.news = asyncio.Event()  # something came, the faults changed, or the other direction did
        self.discards = False
        self.source_closed = False
        self.target_closed = False
        source.says = self

    def put(self, data: bytes | None) -> None:
        """Take what the source says."""
        if data and self.discards:
            return
        self._items.append((self._loop.time(), None if data is None else memoryview(data)))
        if data:
            self._held += len(data)
            if self._held >= _HELD_BYTES:
                self._source.transport.pause_reading()
        else:
            self.source_closed = True
            self._reverse.news.set()
        self.news.set()

    def changed(self) -> None:
        """Heed faults that have changed, even where the target does not take what it is to hear first."""
        self._is_at_end()
        self.news.set()

    async def carry(self) -> None:
        """Pass on what comes, with the faults, until the link ends."""
        while not self._target.lost.is_set():  # then the other direction has the news
            self.news.clear()
            if self._is_at_end() or not self._items:
                await self.news.wait()
                continue
            faults = self._direction.faults
            due, data = self._items[0]
            due += faults.delay
            piece = data and data[: self._room(faults)]
            if piece and faults.bandwidth is not None:
                due = max(due, self._free_at) + len(piece) / faults.bandwidth
            if due > self._loop.time():
                await self._change_or(due)
            elif piece:
                await self._pass(piece, due)
            elif self._pass_end(data):
                return

    async def reset(self) -> None:
        """Reset both ends, once what was passed has left."""
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                await all_sent(self._target.socket)
        except TimeoutError:
            pass
        for end in (self._target, self._source):
            if end.is_connected and not end.lost.is_set():
                reset_on_close(end.socket)

    async def cut(self) -> None:
        """Close both ends, the target's with nothing but a FIN."""
        await self._source.drop()
        if not self._target.lost.is_set():
            self._target.close_half()
        # A socket that is closed before all was read from it resets.
        back = self._reverse
        back.discards = True
        self._target.transport.resume_reading()
        while not back.source_closed:
            back.news.clear()
            await back.news.wait()

    @property
    def _reverse(self) -> _Way:
        return self._link.reverse(self)

    def _is_at_end(self) -> bool:
        """Whether no more bytes are to pass; ends the link if that is not just silence."""
        faults = self._direction.faults
        if faults.last_byte is None or self._passed < faults.last_byte:
            return False
        if faults.reset_after is not None:
            self._link.end("reset", self)
        elif faults.cut_after is not None:
            self._link.end("cut", self)
        elif self.source_closed and self._reverse.source_closed:
            self._link.end("close", self)
        return True

    def _room(self, faults: LinkFaults) -> int:
        """How many bytes may pass in one piece."""
        room = 2**62 if faults.last_byte is None else faults.last_byte - self._passed
        if faults.slice is not None:
            room = min(room, faults.slice)
        if faults.bandwidth is not None:
            room = min(room, max(1, int(faults.bandwidth * _PIECE_SECONDS)))
        return room

    async def _change_or(self, due: float) -> None:
        try:
            async with asyncio.timeout_at(due):
                await self.news.wait()
        except TimeoutError:
            pass

    async def _pass(self, piece: memoryview, due: float) -> None:
        self._target.transport.write(piece)
        if not self._target.writable.is_set():
            await self._target.writable.wait()
        came, data = self._items[0]
        assert data is not None
        if len(piece) < len(data):
            self._items[0] = came, data[len(piece) :]
        else:
            self._items.popleft()
        self._held -= len(piece)
        if self._held < _HELD_BYTES:
            self._source.transport.resume_reading()
        self._passed += len(piece)
        self._direction.passed += len(piece)
        self._free_at = max(due, self._loop.time() - _PIECE_SECONDS)
        if self._direction.faults.slice is not None:
            # In the first turn a reader on this loop is told, in the second it reads.
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    def _pass_end(self, data: memoryview | None) -> bool:
        """Pass on that the source has closed its half, or is gone; whether that is the end of this direction."""
        self._items.popleft()
        if data is None:
            self._link.end("reset", self)
            return True
        self._target.close_half()
        self.target_closed = True
        if self._reverse.target_closed:
            self._link.end("close", self)
        return False
