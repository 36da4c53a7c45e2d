from __future__ import annotations

import asyncio
import json
import socket
import stat
import sys
from pathlib import Path

import aiohttp
import pytest

from streamkit.testing import Reset, Send, Step, chunk, completion_server, sse
from tests.conftest import REPO
from tests.sinks.otlp import otlp_receiver

if sys.platform == "win32":
    pytest.skip("terminals as POSIX has them", allow_module_level=True)

from tests.cli.command import Outcome, run, terminal

KEY, PROMPT = "sk-canary-0123456789", "a canary prompt"
USAGE = {"prompt_tokens": 21, "completion_tokens": 2, "total_tokens": 23}
FEED = sse(chunk("Hello"), chunk(", world"), chunk(finish_reason="stop"), chunk(usage=USAGE))
CUT: tuple[Step, ...] = (Send(sse(chunk("Hello, wor"), done=False)), Reset())


async def chat(*options: str, script: bytes | tuple[Step, ...] = FEED, env: dict[str, str] | None = None) -> Outcome:
    async with completion_server(script) as server:
        return await run("chat", *options, PROMPT, base_url=server.base_url, env={"OPENAI_API_KEY": KEY, **(env or {})})


async def test_every_sink_at_once_leaves_the_answer_as_it_was(tmp_path: Path) -> None:
    log, transcript, tape = (tmp_path / name for name in ("chat.log", "chat.jsonl", "chat.sse.jsonl"))
    async with otlp_receiver() as (receiver, url):
        outcome = await chat(
            "--log", str(log), "--transcript", str(transcript), "--record", str(tape), "--stats", "--prometheus", "0", "--otel",
            env={"OTEL_EXPORTER_OTLP_ENDPOINT": url},
        )  # fmt: skip

    assert (outcome.status, outcome.out) == (0, "Hello, world\n")
    assert json.loads(transcript.read_text())["text"] == "Hello, world"
    assert len(log.read_text().splitlines()) == 2
    assert tape.read_text().count("\n") > 2
    assert "metrics at http://127.0.0.1:" in outcome.err
    assert "ended_by done" in outcome.err
    assert len(receiver.spans()) == 1
    assert KEY not in outcome.err + log.read_text() + transcript.read_text() + tape.read_text()
    assert PROMPT not in outcome.err + log.read_text()


async def test_log_has_a_line_at_start_and_end_and_is_added_to(tmp_path: Path) -> None:
    log = tmp_path / "chat.log"
    await chat("--log", str(log))

    failed = await chat("--log", str(log), script=CUT)

    levels = [line.split()[2] for line in log.read_text().splitlines()]
    assert failed.status == 1
    assert levels == ["INFO", "INFO", "INFO", "ERROR"]
    assert "ConnectionLost" in log.read_text()


async def test_verbose_log_has_a_line_for_each_chunk(tmp_path: Path) -> None:
    log = tmp_path / "chat.log"

    await chat("-v", "--log", str(log))

    assert [line.split()[2] for line in log.read_text().splitlines()].count("DEBUG") == 4
    assert "Hello" not in log.read_text()


async def test_transcript_is_for_its_owner_alone(tmp_path: Path) -> None:
    transcript = tmp_path / "chat.jsonl"

    await chat("--transcript", str(transcript))

    line = json.loads(transcript.read_text())
    assert stat.S_IMODE(transcript.stat().st_mode) == 0o600
    assert line["request"]["messages"] == [{"role": "user", "content": PROMPT}]
    assert line["usage"]["completion_tokens"] == 2


async def test_full_disk_is_told_and_the_answer_is_whole() -> None:
    outcome = await chat("--transcript", "/dev/full")

    assert (outcome.status, outcome.out) == (0, "Hello, world\n")
    assert "streamkit: cannot write /dev/full: No space left on device" in outcome.err


async def test_stats_are_on_standard_error() -> None:
    outcome = await chat("--stats")

    assert outcome.out == "Hello, world\n"
    assert "ended_by done, finish_reason stop, chunks 4, prompt_tokens 21, completion_tokens 2" in outcome.err
    assert "ttft 0." in outcome.err
    assert "inter_chunk p50 0." in outcome.err


