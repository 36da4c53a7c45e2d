"""An upstream that dies: whoever can see that an answer is not whole is told so, and nobody is told that it is."""

from __future__ import annotations

import asyncio

from benchmarks.judges.answers import ByModel
from benchmarks.judges.client import ChromiumClient, Client
from benchmarks.judges.saw import saw_of
from benchmarks.judges.stage import staged
from streamkit.testing import Cut, End, Hang, Reset, Script, Send, Step, Wait, chunk, sse

from .curl import curl

WORDS = [f"word{number} " for number in range(37)]
TEXT = "".join(WORDS)
USAGE = {"prompt_tokens": 3, "completion_tokens": 37, "total_tokens": 40}
BODY = sse(
    chunk("", role="assistant"),
    *(chunk(word) for word in WORDS),
    chunk(finish_reason="stop"),
    chunk(usage=USAGE),
)
HALF = sse(chunk("Hel", role="assistant"), chunk("lo"), done=False)
ENDINGS: dict[str, Step] = {"cut": Cut(), "reset": Reset(), "ended": End(), "silent": Hang()}


def cut_at(place: int, ending: Step) -> Script:
    return [*([Send(BODY[:place])] if place else []), ending]


# What ends the body or the connection is said a moment later than the text: a reset overtakes what has not been read yet.
SCRIPTS = {name: [Send(HALF), Wait(0.1), step] for name, step in ENDINGS.items()}


async def test_a_cut_answer_is_an_error(anyone: tuple[Client, str]) -> None:
    client, path = anyone
    async with ByModel(SCRIPTS) as upstream, staged(upstream.base_url, idle=1.0) as stage:
        reports = await client.reports(stage.origin + path, SCRIPTS)
    for ending, saw in zip(SCRIPTS, map(saw_of, reports), strict=True):
        assert saw.text == "Hello"
        assert not saw.done
        assert saw.finish_reason is None
        assert saw.error is not None
        assert saw.error["code"] == ("upstream_timeout" if ending == "silent" else "upstream_cut")


async def test_curl_sees_a_cut_twice() -> None:
    async with ByModel(SCRIPTS) as upstream, staged(upstream.base_url) as stage:
        paths = "/v1/chat/completions", "/stream"
        seen = await asyncio.gather(*(curl(stage.origin + path, end) for path in paths for end in ("cut", "ended")))
    for code, _, body in seen:
        assert code == 18  # the body is not whole
        assert b'"code":"upstream_cut"' in body.rpartition(b"data: ")[2]
        assert b"[DONE]" not in body


async def test_dead_at_every_place_and_nobody_is_told_that_it_is_whole(anyone: tuple[Client, str]) -> None:
    """Every 97th byte, which falls on each part of an event, and before and after each of the last events."""
    client, path = anyone
    every = 97 * 3 if isinstance(client, ChromiumClient) else 97  # it takes its time
    ends = [place + 2 for place in range(len(BODY)) if BODY.startswith(b"\n\n", place)][-6:]
    places = sorted(
        {*range(0, len(BODY), every), *(end + step for end in ends for step in (-1, 0, 1))} - {len(BODY) + 1}
    )
    models = {f"{ending}-{place}": cut_at(place, ENDINGS[ending]) for ending in ("cut", "ended") for place in places}
    async with ByModel(models) as upstream, staged(upstream.base_url) as stage:
        reports = await client.reports(stage.origin + path, models)
        assert len(upstream.requests) == len(models)
    whole = 0
    for model, report in zip(models, reports, strict=True):
        saw = saw_of(report)
        assert TEXT.startswith(saw.text), model
        if saw.error is None or saw.done:
            assert (saw.text, saw.finish_reason, saw.error) == (TEXT, "stop", None), model
            assert saw.done is not False, model
            whole += 1
    # It was whole where all was said: at the very end, and with the finish_reason where the server closed in an orderly way.
    assert 0 < whole <= 2 * 6 * 3
