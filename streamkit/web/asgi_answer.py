"""The answer to an ASGI request, as it is sent: its headers, its body, and how that ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from .http import StreamAnswer
from .records import StreamEnd
from .serving import linger_after, serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Sequence

    from .asgi_client import ASGIClient
    from .http import Answer
    from .subscription import Outcome, RelaySubscription

__all__ = ["RawHeader", "joined_headers", "raw_headers", "send_answer", "stream_headers"]

RawHeader: TypeAlias = tuple[bytes, bytes]

_LAST_WORDS_SECONDS: Final = 0.25
"""How long it may take to tell a client that the server shuts down."""

_CLIENT_LEFT: Final = 499
"""The status that nobody gets any more, as nginx notes it. Without one, middleware raises, and servers log a failure of yours."""

_FRAMING: Final = {b"content-length", b"transfer-encoding"}
"""Headers of a body that is whole, which a stream's is not: the server makes them."""


async def send_answer(
    answering: Awaitable[Answer | StreamAnswer],
    client: ASGIClient,
    send_timeout: float,
    more_headers: Sequence[RawHeader] = (),
) -> Outcome | None:
    """Answer as soon as there is an answer, if the client waits for it; how the stream of it ended, if it has one."""
    future = asyncio.ensure_future(answering)
    try:
        await client.while_there(future)
    except asyncio.CancelledError:
        if (
            not future.cancelled()
            and future.exception() is None
            and isinstance(answer := future.result(), StreamAnswer)
        ):
            answer.subscription.close("gone")
        raise
    if future.cancelled():
        with suppress(OSError):
            await client.start(_CLIENT_LEFT, [])
            await client.finish()
        return None
    answer = future.result()
    own = raw_headers(answer.headers.items())
    if isinstance(answer, StreamAnswer):
        headers = stream_headers(own, more_headers)
        return await _send_subscription(answer.subscription, answer.status, headers, client, send_timeout)
    headers = joined_headers(own, more_headers)
    if answer.body:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    with suppress(OSError, TimeoutError):  # nobody is there any more, or takes it
        async with asyncio.timeout(send_timeout):
            await client.start(answer.status, headers)
            await client.finish(answer.body)
    return "end"


async def _send_subscription(
    subscription: RelaySubscription,
    status: int,
    headers: list[RawHeader],
    client: ASGIClient,
    send_timeout: float,
) -> Outcome:
    client.when_gone(lambda: subscription.close("gone"))
    try:
        await client.start(status, headers)
        outcome = await serve(subscription, client, send_timeout=send_timeout)
        if outcome == "end":
            async with asyncio.timeout(send_timeout):
                await client.finish()
    except TimeoutError:
        outcome = "timeout"
    except OSError:
        outcome = "gone"
    except asyncio.CancelledError:
        # The server has lost patience with open responses, which is how hypercorn shuts down. (Or a middleware has, because the
        # client left: then nobody hears it.)
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await client.send(_last_words(subscription))
        raise
    finally:
        subscription.close("gone")
    if outcome == "error":
        await client.until_gone(linger_after(subscription))
    # Unless it is whole, the body gets no end, and the server closes the connection: the one way in which HTTP says so.
    return outcome


def _last_words(subscription: RelaySubscription) -> bytes:
    """That the server shuts down, to one client."""
    encoder = subscription.encoder
    told = encoder.end(StreamEnd("shutdown"), 0)
    # Who can resume may do so, here or elsewhere: it is told of no end, but of the error before it.
    return told.partition(b"id: ")[0] if encoder.resumable else told


def raw_headers(headers: Iterable[tuple[str, str]]) -> list[RawHeader]:
    """Headers as ASGI has them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def stream_headers(own: Iterable[RawHeader], more: Sequence[RawHeader]) -> list[RawHeader]:
    """The headers of a stream: its own, and the application's, which take the place of its own."""
    # Nobody need name a stream uncompressed; but what looks for a coding before it compresses, which means to collect, finds one.
    return joined_headers(more, [*own, (b"content-encoding", b"identity")])


def joined_headers(first: Sequence[RawHeader], second: Iterable[RawHeader]) -> list[RawHeader]:
    """The headers of two sources; of what both name, the first's."""
    named = _FRAMING | {name for name, _ in first}
    return [
        *(header for header in first if header[0] not in _FRAMING),
        *(header for header in second if header[0] not in named),
    ]
