r"""Server-sent events: bytes to events, and events to bytes.

Pure code: no I/O, no clock, any split of the input gives the same events. The
rules are those of WHATWG HTML, section 9.2.6, "Interpreting an event stream":
https://html.spec.whatwg.org/multipage/server-sent-events.html

>>> decoder = SSEDecoder()
>>> decoder.feed(b"data: Hel")
[]
>>> [event.data for event in decoder.feed(b"lo\n\n")]
['Hello']
"""

from __future__ import annotations

import sys
from typing import Final

import msgspec

__all__ = [
    "EventTooLarge",
    "SSEDecoder",
    "ServerSentEvent",
    "encode_comment",
    "encode_event",
]

_BOM: Final = b"\xef\xbb\xbf"

# As integers: `10 in data` is a memchr, `b"\n" in data` takes ten times as long.
_LF: Final = 10
_CR: Final = 13
_SPACE: Final = 32

# The standard sets no bound; browsers ignore a reconnection time that overflows
# their integer. Ten digits of milliseconds are 115 days.
_MAX_RETRY_DIGITS: Final = 10


class ServerSentEvent(msgspec.Struct, frozen=True, gc=False):
    r"""One event of a feed.

    Attributes:
        data: the payload, its lines joined by ``\n``.
        event: the type; ``"message"`` unless the feed named one.
        id: the last event ID as of this event. It is sticky: an event that sets
            none shows the ID of an earlier one. ``""`` when there is none.
        retry: the reconnection time in milliseconds that this event's own block
            set, else None.
        comment: the text of a comment line, on the items that a lenient
            `SSEDecoder` returns for comments (their ``data`` is ``""``), else None.

    >>> ServerSentEvent("ready", event="status")
    ServerSentEvent(data='ready', event='status', id='', retry=None, comment=None)
    """

    data: str = ""
    event: str = "message"
    id: str = ""
    retry: int | None = None
    comment: str | None = None


