"""A person at the chat page: typing, reading, stopping, trying again."""

from __future__ import annotations

import asyncio

from streamkit.testing import Hang, Send, Step, chunk, sse

from ..chromium import Browser
from ..relayed import until
from .chatting import answer_of, chat_over, chatting, said

END = sse(chunk(finish_reason="stop"))


async def test_a_question_is_typed_and_its_answer_streams_in(browser: Browser) -> None:
    async with chat_over(browser, [Send(said("Half of ", "it, ")), Hang()], answer_of("x")) as (chat, upstream, _, _):
        assert await chat.one("document.activeElement.localName") in ("body", "streamkit-chat")
        await chat.say("How are you?")
        await chat.shows("Half of it,")
        assert await chat.one("$LAST.classList.contains('running') && $LAST.getAttribute('aria-busy')") == "true"
        assert upstream.requests[0].json["messages"] == [{"role": "user", "content": "How are you?"}]
        assert await chat.one("$ROOT.querySelector('.user .body').textContent") == "How are you?"
        assert await chat.one("$ROOT.querySelector('.composer textarea').value") == ""
        assert await chat.one("$ROOT.activeElement.localName") == "textarea"
        assert chat.clean()


async def test_stop_closes_the_upstream_within_a_second(browser: Browser) -> None:
    async with chat_over(browser, [Send(said("It goes on and ")), Hang()]) as (chat, upstream, relay, _):
        await chat.say("Talk")
        await chat.shows("It goes on and")
        began = asyncio.get_running_loop().time()
        await chat.click("$ROOT.querySelector('.send')")
        async with asyncio.timeout(5):
            await upstream.requests[0].closed.wait()
        closed_at = upstream.requests[0].closed_at
        assert closed_at is not None and closed_at - began < 1
        assert await chat.over() == "stopped"
        assert await chat.note() == "You stopped this answer."
        assert (await chat.stored())[-1]["text"] == "It goes on and "
        await until(lambda: relay.running == 0)
        assert chat.clean()


async def test_stop_before_the_first_word(browser: Browser) -> None:
    async with chat_over(browser, [Hang()]) as (chat, upstream, relay, _):
        await chat.say("Talk")
        await until(lambda: upstream.requests)
        await chat.page.press("Escape")
        async with asyncio.timeout(5):
            await upstream.requests[0].closed.wait()
        assert await chat.note() == "You stopped this answer before it began."
        await until(lambda: relay.running == 0)
        assert chat.clean()


async def test_the_conversation_goes_on_with_what_was_said(browser: Browser) -> None:
    async with chat_over(browser, answer_of("First."), answer_of("Second.")) as (chat, upstream, _, _):
        await chat.say("One")
        assert await chat.over() == "done"
        await chat.say("Two")
        await chat.shows("Second.")
        assert [(one["role"], one["content"]) for one in upstream.requests[1].json["messages"]] == [
            ("user", "One"),
            ("assistant", "First."),
            ("user", "Two"),
        ]
        figures = await chat.until("$LAST.querySelector('.figures')?.textContent")
        assert "to first token" in figures and "1 token" in figures
        assert chat.clean()


async def test_try_again_asks_the_same_again(browser: Browser) -> None:
    async with chat_over(browser, answer_of("A bad one."), answer_of("A good one.")) as (chat, upstream, _, _):
        await chat.say("Tell me")
        await chat.over()
        await chat.action("Try again")
        await chat.shows("A good one.")
        assert await chat.over() == "done"
        assert upstream.requests[0].json == upstream.requests[1].json
        assert [one["text"] for one in await chat.stored()] == ["Tell me", "A good one."]
        assert chat.clean()


