from __future__ import annotations

import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
from concurrent import futures
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from streamkit import StreamDriver, demo_tape
from streamkit.loop_thread import LoopThread
from streamkit.testing import replay_server
from tests.conftest import REPO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Self


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture(name="thread")
def _thread() -> Iterator[LoopThread]:
    with LoopThread() as thread:
        yield thread


def run_script(code: str, *options: str) -> str:
    """Run `code` in a process of its own, every warning an error; it must end well and say nothing on stderr."""
    result = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", code],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    return result.stdout


async def where() -> threading.Thread:
    return threading.current_thread()


# --- submit -----------------------------------------------------------------------------------------------------------


def test_coroutine_runs_in_a_daemon_thread_of_its_own(thread: LoopThread) -> None:
    ran_in = thread.submit(where()).result(5)

    assert ran_in is not threading.current_thread()
    assert ran_in.daemon
    assert ran_in.name == "streamkit"
    assert ran_in is thread.submit(where()).result(5)


def test_what_a_coroutine_raises_is_raised_by_its_future(thread: LoopThread) -> None:
    async def fail() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        thread.submit(fail()).result(5)


def test_stream_can_be_submitted_as_it_is(thread: LoopThread) -> None:
    with (
        thread.enter(replay_server(demo_tape(), speed=0)) as server,
        thread.enter(StreamDriver(server.base_url)) as driver,
    ):
        completion = thread.submit(driver.stream("hi", model="m")).result(5)

    assert completion.finish_reason == "stop"
    assert completion.text.startswith("A stream is")


def test_what_cannot_be_awaited_is_refused_by_name(thread: LoopThread) -> None:
    with pytest.raises(TypeError, match="submit takes a coroutine or another awaitable, not function"):
        thread.submit(where)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_cancelling_the_future_cancels_the_task(thread: LoopThread) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    future = thread.submit(wait())
    assert begun.wait(5)
    assert future.cancel()

    assert cancelled.wait(5)


def test_coroutine_runs_in_the_context_of_the_caller(thread: LoopThread) -> None:
    user = contextvars.ContextVar("user", default="nobody")

    async def whose() -> str:
        return user.get()

    user.set("me")

    assert thread.submit(whose()).result(5) == "me"


def test_task_is_not_collected_while_it_waits(thread: LoopThread) -> None:
    """asyncio holds its tasks weakly, and this one waits for something that only it knows."""
    begun, ended = threading.Event(), threading.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    thread.submit(wait())
    assert begun.wait(5)
    gc.collect()
    assert not ended.is_set()

    thread.close()
    assert ended.is_set()


def test_call_soon_calls_on_the_loop_in_order(thread: LoopThread) -> None:
    called: list[object] = []

    def call(value: object) -> None:
        called.append((value, thread.is_current))

    thread.call_soon(call, 1)
    thread.call_soon(call, 2)
    thread.submit(asyncio.sleep(0)).result(5)

    assert called == [(1, True), (2, True)]
    assert not thread.is_current


# --- close ------------------------------------------------------------------------------------------------------------


def test_close_cancels_what_runs_and_waits_for_its_cleanup() -> None:
    thread = LoopThread()
    begun = threading.Event()
    steps = []

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            steps.append("cancelled")
            await asyncio.sleep(0.01)
            steps.append("cleaned up")

    future = thread.submit(work())
    assert begun.wait(5)
    thread.close()

    assert steps == ["cancelled", "cleaned up"]
    assert future.cancelled()
    assert not thread.running
    with pytest.raises(futures.CancelledError):
        future.result(0)


def test_close_ends_what_was_submitted_before_what_that_uses() -> None:
    """A submitted task may need its helpers in its `finally`: they must not be cancelled under it."""
    thread = LoopThread()
    begun = threading.Event()
    heard = []

    async def helper(queue: asyncio.Queue[str]) -> None:
        while True:
            heard.append(await queue.get())
            queue.task_done()

    async def work() -> None:
        queue: asyncio.Queue[str] = asyncio.Queue()
        helping = asyncio.create_task(helper(queue))
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await queue.put("the ending")
            await queue.join()
            assert not helping.done()

    thread.submit(work())
    assert begun.wait(5)
    thread.close()

    assert heard == ["the ending"]


