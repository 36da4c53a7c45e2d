from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streamkit import (
    Chunk,
    CompletionStream,
    ConnectionLost,
    ListenerError,
    StatusError,
    StreamAborted,
    StreamDriver,
)
from streamkit.blocking import complete, stream_chunks, stream_text
from streamkit.loop_thread import LoopThread
from streamkit.testing import Cut, Hang, ReceivedRequest, ScriptedServer, Send, answer, chunk, completion_server, sse
from tests.conftest import REPO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamkit.testing.script import Script

WORDS = ("one ", "two ", "three ")
ANSWER = sse(*map(chunk, WORDS), chunk(finish_reason="stop"), chunk(usage={"total_tokens": 7}))
BEGINNING: Script = [Send(sse(*map(chunk, WORDS), done=False)), Hang()]


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    """Closing the shared loop closes its drivers; a socket or a task left open would warn when collected."""
    before = set(threading.enumerate())
    yield
    LoopThread.shared().close()
    assert set(threading.enumerate()) <= before
    gc.collect()


class Server:
    """A scripted server in a thread of its own, as one in another process would be."""

    def __init__(self, thread: LoopThread, server: ScriptedServer) -> None:
        self._thread = thread
        self._server = server
        self.base_url = server.base_url

    @property
    def requests(self) -> list[ReceivedRequest]:
        return self._server.requests

    @property
    def connections(self) -> int:
        return len(self._server._connections)

    def saw_the_close(self, request: int = 0) -> bool:
        """The client closed the connection of that request, within 5 s, before the answer was whole."""
        received = self.requests[request]
        self._thread.submit(asyncio.wait_for(received.closed.wait(), 5)).result()
        return not received.answered


@contextmanager
def serving(*scripts: Script) -> Iterator[Server]:
    with LoopThread("server") as thread, thread.enter(completion_server(*scripts)) as server:
        yield Server(thread, server)


@pytest.fixture(name="server")
def _server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Answers in three words; OPENAI_BASE_URL names it."""
    with serving(ANSWER) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield server


@pytest.fixture(name="hanging")
def _hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Says three words, and then nothing."""
    with serving(BEGINNING) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield server


