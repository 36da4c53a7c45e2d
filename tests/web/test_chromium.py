"""The browser that the other tests here drive."""

from __future__ import annotations

import pytest
from aiohttp import web

from .chromium import Browser, PageError

PAGE = """<!doctype html><title>Hello</title><input id=field><button onclick="document.title='clicked'">b</button>
<p id=p style="margin-top: 3000px">end</p>"""


async def serve(_: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html", headers={"Content-Security-Policy": "img-src 'none'"})


@pytest.fixture
async def url() -> object:
    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def test_it_types_clicks_and_waits(browser: Browser, url: str) -> None:
    page = await browser.page(url)
    await page.evaluate("field.focus()")
    await page.type("größer 🙂")
    await page.press("a")
    await page.press("Enter")
    assert await page.evaluate("field.value") == "größer 🙂a"
    await page.click("document.querySelector('button')")
    assert await page.wait_for("document.title == 'clicked' && document.title") == "clicked"
    await page.reload()
    assert await page.evaluate("new Promise((done) => setTimeout(() => done([document.title, field.value]), 5))") == [
        "Hello",
        "",
    ]


async def test_it_tells_what_went_wrong(browser: Browser, url: str) -> None:
    page = await browser.page(url)
    assert (page.violations, page.requests[0]) == ([], url)
    with pytest.raises(PageError, match="no such thing"):
        await page.evaluate("(() => { throw new Error('no such thing'); })()")
    await page.evaluate("void (new Image().src = 'http://127.0.0.1:1/x.png')")
    await page.evaluate("void setTimeout(() => nowhere())")
    await page.wait_for("true")
    await page.evaluate("new Promise((done) => setTimeout(done, 20))")
    assert [found[:2] for found in page.violations] == [["img-src", "http://127.0.0.1:1/x.png"]]
    assert any("nowhere is not defined" in said for said in page.problems)


async def test_two_pages_share_a_profile_and_two_browsers_do_not(browser: Browser, chromium: str, url: str) -> None:
    from .chromium import connected

    one, two = await browser.page(url), await browser.page(url)
    await one.evaluate("localStorage.setItem('a', 'b')")
    assert await two.evaluate("localStorage.getItem('a')") == "b"
    async with connected(chromium) as other:
        assert await (await other.page(url)).evaluate("localStorage.getItem('a')") is None


async def test_offline_and_back(browser: Browser, url: str) -> None:
    page = await browser.page(url)
    await page.offline()
    assert await page.evaluate("fetch('/').then(() => 'up', () => 'down')") == "down"
    await page.offline(False)
    assert await page.evaluate("fetch('/').then(() => 'up', () => 'down')") == "up"


async def test_a_picture_and_figures(browser: Browser, url: str) -> None:
    page = await browser.page(url, width=320, height=200)
    assert (await page.screenshot())[:8] == b"\x89PNG\r\n\x1a\n"
    assert (await page.metrics())["Nodes"] > 5
    await page.wheel(100, 100, 500)
    await page.wait_for("scrollY > 100")
