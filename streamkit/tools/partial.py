"""JSON in pieces -> what it says so far. Nothing that was read is read again: linear time for any pieces."""

from __future__ import annotations

import json
import re
from typing import Any, Final, Literal

from .shape import Shape

__all__ = ["PartialJSON"]

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f]+')
_SCALAR: Final = re.compile(r"[-+.0-9A-Za-z]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")  # RFC 8259 section 6
_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}
_ESCAPES: Final = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_DEEPEST: Final = 200
_LONGEST_SCALAR: Final = 4096
_LONGEST_OPENING: Final = 64
_NOTHING: Final[Any] = object()

_Where = Literal["opening", "value", "first", "key", "colon", "comma", "string", "scalar", "end", "broken"]


class PartialJSON:
    """A JSON text that comes in pieces.

    `snapshot` is what it says so far as dicts, lists and strings: each begins with what the one before it said, the last is the
    whole value. A string is shown as far as it goes, where `shape` does not say that it makes sense only when it is whole;
    numbers, `true`, `false` and `null` when they are whole, a key with the beginning of its value. A text in a Markdown fence is
    read without it (`fenced`). From where the text is no JSON, nothing more is added.

    >>> partial = PartialJSON()
    >>> for piece in ['{"city": "Os', 'lo", "tem', 'p": 2', '1, "sky": [', "]}"]:
    ...     partial.feed(piece)
    ...     print(partial.snapshot())
    {'city': 'Os'}
    {'city': 'Oslo'}
    {'city': 'Oslo'}
    {'city': 'Oslo', 'temp': 21, 'sky': []}
    {'city': 'Oslo', 'temp': 21, 'sky': []}
    """

    def __init__(self, shape: Shape | None = None) -> None:
        self.version = 0
        """Changes whenever `snapshot` does; 0: there is nothing yet."""
        self.fenced = False
        self._where: _Where = "opening"
        self._opening = ""
        self._shape = shape or Shape()
        self._root: Any = _NOTHING
        # What is open, from the outside in: the containers, the key that each waits to fill, their places in the schema.
        self._open: list[dict[str, Any] | list[Any]] = []
        self._keys: list[str] = []
        self._shapes: list[Shape] = []
        # The string that is being read.
        self._parts: list[str] = []
        self._length = 0
        self._is_key = False
        self._shown = False
        """It is a part of what `snapshot` shows."""
        self._escape = ""
        self._scalar = ""

    @property
    def is_whole(self) -> bool:
        """The value is complete."""
        return self._where == "end"

    def feed(self, text: str) -> None:
        """Take in the next piece."""
        if self._where == "opening":
            text = self._skip_opening(text)
        position, end = 0, len(text)
        while position < end:
            where = self._where
            if where == "string":
                position = self._read_string(text, position)
            elif where == "scalar":
                found = _SCALAR.match(text, position)
                assert found is not None  # it matches nothing, too
                self._scalar += found[0]
                position = found.end()
                if position < end or len(self._scalar) > _LONGEST_SCALAR:
                    self._end_scalar()
            elif where in {"end", "broken"}:
                return
            else:
                space = _SPACE.match(text, position)
                assert space is not None
                position = space.end()
                if position < end:
                    self._read_mark(text[position])
                    position += 0 if self._where == "scalar" else 1

    def close(self) -> None:
        """No more comes: a number at the very end is whole."""
        if self._where == "scalar" and not self._open:
            self._end_scalar()

    def snapshot(self) -> Any:  # noqa: ANN401 - JSON
        """What the text says so far. Raises LookupError where that is nothing (`version` is 0).

        Copies what is still open; what is whole is shared by all snapshots: it must not be changed.
        """
        shown = self._root
        if self._shown:
            self._parts = ["".join(self._parts)]
            shown = self._parts[0]
        for place in range(len(self._open) - 1, -1, -1):
            container = self._open[place].copy()
            if shown is not _NOTHING:
                if isinstance(container, dict):
                    container[self._keys[place]] = shown
                else:
                    container.append(shown)
            shown = container
        if shown is _NOTHING:
            raise LookupError("there is no value yet")
        return shown

    @property
    def cost(self) -> int:
        """About how many bytes `snapshot` copies."""
        containers = sum(100 + len(each) * (100 if isinstance(each, dict) else 8) for each in self._open)
        return containers + (self._length if self._shown else 0)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _skip_opening(self, text: str) -> str:
        """White space, and the line that opens a fence; returns what follows."""
        text = (self._opening + text).lstrip(" \t\r\n\ufeff")
        if not text.startswith("`"):
            self._opening = ""
            if text:
                self._where = "value"
            return text
        line, newline, rest = text.partition("\n")
        if newline and line.startswith("```"):
            self.fenced, self._where = True, "value"
            return rest
        if newline or len(text) > _LONGEST_OPENING:
            self._where = "broken"
        self._opening = text
        return ""

    def _read_mark(self, mark: str) -> None:
        """A character that is neither white space nor inside of a string or a scalar."""
        where = self._where
        if where == "colon":
            self._where = "value" if mark == ":" else "broken"
        elif where == "comma":
            self._read_comma(mark)
        elif where == "first" and mark == ("}" if isinstance(self._open[-1], dict) else "]"):
            self._close_container()
        elif where == "key" or (where == "first" and isinstance(self._open[-1], dict)):
            if mark == '"':
                self._begin_string(is_key=True)
            else:
                self._where = "broken"
        elif mark == '"':
            self._begin_string(is_key=False)
        elif mark in "{[":
            self._open_container({} if mark == "{" else [])
        elif mark in "-0123456789tfn":
            self._where, self._scalar = "scalar", ""
        else:
            self._where = "broken"

    def _read_comma(self, mark: str) -> None:
        in_object = isinstance(self._open[-1], dict)
        if mark == ",":
            self._where = "key" if in_object else "value"
        elif mark == ("}" if in_object else "]"):
            self._close_container()
        else:
            self._where = "broken"

    def _place(self) -> Shape:
        """Where in the schema the next value stands."""
        if not self._open:
            return self._shape
        return self._shapes[-1].child(self._keys[-1] if isinstance(self._open[-1], dict) else None)

    def _open_container(self, container: dict[str, Any] | list[Any]) -> None:
        if len(self._open) >= _DEEPEST:
            self._where = "broken"
            return
        self._shapes.append(self._place())
        self._open.append(container)
        self._keys.append("")
        self._where = "first"
        self.version += 1

    def _close_container(self) -> None:
        self._shapes.pop()
        self._keys.pop()
        self._add(self._open.pop())

    def _add(self, value: object) -> None:
        """A value is whole."""
        if not self._open:
            self._root, self._where = value, "end"
        else:
            container = self._open[-1]
            if isinstance(container, dict):
                container[self._keys[-1]] = value
            else:
                container.append(value)
            self._where = "comma"

    def _end_scalar(self) -> None:
        text = self._scalar
        if text in _WORDS:
            value: object = _WORDS[text]
        elif len(text) <= _LONGEST_SCALAR and _NUMBER.fullmatch(text):
            value = json.loads(text)
        else:
            self._where = "broken"
            return
        self._add(value)
        self.version += 1

    def _begin_string(self, *, is_key: bool) -> None:
        self._where, self._is_key = "string", is_key
        self._shown = not is_key and self._place().grows
        self._parts, self._length, self._escape = [], 0, ""
        self.version += self._shown

    def _read_string(self, text: str, position: int) -> int:
        """Read on in a string; returns where it stopped."""
        if self._escape:
            return self._read_escape(text, position)
        found = _PLAIN.match(text, position)
        if found is not None:
            self._write(found[0])
            return found.end()
        mark = text[position]
        if mark == '"':
            self._end_string()
        elif mark == "\\":
            self._escape = mark
        else:
            self._where = "broken"  # a control character, RFC 8259 section 7
        return position + 1

    def _write(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
        self.version += self._shown

    def _read_escape(self, text: str, position: int) -> int:
        """One more character of an escape; the first half of a surrogate pair waits for the second."""
        held = self._escape
        mark = text[position]
        pending = held[6:] if len(held) >= 6 else held  # held[:6] is a first half, if there is one
        if len(held) == 6 and mark != "\\":
            self._write(chr(int(held[2:6], 16)))  # alone after all
            self._escape = ""
            return position
        if pending == "\\" and mark != "u":
            if mark not in _ESCAPES:
                self._where = "broken"
                return position
            half = chr(int(held[2:6], 16)) if len(held) > 6 else ""
            self._write(half + _ESCAPES[mark])
            self._escape = ""
        elif len(pending) >= 2 and mark not in "0123456789abcdefABCDEF":
            self._where = "broken"
        else:
            self._escape += mark
            if len(pending) == 5:
                self._end_unicode_escape()
        return position + 1

    def _end_unicode_escape(self) -> None:
        held, self._escape = self._escape, ""
        second = int(held[-4:], 16)
        if len(held) == 12:
            first = int(held[2:6], 16)
            if 0xDC00 <= second <= 0xDFFF:
                self._write(chr(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)))
                return
            self._write(chr(first))
        if 0xD800 <= second <= 0xDBFF:
            self._escape = held[-6:]
        else:
            self._write(chr(second))

    def _end_string(self) -> None:
        value = "".join(self._parts)
        self._parts, self._length = [], 0
        if self._is_key:
            self._keys[-1], self._where = value, "colon"
            return
        if not self._shown:
            self.version += 1
        self._shown = False
        self._add(value)
