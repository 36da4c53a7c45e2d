"""From an exchange as it happens to the lines of a file."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import os
import stat
from collections.abc import Iterable, Mapping
from json.encoder import encode_basestring
from pathlib import Path
from typing import BinaryIO, Final, Literal, Self

from ..errors import TapeError
from .recording import ENDINGS, FORMAT, VERSION, Ending
from .redaction import Redactor

__all__ = ["TapeWriter"]


class TapeWriter:
    r"""Writes a tape as the exchange happens: each line whole, at once, and never again touched.

    Secrets are redacted on the way: headers, query parameters and fields whose name looks like a key, a token or a
    secret; and the given `secrets` wherever they appear. In what was read they are starred out at equal length; a read
    that ends inside what may become a secret is kept back until the next one.

    Args:
        file: a binary file to append to; `open` makes one.
        request: what is sent: method, url, headers, body; JSON-like.
        secrets: the keys in use. In reads, only those of 8 bytes or more.
        created: an aware datetime for the header; now by default.
        max_bytes: how large the file may become. The line that would pass it, the header aside, is not written: TapeError.
        name: what errors call it.

    >>> import io
    >>> from streamkit.tape import parse_tape
    >>> file = io.BytesIO()
    >>> with TapeWriter(file, request={"headers": {"Authorization": "Bearer sk-1"}}) as writer:
    ...     writer.headers(200, [("content-type", "text/event-stream")], 0.1)
    ...     writer.read(b"data: [DONE]\n\n", 0.25)
    ...     writer.end("eof", 0.3)
    >>> tape = parse_tape(file.getvalue())
    >>> tape.reads, tape.request["headers"]
    ((TapeRead(seconds=0.25, data=b'data: [DONE]\n\n'),), {'Authorization': '***'})
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        request: Mapping[str, object] | None = None,
        secrets: Iterable[str] = (),
        created: dt.datetime | None = None,
        max_bytes: int | None = None,
        name: str = "tape",
    ) -> None:
        self._file = file
        self._owned = False
        self._name = name
        self._redactor = Redactor(secrets)
        self._held: list[tuple[float, bytes]] = []
        self._now = 0.0
        self._size = 0
        self._max_bytes: float = math.inf
        self._expects: Literal["headers", "reads", "nothing"] = "headers"
        created = created or dt.datetime.now(dt.UTC)
        header = {
            "format": FORMAT,
            "version": VERSION,
            "created": created.isoformat(timespec="seconds"),
            "request": self._redactor.value(request or {}),
        }
        self._append(json.dumps(header))
        if max_bytes is not None:
            self._max_bytes = max_bytes

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        request: Mapping[str, object] | None = None,
        secrets: Iterable[str] = (),
        created: dt.datetime | None = None,
        max_bytes: int | None = None,
        overwrite: bool = False,
    ) -> Self:
        """Make a tape file that only its owner may read (mode 0600), and write its header.

        Raises:
            TapeError: the file exists and `overwrite` is not set, its folder does not, or it cannot be written.
        """
        name = os.fspath(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)  # O_BINARY: Windows only
        try:
            descriptor = os.open(name, flags | (0 if overwrite else os.O_EXCL), 0o600)
        except FileExistsError as error:
            raise TapeError(f"{name} exists; choose another name, or ask to overwrite it") from error
        except FileNotFoundError as error:
            raise TapeError(f"cannot make {name}: its folder does not exist; make it first") from error
        except (OSError, ValueError) as error:  # ValueError: a null character in the path
            reason = error.strerror if isinstance(error, OSError) else error
            raise TapeError(f"cannot make {name!r}: {reason}; choose another place") from error
        file = os.fdopen(descriptor, "wb", buffering=0)
        try:
            if overwrite and stat.S_ISREG(os.fstat(descriptor).st_mode):  # not /dev/null
                Path(name).chmod(0o600)
                file.truncate(0)
            # A raw file: whatever write() took has left the process.
            writer = cls(file, request=request, secrets=secrets, created=created, max_bytes=max_bytes, name=name)
        except BaseException:
            file.close()
            raise
        writer._owned = True
        return writer

    def headers(self, status: int, headers: Mapping[str, str] | Iterable[tuple[str, str]], seconds: float) -> None:
        """Write that the headers came, `seconds` after the request left. Once, before the first read."""
        if self._expects != "headers":
            raise ValueError("the headers of a tape come once, before its reads and its end")
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        payload = {"status": status, "headers": [self._redactor.value(pair) for pair in pairs]}
        self._append(json.dumps([self._tick(seconds), "h", payload]))
        self._expects = "reads"

    def read(self, data: bytes, seconds: float) -> None:
        """Write a read, `seconds` after the request left. Empty bytes are no read and write nothing."""
        if self._expects != "reads":
            raise ValueError("the reads of a tape come after its headers and before its end")
        if not data:
            return
        self._held.append((self._tick(seconds), data))
        self._release()

    def end(self, ending: Ending, seconds: float) -> None:
        """Write how it ended, `seconds` after the request left: "eof", "reset", "timeout" or "cancelled"."""
        if self._expects == "nothing":
            raise ValueError("the end of a tape comes once")
        if ending not in ENDINGS:
            raise ValueError(f"no such ending of a tape: {ending!r}; use one of {', '.join(ENDINGS)}")
        now = self._tick(seconds)
        self._release(everything=True)
        self._append(json.dumps([now, "e", ending]))
        self._expects = "nothing"

    def close(self) -> None:
        """Close the file, if `open` made it. A tape that was not ended stays without an end. May be called again."""
        if self._expects == "reads":
            self._release(everything=True)
        self._expects = "nothing"
        if self._owned:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _tick(self, seconds: float) -> float:
        if not math.isfinite(seconds) or seconds < 0:
            raise ValueError(f"seconds must be finite and at least 0, not {seconds}")
        rounded = round(seconds, 6)
        if rounded < self._now:
            raise ValueError(f"seconds must not go back, from {self._now} to {rounded}: use a monotonic clock")
        self._now = rounded
        return rounded

    def _release(self, *, everything: bool = False) -> None:
        """Write the reads kept back, up to the first that may hold the beginning of a secret."""
        held, self._held = self._held, []
        # Mostly one, which bytes.join returns as it is.
        joined = self._redactor.data(b"".join([data for _, data in held]))
        known = len(joined) if everything else self._redactor.unfinished(joined)
        start = 0
        for seconds, data in held:
            end = start + len(data)
            if end <= known:
                self._append(_read_line(seconds, joined[start:end]))
            else:
                self._held.append((seconds, joined[start:end]))
            start = end

    def _append(self, line: str) -> None:
        data = line.encode("utf-8") + b"\n"
        self._size += len(data)
        if self._size > self._max_bytes:
            raise self._give_up(f"it would be larger than max_bytes={self._max_bytes}")
        try:
            written = self._file.write(data)
            while written < len(data):  # a raw file may take a part of it
                written += self._file.write(memoryview(data)[written:])
            self._file.flush()
        except OSError as error:
            raise self._give_up(error.strerror) from error

    def _give_up(self, reason: str | None) -> TapeError:
        # Half a line may be there; whatever came after it would be read as a part of it.
        self._expects = "nothing"
        self._held.clear()
        self.close()
        return TapeError(
            f"cannot go on writing {self._name}: {reason}; the tape ends {self._now:g} s after the request"
        )


# They are line ends for some readers of lines (str.splitlines), so they go escaped.
_LINE_ENDS: Final = tuple((mark, f"\\u{ord(mark):04x}") for mark in "\x85\u2028\u2029")


def _read_line(seconds: float, data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return json.dumps([seconds, "b", base64.b64encode(data).decode("ascii")])
    # What json.dumps makes of [seconds, "d", text], without an encoder anew for each read: a third of the time.
    line = f'[{seconds!r}, "d", {encode_basestring(text)}]'
    for mark, escape in _LINE_ENDS:
        line = line.replace(mark, escape)  # a search in most cases; str.translate looks at each character
    return line
