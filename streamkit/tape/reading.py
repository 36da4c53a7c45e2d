"""From the lines of a file to a `Tape`: every line checked, every error with its place and what to do."""

from __future__ import annotations

import base64
import importlib.resources
import json
import os
import re
import reprlib
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import TapeError
from .recording import ENDINGS, FORMAT, VERSION, Ending, Tape, TapeRead

__all__ = ["demo_tape", "load_tape", "parse_tape"]


def load_tape(path: str | os.PathLike[str]) -> Tape:
    """Read a tape from a file.

    Raises:
        TapeError: no file that can be read, or not a tape; as `parse_tape`.
    """
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise TapeError(f"cannot read the tape {os.fspath(path)!r}: {reason}; check the path") from error
    return parse_tape(data, name=os.fspath(path))


def demo_tape() -> Tape:
    """The tape that streamkit ships: a short answer of about five seconds, written for it.

    >>> demo_tape().status
    200
    """
    resource = importlib.resources.files("streamkit") / "demo.sse.jsonl"
    return parse_tape(resource.read_bytes(), name="demo.sse.jsonl")


def parse_tape(data: bytes | str, *, name: str = "tape") -> Tape:
    r"""Read a tape from the content of its file.

    A last line that is torn (no line end, no JSON) is left out and `torn` is set; a tape without its end has
    `ending` None. Any other line has to be right.

    Args:
        data: the content of a `.sse.jsonl` file.
        name: what errors call it; a file name.

    Raises:
        TapeError: not a tape, a newer version, or a line that is wrong; names the file, the line and what to do.

    >>> header = '{"format": "streamkit-tape", "version": 1}'
    >>> tape = parse_tape(header + '\n[0.1, "h", {"status": 200, "headers": []}]\n[0.2, ')
    >>> tape.status, tape.ending, tape.torn
    (200, None, True)
    >>> parse_tape("data: hello\n\n", name="answer.sse")
    Traceback (most recent call last):
    streamkit.errors.TapeError: answer.sse is a body of server-sent events, not a tape: ...
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    first, *lines = raw.split(b"\n")
    header = _parse_header(first, name, whole=bool(lines))
    cut = bool(lines) and lines[-1] != b""  # every whole line ends in a line feed
    if lines and not cut:
        lines.pop()
    reader = _LineReader()
    torn = False
    for number, line in enumerate(lines, 2):
        try:
            reader.line(_parse_json(line))
        except _NotJSONError:
            if cut and number == len(lines) + 1:
                torn = True
                break
            raise TapeError(f"{name}, line {number}: not JSON; restore the line or delete it") from None
        except _WrongLineError as error:
            raise TapeError(f"{name}, line {number}: {error}; mend the line or delete it") from None
    return Tape(
        status=reader.status,
        headers=reader.headers,
        headers_at=reader.headers_at,
        reads=tuple(reader.reads),
        ending=reader.ending,
        ended_at=reader.ended_at,
        request=MappingProxyType(header.get("request", {})),
        created=header.get("created"),
        torn=torn,
    )


class _NotJSONError(Exception):
    """The line is not JSON text in UTF-8."""


class _WrongLineError(Exception):
    """The line is JSON, but no line of a tape; says why."""


def _parse_json(line: bytes) -> object:
    try:
        return json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):  # bad UTF-8, bad JSON, an integer of thousands of digits; deep nesting
        raise _NotJSONError from None


def _parse_header(line: bytes, name: str, *, whole: bool) -> dict[str, Any]:
    make = "make a tape with `streamkit record`"
    try:
        header = _parse_json(line)
    except _NotJSONError:
        if not line and not whole:
            raise TapeError(f"{name} is empty, not a tape; {make}") from None
        if not whole and line.startswith(b'{"format"'):
            raise TapeError(f"{name} ends inside its first line: nothing was recorded; record it again") from None
        if re.match(rb"(data|event|id|retry|)[ \t]{0,9}:", line.removeprefix(b"\xef\xbb\xbf").lstrip()):
            raise TapeError(
                f"{name} is a body of server-sent events, not a tape: it has no header and no times; {make}"
            ) from None
        raise TapeError(f"{name} is not a tape: its first line is not JSON; {make}") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise TapeError(f'{name} is JSON, but not a tape: its first line lacks "format": "{FORMAT}"; {make}')
    version = header.get("version")
    if type(version) is not int or version < 1:
        raise TapeError(f"{name}, line 1: the version is {reprlib.repr(version)}, not {VERSION}; mend the line")
    if version > VERSION:
        raise TapeError(
            f"{name} is a tape of version {reprlib.repr(version)}, written by a newer streamkit: "
            "upgrade streamkit-asyncio to read it"
        )
    if not isinstance(header.get("request", {}), dict):
        raise TapeError(f'{name}, line 1: "request" is not an object; mend the line')
    if not isinstance(header.get("created"), str | None):
        raise TapeError(f'{name}, line 1: "created" is not a string; mend the line')
    return header


class _LineReader:
    """What the lines after the header have said so far."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.headers_at = 0.0
        self.reads: list[TapeRead] = []
        self.ending: Ending | None = None
        self.ended_at: float | None = None
        self._now = 0.0

    def line(self, entry: object) -> None:
        match entry:
            case [seconds, str(code), payload]:
                pass
            case _:
                raise _WrongLineError("not a [seconds, code, payload] array")
        if self.ending is not None:
            raise _WrongLineError("a line after the end")
        now = self._seconds(seconds)
        if code == "h":
            self._headers(now, payload)
        elif code in {"d", "b"}:
            if self.status is None:
                raise _WrongLineError("a read before the headers")
            self.reads.append(TapeRead(now, _text(payload) if code == "d" else _base64(payload)))
        elif code == "e":
            if payload not in ENDINGS:
                raise _WrongLineError(f"the end is {reprlib.repr(payload)}, not one of {', '.join(ENDINGS)}")
            self.ending, self.ended_at = payload, now
        else:
            raise _WrongLineError(f"unknown code {reprlib.repr(code)}, not one of h, d, b, e")
        self._now = now

    def _seconds(self, seconds: object) -> float:
        match seconds:
            case bool():  # an int for isinstance
                pass
            case int() | float() if 0 <= seconds <= sys.float_info.max:
                if seconds < self._now:
                    raise _WrongLineError(f"the seconds go back from {self._now:g} to {seconds:g}")
                return float(seconds)
        raise _WrongLineError(f"the seconds are {reprlib.repr(seconds)}, not a finite number of at least 0")

    def _headers(self, now: float, payload: object) -> None:
        if self.status is not None:
            raise _WrongLineError("the headers came twice")
        match payload:
            case {"status": int(status), "headers": list(headers)} if 100 <= status <= 999:
                pass
            case _:
                raise _WrongLineError('the headers are not {"status": 100 to 999, "headers": [[name, value], ...]}')
        pairs = []
        for header in headers:
            match header:
                case [str(name), str(value)] if name and _is_one_line(name + value):
                    pairs.append((name, value))
                case _:
                    raise _WrongLineError("a header is not a [name, value] pair of one-line strings")
        self.status, self.headers, self.headers_at = status, tuple(pairs), now


def _is_one_line(text: str) -> bool:
    try:
        # As aiohttp decodes headers: a byte that is not UTF-8 is a lone surrogate, any other surrogate is nothing.
        return re.search(rb"[\r\n\0]", text.encode("utf-8", "surrogateescape")) is None
    except UnicodeEncodeError:
        return False


def _text(payload: object) -> bytes:
    try:
        data = payload.encode("utf-8") if isinstance(payload, str) else b""
    except UnicodeEncodeError:
        raise _WrongLineError("the text holds half a character (a lone surrogate)") from None
    return _not_empty(data)


def _base64(payload: object) -> bytes:
    try:
        data = base64.b64decode(payload, validate=True) if isinstance(payload, str) else b""
    except ValueError:
        raise _WrongLineError("the bytes are not base64") from None
    return _not_empty(data)


def _not_empty(data: bytes) -> bytes:
    if not data:
        raise _WrongLineError("a read is a string of at least one character")
    return data
