"""Where the events of an async listener wait: one call at a time, in order, bounded.

A mailbox is one task and one queue. Listeners that write to one thing share a mailbox, so that what they write stays in order.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from contextvars import Context

    from .subscriptions import Subscription

__all__ = ["MAILBOX_EVENTS", "Mailbox", "Overflow", "Post"]

MAILBOX_EVENTS = 1024
"""How many events may wait for one async listener before the pump waits for it."""

Overflow: TypeAlias = Literal["block", "drop_oldest", "coalesce"]
"""What happens to the events of a slow async listener: the pump waits, the oldest are dropped, or text is joined."""

_T = TypeVar("_T")

log = logging.getLogger("streamkit.listeners")


class _Joined:
    """Text that piled up for a listener with overflow="coalesce"."""

    __slots__ = ("parts",)

    def __init__(self, first: str) -> None:
        self.parts = [first]


class _Begun:
    """A call that was begun inline, before it was known that its listener is async."""

    __slots__ = ("result",)

    def __init__(self, result: Awaitable[object]) -> None:
        self.result = result


class Post:
    """What all mailboxes of one stream share: who waits for them, and who hears of failures.

    `attention` is what the pump looks at after each chunk: a mailbox is full, or something is to be reported.
    """

    def __init__(self, failed: Callable[[Subscription, BaseException], None]) -> None:
        self.attention = False
        self.dead: set[object] = set()
        """The keys of the listeners that were given up: they hear nothing more."""
        self.dropped: list[Subscription] = []
        """Subscriptions that lost their first event since the pump last looked."""
        self.failed = failed
        self.mailboxes: list[Mailbox] = []
        self.feeds: list[Any] = []
        """Bounded queues that somebody iterates over: anything with `full`."""
        self._moved: asyncio.Future[None] | None = None

    def moved(self) -> None:
        """A call finished, or a queue has room again: wake who waits for that."""
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)

    async def _wait_for_move(self, timeout: float | None = None) -> bool:
        """Whether something moved within the timeout (seconds)."""
        loop = asyncio.get_running_loop()
        moved = self._moved = loop.create_future()
        timer = None if timeout is None else loop.call_later(timeout, _expire, moved)
        try:
            await moved
        except TimeoutError:
            return False
        finally:
            self._moved = None
            if timer is not None:
                timer.cancel()
        return True

    @property
    def full(self) -> bool:
        """Somebody is so far behind that the pump must wait."""
        return any(box.full for box in self.mailboxes) or any(feed.full for feed in self.feeds)

    async def room(self, patience: float | None = None) -> None:
        """Wait until every mailbox and every iterator has room.

        When no call has finished for `patience` seconds (None: for ever), those that run in a full mailbox are cancelled
        and hear no more, as in `idle`: else a listener that never returns would hold the stream for ever. An iterator may
        take its time; it is named.
        """
        while self.full:
            if await self._wait_for_move(patience) or patience is None:
                continue
            for box in self.mailboxes:
                if box.full:
                    box.give_up(patience)
            for feed in self.feeds:
                if feed.full and not feed.named:
                    feed.named = True
                    log.warning("the stream waits: an iterator of %r has not been read for %g s", feed.event, patience)

    async def idle(self, patience: float) -> None:
        """Wait until every async listener has finished what it was sent.

        When no call has finished for `patience` seconds (None: for ever), those that run are cancelled and hear no more.
        """
        while any(box.busy for box in self.mailboxes):
            if not await self._wait_for_move(patience):
                for box in self.mailboxes:
                    box.give_up(patience)

    async def close(self) -> None:
        """No more events: the tasks end."""
        for box in self.mailboxes:
            box.close()
        # Idle they are already: this is one turn of the loop, so that the stream leaves no task behind.
        for task in [box.task for box in self.mailboxes if box.task is not None]:
            await asyncio.wait([task])
        self.mailboxes.clear()

    async def abandon(self) -> None:
        """Somebody is in a hurry: the tasks are cancelled, and given one turn of the loop to end."""
        for box in self.mailboxes:
            box.close()
            box.cancel()
        self.mailboxes.clear()
        await asyncio.sleep(0)


class Mailbox:
    """The queue and the task of one async listener, or of several that share them."""

    def __init__(self, post: Post, context: Context) -> None:
        self._post = post
        self._context = context
        self._queue: deque[tuple[Subscription, Any]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._started = False
        self._wake: asyncio.Future[None] | None = None
        self._current: Subscription | None = None
        self._overdue: Subscription | None = None
        self._closed = False
        post.mailboxes.append(self)

    @property
    def busy(self) -> bool:
        """A call runs or waits."""
        return self._current is not None or bool(self._queue)

    @property
    def full(self) -> bool:
        """The pump must wait."""
        return len(self._queue) >= MAILBOX_EVENTS

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task that makes the calls, while there is one."""
        return self._task

    def put(self, subscription: Subscription, payload: object) -> None:
        """Add an event; never blocks (the pump looks at `full` when it has sent everything of a chunk)."""
        queue = self._queue
        if subscription.overflow == "coalesce" and isinstance(payload, str):
            if queue and queue[-1][0] is subscription and isinstance(last := queue[-1][1], _Joined):
                last.parts.append(payload)
                return
            payload = _Joined(payload)
        queue.append((subscription, payload))
        if len(queue) >= MAILBOX_EVENTS:
            if subscription.overflow == "drop_oldest" and not subscription.ending:
                self._drop_oldest(subscription)
            else:
                self._post.attention = True
        if not self._started:
            # _run itself notes its task: an eager task factory runs it before create_task returns.
            self._started = True
            asyncio.get_running_loop().create_task(self._run(), context=self._context)
        elif self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def adopt(self, subscription: Subscription, result: Awaitable[object]) -> None:
        """A listener turned out to be async when it was called: its call goes on here, in its turn."""
        self.put(subscription, _Begun(result))

    def give_up(self, patience: float) -> None:
        """Cancel the call that runs; one that does not even obey that is left behind, the others go on without it."""
        stuck = self._current
        if stuck is None or self._task is None:
            return
        if self._overdue is stuck:
            log.error("listener %s of %r ignores its cancellation: left behind", stuck.name, stuck.event)
            self._task = self._current = self._overdue = None
            self._started = False
            if self._queue:
                self._started = True
                asyncio.get_running_loop().create_task(self._run(), context=self._context)
            return
        log.error("listener %s of %r did not return for %g s: cancelled", stuck.name, stuck.event, patience)
        self._post.dead.add(stuck.key)
        self._overdue = stuck
        self._task.cancel()

    def close(self) -> None:
        """No more events come: the task ends when the queue is empty."""
        self._closed = True
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def cancel(self) -> None:
        """End the task, whatever it does."""
        for _, payload in self._queue:
            _forget(payload)
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()

    def _drop_oldest(self, subscription: Subscription) -> None:
        for place, (owner, payload) in enumerate(self._queue):
            if owner is subscription:
                del self._queue[place]
                _forget(payload)
                break
        if not subscription.lossy:
            subscription.lossy = True
            self._post.dropped.append(subscription)
            self._post.attention = True

    async def _run(self) -> None:
        me = self._task = asyncio.current_task()
        try:
            while self._task is me:
                while self._queue and self._task is me:
                    subscription, payload = self._queue.popleft()
                    self._current = subscription
                    await self._call(subscription, payload)
                    if self._task is me:
                        self._current = None
                        self._post.moved()
                if self._closed:
                    return
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake
        finally:
            # Left behind by give_up: the mailbox is no longer this task's.
            if self._task is me:
                # Not empty only where the loop is being shut down: nobody may wait for these calls.
                for _, payload in self._queue:
                    _forget(payload)
                self._queue.clear()
                self._task = self._current = self._wake = None
                self._started = False
                self._post.moved()

    async def _call(self, subscription: Subscription, payload: object) -> None:
        if subscription.removed or subscription.key in self._post.dead:
            _forget(payload)
            return
        if isinstance(payload, _Joined):
            payload = "".join(payload.parts)
        try:
            # The task runs in the context of the first of those that share the mailbox; it cannot be entered twice.
            own = subscription.context is self._context
            if isinstance(payload, _Begun):
                result: object = payload.result
            elif own:
                result = subscription.listener(payload)
            else:
                result = subscription.context.run(subscription.listener, payload)
            if isawaitable(result):
                await (result if own else _in_context(result, subscription.context))
        except asyncio.CancelledError as error:
            # Where give_up did it, the others that share the mailbox go on.
            if self._overdue is not subscription:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise  # the loop is being shut down
                self._post.failed(subscription, error)
        except Exception as error:  # noqa: BLE001 - a listener may raise anything; the stream goes on
            self._post.failed(subscription, error)
        finally:
            if self._overdue is subscription:
                self._overdue = None
                if self._task is not None:
                    self._task.uncancel()  # also where the listener turned the cancellation into a return