class EventTooLarge(ValueError):
    """An event, or a single line, outgrew ``max_event_bytes``.

    Attributes:
        limit: the limit that was passed, in bytes.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"an event of the feed is larger than max_event_bytes={limit}; raise the limit, or pass None for no limit"
        )
        self.limit = limit


class SSEDecoder:
    r"""Turns the bytes of one feed, read by read, into events.

    Strict by default: exactly what a browser's ``EventSource`` would dispatch.
    ``lenient=True`` is what completion feeds need. It also returns, in order:

    - each comment, as an event with ``.comment`` set: keep-alives are signs of life;
    - each ``error:`` field (llama.cpp until late 2025), as an event of type
      ``"error"``. What stands above that line is dispatched first, as if by a
      blank line;
    - at `close`, the event that the feed did not finish. Call `close` only at a
      clean end of input, not after a connection was cut.

    Args:
        lenient: see above.
        max_event_bytes: how large one event may be: its lines as sent, comments
            and line ends apart. No single line may be longer either. None: no
            limit. Memory stays within a small multiple of it for any split.

    Attributes:
        last_event_id: what to send as ``Last-Event-ID`` when reconnecting.
        retry: the reconnection time in milliseconds that the feed last set, else
            None.

    Raises:
        EventTooLarge: from `feed` and `close`, and their ``_payloads`` twins. The
            events before the oversized one are never lost: when a read holds some,
            they are returned and the next call raises. From then on every call
            raises.

    >>> decoder = SSEDecoder(lenient=True)
    >>> for event in decoder.feed(b": ping\nid: 7\ndata: one\ndata: two\n\ndata: [DONE]"):
    ...     print(event.comment, event.id, repr(event.data))
    ping  ''
    None 7 'one\ntwo'
    >>> decoder.close()
    [ServerSentEvent(data='[DONE]', event='message', id='7', retry=None, comment=None)]
    >>> decoder.last_event_id
    '7'
    """

    __slots__ = (
        "_after_cr",
        "_data",
        "_event",
        "_head",
        "_id",
        "_lenient",
        "_limit",
        "_partial",
        "_plain",
        "_retry",
        "_shown_id",
        "_size",
        "_unusual",
        "last_event_id",
        "retry",
    )

    def __init__(self, lenient: bool = False, max_event_bytes: int | None = None) -> None:
        if max_event_bytes is not None and max_event_bytes < 1:
            raise ValueError(f"max_event_bytes must be at least 1, or None for no limit, not {max_event_bytes}")
        self.last_event_id: str = ""
        self.retry: int | None = None
        self._lenient = lenient
        self._limit = sys.maxsize if max_event_bytes is None else max_event_bytes
        # The id that the caller saw on the latest event: see feed_payloads.
        self._shown_id = ""
        self._start()

    def _start(self) -> None:
        """Set what belongs to one connection."""
        # A possible beginning of a BOM; None once the first bytes are settled.
        self._head: bytes | None = b""
        # The latest read ended with CR, so an LF that comes next belongs to it.
        self._after_cr = False
        # One of the two above holds, or a limit was passed: _prepare must see the next read.
        self._unusual = True
        # The unterminated line. A bytearray, only ever appended to and emptied: a list
        # of fragments would cost forty times the payload when reads are tiny.
        self._partial = bytearray()
        # The block since the last blank line. _id None: no id field in it.
        self._data: list[bytes] = []
        self._event = b""
        self._id: bytes | None = None
        self._retry: int | None = None
        # The bytes of its lines. Past the limit once and for all when an event was too
        # large: then not even a blank line fits.
        self._size = 0
        # Nothing is pending in the block, and a block of one data line that comes
        # next may be handed out as its payload.
        self._plain = self.last_event_id == self._shown_id

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        r"""Return the events that this read completes, in order.

        Bytes that are not UTF-8 become U+FFFD. One byte order mark at the very
        start is dropped. An event that ends with CR is returned at once.

        Raises:
            EventTooLarge: see the class.

        >>> SSEDecoder().feed(b"event: status\r\ndata: ready\r\n\r\n")
        [ServerSentEvent(data='ready', event='status', id='', retry=None, comment=None)]
        """
        shown_id = self._shown_id
        return _as_events(self.feed_payloads(data), shown_id)

    def close(self) -> list[ServerSentEvent]:
        """Tell the decoder that the input has ended; return what that completes.

        A strict decoder discards an unfinished event, so the list is empty; a
        lenient one returns the event. The decoder is then ready for the feed of a
        reconnection: ``last_event_id`` and ``retry`` stay.

        Raises:
            EventTooLarge: see the class.
        """
        shown_id = self._shown_id
        return _as_events(self.close_payloads(), shown_id)

    def feed_payloads(self, data: bytes) -> list[bytes | ServerSentEvent]:
        r"""Like `feed`, but with the plain events as the bytes of their payload.

        Plain is the event that nearly every event of a completion feed is: one
        ``data`` line, the default type, no ``retry``, and the same id as the event
        before it. Its payload comes as sent, not checked to be UTF-8, and can go to
        a JSON decoder without a string or an event being made. Everything else
        comes as a `ServerSentEvent`.

        Raises:
            EventTooLarge: see the class.

        >>> SSEDecoder().feed_payloads(b'data: {"n":1}\n\nevent: end\ndata: x\n\n')
        [b'{"n":1}', ServerSentEvent(data='x', event='end', id='', retry=None, comment=None)]
        """
        if self._unusual or _CR in data:
            data = self._prepare(data)
        partial = self._partial
        # One whole event a read: what a server that flushes each event causes.
        if (
            self._plain
            and not partial
            and data[:5] == b"data:"
            and data.find(b"\n") == len(data) - 2
            and data[-1] == _LF
            and len(data) <= self._limit
        ):
            return [data[6:-2] if data[5] == _SPACE else data[5:-2]]
        out: list[bytes | ServerSentEvent] = []
        if _LF not in data:
            partial += data
        else:
            if partial:
                data = b"".join((partial, data))
                partial.clear()
            if len(data) <= self._limit:
                data = self._take_blocks(data, out)
            # What is left: the block that no blank line ends yet, or more than the limit in one read.
            lines = data.split(b"\n")
            partial += lines.pop()
            self._take_lines(lines, out)
        if self._size + len(partial) > self._limit:
            self._refuse(out)
        return out

    def close_payloads(self) -> list[bytes | ServerSentEvent]:
        """Like `close`, but with a plain event as the bytes of its payload.

        Raises:
            EventTooLarge: see the class.

        >>> decoder = SSEDecoder(lenient=True)
        >>> decoder.feed_payloads(b"data: [DONE]"), decoder.close_payloads()
        ([], [b'[DONE]'])
        """
        if self._size > self._limit:
            raise EventTooLarge(self._limit)
        out: list[bytes | ServerSentEvent] = []
        if self._lenient:
            self._take_lines([bytes(self._partial), b""] if self._partial else [b""], out)
        self._start()
        return out

    def _prepare(self, data: bytes) -> bytes:
        """Drop the BOM of a feed's beginning, and make every line end an LF."""
        if self._size > self._limit:
            raise EventTooLarge(self._limit)
        if self._head is not None:
            data = self._head + data
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._head = data
                return b""
            self._head = None
            data = data.removeprefix(_BOM)
        if data:
            if self._after_cr and data[0] == _LF:
                data = data[1:]
                self._after_cr = False
            # A CR is a line end at once, without waiting to see whether an LF follows:
            # else the last event of a feed with bare CRs comes late or never.
            if data:
                self._after_cr = data[-1] == _CR
            if _CR in data:
                data = _line_feeds(data)
        self._unusual = self._after_cr
        return data

    def _take_blocks(self, data: bytes, out: list[bytes | ServerSentEvent]) -> bytes:
        """Take everything up to the last blank line; return the rest.

        Work per read, not per event: as long as every LF belongs to a separator
        between plain events, one split makes the payloads.
        """
        end = data.rfind(b"\n\n")
        if end < 0:
            return data
        taken = data[:end]
        blocks = taken.split(b"\n\ndata: ")
        if self._plain and blocks[0][:6] == b"data: ":
            blocks[0] = blocks[0][6:]
            # Deleting the LFs to count them takes a third of the time of count().
            if len(taken) - len(taken.replace(b"\n", b"")) == 2 * (len(blocks) - 1):
                out += blocks
                return data[end + 2 :]
        else:
            self._take_lines([*blocks.pop(0).split(b"\n"), b""], out)
        for block in blocks:
            if self._plain and _LF not in block:
                out.append(block)
            else:
                self._take_lines([*(b"data: " + block).split(b"\n"), b""], out)
        return data[end + 2 :]

    def _take_lines(self, lines: list[bytes], out: list[bytes | ServerSentEvent]) -> None:
        """Process complete lines one by one, as the standard has it."""
        for line in lines:
            if self._size + len(line) > self._limit:
                self._size = self._limit + 1
                return
            if line[:5] == b"data:":
                self._size += len(line)
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif line:
                self._take_field(line, out)
            else:
                self._dispatch(out)
        if lines and lines[-1]:
            self._plain = False

    def _take_field(self, line: bytes, out: list[bytes | ServerSentEvent]) -> None:
        name, colon, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not name:
            if self._lenient:
                out.append(ServerSentEvent(comment=_text(value)))
            return
        self._size += len(line)
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value
        elif name == b"id":
            if b"\0" not in value:
                self._id = value
        elif name == b"retry":
            # int() would take "+5", "1_0", " 5" and Arabic digits, and raise on 5,000
            # digits, leading zeros included; bytes.isdigit() knows ASCII only.
            digits = value.lstrip(b"0") or value[-1:]
            if value.isdigit() and len(digits) <= _MAX_RETRY_DIGITS:
                self.retry = self._retry = int(digits)
        elif name == b"error" and colon and self._lenient:
            self._dispatch(out)
            out.append(ServerSentEvent(_text(value), "error", self.last_event_id))
            self._shown_id = self.last_event_id

    def _dispatch(self, out: list[bytes | ServerSentEvent]) -> None:
        # The id counts even where there is no data and so no event.
        if self._id is not None:
            self.last_event_id = _text(self._id)
            self._id = None
        data = self._data
        if data:
            shown = self.last_event_id == self._shown_id
            if shown and len(data) == 1 and not self._event and self._retry is None:
                out.append(data[0])
            else:
                kind = _text(self._event) or "message"
                out.append(ServerSentEvent(_text(b"\n".join(data)), kind, self.last_event_id, self._retry))
                self._shown_id = self.last_event_id
            self._data = []
        self._event = b""
        self._retry = None
        self._size = 0
        self._plain = self.last_event_id == self._shown_id

    def _refuse(self, out: list[bytes | ServerSentEvent]) -> None:
        """Let go of the oversized event; raise unless events must be returned first."""
        self._unusual = True
        self._size = self._limit + 1
        self._partial.clear()
        self._data = []
        if not out:
            raise EventTooLarge(self._limit)


