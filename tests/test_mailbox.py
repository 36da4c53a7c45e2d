from __future__ import annotations

import asyncio
import contextvars
from functools import partial
from typing import Any

import pytest

from streamkit import CompletionStream, RetryPolicy, StreamAborted, StreamError, StreamTimeout, Timeout
from streamkit.mailbox import MAILBOX_EVENTS
from streamkit.settings import Settings
from streamkit.testing import chunk, sse

from .clock import driven, turns
from .stream.scripted import END, Item, ScriptedSource, feed_of, heard, is_grammatical, text_reads, untyped

FINISH = sse(chunk(finish_reason="stop"))
WHO = contextvars.ContextVar("WHO", default="nobody")


def stream_of(*items: Item, **settings: Any) -> CompletionStream:
    return CompletionStream(ScriptedSource(items), settings=Settings(retry=RetryPolicy(retries=0), **settings))


def records(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "streamkit.listeners"]


def elapsed(since: float) -> float:
    return asyncio.get_running_loop().time() - since


def now() -> float:
    return asyncio.get_running_loop().time()


# --- one at a time, in order ----------------------------------------------------------------------------------------


@driven
async def test_an_async_listener_gets_its_events_one_at_a_time_in_order():
    stream = stream_of(feed_of(*"abcdef"), END)
    log: list[str] = []

    @stream.on("text")
    async def slower_and_faster(text: str) -> None:
        log.append(f"<{text}")
        await asyncio.sleep((ord("g") - ord(text)) / 10)
        log.append(f"{text}>")

    await stream
    assert log == [f"<{text}" if begins else f"{text}>" for text in "abcdef" for begins in (True, False)]


@driven
async def test_listeners_of_different_speed_do_not_wait_for_one_another():
    stream = stream_of(feed_of(*"abc"), END)
    began = now()
    ends: dict[str, float] = {}

    def listener(name: str, seconds: float) -> None:
        async def listen(_: str) -> None:
            await asyncio.sleep(seconds)
            ends[name] = elapsed(began)

        stream.on("text", listen)

    for name, seconds in (("slow", 3.0), ("fast", 1.0), ("faster", 0.1)):
        listener(name, seconds)
    await stream
    assert ends == {"slow": pytest.approx(9.0), "fast": pytest.approx(3.0), "faster": pytest.approx(0.3)}


ASYNC_KINDS = {
    "a coroutine function": lambda f: f,
    "a partial": lambda f: partial(f),
    "a partial of a partial": lambda f: partial(partial(f)),
    "a lambda": lambda f: lambda payload: f(payload),
    "a partial of a lambda": lambda f: partial(lambda extra, payload: f(payload), 1),
    "a callable object": lambda f: type("Callable", (), {"__call__": lambda self, payload: f(payload)})(),
    "a callable object, async": lambda f: AsyncCallable(f),
    "one that returns a future": lambda f: lambda payload: asyncio.ensure_future(f(payload)),
    "one that returns an awaitable": lambda f: lambda payload: Awaits(f(payload)),
}


class AsyncCallable:
    # An object that defines equality cannot be hashed; it may listen all the same.
    def __eq__(self, other: object) -> bool:
        return self is other

    def __init__(self, function: Any) -> None:
        self.function = function

    async def __call__(self, payload: object) -> None:
        await self.function(payload)


class Awaits:
    def __init__(self, coroutine: Any) -> None:
        self.coroutine = coroutine

    def __await__(self) -> Any:
        return self.coroutine.__await__()


@pytest.mark.parametrize("kind", ASYNC_KINDS)
@driven
async def test_what_returns_an_awaitable_is_async(kind):
    stream = stream_of(feed_of(*"abc"), END)
    log: list[str] = []

    async def slow(payload: object) -> None:
        await asyncio.sleep(1)
        log.append(str(payload))

    stream.on("text", ASYNC_KINDS[kind](slow))
    stream.on("done", lambda _: log.append("done"))
    await stream
    assert log == ["a", "b", "c", "done"]


