"""What can be wrong behind the page's address or in its browser: a sentence says what, and there is a way on."""

from __future__ import annotations

import json

from streamkit.testing import Hang, Send, Step, answer as http_answer
from streamkit.web import Limits
from streamkit.web.access import bearer_tokens

from ..chromium import Browser
from .chatting import ChatPage, answer_of, chat_over, chatting, said
from .other_relay import event, other_relay

ACTIONS = "[...$LAST.querySelectorAll('.foot button')].map((one) => one.textContent)"
JSON = {"content-type": "application/json"}


async def failed(chat: ChatPage) -> str:
    await chat.until("$LAST && $LAST.querySelector('.note.failed')")
    return await chat.note()


async def point(chat: ChatPage, src: str) -> None:
    await chat.one(f"void document.querySelector('streamkit-chat').setAttribute('src', {json.dumps(src)})")


async def test_nothing_listens_behind_src(browser: Browser) -> None:
    async with chat_over(browser, answer_of("There.")) as (chat, _, _, _):
        await chat.one("import('/chat/relay.js').then(({TIMES}) => void (TIMES.first = 1))")
        await chat.page.send("Network.setBlockedURLs", urls=["*/streams"])
        await chat.say("Hello?")
        note = await failed(chat)
        assert note.startswith("Nothing answers at http://127.0.0.1:") and "may not be running" in note
        assert await chat.one(ACTIONS) == ["Try again"]
        await chat.page.send("Network.setBlockedURLs", urls=[])
        await chat.action("Try again")
        await chat.shows("There.")
        assert await chat.over() == "done"


async def test_the_browser_is_offline(browser: Browser) -> None:
    async with chat_over(browser, answer_of("There.")) as (chat, _, _, _):
        await chat.one("import('/chat/relay.js').then(({TIMES}) => void (TIMES.first = 1))")
        await chat.page.offline()
        await chat.say("Hello?")
        assert await failed(chat) == "You are offline. Your message is kept; try again when the network is back."
        await chat.page.offline(False)
        await chat.action("Try again")
        assert await chat.over() == "done"


async def test_another_path_than_the_relays(browser: Browser) -> None:
    async with chat_over(browser, answer_of("x")) as (chat, _, _, url):
        await point(chat, "/nowhere")
        await chat.say("Hello?")
        assert await failed(chat) == f"There is no relay at {url}/nowhere (HTTP 404). Check the address."


async def test_a_token_is_asked_for_and_used(browser: Browser) -> None:
    async with chat_over(browser, answer_of("Welcome."), authorize=bearer_tokens({"ann": "open-sesame"})) as (
        chat,
        upstream,
        _,
        _,
    ):
        await chat.say("Hello?")
        assert "asks for a token" in await failed(chat)
        assert await chat.one(ACTIONS) == ["Enter token", "Try again"]
        await chat.action("Enter token")
        assert await chat.one("$ROOT.activeElement.type") == "password"
        await chat.page.type("open-sesame")
        await chat.page.press("Enter")
        await chat.shows("Welcome.")
        assert await chat.over() == "done"
        await chat.page.reload()  # the tab knows it
        await chat.say("Again")
        await chat.until("$ROOT.querySelectorAll('.answer').length === 2")
        assert await chat.over() == "done"
        assert len(upstream.requests) == 2
        assert "open-sesame" not in await chat.one("JSON.stringify(localStorage)")
        assert chat.clean("401")


async def test_a_conversation_that_is_too_long(browser: Browser) -> None:
    async with chat_over(browser, answer_of("Short."), limits=Limits(max_body=500)) as (chat, _, _, _):
        await chat.say("long " * 200)
        assert "longer than the relay accepts" in await failed(chat)
        await chat.action("New conversation")
        await chat.say("short")
        await chat.shows("Short.")


async def test_too_many_requests_say_when_to_come_back(browser: Browser) -> None:
    async with chat_over(browser, answer_of("One."), limits=Limits(starts_per_minute=1)) as (chat, upstream, _, _):
        await chat.say("first")
        assert await chat.over() == "done"
        await chat.say("second")
        note = await failed(chat)
        assert note.startswith("Too many requests at the moment. Try again in ") and note.endswith(" s.")
        assert await chat.one(ACTIONS) == []
        # As if the time had passed: what is stored says until when.
        stored = "JSON.parse(localStorage[Object.keys(localStorage)[0]])"
        await chat.one(
            f"((all) => {{ all.messages.at(-1).error.until = 1; localStorage[Object.keys(localStorage)[0]] = JSON.stringify(all); }})({stored})"
        )
        await chat.page.reload()
        await chat.until("$LAST")
        await chat.until(f"{ACTIONS}.includes('Try again')")
        assert len(upstream.requests) == 1


async def test_retry_after_counts_down_to_the_button(browser: Browser) -> None:
    async with chat_over(
        browser,
        http_answer(429, b'{"error": {"message": "Slow down"}}', headers={"Retry-After": "2"}),
        answer_of("Now."),
    ) as (chat, _, _, _):
        await chat.say("Hello")
        assert "Try again in 2 s" in await failed(chat) or "Try again in 1 s" in await chat.note()
        await chat.action("Try again")
        await chat.shows("Now.")


