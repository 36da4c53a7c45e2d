"""An EventSource whose connection is cut again and again: it reads every event once, and learns of the end."""

from __future__ import annotations

import asyncio
import json
import random
from itertools import pairwise

import pytest

from benchmarks.judges.answers import ByModel
from benchmarks.judges.client import Client
from benchmarks.judges.saw import saw_of
from benchmarks.judges.stage import staged
from streamkit.testing import End, LinkFaults, Send, Step, Wait, chunk, fault_proxy, sse

WORDS = [f"größer{number} 🙂 " for number in range(400)]
USAGE = {"prompt_tokens": 1, "completion_tokens": 400, "total_tokens": 401}
CUTS = 20


def words(pause: float) -> list[Step]:
    steps: list[Step] = []
    for start in range(0, len(WORDS), 10):
        steps += [Send(sse(*map(chunk, WORDS[start : start + 10]), done=False)), Wait(pause)]
    return [*steps, Send(sse(chunk(finish_reason="stop"), chunk(usage=USAGE))), End()]


@pytest.mark.parametrize("pause", [0.0, 0.03], ids=["from the log", "as it comes"])
async def test_cut_twenty_times_every_event_comes_once(eventsource: Client, pause: float) -> None:
    generator = random.Random(0)
    async with (
        ByModel({"words": words(pause)}) as upstream,
        staged(upstream.base_url, retry_ms=(5, 15)) as stage,
        fault_proxy(stage.origin) as proxy,
    ):
        origin = f"http://127.0.0.1:{proxy.port}"
        relayed = await stage.relay.start({"model": "words", "messages": [{"role": "user", "content": "hi"}]})
        if not pause:
            assert relayed.stream is not None
            await relayed.stream.wait_for("end")
        # Each connection has another number of bytes to live: headers, and a few events or half of one.
        reading = asyncio.ensure_future(eventsource.reports(origin, [""], path=f"/streams/{relayed.id}", stay=True))
        seen = before = proxy.connections
        while not reading.done():
            if proxy.connections != seen:
                seen = proxy.connections
                cut = LinkFaults(cut_after=generator.randrange(700, 1600))
                proxy.to_client = cut if seen - before <= CUTS + 2 else LinkFaults()
            await asyncio.sleep(0.001)  # the browser's doing, in another process
        (report,) = await reading
        after = proxy.connections
        assert len(upstream.requests) == 1
    saw = saw_of(report)
    assert saw.text == "".join(WORDS)
    assert (saw.finish_reason, saw.usage, saw.error, saw.done) == ("stop", USAGE, None, True)
    ids = [event["id"].rpartition(":")[2] for event in report["events"]]
    assert ids.pop() == "end"
    numbers = [int(one) for one in ids]
    assert all(first < second for first, second in pairwise(numbers))
    assert len([event for event in report["events"] if "text" in json.loads(event["data"])]) == len(WORDS)
    assert report["errors"] >= CUTS
    assert after - before > CUTS
    # It came back once more after the end, as it does after every end, and was told 204: that it need not.
    assert report["given_up"]