@driven
async def test_the_async_listeners_of_one_sink_share_a_mailbox():
    stream = stream_of(feed_of("a", "b"), END)
    log: list[str] = []

    def sink(stream: CompletionStream) -> None:
        async def slow(chunk: object) -> None:
            await asyncio.sleep(2)
            log.append(f"chunk {chunk}")

        async def fast(text: str) -> None:
            log.append(f"text {text}")

        stream.on("chunk", slow)
        stream.on("text", fast)
        stream.on("text", lambda text: fast(text + text))

    stream.attach(sink)
    await stream
    assert log == ["chunk ", "chunk a", "text a", "text aa", "chunk b", "text b", "text bb", "chunk "]


@driven
async def test_two_sinks_do_not_share_a_mailbox():
    stream = stream_of(feed_of("a"), END)
    log: list[str] = []

    def sink(seconds: float, stream: CompletionStream) -> None:
        async def write(text: str) -> None:
            await asyncio.sleep(seconds)
            log.append(f"{text} after {seconds:g} s")

        stream.on("text", write)

    stream.attach(partial(sink, 2), partial(sink, 1))
    await stream
    assert log == ["a after 1 s", "a after 2 s"]


@pytest.mark.parametrize("how", ["function", "method", "lambda", "unhashable"])
@driven
async def test_all_registrations_of_one_function_share_a_mailbox(how):
    stream = stream_of(feed_of("a", "b"), END)
    log: list[str] = []
    running = 0

    async def write(payload: object) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(1 if isinstance(payload, str) else 2)
        log.append(f"{'text' if isinstance(payload, str) else 'whole'} {payload}")
        running -= 1

    class Writer:
        async def write(self, payload: object) -> None:
            await write(payload)

    writer = Writer()
    one: Any = {
        "function": write,
        "method": None,
        "lambda": lambda payload: write(payload),
        "unhashable": AsyncCallable(write),
    }[how]
    for event in ("chunk", "text", "done"):
        untyped(stream).on(event, writer.write if how == "method" else one)
    await stream
    assert log == ["whole ", "whole a", "text a", "whole b", "text b", "whole ", "whole ab"]


@driven
async def test_one_function_is_never_called_twice_at_once_not_even_in_two_sinks():
    stream = stream_of(feed_of("a", "b"), END)
    running = most = 0

    async def write(_: object) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1

    def sink(stream: CompletionStream) -> None:
        stream.on("text", write)

    stream.attach(sink, sink).on("chunk", write)
    await stream
    assert most == 1


# --- context --------------------------------------------------------------------------------------------------------


def in_context_of(who: str, call: Any) -> None:
    def set_and_call() -> None:
        WHO.set(who)
        call()

    contextvars.copy_context().run(set_and_call)


@driven
async def test_each_listener_runs_in_the_context_of_its_on():
    stream = stream_of(feed_of("a"), END)
    log: list[str] = []

    def note(_: object) -> None:
        log.append(f"sync {WHO.get()}")

    async def note_later(_: object) -> None:
        before = WHO.get()
        await asyncio.sleep(1)
        log.append(f"async {before} {WHO.get()}")

    for who in ("ann", "bob"):
        in_context_of(who, lambda: stream.on("text", note))
        in_context_of(who, lambda: stream.on("text", note_later))
        in_context_of(who, lambda: stream.on("text", lambda text: note_later(text)))
        in_context_of(who, lambda: stream.once("text", note))
        in_context_of(who, lambda: stream.prepend_listener("text", note))
    WHO.set("the one that starts it")
    await stream
    assert sorted(log) == sorted(
        f"{what}" for who in ("ann", "bob") for what in [f"sync {who}"] * 3 + [f"async {who} {who}"] * 2
    )


@driven
async def test_listeners_of_a_sink_run_in_the_context_of_their_on_too():
    stream = stream_of(feed_of("a"), END)
    log: list[str] = []

    def sink(stream: CompletionStream) -> None:
        async def later(_: object) -> None:
            await asyncio.sleep(0)
            log.append(f"async {WHO.get()}")

        WHO.set("inside")
        stream.on("text", lambda _: log.append(WHO.get()))
        stream.on("text", later)
        WHO.set("further down")
        stream.on("text", later)
        WHO.set("done")

    in_context_of("outside", lambda: stream.attach(sink))
    await stream
    assert log == ["inside", "async inside", "async further down"]


