"""A real OpenAI-compatible server with faults of its own: aimock, from npm.

It is looked for in the folder `node_modules` of STREAMKIT_NODE_MODULES, and installed there by
`npm install --prefix "$STREAMKIT_NODE_MODULES" @copilotkit/aimock@1.43.0`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streamkit import Completion, ConnectionLost, ProtocolError, StatusError, StreamDriver, StreamError

from .conftest import require_or_skip

PLAIN = "Hello from aimock: größer, 🙂, in several chunks."
CUT_OFF = "This reply is cut off long before its end, by a timer."
WEATHER = [("get_weather", '{"city":"Paris"}', "call_001"), ("get_weather", '{"city":"Oslo"}', "call_002")]


def fixture(model: str, response: dict[str, object], **more: object) -> dict[str, object]:
    return {"match": {"model": model}, "response": response, **more}


CALLS = [{"name": name, "arguments": arguments, "id": key} for name, arguments, key in WEATHER]
FIXTURES = [
    fixture("plain", {"content": PLAIN}),
    fixture("length", {"content": PLAIN, "finishReason": "length"}),
    fixture("tools", {"toolCalls": CALLS}),
    fixture(
        "blocks",
        {
            "blocks": [
                {"type": "text", "text": "First. "},
                {"type": "toolCall", **CALLS[1]},
                {"type": "text", "text": "Then."},
            ]
        },
    ),
    fixture("reason", {"content": "Answer.", "reasoning": "Let me think about it."}),
    fixture(
        "ratelimit", {"error": {"message": "Slow down", "type": "rate_limit_error"}, "status": 429, "retryAfter": 7}
    ),
    fixture("malformed", {"content": "never sent"}, chaos={"malformedRate": 1}),
    fixture("drop", {"content": "never sent"}, chaos={"dropRate": 1}),
    fixture("destroyed", {"content": "never sent"}, chaos={"disconnectRate": 1}),
    fixture("disconnect", {"content": CUT_OFF}, latency=40, disconnectAfterMs=150),
    # Without a latency it destroys the socket before the headers have left.
    fixture("truncate", {"content": CUT_OFF}, latency=20, truncateAfterChunks=3),
]


def aimock() -> list[str]:
    """The command that starts it, or the test is skipped."""
    node, folder = shutil.which("node"), os.environ.get("STREAMKIT_NODE_MODULES")
    if node is None:
        require_or_skip("node is not installed")
    if not folder:
        require_or_skip("STREAMKIT_NODE_MODULES names no folder; see the docstring of this module")
    script = Path(folder) / "node_modules/@copilotkit/aimock/dist/cli.js"
    if not script.is_file():
        require_or_skip(f"aimock is not in {folder}; see the docstring of this module")
    return [node, str(script)]


@contextmanager
def running_aimock(folder: Path, fixtures: Sequence[object], chunk_size: int) -> Iterator[str]:
    """The base URL of one that answers by these fixtures, in pieces of so many characters; its files are in `folder`."""
    command = aimock()
    (folder / "fixtures.json").write_text(json.dumps({"fixtures": fixtures}), encoding="utf-8")
    options = ["--port", "0", "--host", "127.0.0.1", "--fixtures", "fixtures.json", "--strict"]
    options += ["--chunk-size", str(chunk_size)]
    environment = {**os.environ, "AIMOCK_API_KEYS": "sk-test"}
    with (folder / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen([*command, *options], cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 30
        while (found := re.search(r"listening on (http://\S+)", said := (folder / "log").read_text())) is None:
            assert process.poll() is None, f"aimock ended: {said}"
            assert time.monotonic() < until, f"aimock does not listen: {said}"
            time.sleep(0.05)  # another process: it has no event to wait for
        yield f"{found[1]}/v1"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests: it takes a second to start."""
    with running_aimock(tmp_path_factory.mktemp("aimock"), FIXTURES, chunk_size=5) as base_url:
        yield base_url


@pytest.fixture
async def driver(base_url: str) -> AsyncIterator[StreamDriver]:
    async with StreamDriver(base_url, "sk-test", retries=0) as driver:
        yield driver


async def completed(driver: StreamDriver, model: str) -> Completion:
    completion = await driver.stream("hi", model=model)
    assert (completion.complete, completion.ended_by, completion.quirks) == (True, "done", {})
    return completion