async def test_metrics_can_be_scraped_while_a_conversation_goes_on() -> None:
    arguments = ("chat", "--prometheus", "0", "--model", "m")
    async with completion_server(FEED) as server, terminal(*arguments, base_url=server.base_url) as typist:
        await typist.until("metrics at ")
        url = typist.shown.partition("metrics at ")[2].split()[0]
        await typist.until("> ")
        typist.type("hi\n")
        await typist.until("23 tokens")
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            metrics = await response.text()
        typist.type("\x04")
        status = await typist.status()

    assert status == 0
    assert 'streamkit_streams_total{ended_by="done",error="",model="m"} 1.0' in metrics
    assert 'streamkit_completion_tokens_total{model="m"} 2.0' in metrics


async def test_traces_and_metrics_arrive_at_the_collector_with_the_server_and_the_service() -> None:
    async with otlp_receiver() as (receiver, url):
        outcome = await chat(
            "--otel", "--model", "m", env={"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_SERVICE_NAME": "my-chat"}
        )

    [span] = receiver.spans()
    attributes = {each.key: each.value for each in span.attributes}
    resource = {each.key: each.value.string_value for each in receiver.traces[0].resource_spans[0].resource.attributes}
    assert outcome.status == 0
    assert outcome.err.count("\n") == 1, "the figures, and nothing else"
    assert span.name == "chat m"
    assert attributes["server.address"].string_value == "127.0.0.1"
    assert attributes["server.port"].int_value > 0
    assert resource["service.name"] == "my-chat"
    assert "gen_ai.client.operation.duration" in receiver.histograms()


async def test_service_is_called_streamkit_unless_the_environment_says_otherwise() -> None:
    async with otlp_receiver() as (receiver, url):
        await chat("--otel", env={"OTEL_EXPORTER_OTLP_ENDPOINT": url})

    resource = {each.key: each.value.string_value for each in receiver.traces[0].resource_spans[0].resource.attributes}
    assert resource["service.name"] == "streamkit"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--log", "no/such/folder/log"], "streamkit: cannot write 'no/such/folder/log': No such file or directory"),
        (["--transcript", "no/such/folder/log"], "its folder does not exist; make it first"),
        (["--prometheus", "70000"], "'70000' is no port"),
    ],
    ids=["log", "transcript", "port"],
)
async def test_what_cannot_be_is_said_before_anything_is_asked(options: list[str], sentence: str) -> None:
    async with completion_server(FEED) as server:
        outcome = await run("chat", *options, PROMPT, base_url=server.base_url)

        assert server.requests == []
    assert (outcome.status, outcome.out) == (2, "")
    assert sentence in outcome.err


async def test_collector_that_is_not_there_costs_a_line_and_a_few_seconds() -> None:
    with socket.socket() as unused:  # bound, and not listening
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with asyncio.timeout(30):
            outcome = await chat(
                "--otel", env={"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_TIMEOUT": "0.2"}
            )

    assert (outcome.status, outcome.out) == (0, "Hello, world\n")
    assert outcome.err.splitlines()[1:] == [
        "streamkit: traces or metrics could not be sent: is a collector at OTEL_EXPORTER_OTLP_ENDPOINT?"
    ]


async def test_taken_port_is_named() -> None:
    listener = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        outcome = await chat("--prometheus", str(port))
    finally:
        listener.close()
        await listener.wait_closed()

    assert outcome.status == 2
    assert outcome.sentence == (
        f"streamkit: cannot serve metrics on port {port}: Address already in use; choose another, or 0 for a free one"
    )


@pytest.mark.parametrize(
    ("option", "module", "words"),
    [
        (["--prometheus", "0"], "prometheus_client", "pip install 'streamkit-asyncio[prometheus]'"),
        (["--otel"], "opentelemetry.util", "pip install 'streamkit-asyncio[otel]'"),
        (["--otel"], "opentelemetry.exporter", "pip install opentelemetry-exporter-otlp-proto-http"),
    ],
)
async def test_missing_extra_is_named(option: list[str], module: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules[{module!r}] = None\n")
    async with completion_server(FEED) as server:
        path = f"{tmp_path}:{REPO}"
        outcome = await run("chat", *option, PROMPT, base_url=server.base_url, env={"PYTHONPATH": path})

    assert outcome.status == 2
    assert words in outcome.sentence
