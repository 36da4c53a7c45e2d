from __future__ import annotations

import asyncio
import logging
import os
import random
import stat
import statistics
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from streamkit import (
    CompletionStream,
    StreamAborted,
    StreamDriver,
    StreamError,
    TapeError,
    Timeout,
    demo_tape,
    load_tape,
)
from streamkit.sinks import TapeSink
from streamkit.tape import Ending, Tape, TapeRead
from streamkit.testing import (
    Cut,
    Fault,
    Hang,
    Headers,
    Reset,
    Script,
    Send,
    Wait,
    answer,
    chunk,
    completion_server,
    replay_server,
    sse,
)
from tests.conftest import REPO

KEY = "sk-canary-0123456789"
PART = Send(sse(chunk("Hel"), chunk("lo"), done=False))
REST = sse(chunk(finish_reason="stop"))


async def record(script: Script, sink: TapeSink, *, more: Script | None = None, **request: Any) -> CompletionStream:
    """One stream of a server that answers by the script, recorded; it may fail."""
    scripts = [script] if more is None else [script, more]
    async with completion_server(*scripts) as server, StreamDriver(server.base_url, "key") as driver:
        stream = driver.stream("Write a poem", model="m", **request).attach(sink)
        with suppress(StreamError, StreamAborted):
            await stream
        return stream


def paced_tape() -> Tape:
    """Reads far enough apart that TCP does not join them; one ends inside a character."""
    datas = [sse(chunk(f"wörd {number} 🌊 "), done=False) for number in range(15)]
    cut = datas[3].index("🌊".encode()) + 2
    datas[3:4] = [datas[3][:cut], datas[3][cut:]]
    datas.append(sse(chunk(finish_reason="stop")))
    reads = tuple(TapeRead(0.05 + 0.02 * place, data) for place, data in enumerate(datas))
    return Tape(
        status=200,
        headers=(("content-type", "text/event-stream"),),
        headers_at=0.03,
        reads=reads,
        ending="eof",
        ended_at=reads[-1].seconds,
    )


# ------------------------------------------------------------------------------------------------ what is on a tape


