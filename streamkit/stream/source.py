"""What a stream reads from: three verbs, so that the stream knows no HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..model import Completion, Connected, StreamWarning

__all__ = ["RoundsSource", "Source"]


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


class RoundsSource(Source, Protocol):
    """A source of several completions, one after the other, which are one stream to those who listen: known by its `more`.

    `tools` has two.
    """

    def begin(self, publish: Callable[[str, object], None]) -> None:
        """A completion is about to be asked for: once for each, before its first `connect`. `publish` publishes an event."""
        ...

    async def more(self, completion: Completion, publish: Callable[[str, object], None]) -> bool:
        """The running completion is whole, and so are its calls: whether another follows, which `connect` is asked for next.

        `completion` is that of this round alone; `publish` publishes an event. May take as long as it likes: an abort or a limit
        cancels it. Raises StreamError where the stream is to end with one.
        """
        ...

    def whole(self, completion: Completion) -> Completion:
        """What is known of all rounds, given what is known of the running one. Called from any thread."""
        ...
