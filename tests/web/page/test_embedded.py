"""The component in somebody else's page, on another origin, by two lines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from streamkit.testing import Hang, LinkFaults, Send, fault_proxy
from streamkit.web.access import CORS, bearer_tokens
from streamkit.web.site import relay_site

from ..chromium import Browser
from ..relayed import relay_over, site
from .chatting import ChatPage, answer_of, chatting, said

PAGE = """<!doctype html><html lang="en"><title>A shop</title>
<style>
  streamkit-chat { block-size: 400px; inline-size: 360px; --streamkit-accent: rgb(200, 0, 100); }
  streamkit-chat::part(header) { background: rgb(1, 2, 3); }
  p, button, textarea { color: red; display: none; }
</style>
<h1>A shop</h1>
<script type="module" src="RELAY/streamkit-chat.js"></script>
<streamkit-chat src="RELAY/streams" system="Sell shoes."><p slot="empty">Ask us about shoes.</p></streamkit-chat>
"""


@asynccontextmanager
async def shop() -> AsyncIterator[tuple[str, list[str]]]:
    """Another site, whose page is made of these parts."""
    parts: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="".join(parts), content_type="text/html")

    app = web.Application()
    app.router.add_get("/", answer)
    async with site(app) as url:
        yield url, parts


async def test_two_lines_in_a_page_of_another_origin(browser: Browser) -> None:
    async with (
        shop() as (url, parts),
        relay_over(answer_of("We **do**."), page=True, cors=CORS([url])) as (upstream, relay),
        relay_site(relay) as relay_url,
        fault_proxy(relay_url) as proxy,
    ):
        parts.append(PAGE.replace("RELAY", proxy.base_url))
        chat = await chatting(browser, url)
        assert await chat.one("$ROOT.querySelector('slot').assignedElements()[0].textContent") == "Ask us about shoes."
        await chat.say("Do you sell shoes?")
        await chat.shows("We do.")
        assert await chat.over() == "done"
        assert [one["role"] for one in upstream.requests[0].json["messages"]] == ["system", "user"]
        colours = await chat.one(
            "['.send', 'header'].map((name) => getComputedStyle($ROOT.querySelector(name)).backgroundColor)"
        )
        assert colours == ["rgb(200, 0, 100)", "rgb(1, 2, 3)"]
        # The page's own styles stay outside, and the component's inside.
        assert await chat.one("getComputedStyle($ROOT.querySelector('.answer p')).display") == "block"
        assert await chat.one("document.querySelector('streamkit-chat').getBoundingClientRect().width") == 360
        await chat.page.reload()
        await chat.until("$LAST && $LAST.querySelector('.body').textContent")
        assert await chat.text() == "We do."
        assert chat.clean("favicon")
        proxy.to_client = LinkFaults()
        await chat.page.goto("about:blank")


async def test_a_relay_that_does_not_allow_the_page(browser: Browser) -> None:
    async with (
        shop() as (url, parts),
        relay_over(answer_of("x"), page=True) as (upstream, relay),
        relay_site(relay) as relay_url,
    ):
        parts.append(PAGE.replace("RELAY", relay_url))
        chat = await chatting(browser, url)
        await chat.one(f"import('{relay_url}/chat/relay.js').then(({{TIMES}}) => void (TIMES.first = 1))")
        await chat.say("Hello")
        await chat.until("$LAST.querySelector('.note.failed')")
        assert f"it does not let pages of {url} use it (CORS)" in await chat.note()
        assert upstream.requests == []
        await chat.page.goto("about:blank")


async def test_headers_and_attributes_are_the_pages_to_set(browser: Browser) -> None:
    async with (
        relay_over(answer_of("One."), page=True, authorize=bearer_tokens({"ann": "t0ken"})) as (upstream, relay),
        relay_site(relay) as url,
    ):
        chat = await chatting(browser, url)
        await chat.one(
            "(() => { const it = document.querySelector('streamkit-chat');"
            " it.headers = async () => ({authorization: 'Bearer t0ken'}); it.setAttribute('model', 'mine'); it.setAttribute('theme', 'dark'); })()"
        )
        assert await chat.one("getComputedStyle(document.querySelector('streamkit-chat')).colorScheme") == "dark"
        await chat.say("Hello")
        await chat.shows("One.")
        assert await chat.over() == "done"
        assert upstream.requests[0].json["model"] == "mine"
        await chat.page.goto("about:blank")


async def test_moved_removed_and_put_back_it_goes_on(browser: Browser) -> None:
    async with relay_over([Send(said("Some ")), Hang()], page=True) as (upstream, relay), relay_site(relay) as url:
        chat: ChatPage = await chatting(browser, url)
        await chat.say("Hello")
        await chat.shows("Some")
        await chat.one(
            "(() => { globalThis.it = document.querySelector('streamkit-chat'); it.remove(); document.body.append(it); })()"
        )
        await chat.shows("Some")
        assert await chat.one("$LAST.classList.contains('running')")
        assert await chat.one("$ROOT.querySelectorAll('.composer').length") == 1
        await chat.page.press("Escape") if await chat.one("$ROOT.activeElement !== null") else await chat.click(
            "$ROOT.querySelector('.send')"
        )
        await chat.until("$LAST.querySelector('.note.stopped')")
        assert len(upstream.requests) == 1
        assert chat.clean()
        await chat.page.goto("about:blank")
