"""For the tests here that ask for it: a browser (the process is shared, the profile is its own), a signal that kills nobody."""

from __future__ import annotations

import gc
import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from .chromium import Browser, connected, launched


@pytest.fixture(scope="session")
def chromium() -> Iterator[str]:
    """The address of a running browser's protocol."""
    with launched() as endpoint:
        yield endpoint


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """An empty profile in it."""
    async with connected(chromium) as browser:
        yield browser


@pytest.fixture
def told_to_end() -> Iterator[list[int]]:
    """The signals that a server's own handler has got."""
    numbers: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: numbers.append(number))
    yield numbers
    gc.collect()
    assert signal.signal(signal.SIGTERM, before) not in (before, signal.SIG_DFL)
