"""An upstream that dies anywhere in a stream of forty events: nobody is told that the answer is complete."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import aiohttp
import pytest

from streamkit import ConnectionLost, SSEDecoder, StreamDriver
from streamkit.sse import ServerSentEvent
from streamkit.testing import Cut, End, Headers, ReceivedRequest, Reset, ScriptedServer, Send, Step
from streamkit.web import Relay
from streamkit.web.encode import EncodingName
from streamkit.web.routes import relay_app

from ..test_cut_at_every_byte import BODY, EVENTS, arrived
from .relayed import HELLO, site
from .scripted import REQUEST, relay_of, rest_of

FINISHED = len(EVENTS) - 1
"""With so many events the finish_reason has come, and the answer is whole."""

#: Path, request, Accept: every form in which a client can ask.
FORMS = {
    "native": ("/streams", HELLO, "text/event-stream"),
    "guide": ("/stream", HELLO, "*/*"),
    "openai": ("/v1/chat/completions", {**HELLO, "stream": True}, "*/*"),
    "whole": ("/v1/chat/completions", HELLO, "*/*"),
}

ENCODINGS: tuple[EncodingName, ...] = ("native", "openai", "guide", "plain")


def cut(events: int) -> tuple[Step, ...]:
    return Headers(), *map(Send, EVENTS[:events]), Cut()


def reset_in_one_write(events: int) -> tuple[Step, ...]:
    return Headers(), Send(b"".join(EVENTS[:events])), Reset()


def clean_end(events: int) -> tuple[Step, ...]:
    return Headers(), *map(Send, EVENTS[:events]), End()


class DyingServer(ScriptedServer):
    """Dies after as many events as the request says, in its `max_tokens`."""

    def __init__(self, script: Callable[[int], tuple[Step, ...]]) -> None:
        super().__init__(b"")
        self._script = script

    def script_for(self, request: ReceivedRequest) -> tuple[Step, ...]:
        return self._script(request.json["max_tokens"] - 1)


def events_of(body: bytes) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    return [*decoder.feed(body), *decoder.close()]


def says_done(form: str, status: int, body: bytes, whole: bool) -> bool:
    """What a client of this form takes the answer for; checks that a failure is told, too."""
    if form == "whole":
        told = json.loads(body)
        assert (status == 200) != ("error" in told)
        return status == 200 and told["choices"][0]["finish_reason"] is not None
    if status != 200:
        assert json.loads(body)["error"]["code"]
        return False
    events = events_of(body)
    if form == "native":
        ends = [json.loads(event.data) for event in events if event.event == "end"]
        errors = [event for event in events if event.event == "stream-error"]
        assert len(ends) == 1
        done = bool(ends[0]["reason"] == "done")
        assert done == (not errors)
    else:
        done = events[-1].data == "[DONE]"
        assert done == all("error" not in json.loads(event.data) for event in events if event.data != "[DONE]")
    assert done == whole  # a clean end of the body means success to those who look at nothing else
    return done


def text_of(form: str, status: int, body: bytes) -> str:
    if status != 200:
        return ""
    if form == "whole":
        return str(json.loads(body)["choices"][0]["message"]["content"])
    values = [json.loads(event.data) for event in events_of(body) if event.data != "[DONE]"]
    if form == "openai":
        return "".join(value["choices"][0]["delta"].get("content", "") for value in values if "choices" in value)
    return "".join(value.get("content" if form == "guide" else "text", "") for value in values)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("script", [cut, reset_in_one_write, clean_end])
async def test_upstream_that_dies_at_any_event_is_no_success_for_anybody(
    form: str, script: Callable[[int], tuple[Step, ...]]
) -> None:
    assert len(EVENTS) == 40
    asyncio.get_running_loop().set_debug(False)  # tracebacks for so many connections take long
    path, request, accept = FORMS[form]
    async with (
        DyingServer(script) as upstream,
        StreamDriver(upstream.base_url, "key", retries=0) as driver,
        Relay(driver) as relay,
        site(relay_app(relay)) as base,
        aiohttp.ClientSession(base, headers={"accept": accept}) as session,
    ):

        async def ask(events: int) -> None:
            body, whole = b"", True
            async with session.post(path, json={**request, "max_tokens": events + 1}) as response:
                try:
                    async for data in response.content.iter_any():
                        body += data
                except aiohttp.ClientPayloadError:
                    whole = False
            assert says_done(form, response.status, body, whole) == (events >= FINISHED), (events, body)
            if response.status == 200:
                assert text_of(form, response.status, body) == arrived(sum(map(len, EVENTS[:events])))[1]
            elif form != "whole":  # with something to show, it is shown
                assert events <= 1

        # All at once: after an error the relay leaves each connection open for a second.
        await asyncio.gather(*map(ask, range(len(EVENTS) + 1)))


async def test_upstream_that_dies_at_any_byte_is_no_success_in_any_encoding() -> None:
    """Every byte, without sockets: what the driver makes of a cut at any byte of a real one is its own tests' matter."""
    asyncio.get_running_loop().set_debug(False)
    for size in range(len(BODY) + 1):
        events, text = arrived(size)
        relay, _ = relay_of([*filter(None, [BODY[:size]]), ConnectionLost("cut", retryable=False)])
        relayed = await relay.start(REQUEST)
        readers = [await relay.subscribe(relayed.id, encoding=name) for name in ENCODINGS]
        native, openai, guide, plain = await asyncio.gather(*map(rest_of, readers))

        assert {reader.outcome for reader in readers} == {"end" if events >= FINISHED else "error"}, size
        for form, body in (("native", native), ("openai", openai), ("guide", guide)):
            assert says_done(form, 200, body, events >= FINISHED) == (events >= FINISHED), size
            assert text_of(form, 200, body) == text, size
        assert plain.decode() == text
        await relay.close()
