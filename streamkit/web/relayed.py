"""`Relayed`: what a relay gives for a stream that it has started."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..stream import CompletionStream
    from .running import Running

__all__ = ["Relayed"]


class Relayed:
    """A stream that a relay has started, or had started before under the same idempotency key.

    Attributes:
        id: its name for clients: 128 random bits, so that nobody can guess it.
        stream: the CompletionStream; None if it does not run in this process.
        created: it was started by this very call.
    """

    def __init__(self, stream_id: str, running: Running | None, *, created: bool, early_commit: float) -> None:
        self.id = stream_id
        self.created = created
        self._running = running
        self._early_commit = early_commit

    @property
    def stream(self) -> CompletionStream | None:
        """The stream itself, for more listeners."""
        return None if self._running is None else self._running.stream

    @property
    def request_id(self) -> str | None:
        """The upstream's id of the request, once it is known and if it is one that a header may carry."""
        return None if self._running is None else self._running.publication.request_id

    async def ready(self) -> None:
        """Wait until something can be said to the client: the first chunk, the ending, or that it takes long.

        Raises the StreamError of a stream that failed before it had any content, so that the HTTP status can tell. After
        `early_commit` seconds it returns all the same: heartbeats keep the connection alive then, and an error comes in-band.
        """
        if self._running is None:
            return
        publication = self._running.publication
        try:
            async with asyncio.timeout(self._early_commit):
                await publication.started.wait()
        except TimeoutError:
            return
        if publication.empty and publication.error is not None:
            raise publication.error
