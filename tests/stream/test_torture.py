"""The whole of a stream under everything at once: what a subscriber can rely on holds, whatever the others do."""

from __future__ import annotations

import asyncio
import importlib
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import pytest
from hypothesis import given, settings, strategies as st

from streamkit import CompletionStream, ConnectionLost, RetryPolicy, StreamAborted, StreamError
from streamkit.settings import Settings
from streamkit.testing import chunk, sse

from ..clock import DrivenLoop, run, turns
from ..conftest import require_or_skip
from .scripted import END, Item, ScriptedSource, feed_of, heard, is_grammatical, untyped

try:
    new_uvloop: Any = importlib.import_module("uvloop").new_event_loop
except ImportError:
    new_uvloop = None

eager_tasks = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
LOOPS: list[Any] = [
    pytest.param(asyncio.SelectorEventLoop, False, id="asyncio"),
    pytest.param(asyncio.SelectorEventLoop, True, id="eager", marks=eager_tasks),
    pytest.param(new_uvloop, False, id="uvloop"),
]


@pytest.fixture(autouse=True)
def need_the_loop(request: pytest.FixtureRequest) -> None:
    if "loop_factory" in request.fixturenames and request.getfixturevalue("loop_factory") is None:
        require_or_skip("uvloop is not installed: pip install uvloop")


def split(data: bytes, pieces: int, rng: random.Random) -> list[Item]:
    """The data in so many reads, cut anywhere, some turns of the loop between them."""
    cuts = sorted(rng.randrange(len(data)) for _ in range(pieces - 1))
    items: list[Item] = []
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        if start < end:
            items += [data[start:end], rng.choice([0, 0, 0, 1, 2, 5])]
    return items


async def one_torture(seed: int) -> None:
    rng = random.Random(seed)
    texts = [f"{number} " for number in range(rng.randrange(1, 30))]
    ends: list[list[Item]] = [[END], [ConnectionLost("cut")]]
    source = ScriptedSource([*split(feed_of(*texts), rng.randrange(1, 25), rng), *rng.choice(ends)])
    stream = CompletionStream(source, settings=Settings(retry=RetryPolicy(retries=0)))
    events = heard(stream)
    published: list[str] = []
    logs: list[list[str]] = [[] for _ in range(5)]
    added: list[str] = []
    failures: list[Any] = []
    refused: list[BaseException] = []
    behind_at_ending: list[bool] = []

    def up_to_date() -> bool:
        return all([each for each in log if each[-1:] == " "] == published for log in logs)

    async def writer(log: list[str], pause: int, payload: object) -> None:
        await turns(pause)
        log.append(str(payload) if isinstance(payload, str) else type(payload).__name__)

    def every_third(text: str) -> None:
        if published.index(text) % 3 == 0:
            raise ValueError(text)

    def meddler(_: str) -> None:
        def passing(text: str) -> None:
            added.append(text)
            stream.off("text", passing)

        stream.on("text", passing)

    def aborter(_: str) -> None:
        if len(published) == abort_at:
            stream.abort("torture")

    async def selfish(_: str) -> None:
        try:
            await stream
        except RuntimeError as error:
            refused.append(error)
            raise

    def on_ending(_: object) -> None:
        assert str(stream.completion) == "".join(published)
        behind_at_ending.append(not up_to_date())

    def on_end(_: object) -> None:
        behind_at_ending.append(not all(log[-1] in {"Completion", "ConnectionLost", "StreamAborted"} for log in logs))

    abort_at = rng.randrange(1, 2 * len(texts))
    stream.on("text", published.append)
    subscribe: list[Callable[[], object]] = [
        lambda: stream.on("text", every_third),
        lambda: stream.on("text", meddler),
        lambda: stream.on("text", aborter),
        lambda: stream.on("text", selfish),
    ]
    for number, log in enumerate(logs):
        listener = partial(writer, log, number)
        for event in ("text", "done", "error", "abort"):
            subscribe.append(partial(untyped(stream).on, event, listener))
    rng.shuffle(subscribe)
    for each in subscribe:
        each()
    for event in ("done", "error", "abort"):
        untyped(stream).on(event, on_ending)
    stream.on("end", on_end)
    stream.on("listener_error", failures.append)
    try:
        assert (await stream).ended_by == "done"
    except ConnectionLost:
        assert events[-2] == "error"
    except StreamAborted as aborted:
        assert str(aborted) == "aborted: torture"
        assert len(published) == abort_at

    assert is_grammatical(events), events
    assert published == texts[: len(published)]
    assert [log[:-1] for log in logs] == [published] * 5
    assert behind_at_ending == [False, False]
    assert added == published[1:]
    assert len(refused) == len(published)
    assert len(failures) == len(published) + (len(published) + 2) // 3
    assert not stream.running
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize(("loop_factory", "eager"), LOOPS)
def test_torture(loop_factory, eager):
    async def main() -> None:
        for seed in range(1000 if not eager and loop_factory is asyncio.SelectorEventLoop else 300):
            try:
                await one_torture(seed)
            except BaseException as error:
                error.add_note(f"seed {seed}")
                raise

    run(main, loop_factory=loop_factory, eager=eager, debug=False)