async def test_a_message_is_edited_and_sent_again(browser: Browser) -> None:
    async with chat_over(browser, answer_of("One."), answer_of("Two."), answer_of("Three.")) as (chat, upstream, _, _):
        for text in "first", "second":
            await chat.say(text)
            assert await chat.over() == "done"
        await chat.one("$ROOT.querySelector('.user').querySelector('button').focus()")
        await chat.page.press("Enter")
        assert await chat.one("$ROOT.activeElement.value") == "first"
        await chat.page.press("Escape")
        assert await chat.one("$ROOT.querySelectorAll('.edit').length") == 0
        assert await chat.one("$ROOT.activeElement.textContent") == "Edit"
        await chat.page.press("Enter")
        await chat.page.type(" and other")
        await chat.page.press("Enter")
        await chat.shows("Three.")
        await chat.over()
        assert [one["text"] for one in await chat.stored()] == ["first and other", "Three."]
        assert upstream.requests[2].json["messages"] == [{"role": "user", "content": "first and other"}]
        assert await chat.conversations() == ["first and other"]
        assert chat.clean()


async def test_arrow_up_in_the_empty_field_edits_the_last_message(browser: Browser) -> None:
    async with chat_over(browser, answer_of("One.")) as (chat, _, _, _):
        await chat.say("what I said")
        await chat.over()
        await chat.page.press("ArrowUp")
        assert await chat.one("$ROOT.activeElement.value") == "what I said"


async def test_enter_with_shift_is_a_line_and_blank_is_no_message(browser: Browser) -> None:
    async with chat_over(browser, answer_of("Yes.")) as (chat, upstream, _, _):
        await chat.say("   ")
        assert upstream.requests == []
        await chat.one("$ROOT.querySelector('.composer textarea').value = ''")
        await chat.page.type("a")
        await chat.page.press("Enter", "Shift")
        await chat.page.type("b")
        height = await chat.one("$ROOT.querySelector('.composer textarea').offsetHeight")
        await chat.page.press("Enter")
        await chat.shows("Yes.")
        assert upstream.requests[0].json["messages"][0]["content"] == "a\nb"
        assert await chat.one("$ROOT.querySelector('.composer textarea').offsetHeight") < height


async def test_conversations_are_kept_switched_and_deleted(browser: Browser) -> None:
    async with chat_over(browser, answer_of("One."), answer_of("Two.")) as (chat, _, _, url):
        await chat.say("The first")
        await chat.over()
        await chat.click("$ROOT.querySelector('.create')")
        assert await chat.one("$ROOT.querySelectorAll('.message').length") == 0
        assert await chat.one("$ROOT.activeElement.localName") == "textarea"
        await chat.say("The second")
        await chat.over()
        assert await chat.conversations() == ["The second", "The first"]
        await chat.click("$ROOT.querySelectorAll('.open')[1]")
        await chat.until("$LAST && $LAST.querySelector('.body').textContent === 'One.'")
        await chat.page.reload()
        await chat.until("$LAST && $LAST.querySelector('.body').textContent === 'One.'")
        await chat.click("$ROOT.querySelectorAll('.remove')[1]")
        assert len(await chat.conversations()) == 2  # it asks first
        await chat.click("$ROOT.querySelectorAll('.remove')[1]")
        assert await chat.conversations() == ["The second"]
        assert await chat.one("$ROOT.querySelectorAll('.message').length") == 0
        other = await chatting(browser, url)
        assert await other.conversations() == ["The second"]
        assert chat.clean()


async def test_an_answer_runs_on_while_another_conversation_is_open(browser: Browser) -> None:
    async with chat_over(browser, [Send(said("Slow ")), Hang()], answer_of("Quick.")) as (chat, upstream, _, _):
        await chat.say("slow one")
        await chat.shows("Slow")
        await chat.click("$ROOT.querySelector('.create')")
        await chat.say("quick one")
        assert await chat.over() == "done"
        assert await chat.text() == "Quick."
        assert not upstream.requests[0].closed.is_set()
        await chat.click("[...$ROOT.querySelectorAll('.open')].find((one) => one.textContent === 'slow one')")
        await chat.until("$LAST.querySelector('.body').textContent === 'Slow '")
        assert await chat.one("$ROOT.querySelector('.send').title") == "Stop"