def wait_until(condition: Callable[[], bool]) -> None:
    """For what another thread does and no event tells."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


# --- iterating --------------------------------------------------------------------------------------------------------


def test_text_comes_piece_by_piece_and_the_completion_is_whole(server: Server) -> None:
    stream = stream_text("hi", model="m")
    assert tuple(stream) == WORDS

    completion = stream.completion
    assert completion.text == "one two three "
    assert (completion.finish_reason, completion.ended_by, completion.complete) == ("stop", "done", True)
    assert completion.usage is not None
    assert completion.usage.total_tokens == 7
    assert list(stream) == []


def test_chunks_come_with_everything_in_them(server: Server) -> None:
    chunks = list(stream_chunks("hi", model="m"))

    assert all(isinstance(each, Chunk) for each in chunks)
    assert [str(each) for each in chunks] == [*WORDS, "", ""]
    assert chunks[3].choices[0].finish_reason == "stop"


def test_next_and_for_share_one_sequence(server: Server) -> None:
    stream = stream_text("hi", model="m")

    assert next(stream) == "one "
    assert list(stream) == ["two ", "three "]
    with pytest.raises(StopIteration):
        next(stream)


def test_request_is_what_was_asked_for(server: Server) -> None:
    messages = [{"role": "user", "content": "hi"}]
    complete(messages, model="m", temperature=0, api_key="sk-canary", headers={"x-user": "me"})

    (request,) = server.requests
    assert request.json["messages"] == messages
    assert (request.json["model"], request.json["temperature"]) == ("m", 0)
    assert request.headers["authorization"] == "Bearer sk-canary"
    assert request.headers["x-user"] == "me"


def test_nothing_is_sent_before_the_first_item_is_asked_for(server: Server) -> None:
    heard: list[str] = []
    with stream_text("hi", model="m") as stream:
        stream.stream.on("text", heard.append)
        assert server.requests == []
        list(stream)

    assert heard == list(WORDS)


def test_bad_arguments_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="base_url must begin with http"):
        stream_text("hi", base_url="localhost")
    with pytest.raises(ValueError, match="a whole request needs a 'messages' key"):
        complete({"model": "m"}, base_url="http://127.0.0.1:9/v1")
    with pytest.raises(ValueError, match="base_url and api_key are the driver's"):
        stream_text("hi", driver=StreamDriver("http://127.0.0.1:9/v1"), api_key="sk-canary")
    with pytest.raises(TypeError, match="a sink must be a function of a stream, not str"):
        stream_text("hi", base_url="http://127.0.0.1:9/v1", sinks=["log"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


# --- complete ---------------------------------------------------------------------------------------------------------


def test_complete_calls_back_in_the_thread_of_the_caller(server: Server) -> None:
    heard: list[tuple[str, threading.Thread]] = []
    completion = complete("hi", model="m", on_text=lambda text: heard.append((text, threading.current_thread())))

    assert completion.text == "one two three "
    assert heard == [(word, threading.current_thread()) for word in WORDS]


def test_callback_that_raises_aborts_the_stream(hanging: Server) -> None:
    def fail(text: str) -> None:
        raise LookupError(text)

    with pytest.raises(LookupError, match="one"):
        complete("hi", model="m", on_text=fail)

    assert hanging.saw_the_close()


# --- endings ----------------------------------------------------------------------------------------------------------


def test_error_is_raised_in_the_thread_that_iterates_with_what_had_arrived() -> None:
    with serving([Send(sse(*map(chunk, WORDS), done=False)), Cut()]) as server:
        heard = []
        with pytest.raises(ConnectionLost) as caught:
            for text in stream_text("hi", model="m", base_url=server.base_url):
                heard.append(text)

    assert heard == list(WORDS)
    assert caught.value.completion.text == "one two three "
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert frames[0].filename == __file__
    assert [Path(frame.filename).name for frame in frames[1:]] == ["stream.py"] * (len(frames) - 1)
    assert len(frames) <= 4


def test_complete_raises_what_the_server_answers() -> None:
    with serving(answer(401, {"error": {"message": "no such key"}})) as server, pytest.raises(StatusError) as caught:
        complete("hi", model="m", base_url=server.base_url)

    assert caught.value.status == 401


def test_failed_stream_is_at_its_end() -> None:
    with serving(answer(401, "no")) as server:
        stream = stream_text("hi", model="m", base_url=server.base_url)
        with pytest.raises(StatusError):
            next(stream)

        assert list(stream) == []
        assert stream.completion.ended_by == "error"


def test_leaving_the_loop_aborts_the_stream(hanging: Server) -> None:
    stream = stream_text("hi", model="m")
    for text in stream:
        assert text == "one "
        break

    assert hanging.saw_the_close()
    wait_until(lambda: stream.completion.ended_by is not None)
    assert stream.completion.ended_by == "abort"
    assert list(stream) == []


def test_leaving_the_loop_by_an_exception_aborts_the_stream(hanging: Server) -> None:
    with pytest.raises(LookupError):
        for text in stream_text("hi", model="m"):
            raise LookupError(text)

    assert hanging.saw_the_close()


def test_end_of_a_with_block_aborts_and_waits_for_the_end(hanging: Server) -> None:
    endings: list[str] = []
    with stream_text("hi", model="m") as stream:
        stream.stream.on("abort", lambda aborted: endings.append(str(aborted)))
        stream.stream.on("end", lambda completion: endings.append(completion.text))
        assert next(stream) == "one "

    assert endings == ["aborted: the stream was closed", "one two three "]
    assert stream.completion.ended_by == "abort"
    assert list(stream) == []
    stream.close()
    assert hanging.saw_the_close()


def test_dropped_stream_is_aborted(hanging: Server) -> None:
    stream = stream_text("hi", model="m")
    next(stream)
    del stream

    assert hanging.saw_the_close()


def test_closing_a_stream_that_never_started_is_silent(server: Server) -> None:
    heard: list[object] = []
    with stream_text("hi", model="m", sinks=[lambda stream: stream.on("*", heard.append)]) as stream:
        pass
    del stream
    gc.collect()

    assert heard == []
    assert server.requests == []


def test_dropping_a_stream_with_listeners_that_never_started_warns(server: Server) -> None:
    stream = stream_text("hi", model="m", sinks=[lambda stream: stream.on("text", print)])
    with pytest.warns(RuntimeWarning, match="a stream with listeners was never started"):
        del stream
        gc.collect()


def test_abort_by_somebody_else_is_raised(hanging: Server) -> None:
    stream = stream_text("hi", model="m")
    with pytest.raises(StreamAborted, match="enough") as caught:
        for text in stream:
            if text == WORDS[-1]:
                stream.stream.abort("enough")

    assert caught.value.completion.text == "one two three "


def test_closing_the_background_loop_ends_who_waits(hanging: Server) -> None:
    stream = stream_text("hi", model="m")
    with pytest.raises(StreamAborted, match="the background loop was closed") as caught:
        for text in stream:
            if text == WORDS[-1]:
                LoopThread.shared().close()

    assert caught.value.completion.text == "one two three "
    assert hanging.saw_the_close()


def test_what_a_signal_handler_raises_aborts_the_stream(hanging: Server) -> None:
    def give_up(*_args: object) -> None:
        raise TimeoutError("enough")

    stream = stream_text("hi", model="m")
    before = signal.signal(signal.SIGALRM, give_up)
    try:
        with pytest.raises(TimeoutError, match="enough"):
            for text in stream:
                if text == WORDS[-1]:
                    signal.setitimer(signal.ITIMER_REAL, 0.02)
    finally:
        signal.signal(signal.SIGALRM, before)

    stream.close()
    assert stream.completion.text == "one two three "
    assert stream.completion.ended_by == "abort"
    assert hanging.saw_the_close()


# --- where it runs ----------------------------------------------------------------------------------------------------


def test_works_inside_a_running_loop(server: Server) -> None:
    """As in a notebook, whose cells run on the loop of its kernel; for every way to begin, and to leave early."""

    async def cell() -> None:
        assert complete("hi", model="m").text == "one two three "
        for _ in stream_text("hi", model="m"):
            break
        stream = stream_text("hi", model="m")
        stream.close()
        with stream_text("hi", model="m") as again:
            assert tuple(again) == WORDS

    asyncio.run(cell())


async def test_works_inside_an_async_test_and_leaves_its_loop_alone(server: Server) -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0)
    before = beats
    assert complete("hi", model="m").text == "one two three "
    assert beats == before
    beating.cancel()


def test_many_threads_share_a_driver(server: Server) -> None:
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda: results.extend(complete("hi", model="m").text for _ in range(5)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert results == ["one two three "] * 40


def test_calls_one_after_another_use_one_connection(server: Server) -> None:
    for _ in range(5):
        complete("hi", model="m")

    assert len(server.requests) == 5
    assert server.connections == 1


def test_another_server_or_key_is_another_driver(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(ANSWER) as other:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-1")
        complete("hi", model="m")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-2")
        complete("hi", model="m")
        monkeypatch.setenv("OPENAI_BASE_URL", other.base_url)
        complete("hi", model="m")

    keys = [request.headers["authorization"] for request in server.requests]
    assert keys == ["Bearer sk-canary-1", "Bearer sk-canary-2"]
    assert len(other.requests) == 1


def test_driver_of_ones_own_brings_its_settings(server: Server) -> None:
    heard: list[str] = []

    def sink(stream: CompletionStream) -> None:
        stream.on("text_done", heard.append)

    with LoopThread.shared().enter(StreamDriver(model="mine", sinks=[sink])) as driver:
        assert complete("hi", driver=driver).text == "one two three "

    assert server.requests[0].json["model"] == "mine"
    assert heard == ["one two three "]


def test_listener_error_of_a_strict_driver_is_raised_at_the_end(server: Server) -> None:
    def fail(text: str) -> None:
        raise LookupError(text)

    heard = []
    with (
        LoopThread.shared().enter(StreamDriver(listener_errors="raise")) as driver,
        pytest.raises(ListenerError) as caught,
    ):
        for text in stream_text("hi", model="m", driver=driver, sinks=[lambda stream: stream.on("text", fail)]):
            heard.append(text)

    assert heard == list(WORDS)
    assert isinstance(caught.value.__cause__, LookupError)


def test_driver_of_another_loop_is_refused(server: Server) -> None:
    with LoopThread("other") as other, other.enter(StreamDriver()) as driver:
        other.submit(driver.stream("hi", model="m")).result(5)
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            complete("hi", model="m", driver=driver)


def test_listeners_run_in_the_context_of_the_caller(server: Server) -> None:
    user = contextvars.ContextVar("user", default="nobody")
    heard: list[str] = []
    user.set("me")

    complete("hi", model="m", sinks=[lambda stream: stream.on("text_done", lambda _: heard.append(user.get()))])

    assert heard == ["me"]


def test_listener_cannot_wait_on_the_loop_that_calls_it(hanging: Server) -> None:
    messages: list[str] = []

    def misuse(text: str) -> None:
        for call in (lambda: complete("hi", model="m"), lambda: next(stream), lambda: [*stream]):
            try:
                call()
            except RuntimeError as error:
                messages.append(str(error))

    stream = stream_text("hi", model="m")
    stream.stream.once("text", misuse)
    assert next(stream) == "one "
    stream.close()

    assert len(messages) == 3
    assert "was called on the loop's own thread" in messages[0]
    assert messages[1:] == ["a stream cannot be waited for on the loop that drives it: use `async for` there"] * 2


def test_slow_thread_holds_the_stream_back_and_loses_nothing() -> None:
    count = 20_000
    published = 0

    def counted(text: str) -> None:
        nonlocal published
        published += 1

    texts = [f"{number} " for number in range(count)]
    with serving(sse(*map(chunk, texts), chunk(finish_reason="stop"))) as server:
        stream = stream_text("hi", model="m", base_url=server.base_url)
        stream.stream.on("text", counted)
        received = [next(stream)]
        wait_until(lambda: stream._handover.paused is not None)
        # What one queue holds, what the other holds, and the one that is in hand.
        wait_until(lambda: published >= 2048)
        assert published <= 2 * 1024 + 1
        received += stream

    assert received == texts
    assert published == count


# --- whole processes --------------------------------------------------------------------------------------------------


@contextmanager
def script(code: str, base_url: str) -> Iterator[subprocess.Popen[str]]:
    """A script in a process of its own, every warning an error; ^C reaches it even if the tests were started to ignore it."""
    code = f"import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n{code}"
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", code],
        cwd=REPO,
        env={**os.environ, "OPENAI_BASE_URL": base_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


WAITING_FOR_TEXT = """
from streamkit.blocking import stream_text
stream = stream_text("hi", model="m")
try:
    for text in stream:
        print(text, flush=True)
