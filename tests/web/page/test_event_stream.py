"""Bytes from the relay, in whatever pieces and whatever line ends; and what an upstream does to an answer."""

from __future__ import annotations

import json
from typing import Any

from streamkit.testing import Cut, End, LinkFaults, Reset, Script, Send, chunk, fault_proxy, sse
from streamkit.web.site import relay_site

from ..chromium import Browser
from ..relayed import relay_over
from .chatting import answer_of, chat_over, chatting
from .other_relay import event, other_relay

PIECES = ["größer ", "🙂", " — 你好 — ", "e", "\u0301"]
TEXT = "".join(PIECES)
EVENTS = [event(json.dumps({"text": text}, ensure_ascii=False), place + 1) for place, text in enumerate(PIECES)]
FEED = b"".join(EVENTS) + event('{"reason": "done", "finish_reason": "stop", "usage": null, "seq": 99}', "end", "end")


async def test_any_line_ends_in_reads_of_one_byte(browser: Browser) -> None:
    """Also no space after the colon, a BOM, a reconnection time, heartbeats, and data in several lines."""
    feeds = [
        FEED,
        FEED.replace(b"\n", b"\r\n"),
        FEED.replace(b"\n", b"\r"),
        FEED.replace(b": ", b":"),
        b"\xef\xbb\xbfretry: 20\n\n" + FEED.replace(b"\n\n", b"\n\n: hb\n"),
        FEED.replace(b'data: {"', b'data: {\ndata: "'),
    ]
    async with other_relay(*feeds, write=1) as url:
        chat = await chatting(browser, url)
        for feed in feeds:
            await chat.say("Hello")
            await chat.over(20)
            assert await chat.text() == TEXT, feed
            stored = (await chat.stored())[-1]
            assert (stored["state"], stored["text"], stored["seq"]) == ("done", TEXT, len(PIECES))
        assert chat.clean("404")
        await chat.page.close()


async def test_every_split_of_the_bytes_gives_the_same_events(browser: Browser) -> None:
    async with other_relay() as url:
        chat = await chatting(browser, url)
        found: dict[str, Any] = await chat.one(
            """(async () => {
              const { EventStreamDecoder } = await import("/chat/event-stream.js");
              const bytes = new TextEncoder().encode("\\ufeffid: 1\\r\\ndata: gr\\u00f6\\u00dfer \\ud83d\\ude42\\r\\ndata\\r\\n\\r\\n: c\\r\\nevent: end\\rdata:x\\nid\\n\\nretry: 20\\nretry: x\\n\\ndata: lost");
              const seen = new Set();
              for (let a = 0; a <= bytes.length; a++) for (let b = a; b <= bytes.length; b++) {
                const decoder = new EventStreamDecoder();
                const events = [[0, a], [a, b], [b]].flatMap(([from, to]) => decoder.feed(bytes.slice(from, to)));
                seen.add(JSON.stringify([events, decoder.retry, decoder.lastEventId]));
              }
              return [...seen];
            })()"""
        )
        assert [json.loads(one) for one in found] == [
            [
                [{"type": "message", "data": "größer 🙂\n", "id": "1"}, {"type": "end", "data": "x", "id": ""}],
                20,
                "",
            ]
        ]


async def test_reads_of_one_byte_from_a_real_relay(browser: Browser) -> None:
    async with (
        relay_over(answer_of(TEXT), page=True) as (_, relay),
        relay_site(relay) as url,
        fault_proxy(url) as proxy,
    ):
        chat = await chatting(browser, proxy.base_url)
        proxy.to_client = LinkFaults(slice=1, bandwidth=4000)
        await chat.say("Hello")
        assert await chat.over() == "done"
        assert await chat.text() == TEXT
        assert chat.clean()
        await chat.page.close()


async def test_an_upstream_that_splits_characters_and_ends_lines_with_crlf(browser: Browser) -> None:
    whole = sse(chunk("", role="assistant"), chunk("A 🙂 B"), chunk(finish_reason="stop")).replace(b"\n", b"\r\n")
    middle = whole.index("🙂".encode()) + 2 if "🙂".encode() in whole else whole.index(b"\\ude42")
    halves = rb'data: {"choices":[{"index":0,"delta":{"content":"\ud83d"}}]}' + b"\n\n"
    other = halves.replace(b"d83d", b"de42")
    async with chat_over(
        browser,
        [Send(whole[:middle]), Send(whole[middle:])],
        [Send(halves), Send(other), Send(sse(chunk(finish_reason="stop")))],
    ) as (chat, _, _, _):
        for text in "A 🙂 B", "🙂":
            await chat.say("Hello")
            assert await chat.over() == "done"
            assert await chat.text() == text
        assert chat.clean()


def deaths() -> list[tuple[Script, bool]]:
    """An upstream that ends in each of three ways before and after each of its events, and whether the answer is whole then."""
    events = [chunk("", role="assistant"), chunk("one "), chunk("two "), chunk("three"), chunk(finish_reason="stop")]
    return [
        (
            [Send(sse(*events[:count], done=False)) if count else Send(b": hello\n\n"), end],
            count == len(events) and isinstance(end, End),
        )
        for count in range(len(events) + 1)
        for end in (End(), Cut(), Reset())
    ]


async def test_an_upstream_that_dies_at_any_event_is_never_shown_as_complete(browser: Browser) -> None:
    cases = deaths()
    async with chat_over(browser, *(script for script, _ in cases)) as (chat, upstream, _, _):
        for number, (script, whole) in enumerate(cases):
            await chat.say(f"Try {number}")
            state = await chat.over()
            text = (await chat.stored())[-1]["text"]
            assert text == "one two three"[: len(text)]
            if whole:
                assert (state, text) == ("done", "one two three"), script
            elif state == "done":
                # The finish was there, and the connection was reset afterwards: nothing of the answer is missing.
                assert text == "one two three" and number >= len(cases) - 3, script
            else:
                assert state == "failed"
                note = await chat.note()
                assert "incomplete" in note or "(HTTP 502)" in note or "server failed" in note, (script, note)
        assert len(upstream.requests) == len(cases)
        assert chat.clean("Failed to load resource")