async def test_reasoning_is_folded_and_tool_calls_are_shown(browser: Browser) -> None:
    call = {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city":'},
    }
    more = {"index": 0, "function": {"arguments": '"Paris"}'}}
    other = {"index": 1, "id": "call_2", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    thinking: list[Step] = [Send(sse(chunk(reasoning_content="Let me think."), done=False)), Hang()]
    calling = sse(
        chunk(reasoning_content="A tool."),
        *(chunk(tool_calls=[one]) for one in (call, more, other)),
        chunk(finish_reason="tool_calls"),
    )
    async with chat_over(browser, thinking, calling) as (chat, _, _, _):
        await chat.say("Think")
        await chat.until("$LAST.querySelector('.reasoning summary').textContent === 'Thinking…'")
        assert not await chat.one("$LAST.querySelector('.reasoning').open")
        await chat.until("$LAST.querySelector('.reasoning .plain').textContent === 'Let me think.'")
        await chat.page.press("Escape")
        await chat.over()
        await chat.action("Try again")
        await chat.until("$LAST.querySelectorAll('.tool').length === 2")
        assert await chat.over() == "done"
        assert await chat.one("[...$LAST.querySelectorAll('.tool b')].map((one) => one.textContent)") == [
            "get_weather",
            "get_time",
        ]
        assert await chat.one("JSON.parse($LAST.querySelector('.tool pre').textContent)") == {"city": "Paris"}
        assert await chat.one("$LAST.querySelector('.reasoning summary').textContent") == "Reasoning"
        assert chat.clean()


async def test_copy_gives_the_text_and_the_code(browser: Browser) -> None:
    source = "See **this**:\n\n```py\nprint('ä')\n```\n"
    async with chat_over(browser, answer_of(source)) as (chat, _, _, url):
        await browser.send(
            "Browser.grantPermissions",
            origin=url,
            browserContextId=browser.context,
            permissions=["clipboardReadWrite", "clipboardSanitizedWrite"],
        )
        await chat.say("Show me")
        await chat.over()
        await chat.page.send("Page.bringToFront")
        await chat.click("$LAST.querySelector('.code button')")
        await chat.until("$LAST.querySelector('.code button').textContent === 'Copied'")
        assert await chat.one("navigator.clipboard.readText()") == "print('ä')\n"
        await chat.action("Copy")
        await chat.until("$LAST.querySelector('.foot button').textContent === 'Copied'")
        assert await chat.one("navigator.clipboard.readText()") == source
        assert chat.clean()


async def test_models_that_the_relay_offers_can_be_chosen(browser: Browser) -> None:
    async with chat_over(browser, answer_of("Yes."), models=["large", "small"]) as (chat, upstream, _, _):
        await chat.until("!$ROOT.querySelector('select').hidden")
        await chat.one(
            "(($ROOT.querySelector('select').value = 'small'), $ROOT.querySelector('select').dispatchEvent(new Event('change')))"
        )
        await chat.page.reload()
        await chat.until("$ROOT.querySelector('select').value === 'small'")
        await chat.say("Hello")
        await chat.over()
        assert upstream.requests[0].json["model"] == "small"
        assert "small" in await chat.one("$LAST.querySelector('.figures').textContent")


async def test_the_end_stays_in_view_until_the_reader_scrolls_up(browser: Browser) -> None:
    lines = [f"line {number}\n\n" for number in range(60)]
    more = [f"more {number}\n\n" for number in range(30)]
    steps: list[Step] = [Send(said(*lines)), Hang()]
    async with chat_over(browser, steps, answer_of("".join(lines + more))) as (chat, _, _, _):
        scroller = "$ROOT.querySelector('.scroller')"
        at_end = f"(({scroller}.scrollHeight - {scroller}.scrollTop - {scroller}.clientHeight) < 2)"
        await chat.say("Count")
        await chat.shows("line 59")
        await chat.until(at_end)
        await chat.page.wheel(600, 300, -400)
        await chat.until("!$ROOT.querySelector('.latest').hidden")
        where = await chat.until(f"!{at_end} && {scroller}.scrollTop")
        await chat.page.press("Escape")
        await chat.over()  # the note below it has made it longer
        assert abs(await chat.one(f"{scroller}.scrollTop") - where) < 400
        assert not await chat.one(at_end)
        await chat.click("$ROOT.querySelector('.latest')")
        await chat.until(at_end)
        assert await chat.one("$ROOT.querySelector('.latest').hidden")
        await chat.action("Try again")
        await chat.shows("more 29")
        await chat.until(at_end)
        assert chat.clean()