async def test_a_busy_relay(browser: Browser) -> None:
    script: list[Step] = [Send(said("On ")), Hang()]
    async with chat_over(browser, script, limits=Limits(max_streams=1)) as (chat, _, _, _):
        await chat.say("one")
        await chat.shows("On")
        await chat.click("$ROOT.querySelector('.create')")
        await chat.say("two")
        note = await failed(chat)
        assert note.startswith("The relay is busy or restarting.")


async def test_a_relay_that_shuts_down_says_so(browser: Browser) -> None:
    async with chat_over(browser, [Send(said("Half ")), Hang()]) as (chat, _, relay, _):
        await chat.say("Talk")
        await chat.shows("Half")
        await relay.close()
        assert "shut down" in await failed(chat)
        assert await chat.over() == "failed"


async def test_an_upstream_that_refuses(browser: Browser) -> None:
    cases = [
        (401, "invalid_api_key", "does not accept the relay's key"),
        (400, "context_length_exceeded", "The request was refused (HTTP 400). The relay says: too long."),
        (500, None, "The server failed (HTTP"),
    ]
    errors = [
        http_answer(status, json.dumps({"error": {"message": "too long", "type": "x", "code": code}}).encode())
        for status, code, _ in cases
    ]
    async with chat_over(browser, *errors) as (chat, _, _, _):
        for _, _, expected in cases:
            await chat.say("Hello")
            note = await failed(chat)
            assert expected in note
            assert "undefined" not in note and "null" not in note
            assert await chat.one(ACTIONS) == ["Try again"]
            await chat.click("$ROOT.querySelector('.create')")


async def test_an_answer_that_is_no_stream(browser: Browser) -> None:
    """A page of HTML, another API, `null`, half an answer; and a stream that is none."""
    page, started = (200, "<!doctype html><p>Hello", {"content-type": "text/html"}), (201, '{"stream": "s1"}', JSON)
    for start in page, (201, "{}", JSON), (201, "null", JSON), (201, "{", JSON), started:
        async with other_relay(b"{}", start=start, content_type="application/json") as url:
            chat = await chatting(browser, url)
            await chat.say("Hello")
            note = await failed(chat)
            assert note.startswith(f"What answers at {url}/streams is no relay") and "undefined" not in note, start
            assert await chat.one(ACTIONS) == ["Try again"]
            await chat.page.close()


async def test_events_that_are_no_events(browser: Browser) -> None:
    """A relay of another version, or something between: what is understood is kept, and the rest is told."""
    bodies = [
        event('{"text": "Hello"}', 1) + event("what?", 2),
        event('{"new": 1}', 2) + event("[]", 3) + event('{"reason": "done"}', "end", "end"),
    ]
    async with other_relay(*bodies) as url:
        chat = await chatting(browser, url)
        await chat.say("Hello")
        assert "is no relay" in await failed(chat)
        assert await chat.text() == "Hello"
        await chat.action("Try again")
        await chat.until("!$LAST.classList.contains('running')")
        assert "gave no answer" in await chat.note()
        await chat.page.close()


async def test_storage_that_is_forbidden(browser: Browser) -> None:
    denied = "{get() { throw new DOMException('denied', 'SecurityError'); }}"
    async with chat_over(browser, answer_of("One."), answer_of("Two.")) as (chat, _, _, _):
        for name in "localStorage", "sessionStorage":
            await chat.page.send(
                "Page.addScriptToEvaluateOnNewDocument", source=f"Object.defineProperty(window, '{name}', {denied})"
            )
        await chat.page.reload()
        await chat.until("$ROOT.querySelector('.banner').textContent.includes('does not let the page store')")
        for text in "One.", "Two.":
            await chat.say("Hello")
            await chat.shows(text)
            await chat.until("!$LAST.classList.contains('running')")
        assert len(await chat.conversations()) == 1
        assert chat.clean()


async def test_storage_that_is_full(browser: Browser) -> None:
    async with chat_over(browser, answer_of("One."), answer_of("Two.")) as (chat, _, _, _):
        await chat.say("Hello")
        assert await chat.over() == "done"
        await chat.one(
            "(() => { for (let size = 2 ** 20; size >= 1; size /= 2) {"
            " try { for (let n = 0; ; n++) localStorage.setItem(`fill ${size} ${n}`, 'x'.repeat(size)); } catch {} } })()"
        )
        await chat.say("More")
        await chat.shows("Two.")
        await chat.until("$ROOT.querySelector('.banner').textContent.includes('storage is full')")
        await chat.one(
            "Object.keys(localStorage).filter((key) => key.startsWith('fill')).forEach((key) => localStorage.removeItem(key))"
        )
        await chat.say("And more")
        await chat.until("$ROOT.querySelector('.banner').hidden")
        await chat.until("$ROOT.querySelectorAll('.answer').length === 3")
        await chat.over()
        assert len(await chat.stored()) == 6
        assert chat.clean()