def test_close_ends_tasks_that_others_start_while_they_end() -> None:
    thread = LoopThread()
    begun, ended = threading.Event(), threading.Event()

    async def late() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            asyncio.create_task(late())
            await asyncio.sleep(0)

    thread.submit(work())
    assert begun.wait(5)
    thread.close()

    assert ended.is_set()


def test_close_joins_the_threads_of_the_default_executor() -> None:
    thread = LoopThread("streamkit-executor-test")
    thread.submit(asyncio.to_thread(lambda: None)).result(5)

    thread.close()

    assert not [each for each in threading.enumerate() if "streamkit-executor-test" in each.name]


def test_closing_again_or_from_several_threads_does_nothing_more() -> None:
    thread = LoopThread()
    others = [threading.Thread(target=thread.close) for _ in range(4)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    thread.close()

    assert repr(thread) == "<LoopThread 'streamkit', closed>"


def test_close_says_when_something_blocks_the_loop() -> None:
    thread = LoopThread()
    release = threading.Event()
    thread.call_soon(release.wait)

    with pytest.raises(TimeoutError, match=r"'streamkit' did not end within 0.05 s: something blocks its loop"):
        thread.close(timeout=0.05)

    release.set()
    thread.close()


def test_closed_thread_takes_nothing() -> None:
    thread = LoopThread()
    thread.close()

    with pytest.raises(RuntimeError, match="this LoopThread is closed"):
        thread.submit(where())  # closed by submit: a warning that it was never awaited would be an error
    with pytest.raises(RuntimeError, match="this LoopThread is closed"):
        thread.call_soon(print)
    gc.collect()


def test_its_own_thread_cannot_wait_for_itself(thread: LoopThread) -> None:
    async def misuse() -> list[str]:
        messages = []
        for call in (lambda: thread.submit(where()), thread.close, thread.enter(nothing()).__enter__):
            with pytest.raises(RuntimeError) as caught:
                call()
            messages.append(str(caught.value))
        return messages

    @asynccontextmanager
    async def nothing() -> AsyncIterator[None]:
        yield

    for message in thread.submit(misuse()).result(5):
        assert "on the loop's own thread, which would wait for itself: await there" in message


# --- enter ------------------------------------------------------------------------------------------------------------


class Recorder:
    """An async context manager that notes in which task it is entered and left."""

    def __init__(self, *, fail: str = "") -> None:
        self.tasks: list[asyncio.Task[object] | None] = []
        self.fail = fail

    async def __aenter__(self) -> Self:
        self.tasks.append(asyncio.current_task())
        if self.fail == "enter":
            raise OSError("no entry")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await asyncio.sleep(0)
        self.tasks.append(asyncio.current_task())
        if self.fail == "exit":
            raise OSError("no exit")


def test_enter_enters_and_leaves_in_one_task(thread: LoopThread) -> None:
    with thread.enter(Recorder()) as recorder:
        assert len(recorder.tasks) == 1

    entered, left = recorder.tasks
    assert entered is left is not None


@pytest.mark.parametrize("fail", ["enter", "exit"])
def test_enter_raises_what_the_manager_raises(thread: LoopThread, fail: str) -> None:
    with (
        pytest.raises(OSError, match=f"no {'entry' if fail == 'enter' else 'exit'}"),
        thread.enter(Recorder(fail=fail)),
    ):
        assert fail == "exit"


def test_manager_is_left_when_the_body_raises(thread: LoopThread) -> None:
    recorder = Recorder()
    with pytest.raises(LookupError), thread.enter(recorder):
        raise LookupError

    assert len(recorder.tasks) == 2


def test_manager_is_left_when_the_thread_is_closed_meanwhile() -> None:
    thread, recorder = LoopThread(), Recorder()
    with thread.enter(recorder):
        thread.close()
        assert len(recorder.tasks) == 2


def test_entering_ends_when_the_thread_is_closed_meanwhile() -> None:
    thread, entering = LoopThread(), threading.Event()

    @asynccontextmanager
    async def slow() -> AsyncIterator[None]:
        entering.set()
        await asyncio.Event().wait()
        yield

    def close() -> None:
        entering.wait(5)
        thread.close()

    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(RuntimeError, match="this LoopThread was closed"), thread.enter(slow()):
        raise AssertionError

    closer.join()


# --- the loop ---------------------------------------------------------------------------------------------------------


def test_loop_factory_makes_the_loop() -> None:
    class Loop(asyncio.SelectorEventLoop):
        pass

    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    with LoopThread(loop_factory=Loop) as thread:
        assert type(thread.submit(loop()).result(5)) is Loop


POISONED = """
import asyncio, warnings
from streamkit import StreamDriver, demo_tape
from streamkit.loop_thread import LoopThread
from streamkit.testing import replay_server

class Poisoned(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self):
        raise AssertionError("the policy was asked for a loop")
    get_event_loop = set_event_loop = new_event_loop

asyncio.set_event_loop_policy(Poisoned())
with LoopThread() as thread:
    with thread.enter(replay_server(demo_tape(), speed=0)) as server:
        with thread.enter(StreamDriver(server.base_url)) as driver:
            print(thread.submit(driver.stream("hi", model="m")).result().finish_reason)
"""


def test_event_loop_policy_of_the_process_is_not_asked() -> None:
    """QtAsyncio and PyGObject install policies whose loops cannot run here."""
    assert run_script(POISONED, "-W", "ignore::DeprecationWarning") == "stop\n"


# --- one a process ----------------------------------------------------------------------------------------------------


def test_shared_is_one_and_made_again_when_closed() -> None:
    first = LoopThread.shared()
    try:
        assert LoopThread.shared() is first
        first.close()
        second = LoopThread.shared()
        assert second is not first
        assert second.submit(where()).result(5).name == "streamkit"
    finally:
        LoopThread.shared().close()


EXIT = """
import asyncio
from streamkit import StreamDriver, demo_tape
from streamkit.loop_thread import LoopThread
from streamkit.testing import replay_server

async def serve():
    async with replay_server(demo_tape()) as server, StreamDriver(server.base_url.replace("127.0.0.1", "localhost")) as driver:
        stream = driver.stream("hi", model="m")
        stream.on("end", lambda completion: print(completion.ended_by, "" < completion.text in demo_text, flush=True))
        await stream.wait_for("text")
        ready.set()
        await asyncio.Event().wait()

import threading
ready, demo_text = threading.Event(), "A stream is a letter"
LoopThread.shared().submit(serve())
assert ready.wait(10)
"""


def test_exit_of_the_process_ends_what_runs_in_silence() -> None:
    """With a name resolved, so that the executor has had a thread, and a stream in the middle."""
    assert run_script(EXIT) == "abort True\n"


BLOCKED_AT_EXIT = """
import logging, sys, threading
from streamkit import loop_thread
logging.basicConfig(stream=sys.stdout, format="%(name)s: %(message)s")
loop_thread.CLOSE_SECONDS = 0.05
loop_thread.LoopThread.shared().call_soon(threading.Event().wait)
"""


def test_loop_that_is_blocked_at_exit_delays_it_and_is_named() -> None:
    assert run_script(BLOCKED_AT_EXIT) == (
        "streamkit.loop_thread: the thread 'streamkit' did not end within 0.05 s: "
        "something blocks its loop, or ignores its cancellation\n"
    )


FORK = """
import os
from streamkit import StreamDriver, demo_tape
from streamkit.loop_thread import LoopThread
from streamkit.testing import replay_server

shared = LoopThread.shared()
server = shared.submit(replay_server(demo_tape(), speed=0).__aenter__()).result()
driver = StreamDriver(server.base_url)

def ask(thread, driver):
    return thread.submit(driver.stream("hi", model="m")).result(10).finish_reason

print("parent", ask(shared, driver), flush=True)
child = os.fork()
if child == 0:
    assert not shared.running
    try:
        shared.submit(driver.close())
    except RuntimeError as error:
        print(error, flush=True)
    shared.close()
    own = LoopThread.shared()
    assert own is not shared
    with own.enter(StreamDriver(server.base_url)) as other:
        print("child", ask(own, other), flush=True)
    own.close()
    os._exit(0)  # as multiprocessing does: finalisers of what the parent uses are not for the child to run
assert os.waitpid(child, 0)[1] == 0
print("parent", ask(shared, driver))
shared.submit(driver.close()).result()
shared.submit(server.__aexit__()).result()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_fork_loses_the_thread_and_shared_makes_another() -> None:
    # Python 3.12 and later warn of any fork beside threads.
    assert run_script(FORK, "-W", "ignore::DeprecationWarning").splitlines() == [
        "parent stop",
        "this LoopThread was lost in a fork, which copies no threads: make one in this process",
        "child stop",
        "parent stop",
    ]