async def failed(driver: StreamDriver, model: str) -> tuple[Any, list[str]]:
    stream = driver.stream("hi", model=model)
    names: list[str] = []
    stream.on("*", lambda event: names.append(event.name))
    with pytest.raises(StreamError) as caught:
        await stream
    assert names[-2:] == ["error", "end"]
    assert "done" not in names
    return caught.value, names


@pytest.mark.parametrize(("model", "reason"), [("plain", "stop"), ("length", "length")])
async def test_text(driver: StreamDriver, model: str, reason: str) -> None:
    texts: list[str] = []
    stream = driver.stream("hi", model=model)
    stream.on("text", texts.append)
    completion = await stream
    assert (completion.text, completion.finish_reason) == (PLAIN, reason)
    assert "".join(texts) == PLAIN
    assert len(texts) > 3
    assert completion.usage is not None
    assert completion.usage.total_tokens


async def test_two_parallel_tool_calls(driver: StreamDriver) -> None:
    completion = await completed(driver, "tools")
    assert [(call.name, call.arguments, call.id) for call in completion.tool_calls] == WEATHER
    assert completion.finish_reason == "tool_calls"


async def test_blocks_in_any_order(driver: StreamDriver) -> None:
    stream = driver.stream("hi", model="blocks")
    names: list[str] = []
    stream.on("*", lambda event: names.append(event.name))
    completion = await stream
    assert completion.text == "First. Then."
    assert [(call.name, call.arguments) for call in completion.tool_calls] == [WEATHER[1][:2]]
    first_call, last_text = names.index("tool_delta"), len(names) - 1 - names[::-1].index("text")
    assert names.index("text") < first_call < last_text < names.index("tool_call")


async def test_reasoning(driver: StreamDriver) -> None:
    completion = await completed(driver, "reason")
    assert (completion.reasoning, completion.text) == ("Let me think about it.", "Answer.")


async def test_rate_limit(driver: StreamDriver) -> None:
    error, names = await failed(driver, "ratelimit")
    assert isinstance(error, StatusError)
    assert (error.status, error.type, error.retry_after, error.retryable) == (429, "rate_limit_error", 7.0, True)
    assert "Slow down" in str(error)
    assert "connect" not in names


async def test_malformed_json_in_a_200(driver: StreamDriver) -> None:
    error, _ = await failed(driver, "malformed")
    assert isinstance(error, ProtocolError)
    assert "malformed json" in str(error)


async def test_a_dropped_request_is_a_500(driver: StreamDriver) -> None:
    error, _ = await failed(driver, "drop")
    assert isinstance(error, StatusError)
    assert (error.status, error.retryable) == (500, True)


async def test_a_destroyed_connection(driver: StreamDriver) -> None:
    error, _ = await failed(driver, "destroyed")
    assert isinstance(error, ConnectionLost)
    assert error.completion.text == ""


@pytest.mark.parametrize("model", ["disconnect", "truncate"])
async def test_cut_in_the_middle(driver: StreamDriver, model: str) -> None:
    error, names = await failed(driver, model)
    assert isinstance(error, ConnectionLost)
    assert error.retryable
    assert 0 < len(error.completion.text) < len(CUT_OFF)
    assert CUT_OFF.startswith(error.completion.text)
    assert "text" in names
    assert "text_done" not in names


async def test_a_wrong_key(base_url: str) -> None:
    async with StreamDriver(base_url, "sk-wrong", retries=0) as driver:
        error, _ = await failed(driver, "plain")
    assert (error.status, error.retryable) == (401, False)
    assert "sk-wrong" not in str(error)


async def test_a_model_that_it_has_not(driver: StreamDriver) -> None:
    error, _ = await failed(driver, "no such model")
    assert isinstance(error, StatusError)


async def test_a_hundred_streams_at_once(driver: StreamDriver) -> None:
    models = ["plain", "tools", "reason", "truncate"] * 25
    results = await asyncio.gather(*(driver.stream("hi", model=model) for model in models), return_exceptions=True)
    for model, result in zip(models, results, strict=True):
        assert isinstance(result, ConnectionLost if model == "truncate" else Completion), (model, result)
