"""What faults do to a connection, seen from its two ends: bare sockets, and a clock that nobody waits for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from streamkit.testing import FaultProxy, LinkFaults, fault_proxy, link
from tests.clock import run, turns

from .test_replay import DrivenLoop

NO_FAULTS = LinkFaults()

Main = Callable[[], Coroutine[Any, Any, None]]


@dataclass
class Peer:
    """One end of a connection."""

    sock: socket.socket

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def read(self) -> bytes:
        async with asyncio.timeout(1e6):
            return await asyncio.get_running_loop().sock_recv(self.sock, 2**16)

    async def read_exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = await asyncio.get_running_loop().sock_recv(self.sock, size - len(data))
            assert piece, "closed too early"
            data += piece
        return data

    async def hears_nothing(self) -> bool:
        """Whether nothing comes in an hour: no byte, no end, no reset."""
        try:
            async with asyncio.timeout(3600):
                await asyncio.get_running_loop().sock_recv(self.sock, 1)
        except TimeoutError:
            return True
        return False

    async def is_reset(self) -> bool:
        try:
            return await self.read() == b"impossible"
        except ConnectionResetError:
            return True

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


@asynccontextmanager
async def connection(
    to_client: LinkFaults = NO_FAULTS, to_server: LinkFaults = NO_FAULTS
) -> AsyncIterator[tuple[Peer, Peer, FaultProxy]]:
    """A client and a server that are connected through a proxy."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        listener.setblocking(False)
        client.setblocking(False)
        async with fault_proxy(f"127.0.0.1:{listener.getsockname()[1]}", to_client, to_server) as proxy:
            await loop.sock_connect(client, ("127.0.0.1", proxy.port))
            server, _ = await loop.sock_accept(listener)
            with server:
                yield Peer(client), Peer(server), proxy


@pytest.fixture(name="driven")
def _driven() -> Callable[[Main], None]:
    return lambda main: run(main, loop_factory=DrivenLoop)


# ------------------------------------------------------------------------------------------------------ no fault


def test_without_faults_all_passes_and_each_half_closes_by_itself(driven: Callable[[Main], None]) -> None:
    async def main() -> None:
        async with connection() as (client, server, proxy):
            await client.send(b"question")
            assert await server.read() == b"question"
            client.sock.shutdown(socket.SHUT_WR)
            assert await server.read() == b""
            await server.send(b"answer")
            assert await client.read() == b"answer"
            assert proxy.open_connections == 1
            server.sock.close()
            assert await client.read() == b""
            await turns(20)
            assert (proxy.connections, proxy.open_connections) == (1, 0)
            assert (proxy.bytes_to_server, proxy.bytes_to_client) == (8, 6)

    driven(main)


@pytest.mark.parametrize("direction", ["to_client", "to_server"])
def test_a_reset_is_passed_on_as_a_reset_after_the_bytes_before_it(
    driven: Callable[[Main], None], direction: str
) -> None:
    async def main() -> None:
        async with connection(LinkFaults(delay=5), LinkFaults(delay=5)) as (client, server, _):
            source, target = (server, client) if direction == "to_client" else (client, server)
            begin = asyncio.get_running_loop().time()
            await source.send(b"last words")
            source.reset()
            assert await target.read() == b"last words"
            assert await target.is_reset()
            assert asyncio.get_running_loop().time() - begin == pytest.approx(5, abs=0.1)

    driven(main)


def test_a_flood_waits_for_its_reader_and_loses_nothing(driven: Callable[[Main], None]) -> None:
    flood = bytes(range(256)) * 2**17

    async def main() -> None:
        async with connection() as (client, server, proxy):
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
            sending = asyncio.create_task(server.send(flood))
            before = -1
            while before != proxy.bytes_to_client:
                before = proxy.bytes_to_client
                await turns(50)
            # What the two connections hold in the kernel, and no more: the sender waits.
            assert not sending.done() and proxy.bytes_to_client < len(flood) / 2
            (only,) = proxy._links
            assert only.to_client._held <= 2**16 + 2**18
            assert await client.read_exactly(len(flood)) == flood
            await sending

    driven(main)


def test_a_client_that_leaves_in_a_flood_resets_the_server(driven: Callable[[Main], None]) -> None:
    async def main() -> None:
        async with connection() as (client, server, proxy):
            sending = asyncio.create_task(server.send(bytes(2**25)))
            await client.read_exactly(1000)
            client.sock.close()
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                await sending
            await turns(20)
            assert proxy.open_connections == 0

    driven(main)


# --------------------------------------------------------------------------------------------------- slow and sliced


