"""What breaks between the page and the relay, and in the browser: the text is exact all the same, and there is one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from streamkit.testing import FaultProxy, Hang, LinkFaults, Script, ScriptedServer, Send, Step, chunk, fault_proxy, sse
from streamkit.web import Relay
from streamkit.web.site import relay_site

from ..chromium import Browser
from ..relayed import relay_over, until
from .chatting import ChatPage, answer_of, chat_over, chatting, paced, said

NUMBERS = "".join(f"{number} größer 🙂 " for number in range(900))


async def test_a_reload_in_the_middle_reads_on(browser: Browser) -> None:
    """The text is exact, the model was asked once, and what was there before is there at once."""
    script = [
        Send(said("Before the reload, ")),
        *paced(["and ", "after ", "it."], 0.4),
        Send(sse(chunk(finish_reason="stop"))),
    ]
    async with chat_over(browser, script) as (chat, upstream, _, _):
        await chat.say("Tell me")
        await chat.shows("Before")
        await chat.page.reload()
        await chat.until("$LAST")
        assert await chat.over() == "done"
        assert await chat.text() == "Before the reload, and after it."
        assert [one["text"] for one in await chat.stored()] == ["Tell me", "Before the reload, and after it."]
        assert len(upstream.requests) == 1
        await chat.page.reload()
        await chat.until("$LAST && $LAST.querySelector('.body').textContent")
        assert await chat.text() == "Before the reload, and after it."
        assert await chat.one("$ROOT.querySelectorAll('.answer').length") == 1
        assert chat.clean()


async def test_a_reload_before_the_relay_has_answered_asks_with_the_same_key(browser: Browser) -> None:
    async with chat_over(browser, [Hang()], answer_of("Here it is."), early_commit=60) as (chat, upstream, _, _):
        await chat.say("Tell me")
        await until(lambda: upstream.requests)
        await chat.page.reload()  # the relay gives up what nobody waits for, and is asked again
        await chat.shows("Here it is.")
        assert await chat.over() == "done"
        assert [one["text"] for one in await chat.stored()] == ["Tell me", "Here it is."]
        assert len(upstream.requests) == 2
        assert chat.clean()


@asynccontextmanager
async def behind_a_proxy(
    browser: Browser, *scripts: Script, **settings: Any
) -> AsyncIterator[tuple[ChatPage, ScriptedServer, Relay, FaultProxy]]:
    """The page, with a network between it and its relay; it is quick to reconnect."""
    async with (
        relay_over(*scripts, page=True, retry_ms=(20, 40), **settings) as (upstream, relay),
        relay_site(relay) as url,
        fault_proxy(url) as proxy,
    ):
        chat = await chatting(browser, proxy.base_url)
        await chat.one("import('/chat/relay.js').then(({TIMES}) => void (TIMES.first = 30))")
        yield chat, upstream, relay, proxy
        proxy.to_client = LinkFaults()
        await chat.page.goto("about:blank")


GONE = LinkFaults(reset_after=0)


async def test_twenty_cuts_and_the_text_is_exact(browser: Browser) -> None:
    async with behind_a_proxy(browser, answer_of(NUMBERS)) as (chat, upstream, _, proxy):
        # Long enough for the answer to the POST; whatever is read is cut in the middle of an event.
        proxy.to_client = LinkFaults(cut_after=7_007)
        await chat.say("Count")
        await chat.over(40)
        assert sum("/streams/" in url for url in chat.page.requests) > 20
        assert (await chat.stored())[-1]["text"] == NUMBERS
        assert await chat.text() == NUMBERS
        assert len(upstream.requests) == 1
        assert chat.clean("Failed to load resource")


async def test_the_answer_goes_on_when_the_network_is_back(browser: Browser) -> None:
    script = [Send(said("Before, ")), *paced(["", "and ", "after."], 0.3), Send(sse(chunk(finish_reason="stop")))]
    async with behind_a_proxy(browser, script, grace=30) as (chat, upstream, _, proxy):
        await chat.say("Tell me")
        await chat.shows("Before")
        proxy.to_client = GONE
        assert "Connection lost" in await chat.note()
        proxy.to_client = LinkFaults()
        await chat.shows("after.")
        assert await chat.over() == "done"
        assert await chat.text() == "Before, and after."
        assert await chat.one("$LAST.querySelector('.note').hidden")
        assert len(upstream.requests) == 1
        assert chat.clean("Failed to load resource")


async def test_a_connection_that_is_never_restored_is_told_and_can_be_continued(browser: Browser) -> None:
    script: list[Step] = [Send(said("Before, ")), Hang()]
    async with behind_a_proxy(browser, script, on_disconnect="continue") as (chat, upstream, relay, proxy):
        await chat.say("Tell me")
        await chat.shows("Before")
        await chat.one("import('/chat/relay.js').then(({TIMES}) => void (TIMES.first = TIMES.most = 1))")
        proxy.to_client = GONE
        await chat.until("$LAST.querySelector('.note.failed')")
        assert "could not be restored" in await chat.note()
        assert (await chat.over(), (await chat.stored())[-1]["text"]) == ("failed", "Before, ")
        proxy.to_client = LinkFaults()
        await chat.action("Continue")
        await chat.until("$LAST.querySelector('.note').hidden")
        await relay.stop((await chat.stored())[-1]["stream"])
        await chat.until("$LAST.querySelector('.note.failed')")
        assert await chat.text() == "Before, "
        assert len(upstream.requests) == 1


async def test_an_answer_that_the_relay_gave_up_meanwhile_is_told_as_such(browser: Browser) -> None:
    async with behind_a_proxy(browser, [Send(said("Half ")), Hang()], grace=0.1) as (chat, _, relay, proxy):
        await chat.say("Tell me")
        await chat.shows("Half")
        proxy.to_client = GONE
        await until(lambda: relay.running == 0)
        proxy.to_client = LinkFaults()
        await chat.until("$LAST.querySelector('.note.failed')")
        assert "gave this answer up" in await chat.note()
        assert "incomplete" in await chat.note()
        assert await chat.over() == "failed"
        assert (await chat.stored())[-1]["text"] == "Half "
        assert await chat.one("[...$LAST.querySelectorAll('.foot button')].map((one) => one.textContent)") == [
            "Copy",
            "Try again",
        ]


async def test_a_stream_that_the_relay_no_longer_has_is_told_as_such(browser: Browser) -> None:
    async with behind_a_proxy(browser, [Send(said("Half ")), Hang()]) as (chat, _, relay, proxy):
        await chat.say("Tell me")
        await chat.shows("Half")
        proxy.to_client = GONE
        await relay.delete((await chat.stored())[-1]["stream"])
        proxy.to_client = LinkFaults()
        await chat.until("$LAST.querySelector('.note.failed')")
        assert "no longer has this answer" in await chat.note()
        assert await chat.text() == "Half "


async def test_a_network_that_goes_silent_is_noticed(browser: Browser) -> None:
    """No bytes, no close: the relay's heartbeats are missing, so the page connects anew."""
    script = [Send(said("Before, ")), *paced(["", "and ", "after."], 0.3), Send(sse(chunk(finish_reason="stop")))]
    async with behind_a_proxy(browser, script, grace=30) as (chat, upstream, _, proxy):
        await chat.one("import('/chat/relay.js').then(({TIMES}) => void (TIMES.silence = 1000))")
        await chat.say("Tell me")
        await chat.shows("Before")
        proxy.to_client = LinkFaults(silence_after=0)
        assert "Connection lost" in await chat.note()
        proxy.to_client = LinkFaults()
        await chat.shows("after.")
        assert await chat.over() == "done"
        assert await chat.text() == "Before, and after."
        assert len(upstream.requests) == 1


