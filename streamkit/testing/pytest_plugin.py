"""pytest fixtures over `streamkit.testing`: what a test starts is closed when it ends.

- `completion_server`: `server = await completion_server(script, ...)`
- `replay`: `server = await replay(tape, speed=0, fault=None)`
- `fault_proxy`: `proxy = await fault_proxy(server.base_url, LinkFaults(...))`
- `demo_tape`: the recording that streamkit ships

Once streamkit is installed, pytest finds them by itself; in a checkout that is not, `-p streamkit.testing.pytest_plugin`
does. They need pytest-asyncio, in auto or strict mode. A fixture of the same name in a conftest or a test module takes
precedence, as always; `-p no:streamkit.testing.pytest_plugin` leaves them all out.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Final, Protocol, Self, TypeVar

import pytest

from ..tape import Tape, demo_tape
from .fault_proxy import FaultProxy, fault_proxy as make_proxy
from .link_faults import LinkFaults
from .replay import Fault, replay_server
from .script import Script
from .server import ScriptedServer, completion_server as make_server

try:
    import pytest_asyncio
except ImportError:
    pytest_asyncio = None  # type: ignore[assignment]  # mypy has no other way to say: a module, or nothing

__all__ = ["CompletionServerFactory", "FaultProxyFactory", "ReplayFactory"]

_NO_FAULTS: Final = LinkFaults()
_T = TypeVar("_T")


class CompletionServerFactory(Protocol):
    """What the fixture `completion_server` gives; as `streamkit.testing.completion_server`, but started."""

    async def __call__(self, *scripts: Script) -> ScriptedServer: ...


class ReplayFactory(Protocol):
    """What the fixture `replay` gives; as `streamkit.testing.replay_server`, but started, and at once by default."""

    async def __call__(
        self,
        tape: Tape | str | os.PathLike[str],
        speed: float = 0,
        fault: Fault | None = None,
        *,
        split: int | None = None,
    ) -> ScriptedServer: ...


class FaultProxyFactory(Protocol):
    """What the fixture `fault_proxy` gives; as `streamkit.testing.fault_proxy`, but started."""

    async def __call__(
        self,
        target: str,
        to_client: LinkFaults = _NO_FAULTS,
        to_server: LinkFaults = _NO_FAULTS,
        *,
        refuse: bool = False,
    ) -> FaultProxy: ...


class _Started:
    """What a test has started; all of it is left when the test ends."""

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._stack = AsyncExitStack()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def add(self, manager: AbstractAsyncContextManager[_T]) -> _T:
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(
                "the test runs on another event loop than its fixtures: give asyncio_default_fixture_loop_scope in"
                " pytest's configuration the loop_scope of the test"
            )
        return await self._stack.enter_async_context(manager)


def _fixture(name: str) -> Callable[[Callable[[], AsyncIterator[Any]]], object]:
    """An async fixture; without pytest-asyncio, one that fails the test and says what is missing."""
    if pytest_asyncio is not None:
        return pytest_asyncio.fixture(name=name)

    def decorate(function: Callable[[], AsyncIterator[Any]]) -> object:
        def fail() -> None:
            pytest.fail(f"the fixture {name!r} of streamkit needs pytest-asyncio: pip install pytest-asyncio", False)

        fail.__doc__ = function.__doc__
        return pytest.fixture(name=name)(fail)

    return decorate


@_fixture("completion_server")
async def _completion_server() -> AsyncIterator[CompletionServerFactory]:
    """Starts servers that answer by script: `server = await completion_server(script, ...)`."""
    async with _Started() as started:

        async def completion_server(*scripts: Script) -> ScriptedServer:
            return await started.add(make_server(*scripts))

        yield completion_server


@_fixture("replay")
async def _replay() -> AsyncIterator[ReplayFactory]:
    """Starts servers that play a tape: `server = await replay(tape, speed=0, fault=None)`."""
    async with _Started() as started:

        async def replay(
            tape: Tape | str | os.PathLike[str],
            speed: float = 0,
            fault: Fault | None = None,
            *,
            split: int | None = None,
        ) -> ScriptedServer:
            return await started.add(replay_server(tape, speed, fault, split=split))

        yield replay


@_fixture("fault_proxy")
async def _fault_proxy() -> AsyncIterator[FaultProxyFactory]:
    """Starts proxies with faults in front of a server: `proxy = await fault_proxy(server.base_url, LinkFaults(...))`."""
    async with _Started() as started:

        async def fault_proxy(
            target: str,
            to_client: LinkFaults = _NO_FAULTS,
            to_server: LinkFaults = _NO_FAULTS,
            *,
            refuse: bool = False,
        ) -> FaultProxy:
            return await started.add(make_proxy(target, to_client, to_server, refuse=refuse))

        yield fault_proxy


@pytest.fixture(scope="session", name="demo_tape")
def _demo_tape() -> Tape:
    """The recording that streamkit ships: an answer of some lines, with its timing."""
    return demo_tape()