def encode_event(event: ServerSentEvent) -> bytes:
    r"""Return the bytes of one event, its blank line included.

    Decoding them gives the same event, with one exception: a CR in ``data`` is a
    line end to every reader, so CR and CRLF come back as LF. The type ``"message"``
    is the default and is left out. ``id=""`` writes no id field, so that a reader
    keeps the id it has. An event with ``comment`` set becomes comment lines, as by
    `encode_comment`.

    Raises:
        ValueError: naming the field, for what a feed cannot carry: CR or LF in
            ``event``, an empty ``event``, CR, LF or NUL in ``id``, a ``retry`` that is
            negative or of more than ten digits, ``data`` beside a ``comment``. A lone
            surrogate gives its subclass UnicodeEncodeError.

    >>> encode_event(ServerSentEvent("one\ntwo", event="status", id="7"))
    b'event: status\nid: 7\ndata: one\ndata: two\n\n'
    """
    if event.comment is not None:
        if event.data:
            raise ValueError("an event with a comment cannot carry data: encode the two one after the other")
        return encode_comment(event.comment)
    lines = ""
    if event.event != "message":
        if not event.event:
            raise ValueError("event must not be empty: the default type is 'message'")
        if "\n" in event.event or "\r" in event.event:
            raise ValueError("event must not contain CR or LF")
        lines = f"event: {event.event}\n"
    if event.id:
        if "\n" in event.id or "\r" in event.id or "\0" in event.id:
            raise ValueError("id must not contain CR, LF or NUL")
        lines += f"id: {event.id}\n"
    if event.retry is not None:
        if not 0 <= event.retry < 10**_MAX_RETRY_DIGITS:
            raise ValueError(f"retry must be milliseconds from 0 to {10**_MAX_RETRY_DIGITS - 1}, not {event.retry}")
        lines += f"retry: {event.retry}\n"
    return (lines + _prefixed("data: ", event.data) + "\n").encode()


