"""One stream of the soak: how it is read, who listens, and what has to hold when it has ended."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Final

from streamkit import (
    Completion,
    CompletionStream,
    ListenerError,
    RetryPolicy,
    StreamAborted,
    StreamDriver,
    StreamError,
    Timeout,
)

from .soak_plan import Plan

__all__ = ["GRAMMAR", "LIMITS", "WAYS", "Run"]

# The letters of the events that the grammar orders; the others may stand anywhere after `start`.
LETTERS: Final = {
    "start": "s",
    "connect": "c",
    "retry": "r",
    "done": "D",
    "error": "E",
    "abort": "A",
    "end": ".",
    **dict.fromkeys(("chunk", "reasoning", "text", "refusal", "tool_delta", "usage", "tool_call", "text_done"), "x"),
}
# An attempt that has published anything is not retried.
GRAMMAR: Final = re.compile(r"s(c?r)*(cx*)?[DEA]\.")

LIMITS: Final = Timeout(first=8.0, idle=8.0, after_finish=0.3)
"""Long enough for a machine so busy that the process gets no turn for seconds: only who hangs may run into them."""

INTERRUPTIONS: Final = (
    "abort by task",
    "abort by thread",
    "abort by listener",
    "break",
    "cancel",
    "cancel twice",
    "leave with",
)
WAYS: Final = ("await", "iterate", "start", "wait_for", "events", "cancel a waiter", *INTERRUPTIONS)


class Run:
    """One stream, read in a way and with listeners that are left to chance.

    Args:
        driver: makes the stream.
        planned: what its server does.
        number: sent along, so that the server knows which plan it is.
        rng: the chance.
    """

    def __init__(self, driver: StreamDriver, planned: Plan, number: int, rng: Random) -> None:
        self._rng = rng
        self._plan = planned
        self._way = rng.choice(WAYS)
        self._after = rng.choice((0, 1, 2, 5, 20))
        """An interruption comes after so many chunks."""
        policy = RetryPolicy(retries=planned.retries, initial=0.002)
        self.stream = driver.stream("hi", model="m", retries=policy, seed=number)
        self.ending = ""
        """How it ended, when it has: "done", "abort" or the class of the error."""
        self._names: list[str] = []
        self._texts: list[str] = []
        self.stream.on("*", lambda event: self._names.append(event.name))
        self.stream.on("text", self._texts.append)
        self._error: StreamError | None = None
        self.stream.on("error", self._failed)
        for _ in range(rng.choice((0, 0, 1, 2))):
            self._listen(rng.choice(("raise", "raise late", "slow", "coalesce", "drop", "once", "off", "plain")))
        if rng.random() < 0.005:
            self._listen("stuck")

    @property
    def events(self) -> int:
        """How many events were heard."""
        return len(self._names)

    async def run(self) -> None:
        """Read the stream to its end, whatever that is; AssertionError where it is not as it has to be."""
        stream = self.stream
        with suppress(StreamError, StreamAborted, ListenerError):
            await _DRIVE[self._way](self)
        stream.start()
        await stream.finished()
        self._check(stream.completion)

    def _failed(self, error: StreamError) -> None:
        self._error = error

    def _listen(self, kind: str) -> None:
        stream, pause = self.stream, self._rng.random() * 0.002

        async def slow(_: object) -> None:
            await asyncio.sleep(pause)

        async def fail_late(_: object) -> None:
            await asyncio.sleep(0)
            raise _Failure

        async def never(_: object) -> None:
            await asyncio.Event().wait()

        def fail(_: object) -> None:
            raise _Failure

        def leave(_: object) -> None:
            stream.off("text", leave)

        match kind:
            case "raise":
                stream.on(self._rng.choice(("start", "text", "done", "error", "abort")), fail)
            case "raise late":
                stream.on(self._rng.choice(("chunk", "done", "error")), fail_late)
            case "slow":
                stream.on("chunk", slow)
                stream.on("end", slow)
            case "coalesce":
                stream.on("text", slow, overflow="coalesce")
            case "drop":
                stream.on("text", slow, overflow="drop_oldest")
            case "once":
                stream.once("text", slow)
            case "off":
                stream.on("text", leave)
            case "plain":
                stream.emitter.on("text", fail)
            case "stuck":
                stream.on("chunk", never)

    # --- the ways in which a stream is read -------------------------------------------------------------------------

    async def _await(self) -> None:
        await self.stream

    async def _iterate(self) -> None:
        async for _ in self.stream:
            pass

    async def _start(self) -> None:
        self.stream.start()
        await self.stream.finished()

    async def _wait_for(self) -> None:
        with suppress(LookupError):
            await self.stream.wait_for(self._rng.choice(("text", "chunk", "done", "end")))
        await self.stream

    async def _events(self) -> None:
        left = self._after
        async for _ in self.stream.events("text"):
            if not left:
                break  # leaves the iteration, and not the stream
            left -= 1
        await self.stream

    async def _cancel_a_waiter(self) -> None:
        self.stream.start()
        waiter = asyncio.create_task(_result(self.stream))
        await self._reached()
        waiter.cancel()
        await asyncio.wait([waiter])
        await self.stream

    async def _reached(self) -> None:
        """So many chunks have come, or the end has."""
        chunks = self.stream.events("chunk", maxsize=10_000)
        left = self._after
        with suppress(StreamError, StreamAborted):
            async for _ in chunks:
                if not left:
                    break
                left -= 1

    async def _abort_by_task(self) -> None:
        self.stream.start()
        await self._reached()
        self.stream.abort("enough")
        await self.stream

    async def _abort_by_thread(self) -> None:
        self.stream.start()
        await self._reached()
        await asyncio.get_running_loop().run_in_executor(None, self.stream.abort, "enough")
        await self.stream

    async def _abort_by_listener(self) -> None:
        left = self._after

        def enough(_: object) -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                self.stream.abort("enough")

        self.stream.on(self._rng.choice(("start", "connect", "chunk")), enough)
        await self.stream

    async def _break(self) -> None:
        left = self._after
        async for _ in self.stream:
            if not left:
                break
            left -= 1

    async def _cancel(self, times: int = 1) -> None:
        waiter = asyncio.create_task(_result(self.stream))  # it starts the stream, so it ends it
        await asyncio.sleep(self._rng.random() * 0.02)
        for _ in range(times):
            waiter.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([waiter])

    async def _cancel_twice(self) -> None:
        await self._cancel(2)

    async def _leave_with(self) -> None:
        async with self.stream as stream:
            stream.start()
            await self._reached()

    # --- what has to hold -------------------------------------------------------------------------------------------

    def _check(self, completion: Completion) -> None:
        planned, names = self._plan, self._names
        letters = "".join(LETTERS.get(name, "") for name in names)
        assert GRAMMAR.fullmatch(letters), (
            f"{planned.fault}, {self._way}: {Counter(names)} in the order {letters[-80:]}"
        )
        assert names[0] == "start", names[:3]
        assert "".join(self._texts) == completion.text, "the events and the completion differ"
        assert planned.text.startswith(completion.text), f"{completion.text!r} is no beginning of {planned.text!r}"
        ending = names[-2]
        self.ending = ending if self._error is None else type(self._error).__name__
        if ending != "abort":
            outcome = (self.ending, completion.text)
            said = f"{planned.fault}, {self._way}: {outcome} is not among {set(planned.outcomes)}"
            assert outcome in planned.outcomes, said[:2_000]
        else:
            assert self._way in INTERRUPTIONS, f"{planned.fault}, {self._way}: nobody aborted"


class _Failure(Exception):
    """What the listeners raise."""


_DRIVE: Final[dict[str, Callable[[Run], Awaitable[None]]]] = {
    way: getattr(Run, "_" + way.replace(" ", "_")) for way in WAYS
}


async def _result(stream: CompletionStream) -> None:
    with suppress(StreamError, StreamAborted, ListenerError):
        await stream
