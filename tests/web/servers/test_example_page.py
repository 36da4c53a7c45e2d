"""The examples' page in a browser, before the examples' servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streamkit.testing import Cut, Hang, Script, ScriptedServer, Send, Wait, answer, chunk, sse

from ..chromium import Browser
from .running import Running, serving

TEXT = "document.querySelector('#answer').textContent"
FAILURE = "document.querySelector('#failure').textContent"
SEND, STOP = "document.querySelector('form button')", "document.querySelector('#stop')"
MARKUP = "<img src=x onerror=document.title='hacked'> ü🙂"
SCRIPTS: list[Script] = [
    [Send(sse(chunk("Hel"), chunk(MARKUP), chunk(finish_reason="stop")))],
    [Send(sse(chunk("Hel"), done=False)), Wait(0.05), Cut()],
    answer(400, {"error": {"message": "no such model"}}),
    [Send(sse(chunk("endless"), done=False)), Hang()],
]


@pytest.fixture(scope="module", params=["relay_fastapi", "relay_fastapi_mounted"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp(request.param)
    with serving("uvicorn", folder, app=f"{request.param}:app", more=["--app-dir=examples"]) as running:
        yield running


async def test_page_tells_a_whole_answer_from_a_failed_one(server: Running, browser: Browser) -> None:
    async with ScriptedServer(*SCRIPTS, port=server.upstream_port) as upstream:
        page = await browser.page(server.url)

        await page.click(SEND)
        await page.wait_for(f"{STOP}.disabled && {TEXT}")
        assert await page.evaluate(f"[{TEXT}, {FAILURE}, document.title]") == ["Hel" + MARKUP, "", "A relay"]

        await page.click(SEND)
        await page.wait_for(FAILURE)
        assert await page.evaluate(TEXT) == "Hel"

        await page.click(SEND)
        assert "no such model" in await page.wait_for(f"{STOP}.disabled && {FAILURE}")

        await page.click(SEND)
        await page.wait_for(f"{TEXT} === 'endless'")
        await page.click(STOP)
        await page.wait_for(f"{STOP}.disabled")
        assert await page.evaluate(FAILURE) == ""
        await upstream.requests[3].closed.wait()