async def _both(one: ChatPage, two: ChatPage, condition: Callable[[ChatPage], Awaitable[object]]) -> None:
    await asyncio.gather(condition(one), condition(two))


async def test_two_tabs_show_one_answer_and_the_other_goes_on_where_one_is_closed(browser: Browser) -> None:
    script = [
        Send(said("Word ")),
        *paced(["by ", "word, ", "to ", "the ", "end."], 0.3),
        Send(sse(chunk(finish_reason="stop"))),
    ]
    async with chat_over(browser, script, answer_of("Again."), grace=20) as (chat, upstream, _, url):
        await chat.say("Tell me")
        await chat.shows("Word")
        other = await chatting(browser, url)
        await other.until("$ROOT.querySelector('.open')")
        await other.click("$ROOT.querySelector('.open')")
        await other.shows("Word")
        assert await other.one("$ROOT.querySelector('.send').title") == "Stop"
        await chat.page.close()
        await other.shows("end.")
        assert await other.over() == "done"
        assert await other.text() == "Word by word, to the end."
        assert len(upstream.requests) == 1
        third = await chatting(browser, url)
        await third.click("$ROOT.querySelector('.open')")
        await third.say("And again")
        await _both(other, third, lambda tab: tab.shows("Again."))
        await _both(other, third, lambda tab: tab.over())
        for tab in other, third:
            assert [one["text"] for one in await tab.stored()] == [
                "Tell me",
                "Word by word, to the end.",
                "And again",
                "Again.",
            ]
            assert await tab.one("$ROOT.querySelectorAll('.message').length") == 4
            assert tab.clean()
        await third.page.close()
        chat.page = other.page


async def test_stop_in_one_tab_stops_the_answer_of_another(browser: Browser) -> None:
    async with chat_over(browser, [Send(said("It goes on ")), Hang()]) as (chat, upstream, _, url):
        await chat.say("Talk")
        await chat.shows("It goes on")
        other = await chatting(browser, url)
        await other.until("$ROOT.querySelector('.open')")
        await other.click("$ROOT.querySelector('.open')")
        await other.shows("It goes on")
        await other.page.press("Escape")
        async with asyncio.timeout(5):
            await upstream.requests[0].closed.wait()
        await chat.until("$LAST.querySelector('.note.stopped')")
        assert (await chat.note(), await other.note()) == ("You stopped this answer.", "You stopped this answer.")
        assert (await chat.stored())[-1]["state"] == "stopped"
        await other.page.close()


@pytest.mark.parametrize(
    "locks", ["undefined", "({request: () => Promise.reject(new DOMException('no', 'SecurityError'))})"]
)
async def test_it_works_without_the_browsers_locks(browser: Browser, locks: str) -> None:
    async with chat_over(browser, answer_of("Yes.")) as (chat, _, _, _):
        await chat.page.send(
            "Page.addScriptToEvaluateOnNewDocument",
            source=f"Object.defineProperty(Navigator.prototype, 'locks', {{value: {locks}}})",
        )
        await chat.page.reload()
        await chat.say("Hello")
        await chat.shows("Yes.")
        assert await chat.over() == "done"
        assert chat.clean()