except KeyboardInterrupt:
    stream.close()  # waits for the end: ^C may have come between two items
    print("kept", repr(stream.completion.text), stream.completion.ended_by)
"""
WAITING_IN_COMPLETE = """
from streamkit.blocking import complete
kept = []
try:
    complete("hi", model="m", on_text=lambda text: print(text, flush=True), sinks=[lambda stream: stream.on("end", kept.append)])
except KeyboardInterrupt:
    print("kept", repr(kept[0].text), kept[0].ended_by)
"""
BUSY_IN_THE_BODY = """
import time
from streamkit.blocking import stream_text
with stream_text("hi", model="m") as stream:
    try:
        for text in stream:
            print(text, flush=True)
            if text == "three ":
                time.sleep(30)
    except KeyboardInterrupt:
        pass
print("kept", repr(stream.completion.text), stream.completion.ended_by)
"""
IN_A_RUNNING_LOOP = """
import asyncio
from streamkit.blocking import stream_text
stream = stream_text("hi", model="m")
async def cell():
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as a notebook's kernel has it while a cell runs
    try:
        for text in stream:
            print(text, flush=True)
    except KeyboardInterrupt:
        stream.close()
        print("kept", repr(stream.completion.text), stream.completion.ended_by)
asyncio.run(cell())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to one process")
@pytest.mark.parametrize(
    "code",
    [WAITING_FOR_TEXT, WAITING_IN_COMPLETE, BUSY_IN_THE_BODY, IN_A_RUNNING_LOOP],
    ids=["iterating", "complete", "body", "running loop"],
)
def test_interrupt_aborts_and_keeps_the_partial_text(code: str, hanging: Server) -> None:
    with script(code, hanging.base_url) as process:
        assert process.stdout is not None
        printed = [process.stdout.readline() for _ in WORDS]
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=10)

    assert errors == ""
    assert printed == [f"{word}\n" for word in WORDS]
    assert output == "kept 'one two three ' abort\n"
    assert process.returncode == 0
    assert hanging.saw_the_close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to one process")
