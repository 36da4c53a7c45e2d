"""`WrappedSource`: what the sources of several rounds share: all but the rounds is that of another source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..model import Connected, StreamWarning
    from ..stream import Source

__all__ = ["WrappedSource"]


class WrappedSource:
    """A source that is another one, which may be replaced between two requests.

    Args:
        source: the one that is asked.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def request(self) -> Mapping[str, Any]:
        """The request body, of the request that is running."""
        return self._source.request

    @property
    def secrets(self) -> tuple[str, ...]:
        """The keys that are sent."""
        return tuple(getattr(self._source, "secrets", ()))

    @property
    def server(self) -> Any:  # noqa: ANN401 - what the source says of it
        """Where the requests go, if the source says so."""
        return getattr(self._source, "server", None)

    async def connect(self) -> tuple[Connected, Sequence[StreamWarning]]:
        """Send the request."""
        return await self._source.connect()

    async def read(self) -> bytes:
        """The next bytes."""
        return await self._source.read()

    def read_nowait(self) -> bytes:
        """What has come already."""
        return self._source.read_nowait()

    def close(self, *, whole: bool) -> None:
        """Let go of the connection."""
        self._source.close(whole=whole)

    def redact(self, text: str) -> str:
        """The text without the keys."""
        return self._source.redact(text)