@driven
async def test_what_a_listener_sets_stays_in_its_context():
    stream = stream_of(feed_of("a", "b"), END)
    log: list[str] = []

    def first(text: str) -> None:
        log.append(WHO.get())
        WHO.set(f"first {text}")

    async def second(text: str) -> None:
        log.append(WHO.get())
        WHO.set(f"second {text}")

    async def third(_: str) -> None:
        log.append(WHO.get())

    stream.on("text", first)
    stream.attach(lambda stream: (stream.on("text", second), stream.on("text", third)))
    await stream
    assert WHO.get() == "nobody"
    assert sorted(log) == ["first a", "nobody", "nobody", "nobody", "nobody", "second a"]


# --- the ending waits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [[FINISH, END], [StreamError("cut")], ["abort"]])
@driven
async def test_the_ending_waits_for_every_async_listener_and_end_for_the_ending(last):
    stream = stream_of(*text_reads("a", "b"), *[item for item in last if item != "abort"])
    log: list[str] = []

    async def slow(what: str, payload: object) -> None:
        await asyncio.sleep(2)
        log.append(what)

    stream.on("text", partial(slow, "text"))
    for ending in ("done", "error", "abort"):
        untyped(stream).on(ending, partial(slow, "ending"))
        untyped(stream).on(ending, lambda _: log.append("ending at once"))
    stream.on("end", partial(slow, "end"))
    stream.on("end", lambda _: log.append("end at once"))
    if last == ["abort"]:
        stream.on("text", lambda text: stream.abort() if text == "b" else None)
    try:
        await stream
    except (StreamError, StreamAborted):
        pass
    log.append("await returned")
    assert log == ["text", "text", "ending at once", "ending", "end at once", "end", "await returned"]


@driven
async def test_a_stuck_listener_is_cancelled_named_once_and_hears_no_ending(caplog):
    stream = stream_of(feed_of("a", "b", "c"), END, drain_timeout=3.0)
    log: list[str] = []
    began = now()

    async def stuck(payload: object) -> None:
        log.append(f"stuck {payload}")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    async def well(payload: object) -> None:
        await asyncio.sleep(0)
        log.append(f"well {payload}")

    stream.on("text", stuck)
    stream.on("done", stuck)
    stream.on("done", well)
    stream.on("end", stuck)
    stream.on("end", lambda _: log.append("end"))
    completion = await stream
    assert completion.text == "abc"
    assert log == ["stuck a", "cancelled", "well abc", "end"]
    assert elapsed(began) == pytest.approx(3.0)
    assert len(records(caplog)) == 1
    assert "stuck" in records(caplog)[0]
    assert "'text'" in records(caplog)[0]
    assert "abc" not in caplog.text


@driven
async def test_who_shares_the_mailbox_of_a_stuck_listener_hears_all(caplog):
    stream = stream_of(feed_of("a", "b"), END, drain_timeout=3.0)
    log: list[str] = []
    stuck_calls = 0

    def sink(stream: CompletionStream) -> None:
        async def stuck(_: object) -> None:
            nonlocal stuck_calls
            stuck_calls += 1
            await asyncio.Event().wait()

        async def well(payload: object) -> None:
            await asyncio.sleep(0)
            log.append(str(payload))

        stream.on("text", stuck)
        stream.on("text", well)
        stream.on("done", stuck)
        stream.on("done", well)

    stream.attach(sink)
    await stream
    assert log == ["a", "b", "ab"]
    assert stuck_calls == 1
    assert len(records(caplog)) == 1


@driven
async def test_drain_timeout_counts_seconds_in_which_no_call_finished(caplog):
    stream = stream_of(feed_of(*"abcdefgh"), END, drain_timeout=3.0)
    log: list[str] = []

    @stream.on("text")
    async def slow(text: str) -> None:
        await asyncio.sleep(2.9)
        log.append(text)

    await stream
    assert "".join(log) == "abcdefgh"
    assert not records(caplog)


@driven
async def test_the_end_of_a_stuck_end_listener_comes_too(caplog):
    stream = stream_of(feed_of("a"), END, drain_timeout=3.0)
    began = now()

    @stream.on("end")
    async def stuck(_: object) -> None:
        await asyncio.Event().wait()

    await stream
    assert elapsed(began) == pytest.approx(3.0)
    assert len(records(caplog)) == 1


