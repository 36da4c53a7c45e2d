"""A TCP proxy on loopback that makes a bad network out of a good one, in front of any server."""

from __future__ import annotations

import asyncio
import socket
from typing import Final, Self
from urllib.parse import urlsplit

from .link import Direction, Link, Peer
from .link_faults import LinkFaults
from .listening import hold_port, stop_listening

__all__ = ["FaultProxy", "fault_proxy"]

_NO_FAULTS: Final = LinkFaults()


def fault_proxy(
    target: str,
    to_client: LinkFaults = _NO_FAULTS,
    to_server: LinkFaults = _NO_FAULTS,
    *,
    refuse: bool = False,
) -> FaultProxy:
    """A proxy in front of a server, with faults in either direction.

    Args:
        target: the base URL of a server, or `host:port`.
        to_client: the faults of what the server says.
        to_server: the faults of what the client says.
        refuse: whether connections are refused at first.

    Returns:
        An async context manager that gives the proxy: `.base_url`, `.to_client`, `.to_server`.

    Raises:
        ValueError, TypeError: a target that is neither, or faults that are none.

    >>> import asyncio, aiohttp
    >>> from streamkit.testing import completion_server
    >>> async def main():
    ...     async with completion_server(b"x" * 9000) as server, fault_proxy(server.base_url) as proxy:
    ...         async with aiohttp.ClientSession() as session:
    ...             for faults in LinkFaults(slice=100), LinkFaults(reset_after=1000):
    ...                 proxy.to_client = faults
    ...                 try:
    ...                     async with session.post(proxy.base_url + "/chat/completions", json={}) as response:
    ...                         print(len(await response.read()))
    ...                 except (aiohttp.ClientError, ConnectionError):
    ...                     print("cut")
    >>> asyncio.run(main())
    9000
    cut
    """
    return FaultProxy(target, to_client, to_server, refuse=refuse)


class FaultProxy:
    """What `fault_proxy` gives; listens while it is entered, on a free port of 127.0.0.1.

    The faults can be changed at any time: what is set holds for open connections too, with the bytes that they have
    passed. Seconds are of the running loop's clock. A sender that is faster than its receiver is held up, as without a
    proxy. Leaving it drops every connection and leaves no task and no socket behind.

    Attributes:
        connections: how many were accepted.
    """

    def __init__(self, target: str, to_client: LinkFaults, to_server: LinkFaults, *, refuse: bool) -> None:
        self._scheme, self._host, self._target_port, self._rest = _split(target)
        self._to_client = Direction("to_client", to_client)
        self._to_server = Direction("to_server", to_server)
        self._refuse = refuse
        self._port: int | None = None
        self._held: socket.socket | None = None  # holds the port while connections are refused
        self._listener: asyncio.Server | None = None
        self._links: set[Link] = set()
        self.connections = 0

    @property
    def port(self) -> int:
        """The port it listens on.

        Raises:
            RuntimeError: it is not entered.
        """
        if self._port is None:
            raise RuntimeError("the proxy does not listen: enter it with `async with`")
        return self._port

    @property
    def base_url(self) -> str:
        """The target's base URL, with the proxy in place of its host and port.

        TLS passes through, so that a client of an https target has to accept a certificate for another host.
        """
        return f"{self._scheme}://127.0.0.1:{self.port}{self._rest}"

    @property
    def to_client(self) -> LinkFaults:
        """The faults of what the server says; setting it changes them."""
        return self._to_client.faults

    @to_client.setter
    def to_client(self, faults: LinkFaults) -> None:
        self._to_client.change(faults)
        for link in self._links:
            link.to_client.changed()

    @property
    def to_server(self) -> LinkFaults:
        """The faults of what the client says; setting it changes them."""
        return self._to_server.faults

    @to_server.setter
    def to_server(self, faults: LinkFaults) -> None:
        self._to_server.change(faults)
        for link in self._links:
            link.to_server.changed()

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        return len(self._links)

    @property
    def bytes_to_client(self) -> int:
        """How many bytes were passed on to clients."""
        return self._to_client.passed

    @property
    def bytes_to_server(self) -> int:
        """How many bytes were passed on to the server."""
        return self._to_server.passed

    async def refuse_connections(self) -> None:
        """Refuse new connections, as where nobody listens; open ones stay."""
        listener, self._listener = self._listener, None
        if listener is not None:
            await stop_listening(listener)
            self._held = hold_port(self.port)

    async def accept_connections(self) -> None:
        """Accept new connections again."""
        held, self._held = self._held, None
        if held is not None:
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(lambda: Peer(self._accepted), sock=held)

    async def reset_connections(self) -> None:
        """Reset every open connection (RST), at both ends, and wait until they are gone."""
        tasks = [link.task for link in self._links]
        for link in self._links:
            link.end("reset", link.to_client)
        if tasks:
            await asyncio.wait(tasks)

    async def __aenter__(self) -> Self:
        self._held = hold_port()
        self._port = self._held.getsockname()[1]
        if not self._refuse:
            await self.accept_connections()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._port = None
        held, self._held = self._held, None
        listener, self._listener = self._listener, None
        if held is not None:
            held.close()
        if listener is not None:
            await stop_listening(listener)
        await asyncio.gather(*[link.close() for link in self._links])
        if listener is not None:
            await listener.wait_closed()

    def __repr__(self) -> str:
        # Not the rest of the URL: its query may hold a key.
        return f"<FaultProxy to {self._host}:{self._target_port}, {len(self._links)} connections>"

    def _accepted(self, client: Peer) -> None:
        if self._port is None:  # accepted while the proxy was left
            client.transport.abort()
            return
        self.connections += 1
        link = Link(client, self._to_client, self._to_server, self._host, self._target_port)
        self._links.add(link)
        link.task.add_done_callback(lambda task: self._closed(link, task))

    def _closed(self, link: Link, task: asyncio.Task[None]) -> None:
        self._links.discard(link)
        if not task.cancelled():
            task.result()  # a bug of ours: to the loop's exception handler


def _split(target: str) -> tuple[str, str, int, str]:
    """The scheme, the host, the port and the rest of the URL."""
    if not isinstance(target, str):
        raise TypeError(f"the target must be a base URL or host:port, not {type(target).__name__}")
    is_url = "://" in target
    try:
        url = urlsplit(target if is_url else f"http://{target}")
        host, port = url.hostname, url.port
    except ValueError:  # a port that is no number, a bracket too many
        host = port = None
    else:
        if is_url and port is None:
            port = {"http": 80, "https": 443}.get(url.scheme)
        rest = url.path + (f"?{url.query}" if url.query else "")
        if host and port and url.scheme in {"http", "https"} and (is_url or not rest):
            return url.scheme, host, port, rest
    raise ValueError(
        f"the target must be a base URL, as in http://localhost:8000/v1, or host:port, not {target.partition('?')[0]!r}"
    )