@pytest.mark.parametrize(("loop_factory", "eager"), LOOPS)
def test_a_hundred_streams_torture_one_loop(loop_factory, eager):
    """Beside one another, on one emitter each: none knows of the others."""

    async def main() -> None:
        async def stream_text(number: int) -> str:
            rng = random.Random(number)
            stream = CompletionStream(ScriptedSource([*split(feed_of(*[f"{number} "] * 20), 30, rng), END]))
            log: list[str] = []

            async def slow(text: str) -> None:
                await turns(rng.randrange(3))
                log.append(text)

            stream.on("text", slow)
            await stream
            return "".join(log)

        texts = await asyncio.gather(*map(stream_text, range(100)))
        assert texts == [f"{number} " * 20 for number in range(100)]

    run(main, loop_factory=loop_factory, eager=eager, debug=False)


@pytest.mark.parametrize(("loop_factory", "eager"), LOOPS)
def test_what_a_loop_might_change(loop_factory, eager):
    """Who is told of what, where tasks begin at once or another loop runs them: abort, cancellation, pull, late, once."""

    async def main() -> None:
        stream = CompletionStream(ScriptedSource([feed_of("a", "b"), END]))
        stream.start()
        events = heard(stream)  # after start(), in the same turn
        log: list[str] = []

        async def quick(payload: object) -> None:
            log.append(f"{payload} {stream.completion.text}")

        stream.on("text", quick)
        stream.once("chunk", lambda _: stream.on("text", log.append, replay=True))
        assert [each.text async for each in stream] == ["", "a", "b", ""]
        assert is_grammatical(events)
        assert [each for each in log if " " not in each] == ["a", "b"]
        assert [each[0] for each in log if " " in each] == ["a", "b"]

        stream = CompletionStream(ScriptedSource([*sse_texts("a")]))
        events = heard(stream)
        stream.on("abort", quick)
        async for _ in stream:
            break
        await turns(5)
        assert events[-2:] == ["abort", "end"]

        for cancellations in (1, 2, 3):
            stream = CompletionStream(ScriptedSource([*sse_texts("a")]))
            events = heard(stream)
            blocked = asyncio.Event()

            async def until_released(_: object, blocked: asyncio.Event = blocked) -> None:
                await blocked.wait()

            stream.on("text", until_released)
            stream.on("end", quick)
            waiting = asyncio.ensure_future(stream)
            await turns(12)
            for _ in range(cancellations):
                waiting.cancel()
                await turns(3)
            blocked.set()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert is_grammatical(events)
            assert events[-2:] == ["abort", "end"]

    run(main, loop_factory=loop_factory, eager=eager)


def sse_texts(*texts: str) -> list[bytes]:
    return [sse(chunk(text), done=False) for text in texts]


# --- a random machine -----------------------------------------------------------------------------------------------


@dataclass
class Listener:
    """One listener, as hypothesis draws it."""

    event: Literal["chunk", "text", "done", "error", "abort", "end"]
    kind: Literal["sync", "async", "lambda"]
    pause: int
    raises: Literal["never", "ValueError", "CancelledError"]
    every: int
    calls: int = 0
    began: list[object] = field(default_factory=list)
    ended: list[object] = field(default_factory=list)
    raised: int = 0

    def fail_perhaps(self) -> None:
        self.calls += 1
        if self.raises != "never" and self.calls % self.every == 0:
            self.raised += 1
            raise ValueError("drawn") if self.raises == "ValueError" else asyncio.CancelledError

    def sync(self, payload: object) -> None:
        self.began.append(payload)
        self.ended.append(payload)
        self.fail_perhaps()

    async def slow(self, payload: object) -> None:
        assert len(self.began) == len(self.ended)  # one at a time
        self.began.append(payload)
        await turns(self.pause)
        self.ended.append(payload)
        self.fail_perhaps()

    @property
    def call(self) -> Callable[[Any], object]:
        return {"sync": self.sync, "async": self.slow, "lambda": lambda payload: self.slow(payload)}[self.kind]