@driven
async def test_a_listener_that_ignores_its_cancellation_does_not_hang_the_stream(caplog):
    stream = stream_of(feed_of("a", "b"), END, drain_timeout=3.0)
    log: list[str] = []
    release = asyncio.Event()

    async def stubborn(_: object) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                log.append("refused")
        log.append("released")

    async def well(payload: object) -> None:
        log.append(f"well {payload}")

    def sink(stream: CompletionStream) -> None:
        stream.on("text", stubborn)
        stream.on("text", well)
        stream.on("done", well)

    stream.attach(sink)
    try:
        await stream
        assert log == ["refused", "well a", "well b", "well ab"]
    finally:
        release.set()
    await turns(5)
    assert log[-1] == "released"
    assert all("stubborn" in record for record in records(caplog))
    assert 1 <= len(records(caplog)) <= 2


@driven
async def test_a_listener_that_turns_its_cancellation_into_a_return_takes_nobody_with_it(caplog):
    """The task that the listeners share was cancelled, so to say: a later CancelledError must not be taken for that."""
    stream = stream_of(feed_of("a", "b"), END, drain_timeout=3.0)
    log: list[str] = []

    async def stubborn(_: object) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    async def cancelling(_: object) -> None:
        raise asyncio.CancelledError

    async def well(payload: object) -> None:
        log.append(str(payload))

    def sink(stream: CompletionStream) -> None:
        stream.on("text", stubborn)
        stream.on("text", cancelling)
        for event in ("text", "done", "end"):
            untyped(stream).on(event, well)

    stream.attach(sink)
    await stream
    assert log == ["a", "b", "ab", "ab"]


@driven
async def test_a_listener_that_awaits_with_a_timeout_of_its_own_is_left_alone():
    """`asyncio.timeout` cancels the task that the listeners share; that is the listener's own affair."""
    stream = stream_of(feed_of("a", "b"), END)
    log: list[str] = []

    @stream.on("text")
    async def impatient(text: str) -> None:
        try:
            async with asyncio.timeout(1):
                await asyncio.sleep(2)
        except TimeoutError:
            log.append(text)

    await stream
    assert log == ["a", "b"]


# --- back-pressure --------------------------------------------------------------------------------------------------


@driven
async def test_the_pump_waits_for_a_full_mailbox_and_reads_on_meanwhile():
    texts = [str(number) for number in range(MAILBOX_EVENTS + 500)]
    source = ScriptedSource([*text_reads(*texts), StreamError("cut")])
    stream = CompletionStream(source)
    sync: list[str] = []
    log: list[str] = []
    release = asyncio.Event()
    stream.on("text", sync.append)

    @stream.on("text")
    async def slow(text: str) -> None:
        await release.wait()
        log.append(text)

    stream.start()
    await turns(6000)
    assert MAILBOX_EVENTS <= len(sync) <= MAILBOX_EVENTS + 1  # one of them is in the listener
    assert bytes(source.taken) == b"".join(text_reads(*texts))
    release.set()
    with pytest.raises(StreamError, match="cut") as caught:
        await stream
    assert log == texts == sync
    assert caught.value.completion.text == "".join(texts)
    assert source.most_reading == 1


@driven
async def test_a_mailbox_holds_so_many_events_and_the_pump_does_not_wait_before():
    texts = ["x"] * (MAILBOX_EVENTS - 1)
    stream = stream_of(*text_reads(*texts), asyncio.Event())
    sync: list[str] = []
    release = asyncio.Event()
    stream.on("text", sync.append)

    async def slow(_: str) -> None:
        await release.wait()

    stream.on("text", slow)
    stream.start()
    await turns(4000)
    assert len(sync) == len(texts)
    stream.abort()
    release.set()
    with pytest.raises(StreamAborted):
        await stream


@driven
async def test_an_abort_interrupts_a_pump_that_waits_for_a_mailbox():
    stream = stream_of(*text_reads(*["x"] * 2000), drain_timeout=3.0)
    events = heard(stream)
    began = now()

    async def stuck(_: str) -> None:
        await asyncio.Event().wait()

    stream.on("text", stuck)
    stream.start()
    await turns(6000)
    stream.abort("enough")
    with pytest.raises(StreamAborted, match="enough"):
        await stream
    assert is_grammatical(events)
    assert elapsed(began) == pytest.approx(3.0)


