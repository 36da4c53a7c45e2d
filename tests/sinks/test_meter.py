"""One meter a stream, measured at the socket."""

import gc
import weakref

import pytest

from streamkit import CompletionStream
from streamkit.sinks.meter import meter_of

from ..clock import driven
from ..stream.scripted import END, ScriptedSource, text_reads


@driven
async def test_all_who_ask_share_one_meter() -> None:
    stream = CompletionStream(ScriptedSource([*text_reads("a", "b"), END]))
    stream.on("end", lambda _: None)

    assert meter_of(stream) is meter_of(stream)

    stream.abort()
    with pytest.raises(Exception, match="aborted"):
        await stream


@driven
async def test_figures_are_those_of_the_reads() -> None:
    reads = text_reads("a", "b", "c")
    stream = CompletionStream(ScriptedSource([0.5, reads[0], 0.25, reads[1], 0.25, reads[2], END]))
    meter = meter_of(stream)

    with pytest.raises(Exception, match="cut short"):
        await stream

    assert meter.chunks == 3
    assert meter.ttft == pytest.approx(0.5)
    assert meter.error is not None
    assert meter.stats(stream.completion) is meter.stats(stream.completion)


def test_a_meter_does_not_keep_its_stream() -> None:
    stream = CompletionStream(ScriptedSource([END]))
    meter = meter_of(stream)
    gone = weakref.ref(stream)
    stream.abort()

    del stream
    gc.collect()

    assert gone() is None
    assert meter.chunks == 0