def encode_comment(text: str = "") -> bytes:
    r"""Return ``text`` as comment lines: what a server sends to keep a feed alive.

    No blank line follows: readers that are not quite true to the standard would
    take one, after an id, for the end of an event.

    Raises:
        UnicodeEncodeError: for a lone surrogate.

    >>> encode_comment("ping")
    b': ping\n'
    """
    return _prefixed(": ", text).encode()


def _prefixed(prefix: str, text: str) -> str:
    # Always with the space, else a reader would take a space that begins the text.
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return prefix + text.replace("\n", "\n" + prefix) + "\n"


def _line_feeds(data: bytes) -> bytes:
    """Turn CRLF and CR into LF."""
    deleted = data.replace(b"\r", b"")
    # Every CR is in the end of a line and the blank line after it: deleting them is
    # exact, and with this check takes half the time of replacing them.
    if 2 * data.count(b"\r\n\r\n") == len(data) - len(deleted):
        return deleted
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _as_events(items: list[bytes | ServerSentEvent], shown_id: str) -> list[ServerSentEvent]:
    """Wrap the payloads; each has the id of the event before it."""
    events: list[ServerSentEvent] = []
    for item in items:
        if isinstance(item, bytes):
            events.append(ServerSentEvent(_text(item), "message", shown_id))
        else:
            if item.comment is None:
                shown_id = item.id
            events.append(item)
    return events