@pytest.mark.parametrize("direction", ["to_client", "to_server"])
@pytest.mark.parametrize("slice_", [1, 7, 64])
def test_slices_have_the_size_asked_for(driven: Callable[[Main], None], direction: str, slice_: int) -> None:
    data = bytes(range(200))

    async def main() -> None:
        async with connection(**{direction: LinkFaults(slice=slice_)}) as (client, server, _):
            source, target = (server, client) if direction == "to_client" else (client, server)
            await source.send(data)
            source.sock.shutdown(socket.SHUT_WR)
            pieces = [await target.read()]
            while pieces[-1]:
                pieces.append(await target.read())
            assert pieces == [*(data[at : at + slice_] for at in range(0, len(data), slice_)), b""]

    driven(main)


@pytest.mark.parametrize("direction", ["to_client", "to_server"])
def test_delayed_bytes_are_on_their_way_together(driven: Callable[[Main], None], direction: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connection(**{direction: LinkFaults(delay=10)}) as (client, server, _):
            source, target = (server, client) if direction == "to_client" else (client, server)
            begin = loop.time()
            times = []
            await source.send(b"1")
            await asyncio.sleep(1)
            await source.send(b"2")
            source.sock.shutdown(socket.SHUT_WR)
            for expected in b"1", b"2", b"":
                assert await target.read() == expected
                times.append(loop.time() - begin)
            # The other direction is not delayed, and the end is.
            assert times == pytest.approx([10, 11, 11], abs=0.01)
            await target.send(b"back")
            assert await source.read() == b"back"
            assert loop.time() - begin == pytest.approx(11, abs=0.01)

    driven(main)


@pytest.mark.parametrize(("bandwidth", "size"), [(10, 50), (1000, 3000), (1e6, 2_000_000), (0.5, 5)])
def test_bandwidth_is_spent_evenly(driven: Callable[[Main], None], bandwidth: float, size: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connection(LinkFaults(bandwidth=bandwidth)) as (client, server, _):
            begin = loop.time()
            sending = asyncio.create_task(server.send(bytes(size)))
            await client.read_exactly(size // 2)
            assert loop.time() - begin == pytest.approx(size // 2 / bandwidth, rel=0.1)
            await client.read_exactly(size - size // 2)
            assert loop.time() - begin == pytest.approx(size / bandwidth, rel=0.1)
            await sending

    driven(main)


def test_bandwidth_on_the_real_clock() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connection(LinkFaults(bandwidth=100_000)) as (client, server, _):
            begin = loop.time()
            await server.send(bytes(30_000))
            await client.read_exactly(30_000)
            # Timers fire late on a busy machine, never early.
            assert 0.3 * 0.8 < loop.time() - begin < 0.3 * 2

    run(main, loop_factory=asyncio.new_event_loop)


def test_unused_bandwidth_is_not_saved_up(driven: Callable[[Main], None]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connection(LinkFaults(bandwidth=100)) as (client, server, _):
            await server.send(bytes(10))
            await client.read_exactly(10)
            await asyncio.sleep(1000)
            begin = loop.time()
            await server.send(bytes(200))
            await client.read_exactly(200)
            assert loop.time() - begin == pytest.approx(2, rel=0.1)

    driven(main)


# ------------------------------------------------------------------------------------------------------- the end


@pytest.mark.parametrize("direction", ["to_client", "to_server"])
@pytest.mark.parametrize("after", [0, 1, 4, 5])
def test_a_reset_comes_after_its_bytes_at_both_ends(driven: Callable[[Main], None], direction: str, after: int) -> None:
    async def main() -> None:
        async with connection(**{direction: LinkFaults(reset_after=after)}) as (client, server, proxy):
            source, target = (server, client) if direction == "to_client" else (client, server)
            if after:
                await source.send(b"12345")
                assert await target.read_exactly(after) == b"12345"[:after]
            assert await target.is_reset()
            assert await source.is_reset()
            await turns(20)
            assert proxy.open_connections == 0

    driven(main)


@pytest.mark.parametrize("direction", ["to_client", "to_server"])
@pytest.mark.parametrize("after", [0, 3])
def test_a_cut_is_a_clean_end_even_with_bytes_on_the_way_back(
    driven: Callable[[Main], None], direction: str, after: int
) -> None:
    async def main() -> None:
        async with connection(**{direction: LinkFaults(cut_after=after)}) as (client, server, proxy):
            source, target = (server, client) if direction == "to_client" else (client, server)
            if after:
                await source.send(b"12345")
                assert await target.read_exactly(after) == b"123"
            assert await target.read() == b""
            # Whoever still sends hears of no reset, and the connection is there until it closes too.
            await target.send(b"x" * 10_000)
            assert await target.read() == b""
            assert proxy.open_connections == 1
            target.sock.close()
            await turns(20)
            assert proxy.open_connections == 0

    driven(main)


def test_after_a_cut_the_other_end_is_closed_too(driven: Callable[[Main], None]) -> None:
    async def main() -> None:
        async with connection(LinkFaults(cut_after=2)) as (client, server, _):
            await server.send(b"12")
            assert await client.read_exactly(2) == b"12"
            assert await server.read() == b""

    driven(main)


@pytest.mark.parametrize("direction", ["to_client", "to_server"])
@pytest.mark.parametrize("how", ["goes on", "closes", "resets"])
def test_a_black_hole_lets_nothing_out_and_gives_it_back_when_healed(
    driven: Callable[[Main], None], direction: str, how: str
) -> None:
    async def main() -> None:
        async with connection(**{direction: LinkFaults(silence_after=3)}) as (client, server, proxy):
            source, target = (server, client) if direction == "to_client" else (client, server)
            await source.send(b"12345")
            assert await target.read_exactly(3) == b"123"
            if how == "closes":
                source.sock.shutdown(socket.SHUT_WR)
            elif how == "resets":
                source.reset()
            assert await target.hears_nothing()
            assert proxy.open_connections == 1

            # The other direction is open.
            if how != "resets":
                await target.send(b"hello?")
                assert await source.read() == b"hello?"

            setattr(proxy, direction, LinkFaults())
            assert await target.read_exactly(2) == b"45"
            if how == "closes":
                assert await target.read() == b""
            elif how == "resets":
                assert await target.is_reset()

    driven(main)


def test_a_black_hole_that_both_ends_have_left_is_let_go(driven: Callable[[Main], None]) -> None:
    silent = LinkFaults(silence_after=0)

    async def main() -> None:
        async with connection(silent, silent) as (client, server, proxy):
            client.sock.close()
            assert await server.hears_nothing()
            assert proxy.open_connections == 1
            server.sock.close()
            await asyncio.sleep(1)
            assert proxy.open_connections == 0

    driven(main)


def test_a_client_that_is_gone_is_no_news_to_a_server_behind_a_black_hole(driven: Callable[[Main], None]) -> None:
    async def main() -> None:
        async with connection(LinkFaults(), LinkFaults(silence_after=0)) as (client, server, proxy):
            client.reset()
            for _ in range(3):
                await server.send(b"still there?")
                assert await server.hears_nothing()
            server.sock.close()
            await asyncio.sleep(1)
            assert proxy.open_connections == 0

    driven(main)


# ----------------------------------------------------------------------------------------------- faults that change


def test_a_fault_that_is_set_holds_for_the_bytes_that_have_passed(driven: Callable[[Main], None]) -> None:
    async def main() -> None:
        async with connection() as (client, server, proxy):
            await server.send(b"12345")
            assert await client.read_exactly(5) == b"12345"
            proxy.to_client = LinkFaults(reset_after=7)
            await server.send(b"6789")
            assert await client.read_exactly(2) == b"67"
            assert await client.is_reset()

    driven(main)


@pytest.mark.parametrize("ending", ["reset_after", "cut_after"])
def test_a_late_ending_comes_at_once(driven: Callable[[Main], None], ending: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        faults: dict[str, Any] = {ending: 2}
        async with connection(LinkFaults(delay=100)) as (client, server, proxy):
            await server.send(b"123")
            assert await client.read_exactly(3) == b"123"
            await server.send(b"456")
            begin = loop.time()
            proxy.to_client = LinkFaults(**faults)
            if ending == "reset_after":
                assert await client.is_reset()
            else:
                assert await client.read() == b""
            assert loop.time() - begin < 1

    driven(main)


def test_a_delay_that_is_taken_away_is_waited_for_no_longer(driven: Callable[[Main], None]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connection(LinkFaults(delay=1e5)) as (client, server, proxy):
            await server.send(b"x")
            assert await client.hears_nothing()
            begin = loop.time()
            proxy.to_client = LinkFaults()
            assert await client.read() == b"x"
            assert loop.time() == begin

    driven(main)


@pytest.mark.parametrize("ending", ["reset_after", "cut_after"])
def test_a_receiver_that_does_not_read_is_no_hindrance(driven: Callable[[Main], None], ending: str) -> None:
    async def main() -> None:
        async with connection() as (_, server, proxy):
            faults: dict[str, Any] = {ending: 0}
            sending = asyncio.create_task(server.send(bytes(2**25)))
            await turns(500)
            assert not sending.done()
            proxy.to_client = LinkFaults(**faults)
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                await sending

    driven(main)


async def test_closing_half_of_a_connection_that_has_just_been_reset_is_no_error() -> None:
    connected: asyncio.Future[link.Peer] = asyncio.get_running_loop().create_future()
    server = await asyncio.get_running_loop().create_server(lambda: link.Peer(connected.set_result), "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        end = await connected
        Peer(client).reset()
        end.close_half()
        await asyncio.wait_for(end.lost.wait(), 5)
    server.close()
    await server.wait_closed()