@driven
async def test_drop_oldest_drops_the_oldest_with_one_warning_and_never_an_ending():
    count = 2 * MAILBOX_EVENTS
    stream = stream_of(feed_of(*[str(number) for number in range(count)]), END)
    log: list[str] = []
    warnings: list[Any] = []
    release = asyncio.Event()

    async def slow(payload: object) -> None:
        await release.wait()
        log.append(getattr(payload, "name", str(payload)))

    stream.on("text", slow, overflow="drop_oldest")
    stream.on("*", partial(slow), overflow="drop_oldest")
    stream.on("warning", warnings.append)
    waiting = asyncio.create_task(asyncio.wait_for(stream, 100))
    await turns(100)
    release.set()
    await waiting
    texts = [name for name in log if name.isdigit()]
    assert texts[-1] == str(count - 1)
    assert texts == sorted(texts, key=int)
    assert MAILBOX_EVENTS - 1 <= len(texts) <= MAILBOX_EVENTS + 1
    assert [name for name in log if not name.isdigit()][-3:] == ["text_done", "done", "end"]
    assert [warning.kind for warning in warnings] == ["events_dropped"] * 2
    assert "slow" in warnings[0].detail


@driven
async def test_the_first_call_of_a_lambda_may_be_dropped_like_any_other():
    """It has begun when it turns out to be async: its coroutine is closed, and nobody complains that it never ran."""
    stream = stream_of(feed_of(*[str(number) for number in range(2 * MAILBOX_EVENTS)]), END)
    log: list[str] = []

    async def write(text: str) -> None:
        log.append(text)

    stream.on("text", lambda text: write(text), overflow="drop_oldest")
    await stream
    assert log[-1] == str(2 * MAILBOX_EVENTS - 1)
    assert log == sorted(log, key=int)


@driven
async def test_coalesce_joins_text_and_never_blocks():
    texts = [f"{number} " for number in range(3 * MAILBOX_EVENTS)]
    stream = stream_of(*text_reads(*texts), FINISH, END)
    pieces: list[str] = []

    @stream.on("text", overflow="coalesce")
    async def slow(text: str) -> None:
        await asyncio.sleep(1)
        pieces.append(text)

    began = now()
    await stream
    assert "".join(pieces) == "".join(texts)
    assert len(pieces) < 10
    assert elapsed(began) == pytest.approx(len(pieces))


@driven
async def test_coalesce_keeps_the_order_of_those_who_share_the_mailbox():
    stream = stream_of(feed_of("a", "b", "c"), END)
    log: list[str] = []

    def sink(stream: CompletionStream) -> None:
        async def write(text: str) -> None:
            log.append(text)

        async def mark(chunk: object) -> None:
            log.append(f"<{chunk}>")

        stream.on("chunk", mark)
        stream.on("text", write, overflow="coalesce")

    stream.attach(sink)
    await stream
    assert log == ["<>", "<a>", "a", "<b>", "b", "<c>", "c", "<>"]


@pytest.mark.parametrize(
    ("event", "overflow"), [("text", "newest"), ("text", None), ("chunk", "coalesce"), ("done", "coalesce")]
)
def test_an_overflow_that_makes_no_sense_is_refused(event, overflow):
    stream = stream_of(END)
    with pytest.raises(ValueError, match="overflow"):
        stream.on(event, print, overflow=overflow)


@driven
async def test_a_backlog_is_published_before_a_timeout_can_fall():
    """What came in time was in time, however long the listener took."""
    stream = stream_of(*text_reads(*["x"] * 1500), FINISH, END, timeout=Timeout(idle=1.0, first=1.0))
    heard_late = 0

    @stream.on("text")
    async def slow(_: str) -> None:
        nonlocal heard_late
        await asyncio.sleep(1)
        heard_late += 1

    try:
        await stream
    except StreamTimeout as error:  # pragma: no cover - what this test is to rule out
        pytest.fail(str(error))
    assert heard_late == 1500