listeners = st.builds(
    Listener,
    event=st.sampled_from(["chunk", "text", "text", "text", "done", "error", "abort", "end"]),
    kind=st.sampled_from(["sync", "async", "lambda"]),
    pause=st.integers(0, 6),
    raises=st.sampled_from(["never", "never", "ValueError", "CancelledError"]),
    every=st.integers(1, 3),
)
reads = st.one_of(
    st.integers(0, 4),
    st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(lambda texts: b"".join(sse_texts(*texts))),
    st.sampled_from([b": beat\n\n", b"data: {\n\n", sse(chunk("", role="assistant"), done=False)]),
)
endings = st.sampled_from(
    [
        [sse(chunk(finish_reason="stop")), END],
        [END],
        [ConnectionLost("cut")],
        [sse({"error": {"message": "overloaded"}})],
        [],
    ]
)
stops = st.one_of(
    st.none(),
    st.tuples(st.just("abort at"), st.integers(0, 12)),
    st.tuples(st.just("abort after"), st.integers(0, 40)),
    st.tuples(st.just("cancel"), st.integers(1, 40)),
)


@settings(max_examples=250, deadline=None)
@given(
    script=st.lists(reads, max_size=8),
    ending=endings,
    heard_by=st.lists(listeners, max_size=7),
    stop=stops,
    in_one_sink=st.booleans(),
    eager=st.booleans() if sys.version_info >= (3, 12) else st.just(value=False),
)
def test_whatever_happens_the_guarantees_hold(script, ending, heard_by, stop, in_one_sink, eager):
    # hypothesis replays its examples: what they count must begin at nought.
    heard_by = [Listener(each.event, each.kind, each.pause, each.raises, each.every) for each in heard_by]

    async def main() -> None:
        stream = CompletionStream(
            ScriptedSource([*script, *ending]), settings=Settings(retry=RetryPolicy(retries=0), drain_timeout=1000.0)
        )
        events = heard(stream)
        payloads: dict[str, list[Any]] = {}
        failures: list[Any] = []
        text = ""

        def note(event: Any) -> None:
            payloads.setdefault(event.name, []).append(event.payload)

        def state_first(piece: str) -> None:
            nonlocal text
            text += piece
            assert stream.completion.text == text

        def barrier(name: str, _: object) -> None:
            before = [
                each
                for each in heard_by
                if each.event in ({"chunk", "text"} if name != "end" else {"chunk", "text", "done", "error", "abort"})
            ]
            for each in before:
                assert each.ended == payloads.get(each.event, []), f"{each} was behind at {name!r}"

        wrong: list[BaseException] = []

        def held_to(check: Callable[[Any], None]) -> Callable[[Any], None]:
            def checked(payload: Any) -> None:
                try:
                    check(payload)
                except AssertionError as error:
                    wrong.append(error)

            return checked

        def subscribe(stream: CompletionStream) -> None:
            for each in heard_by:
                stream.on(each.event, each.call)

        stream.on("*", note)
        stream.prepend_listener("text", held_to(state_first))
        for name in ("done", "error", "abort", "end"):
            untyped(stream).prepend_listener(name, held_to(partial(barrier, name)))
        stream.on("listener_error", failures.append)
        if in_one_sink:
            stream.attach(subscribe)
        else:
            subscribe(stream)
        match stop:
            case ("abort at", number):
                stream.on("*", lambda _: stream.abort() if len(events) == number + 1 else None)
        waiting = asyncio.ensure_future(stream)
        match stop:
            case ("abort after", number):
                await turns(number)
                stream.abort()
            case ("cancel", number):
                await turns(number)
                waiting.cancel()
        try:
            await waiting
        except (StreamError, StreamAborted, asyncio.CancelledError):
            pass

        assert not wrong
        assert is_grammatical(events), events
        for each in heard_by:
            assert each.began == each.ended == payloads.get(each.event, [])
        # A failure in a listener of `end` is only logged.
        assert len(failures) == sum(each.raised for each in heard_by if each.event != "end")
        assert stream.completion.text == "".join(payloads.get("text", []))
        assert not stream.running

    run(main, loop_factory=DrivenLoop, eager=eager, debug=False)
