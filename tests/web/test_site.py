from __future__ import annotations

import socket

import aiohttp
import pytest

from streamkit.web import Relay
from streamkit.web.page import PAGE_PATHS
from streamkit.web.site import relay_site

from .relayed import OPEN, relay_over


async def test_leaving_it_tells_every_client() -> None:
    async with relay_over(OPEN) as (_, relay), aiohttp.ClientSession() as session:
        async with relay_site(relay) as url:
            response = await session.post(url + "/stream", json={"message": "hi"})
            await response.content.readany()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()

    assert relay.closed


async def test_page_is_there_for_who_wants_it() -> None:
    async with relay_site(Relay(None, page=True)) as url, aiohttp.ClientSession(url) as session:
        for path in PAGE_PATHS:
            async with session.get(path) as response:
                assert response.status == 200
                assert await response.read()
                etag = response.headers["etag"]
            async with session.get(path, headers={"if-none-match": f'W/"x", {etag}'}) as response:
                assert (response.status, await response.read()) == (304, b"")
            async with session.head(path) as response:
                assert (response.status, await response.read()) == (200, b"")
            async with session.delete(path) as response:
                assert (response.status, response.headers["allow"]) == (405, "GET, HEAD")
    async with relay_site(Relay(None)) as url, aiohttp.ClientSession(url) as session, session.get("/") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, "not_found")


async def test_address_of_version_six_is_in_brackets() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with relay_site(Relay(None), "::1") as url, aiohttp.ClientSession() as session:
        assert url.startswith("http://[::1]:")
        async with session.get(url + "/health") as response:
            assert response.status == 200


async def test_address_that_is_taken_is_an_error_and_leaves_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        relay = Relay(None)
        with pytest.raises(OSError, match="address already in use"):
            async with relay_site(relay, port=taken.getsockname()[1]):
                pytest.fail("it cannot listen")

    assert relay.closed