class _in_context(Generic[_T]):  # noqa: N801 - reads as the function that it is
    """Awaits something in a context of its own, within the current task.

    Listeners that share a mailbox share its task, and so its context, but each is to run in the context of its own `on`.
    """

    def __init__(self, awaitable: Awaitable[_T], context: Context) -> None:
        self._awaitable = awaitable
        self._context = context

    def __await__(self) -> Generator[Any, Any, _T]:
        run = self._context.run
        steps: Any = run(self._awaitable.__await__)
        step: Callable[..., Any] = next
        argument: BaseException | None = None
        try:
            # What `yield from` does (PEP 380), each step inside the context.
            while True:
                value = run(step, steps) if argument is None else run(step, argument)
                try:
                    yield value
                except BaseException as error:  # noqa: BLE001 - passed on into the awaitable
                    step, argument = steps.throw, error
                else:
                    step, argument = next, None
        except StopIteration as stop:
            result: _T = stop.value
            return result


def _forget(payload: object) -> None:
    """An event is not delivered; a call that was begun would complain that it was never awaited."""
    if isinstance(payload, _Begun) and (close := getattr(payload.result, "close", None)) is not None:
        close()


def _expire(moved: asyncio.Future[None]) -> None:
    if not moved.done():
        moved.set_exception(TimeoutError())
