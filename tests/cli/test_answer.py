from __future__ import annotations

import sys

import pytest

from streamkit import Completion, StreamAborted, StreamDriver, Timings
from streamkit.cli.answer import figures_line, print_answer
from streamkit.cli.console import Console
from streamkit.testing import Hang, Send, chunk, completion_server, sse


@pytest.mark.parametrize(
    ("completion", "chunks", "figures"),
    [
        (Completion(), 0, "0 chunks, no usage reported"),
        (Completion(timings=Timings(first_chunk=1.0, last_chunk=1.0)), 1, "1 chunk, no usage reported"),
        (Completion(timings=Timings(first_chunk=1.0, last_chunk=2.0)), 11, "10.0 chunks/s, no usage reported"),
    ],
)
def test_figures_leave_out_what_is_not_known(completion: Completion, chunks: int, figures: str) -> None:
    assert figures_line(completion, chunks) == figures


class Broken:
    """An output that cannot be written."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        raise self._error


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "No space left on device")])
async def test_output_that_fails_aborts_the_stream_and_is_what_is_raised(
    error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Broken(error))
    begun = Send(sse(chunk("Hello"), done=False))
    async with completion_server([begun, Hang()]) as server, StreamDriver(server.base_url) as driver:
        stream = driver.stream("hi")
        with pytest.raises(type(error)) as raised:
            await print_answer(stream, Console())

    assert raised.value is error
    assert stream.completion.ended_by == "abort"
    assert server.requests[0].closed.is_set()


async def test_abort_by_somebody_else_is_raised_and_ends_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    begun = Send(sse(chunk("Hello"), done=False))
    async with completion_server([begun, Hang()]) as server, StreamDriver(server.base_url) as driver:
        stream = driver.stream("hi")
        stream.on("text", lambda text: stream.abort("enough"))
        with pytest.raises(StreamAborted, match="enough"):
            await print_answer(stream, Console())

    assert capsys.readouterr().out == "Hello\n"
