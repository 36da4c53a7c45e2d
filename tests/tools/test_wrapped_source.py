"""What both kinds of streams of `tools` say of the source inside."""

from __future__ import annotations

import pytest

from streamkit import Source, StreamDriver, StreamStart
from streamkit.testing import chunk, completion_server, sse
from streamkit.tools import ParsedStream, ToolStream, run_tools, stream_parsed
from streamkit.tools.wrapped_source import WrappedSource
from tests.stream.scripted import ScriptedSource


def look() -> str:
    return "sand"


def parsed(driver: StreamDriver) -> ParsedStream[list[int]]:
    return stream_parsed(driver, "one number", list[int])


def with_tools(driver: StreamDriver) -> ToolStream:
    return run_tools(driver, "look", [look])


@pytest.mark.parametrize("stream_of", [parsed, with_tools])
async def test_a_stream_of_tools_knows_the_server_and_the_keys(stream_of) -> None:
    feed = sse(chunk('{"value": [1]}'), chunk(finish_reason="stop"))
    async with completion_server(feed) as server, StreamDriver(server.base_url, "sk-key-of-mine", model="m") as driver:
        stream = stream_of(driver)
        starts: list[StreamStart] = []
        stream.on("start", starts.append)
        stream.on("error", lambda error: None)
        async with stream:
            await stream.wait_for("end")
        assert starts[0].server == server.base_url.removeprefix("http://").removesuffix("/v1")
    assert "sk-key-of-mine" in stream.secrets


def test_a_source_that_says_neither_has_no_server_and_no_keys() -> None:
    source: Source = WrappedSource(ScriptedSource([]))
    assert (source.server, source.secrets) == (None, ())  # type: ignore[attr-defined]  # a source need not have them
