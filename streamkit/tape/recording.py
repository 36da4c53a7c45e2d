"""What a tape holds: one exchange, with its timing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

__all__ = ["Ending", "Tape", "TapeRead"]

FORMAT: Final = "streamkit-tape"
VERSION: Final = 1

Ending: TypeAlias = Literal["eof", "reset", "timeout", "cancelled"]
"""How an exchange ended: a clean end, a cut connection, silence past a limit, or the client left."""

ENDINGS: Final[tuple[Ending, ...]] = get_args(Ending)


class TapeRead(NamedTuple):
    """One read from the socket: what came, and how many seconds after the request had left."""

    seconds: float
    data: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Tape:
    r"""A recorded exchange, whole or as far as it got.

    Every field has a default, so that a test builds the tape it needs.

    Attributes:
        status: the HTTP status, or None when no headers came.
        headers: the response headers, in order, as (name, value).
        headers_at: the seconds at which the headers were in.
        reads: what was read, in order, never empty bytes; content decoding (gzip) is already undone.
        ending: how it ended, or None if the recording was cut before its end.
        ended_at: the seconds at which it ended, or None.
        request: what was sent (method, url, headers, body), redacted.
        created: when, as an RFC 3339 string, or None.
        torn: whether the file ended inside its last line, which is then left out.

    >>> tape = Tape(status=200, reads=(TapeRead(0.5, b"data: 1\n\n"), TapeRead(0.75, b"data: 2\n\n")), ending="eof")
    >>> tape.body
    b'data: 1\n\ndata: 2\n\n'
    >>> tape
    <Tape: status 200, 2 reads, 18 bytes, 0.75 s, eof>
    """

    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    headers_at: float = 0.0
    reads: tuple[TapeRead, ...] = ()
    ending: Ending | None = None
    ended_at: float | None = None
    request: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    created: str | None = None
    torn: bool = False

    @property
    def body(self) -> bytes:
        """All that was read, joined."""
        return b"".join(read.data for read in self.reads)

    @property
    def duration(self) -> float:
        """Seconds from the request to the last thing recorded."""
        last_read = self.reads[-1].seconds if self.reads else self.headers_at
        return last_read if self.ended_at is None else self.ended_at

    def __repr__(self) -> str:
        # Neither prompt nor answer: a repr ends up in logs.
        size = sum(len(read.data) for read in self.reads)
        ending = (self.ending or "no end") + (", torn" if self.torn else "")
        return f"<Tape: status {self.status}, {len(self.reads)} reads, {size} bytes, {self.duration:g} s, {ending}>"
