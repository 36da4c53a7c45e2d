"""What a stream reads from: three verbs, so that the stream knows no HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..model import Connected, StreamWarning

__all__ = ["Source"]


class Source(Protocol):
    """A feed that can be asked for again. `driver` has the one over aiohttp.

    `connect`, `read` raise StreamError, and nothing else, for what goes wrong. All is called on one loop, by one task at a time.
    """

    @property
    def request(self) -> Mapping[str, Any]:
        """The request body, as JSON values."""
        ...

    async def connect(self) -> tuple[Connected, Sequence[StreamWarning]]:
        """Send the request, wait for the headers; also say what had to be mended to get them."""
        ...

    async def read(self) -> bytes:
        """The next bytes as they come; b"" at a clean end. Cancelling it loses nothing."""
        ...

    def read_nowait(self) -> bytes:
        """What has come already, b"" if nothing has; never raises."""
        ...

    def close(self, *, whole: bool) -> None:
        """Let go of the connection, at once; `whole`: the feed was read to its end, the connection may serve again."""
        ...

    def redact(self, text: str) -> str:
        """The text without the secrets that this source knows."""
        ...