async def test_recording_of_a_replay_has_its_bytes_its_reads_and_its_times(tmp_path: Path) -> None:
    tape = paced_tape()
    path = tmp_path / "again.sse.jsonl"

    async with replay_server(tape) as server, StreamDriver(server.base_url) as driver:
        completion = await driver.stream("Write a poem", model="m").attach(TapeSink(path))

    again = load_tape(path)
    assert [read.data for read in again.reads] == [read.data for read in tape.reads]
    assert (again.status, again.ending, again.torn) == (200, "eof", False)
    assert ("content-type", "text/event-stream") in again.headers
    assert again.request["body"] == {
        "messages": [{"role": "user", "content": "Write a poem"}],
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    offset = again.reads[0].seconds - tape.reads[0].seconds  # the connection was made meanwhile
    late = [got.seconds - offset - read.seconds for got, read in zip(again.reads, tape.reads, strict=True)]
    assert statistics.median(map(abs, late)) < 0.015
    assert completion.timings.first_text == pytest.approx(again.reads[0].seconds, abs=1e-5)

    async with replay_server(path, speed=0) as server, StreamDriver(server.base_url) as driver:
        assert (await driver.stream("hi", model="m")).text == completion.text


async def test_tape_is_for_its_owner_only(tmp_path: Path) -> None:
    await record(sse(chunk("Hi", finish_reason="stop")), TapeSink(tmp_path / "a"))

    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600 or sys.platform == "win32"


async def test_body_that_only_the_encoder_of_requests_knows_is_recorded_as_it_was_sent(tmp_path: Path) -> None:
    await record(REST, TapeSink(tmp_path / "a"), stop=("x", "y"), user="half a pair: \ud800".encode("utf-8", "replace"))

    body = load_tape(tmp_path / "a").request["body"]
    assert isinstance(body, dict)
    assert body["stop"] == ["x", "y"]


async def test_slow_listener_does_not_distort_the_times(tmp_path: Path) -> None:
    tape = paced_tape()
    async with replay_server(tape) as server, StreamDriver(server.base_url) as driver:
        stream = driver.stream("hi", model="m").attach(TapeSink(tmp_path / "a"))

        @stream.on("text")
        async def slow(text: str) -> None:
            await asyncio.sleep(0.03)

        await stream

    # The stream ended 0.2 s later than its reads: the listener is waited for.
    assert load_tape(tmp_path / "a").reads[-1].seconds < tape.duration + 0.1


async def abort(stream: CompletionStream) -> None:
    stream.on("text", lambda text: stream.abort("enough") if text == "lo" else None)
    with suppress(StreamAborted):
        await stream


async def cancel(stream: CompletionStream) -> None:
    spoke = asyncio.Event()
    stream.on("text", lambda text: spoke.set() if text == "lo" else None)

    async def wait() -> None:
        await stream

    task = asyncio.create_task(wait())
    await spoke.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def finish(stream: CompletionStream) -> None:
    with suppress(StreamError):
        await stream


@pytest.mark.parametrize(
    ("script", "leave", "ending"),
    [
        ([PART, Send(REST)], finish, "eof"),
        ([PART], finish, "eof"),
        ([PART, Send(sse(chunk(finish_reason="stop"), done=False)), Reset()], finish, "reset"),
        ([PART, Reset()], finish, "reset"),
        ([PART, Cut()], finish, "reset"),
        ([PART, Hang()], finish, "timeout"),
        ([PART, Hang()], abort, "cancelled"),
        ([PART, Hang()], cancel, "cancelled"),
        ([PART, Send(b'data: {"error": {"message": "no"}}\n\n'), Hang()], finish, "cancelled"),
    ],
    ids=["whole", "truncated", "cut_after_finish", "reset", "cut", "timeout", "abort", "cancel", "error_in_feed"],
)
async def test_tape_says_how_the_exchange_ended(
    script: Script, leave: Callable[[CompletionStream], Awaitable[None]], ending: Ending, tmp_path: Path
) -> None:
    timeout = Timeout(idle=0.05, after_finish=0.05)
    async with completion_server(script) as server, StreamDriver(server.base_url, timeout=timeout) as driver:
        stream = driver.stream("hi", model="m").attach(TapeSink(tmp_path / "a"))
        await leave(stream)

    tape = load_tape(tmp_path / "a")
    assert (tape.ending, tape.torn) == (ending, False)
    assert tape.body.startswith(PART.data)
    assert tape.ended_at == pytest.approx(stream.completion.timings.end, abs=1e-5)


async def test_request_that_was_made_again_leaves_the_last_attempt(tmp_path: Path) -> None:
    early: Script = [Send(b": here\n\n"), Reset()]
    good: Script = [Wait(0.02), Send(sse(chunk("Hello", finish_reason="stop")))]
    path = tmp_path / "a"

    stream = await record(early, TapeSink(path), more=good)

    tape = load_tape(path)
    assert stream.completion.text == "Hello"
    assert tape.request["attempt"] == 2
    assert b"here" not in path.read_bytes()
    assert 0.015 < tape.reads[0].seconds < 0.4  # since the second request, which came half a second after the first
    assert (stream.completion.timings.first_text or 0) > 0.4


async def test_refused_request_leaves_the_status_and_replays_as_refused(tmp_path: Path) -> None:
    await record(answer(401, {"error": {"message": "no"}}), TapeSink(tmp_path / "a"))

    tape = load_tape(tmp_path / "a")
    assert (tape.status, tape.reads, tape.ending) == (401, (), "eof")
    async with replay_server(tape) as server, StreamDriver(server.base_url) as driver:
        with pytest.raises(StreamError, match="401"):
            await driver.stream("hi", model="m")


async def test_stream_aborted_before_its_request_leaves_a_tape_without_an_answer(tmp_path: Path) -> None:
    async with StreamDriver("http://127.0.0.1:1", "key") as driver:
        stream = driver.stream("hi", model="m").attach(TapeSink(tmp_path / "a"))
        stream.abort()
        with pytest.raises(StreamAborted):
            await stream

    tape = load_tape(tmp_path / "a")
    assert (tape.status, tape.ending) == (None, "cancelled")


async def test_stream_that_never_starts_makes_no_file(tmp_path: Path) -> None:
    async with StreamDriver("http://127.0.0.1:1", "key") as driver:
        stream = driver.stream("hi", model="m").attach(TapeSink(tmp_path / "a"))
        async with stream:
            pass

    assert not (tmp_path / "a").exists()


# ------------------------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize("pieces", [1, 7])
async def test_canary_key_is_never_on_a_tape(pieces: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not from the environment, not from the argument that the sink was told of, whatever the server quotes, however split."""
    other = "tok-canary-9876543210/+"
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    feed = sse(chunk(f"your key is {KEY}, and {other}"), chunk("bye", finish_reason="stop"))
    script: list[Send | Wait] = []
    for start in range(0, len(feed), len(feed) // pieces):
        script += [Send(feed[start : start + len(feed) // pieces]), Wait(0.002)]
    headers = {"x-api-key": other, "x-note": f"for {KEY}", "set-cookie": "session=abc"}
    path = tmp_path / "a"
    async with (
        completion_server([Headers(200, [*headers.items()]), *script]) as server,
        StreamDriver(server.base_url + f"?key={other}", headers={"x-api-key": other}) as driver,
    ):
        await driver.stream(f"my key is {KEY}, keep it", model="m", metadata={"api_key": "abc", "trace": other}).attach(
            TapeSink(path, secrets=[other])
        )

    content = path.read_text()
    for secret in (KEY, other, "%2F%2B", "session=abc", '"abc"'):
        assert secret not in content
    tape = load_tape(path)
    assert len(tape.body) == len(feed)
    assert b"your key is ********************, and" in tape.body


async def test_placeholder_key_of_a_local_server_is_a_word_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")

    await record(sse(chunk("none at all", finish_reason="stop")), TapeSink(tmp_path / "a"), user="none")

    tape = load_tape(tmp_path / "a")
    assert b"none at all" in tape.body
    assert isinstance(tape.request["body"], dict)
    assert tape.request["body"]["user"] == "none"


# --------------------------------------------------------------------------------------------- where it is written


async def test_200_streams_through_one_sink_get_a_tape_each(tmp_path: Path) -> None:
    scripts = [
        sse(*(chunk(f"<{number}.{part}>") for part in range(5)), chunk(finish_reason="stop")) for number in range(200)
    ]
    sink = TapeSink(tmp_path)
    async with completion_server(*scripts) as server, StreamDriver(server.base_url, sinks=[sink]) as driver:
        streams = [driver.stream(f"prompt {number}", model="m").start() for number in range(200)]
        for stream in streams:
            await stream.finished()

    tapes = [load_tape(path) for path in sorted(tmp_path.iterdir())]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{number:06}.sse.jsonl" for number in range(1, 201)]
    assert sorted(tape.body for tape in tapes) == sorted(scripts)
    assert {tape.ending for tape in tapes} == {"eof"}


async def test_second_stream_needs_a_second_name(tmp_path: Path) -> None:
    sink = TapeSink(tmp_path / "a")
    async with completion_server(REST) as server, StreamDriver(server.base_url, sinks=[sink]) as driver:
        await driver.stream("hi", model="m")
        with pytest.raises(TapeError, match=rf"{tmp_path}/a exists; .*{{n}}"):
            driver.stream("hi", model="m")


@pytest.mark.parametrize(
    ("name", "says"),
    [("there", "there exists"), ("absent/a", "its folder does not exist"), ("absent/", "its folder does not exist")],
)
async def test_place_that_will_not_do_is_named_when_the_sink_is_attached(name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")
    async with StreamDriver("http://127.0.0.1:1", "key") as driver:
        stream = driver.stream("hi", model="m")
        with pytest.raises(TapeError, match=says) as raised:
            stream.attach(TapeSink(f"{tmp_path}/{name}"))

    assert f"{tmp_path}/{name}" in str(raised.value)
    assert (tmp_path / "there").read_text() == "precious"


async def test_file_that_appears_before_the_start_is_left_alone_and_the_stream_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a"
    async with completion_server(REST) as server, StreamDriver(server.base_url) as driver:
        stream = driver.stream("hi", model="m").attach(TapeSink(path))
        path.write_text("precious")
        completion = await stream

    assert (completion.finish_reason, path.read_text()) == ("stop", "precious")
    [logged] = caplog.records
    assert (logged.name, logged.levelno) == ("streamkit.sinks.tape", logging.WARNING)
    assert logged.getMessage().startswith(f"a stream is not recorded: {path} exists")


async def test_stream_that_runs_already_is_not_recorded_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with completion_server([PART, Hang()]) as server, StreamDriver(server.base_url) as driver:
        stream = driver.stream("hi", model="m")
        await stream.wait_for("text")
        stream.attach(TapeSink(tmp_path / "a"))
        stream.abort()
        await stream.finished()

    assert not (tmp_path / "a").exists()
    assert [logged.getMessage() for logged in caplog.records] == [
        "a stream is not recorded: it had started before TapeSink was given it"
    ]


# ----------------------------------------------------------------------------------------------------- its limits


async def test_tape_stops_at_its_limit_and_the_stream_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a"
    async with replay_server(demo_tape(), speed=100) as server, StreamDriver(server.base_url) as driver:
        completion = await driver.stream("hi", model="m").attach(TapeSink(path, max_bytes=5_000))

    tape = load_tape(path)
    assert completion.text.endswith("hears it once.")
    assert 3_000 < path.stat().st_size <= 5_000
    assert (tape.ending, tape.torn) == (None, False)
    assert demo_tape().body.startswith(tape.body)
    [logged] = caplog.records
    assert "max_bytes=5000" in logged.getMessage() and str(path) in logged.getMessage()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
async def test_full_disk_at_the_start_costs_the_tape_only(caplog: pytest.LogCaptureFixture) -> None:
    stream = await record(REST, TapeSink("/dev/full", overwrite=True))

    assert stream.completion.complete
    [logged] = caplog.records
    assert "No space left on device" in logged.getMessage()


FULL_DISK = """\
import asyncio, logging, resource, signal, sys
from streamkit import StreamDriver, demo_tape
from streamkit.sinks import TapeSink
from streamkit.testing import replay_server
async def main():
    logging.basicConfig(format="%(name)s: %(message)s")
    async with replay_server(demo_tape(), 20) as server, StreamDriver(server.base_url) as driver:
        stream = driver.stream("hi", model="m").attach(TapeSink(sys.argv[1]))
        print((await stream).text[-14:], "again:", (await driver.stream("hi", model="m")).complete)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a file")
async def test_disk_that_is_full_in_the_middle_leaves_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FULL_DISK, path),
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = [data.decode() for data in await process.communicate()]

    assert (process.returncode, out) == (0, "hears it once. again: True\n")
    assert err.startswith(f"streamkit.sinks.tape: a tape is not whole: cannot go on writing {path}: ")
    assert err.count("\n") == 1
    tape = load_tape(path)
    assert tape.ending is None
    assert tape.body and demo_tape().body.startswith(tape.body)


@pytest.mark.parametrize(("sample", "low", "high"), [(0.0, 0, 0), (0.25, 30, 70), (1.0, 200, 200)])
async def test_sample_is_a_share_of_the_streams(sample: float, low: int, high: int, tmp_path: Path) -> None:
    random.seed(1)
    async with StreamDriver("http://127.0.0.1:1", "key", sinks=[TapeSink(tmp_path, sample=sample)]) as driver:
        for _ in range(200):
            stream = driver.stream("hi", model="m").start()
            stream.abort()
            await stream.finished()

    assert low <= len(list(tmp_path.iterdir())) <= high


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sample": 1.5}, "sample must be a share, from 0 to 1, not 1.5"),
        ({"sample": float("nan")}, "sample must be a share"),
        ({"max_bytes": 0}, "max_bytes must be a whole number, 1 or more, or None, not 0"),
        ({"path": "{id}.sse.jsonl"}, "is no name for tapes: {n} stands for the number"),
        ({"path": "tapes/{.sse.jsonl"}, "is no name for tapes"),
    ],
)
def test_setting_that_makes_no_sense_is_named(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TapeSink(**{"path": "a", **settings})  # type: ignore[arg-type]  # wrong on purpose


async def test_cut_recording_replays_as_a_cut_answer(tmp_path: Path) -> None:
    path = tmp_path / "a"
    fault = Fault("reset", 3_000)
    async with replay_server(demo_tape(), speed=0, fault=fault) as server, StreamDriver(server.base_url) as driver:
        first = driver.stream("hi", model="m").attach(TapeSink(path))
        with suppress(StreamError):
            await first
    async with replay_server(path, speed=0) as server, StreamDriver(server.base_url) as driver:
        second = driver.stream("hi", model="m")
        with suppress(StreamError):
            await second

    assert first.completion.text == second.completion.text != ""
    assert first.completion.ended_by == second.completion.ended_by == "error"
