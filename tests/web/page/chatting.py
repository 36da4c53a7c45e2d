"""The chat page before a real relay before a scripted upstream, and a person at it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from streamkit.testing import Script, ScriptedServer, Send, Step, Wait, chunk, sse
from streamkit.web import Relay
from streamkit.web.site import relay_site

from ..chromium import Browser, Page, PageError
from ..relayed import relay_over

__all__ = ["ChatPage", "answer_of", "chat_over", "chatting", "paced", "pieces", "said"]

ROOT = "document.querySelector('streamkit-chat').shadowRoot"
LAST = f"[...{ROOT}.querySelectorAll('.answer')].at(-1)"


def pieces(text: str) -> list[str]:
    """A text as a model says it: word by word."""
    return re.findall(r"\S+\s*|\s+", text)


def said(*texts: str) -> bytes:
    """The events that say it, and go on."""
    return sse(*(chunk(text) for text in texts), done=False)


def answer_of(text: str, **delta: Any) -> bytes:
    """A whole answer, word by word."""
    words = pieces(text)
    usage = {"prompt_tokens": 9, "completion_tokens": len(words), "total_tokens": 9 + len(words)}
    first = [chunk("", role="assistant", **delta)]
    return sse(*first, *(chunk(word) for word in words), chunk(finish_reason="stop"), chunk(usage=usage))


@dataclass
class ChatPage:
    """A tab with the chat in it, and the hand of a person."""

    page: Page

    async def one(self, expression: str) -> Any:
        return await self.page.evaluate(expression.replace("$ROOT", ROOT).replace("$LAST", LAST))

    async def until(self, expression: str, seconds: float = 15) -> Any:
        """The value of the expression as soon as it is truthy; looked at in the page, which costs less than to ask from here."""
        expression = expression.replace("$ROOT", ROOT).replace("$LAST", LAST)
        look = (
            f"(async () => {{ for (let n = 0; n < 25; n++) {{ try {{ const it = ({expression}); if (it) return it instanceof Node || it; }}"
            " catch {} await new Promise((done) => setTimeout(done, 10)); } return null; })()"
        )
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                if value := await self.page.evaluate(look):
                    return value
            except PageError:  # it navigates
                pass
            assert asyncio.get_running_loop().time() < deadline, f"not within {seconds} s: {expression}"

    async def click(self, expression: str) -> None:
        await self.page.click(expression.replace("$ROOT", ROOT).replace("$LAST", LAST))

    async def say(self, text: str) -> None:
        """Type it and press Enter."""
        await self.one("$ROOT.querySelector('.composer textarea').focus()")
        await self.page.type(text)
        await self.page.press("Enter")

    async def action(self, label: str) -> None:
        """Click a button of the last answer."""
        button = f"[...$LAST.querySelectorAll('button')].find((one) => one.textContent === {json.dumps(label)})"
        await self.until(button)
        await self.click(button)

    async def text(self) -> str:
        """What is seen of the last answer."""
        shown: str = await self.one("$LAST.querySelector('.body').textContent")
        return shown

    async def note(self) -> str:
        """What is said of it; waits until something is."""
        note: str = await self.until("!$LAST.querySelector('.note').hidden && $LAST.querySelector('.note').textContent")
        return note

    async def shows(self, text: str, seconds: float = 15) -> None:
        """Wait until the last answer shows a text, among others."""
        await self.until(f"$LAST.querySelector('.body').textContent.includes({json.dumps(text)})", seconds)

    async def over(self, seconds: float = 15) -> str:
        """Wait until the last answer has ended, is shown and stored; how it ended."""
        await self.until("$LAST && !$LAST.classList.contains('running')", seconds)
        return str((await self.stored())[-1]["state"])

    async def stored(self) -> list[dict[str, Any]]:
        """The messages of the conversation that was last changed, as the browser keeps them."""
        conversations: list[dict[str, Any]] = await self.one(
            "Object.keys(localStorage).filter((key) => key.startsWith('streamkit-chat ')).map((key) => JSON.parse(localStorage[key]))"
        )
        return max(conversations, key=lambda one: one["updated"])["messages"] if conversations else []

    async def conversations(self) -> list[str]:
        """The titles in the list, from the top."""
        titles: list[str] = await self.one("[...$ROOT.querySelectorAll('.open')].map((one) => one.textContent)")
        return titles

    def clean(self, *allowed: str) -> bool:
        """Whether nothing was refused by the page's policy and nothing went wrong in it, but for what is `allowed` in a message."""
        assert self.page.violations == []
        assert [said for said in self.page.problems if not any(one in said for one in allowed)] == []
        return True


async def chatting(browser: Browser, url: str) -> ChatPage:
    """A tab in which the page has begun."""
    chat = ChatPage(await browser.page())
    # A tab behind another one draws no frames.
    await chat.page.send("Emulation.setFocusEmulationEnabled", enabled=True)
    await chat.page.goto(url)
    await chat.until("$ROOT.querySelector('.composer textarea')")
    return chat


@asynccontextmanager
async def chat_over(
    browser: Browser, *scripts: Script, **settings: Any
) -> AsyncIterator[tuple[ChatPage, ScriptedServer, Relay, str]]:
    """The page, its upstream, its relay and its address."""
    async with relay_over(*scripts, page=True, **settings) as (upstream, relay), relay_site(relay) as url:
        chat = await chatting(browser, url)
        try:
            yield chat, upstream, relay, url
        finally:
            await chat.page.goto("about:blank")  # it holds connections, which the relay would wait for


def paced(texts: Iterable[str], seconds: float) -> list[Step]:
    """Steps that say one text after the other."""
    return [step for text in texts for step in (Send(said(text)), Wait(seconds))]