def test_interrupt_before_the_first_byte_ends_the_script_as_any_other() -> None:
    code = "from streamkit.blocking import complete\nprint('begun', flush=True)\ncomplete('hi', model='m')"
    with serving([Hang()]) as server, script(code, server.base_url) as process:
        assert process.stdout is not None
        process.stdout.readline()
        wait_until(lambda: bool(server.requests))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
        assert server.saw_the_close()

    assert process.returncode in {-signal.SIGINT, 130}
    assert errors.endswith("\nKeyboardInterrupt\n")
    assert "Warning" not in errors


LEFT_AT_EXIT = """
from streamkit.blocking import stream_text
async def ending(completion):
    print(completion.ended_by, repr(completion.text), flush=True)
for text in stream_text("hi", model="m", sinks=[lambda stream: stream.on("end", ending)]):
    if text == "three ":
        break
"""
STILL_HELD_AT_EXIT = """
from streamkit.blocking import stream_text
stream = stream_text("hi", model="m")
stream.stream.on("end", lambda completion: print(completion.ended_by, repr(completion.text), flush=True))
for _ in range(3):
    next(stream)
"""
IN_A_THREAD_AT_EXIT = """
import threading
from streamkit.blocking import complete
from streamkit import StreamAborted
begun = threading.Event()
def ask():
    try:
        complete("hi", model="m", on_text=lambda text: text == "three " and begun.set())
    except StreamAborted as aborted:
        print(aborted.completion.ended_by, repr(aborted.completion.text), flush=True)
        ended.set()
ended = threading.Event()
threading.Thread(target=ask, daemon=True).start()
begun.wait()
from streamkit.loop_thread import LoopThread
LoopThread.shared().close()
ended.wait(5)
"""


