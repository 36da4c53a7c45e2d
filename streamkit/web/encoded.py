"""A stream's bytes in one encoding, made once for all who read them."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from .records import LogGap, StreamEnd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .encode import Encoder
    from .records import Record

__all__ = ["Encoded", "Piece"]

PIECE_BYTES: Final = 64 * 1024
"""How much is joined into one write at most, so that a late reader of a long stream does not need a buffer of its length."""


class Piece:
    r"""Bytes of a body, and the same as an HTTP/1.1 chunk, framed once for all who send it.

    >>> Piece(b"data: 1\n\n").chunk
    b'9\r\ndata: 1\n\n\r\n'
    """

    __slots__ = ("_chunk", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._chunk: bytes | None = None

    @property
    def chunk(self) -> bytes:
        """As a chunk of the chunked transfer coding (RFC 9112, section 7.1)."""
        if self._chunk is None:
            self._chunk = b"%x\r\n%b\r\n" % (len(self.data), self.data)
        return self._chunk


class Encoded:
    r"""The frames of a stream in one encoding, as far as they are known: a list that grows, and that readers point into.

    Attributes:
        frames: one for each record that the encoding has something to say about.
        total: their bytes.
        end: how the stream ended; None while it runs.

    >>> from streamkit.web import Record, encoding
    >>> encoded = Encoded(encoding("guide", "s1"))
    >>> encoded.add([Record(seq, "chunk", b'{"choices":[{"delta":{"content":"%d"}}]}' % seq) for seq in (1, 2)])
    >>> piece, position = encoded.pending(0)
    >>> piece.data, position
    (b'data: {"content":"1"}\n\ndata: {"content":"2"}\n\n', 2)
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.heartbeat = Piece(encoder.heartbeat)
        self.frames: list[bytes] = []
        self.total = 0
        self.end: StreamEnd | None = None
        self._seqs: list[int] = []
        self._latest = (0, 0, Piece(b""))
        """What was joined last, and from where to where: those who keep up all ask for the same."""

    def add(self, records: Iterable[Record | LogGap]) -> None:
        """Encode what has come."""
        encode = self.encoder.record
        for record in records:
            if isinstance(record, LogGap):
                seq, frame = record.last, encode(record)
            elif record.kind == "end":
                self.finish(StreamEnd.decode(record.data), record.seq)
                return
            else:
                seq, frame = record.seq, encode(record)
            self._append(frame, seq)

    def finish(self, end: StreamEnd, seq: int) -> None:
        """Encode the ending; nothing comes after it."""
        if self.end is None:
            self._append(self.encoder.end(end, seq), seq)
            self.end = end

    def _append(self, frame: bytes, seq: int) -> None:
        if frame:
            self.frames.append(frame)
            self._seqs.append(seq)
            self.total += len(frame)

    def place_after(self, seq: int) -> int | None:
        """Where a reader who has seen `seq` goes on; None: everything that is there yet comes before.

        Who comes for the ending gets it, whatever the number says.
        """
        place = bisect_right(self._seqs, seq)
        if place < len(self.frames):
            return place
        if self.end is not None:
            return max(0, len(self.frames) - 1)
        return place if seq <= (self._seqs[-1] if self._seqs else 0) else None

    def pending(self, place: int) -> tuple[Piece, int]:
        """What stands at a place and after it, joined as far as one write should go, and the place after that."""
        frames = self.frames
        count = len(frames)
        start, stop, piece = self._latest
        if start == place and (stop == count or len(piece.data) >= PIECE_BYTES):
            return piece, stop
        if place == count:
            return Piece(b""), place
        if place == count - 1:
            piece, stop = Piece(frames[place]), count
        else:
            size, stop = 0, place
            while stop < count and (size == 0 or size + len(frames[stop]) <= PIECE_BYTES):
                size += len(frames[stop])
                stop += 1
            piece = Piece(b"".join(frames[place:stop]))
        self._latest = (place, stop, piece)
        return piece, stop