@pytest.mark.parametrize(
    ("code", "ended_by"),
    [(LEFT_AT_EXIT, "abort"), (STILL_HELD_AT_EXIT, "cancel"), (IN_A_THREAD_AT_EXIT, "cancel")],
    ids=["left", "held", "thread"],
)
def test_exit_ends_streams_and_sinks_hear_it(code: str, ended_by: str, hanging: Server) -> None:
    with script(code, hanging.base_url) as process:
        output, errors = process.communicate(timeout=10)

    assert (output, errors) == (f"{ended_by} 'one two three '\n", "")
    assert process.returncode == 0
    assert hanging.saw_the_close()


FORK = """
import os, sys
from streamkit.blocking import complete, stream_text
running = stream_text("hi", model="m")
print("parent", complete("hi", model="m").text, next(running), flush=True)
child = os.fork()
if child == 0:
    try:
        next(running), next(running), next(running)
    except RuntimeError as error:
        print(error)
    running.close()
    print("child", complete("hi", model="m").text)
    sys.exit()  # with all finalisers, which must leave the parent's connections alone
assert os.waitpid(child, 0)[1] == 0
print("parent", complete("hi", model="m").text, *running)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_child_of_a_fork_has_a_loop_of_its_own(server: Server) -> None:
    with script(FORK, server.base_url) as process:
        output, errors = process.communicate(timeout=30)

    assert errors == ""
    assert output.splitlines() == [
        "parent one two three  one ",
        "this stream runs in the process that was forked: open another one here",
        "child one two three ",
        "parent one two three  two  three ",
    ]
