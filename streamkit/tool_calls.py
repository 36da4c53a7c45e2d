"""Tool call fragments -> tool calls, in every shape in which servers stream them.

A fragment belongs to a call by its id first, then by its index, then by being next to the latest. Nothing is settled before
the end of the stream: arguments may parse long before they are complete.
"""

from __future__ import annotations

import io
import json
import re
import secrets
from typing import TYPE_CHECKING, Any

from .model import ToolCall, ToolCallDelta

if TYPE_CHECKING:
    from .model import ToolCallFragment

__all__ = ["ToolCallAssembler"]


class _Call:
    __slots__ = ("arguments", "depth", "extra", "id", "latest", "name", "position", "quoted", "scanned")

    def __init__(self, position: int) -> None:
        self.position = position
        self.id = ""
        self.name = ""
        self.arguments = io.StringIO(newline="")
        self.latest = ""
        """The latest piece of the arguments; once there is one, the name is whole."""
        self.extra: dict[str, Any] = {}
        self.scanned = self.depth = 0
        self.quoted = False

    def is_whole(self) -> bool:
        """Whether every bracket of the arguments is closed; asked after a closing one, it looks at each character once."""
        self.arguments.seek(self.scanned)
        text = self.arguments.read()  # leaves the position at the end, where the next write goes
        self.scanned += len(text)
        for mark in _MARK.findall(text):
            if mark == '"':
                self.quoted = not self.quoted
            elif not self.quoted and mark in "{[]}":
                self.depth += 1 if mark in "{[" else -1
        return self.depth == 0 and not self.quoted


class ToolCallAssembler:
    """The tool calls of one choice.

    >>> from streamkit.model import FunctionFragment, ToolCallFragment
    >>> assembler = ToolCallAssembler()
    >>> assembler.add(ToolCallFragment(0, "call_1", function=FunctionFragment("add", "")))
    ToolCallDelta(position=0, id='call_1', name='add', arguments='', choice=0)
    >>> _ = assembler.add(ToolCallFragment(0, function=FunctionFragment(None, '{"a": 1}')))
    >>> assembler.finish(), assembler.snapshot()
    (0, (ToolCall(id='call_1', name='add', arguments='{"a": 1}', extra={}),))
    """

    def __init__(self, choice: int = 0) -> None:
        self._choice = choice
        self._calls: list[_Call] = []
        self._by_id: dict[str, _Call] = {}
        self._by_index: dict[int, _Call] = {}

    def add(self, fragment: ToolCallFragment, *, apart: bool = False) -> ToolCallDelta:
        """Take in a fragment; return it as the event that says which call it belongs to.

        `apart`: it stands beside another one in its delta, so it does not go on with that one's call.
        """
        function = fragment.function
        name = (function.name if function else None) or ""
        arguments = (function.arguments if function else None) or ""
        call = self._call_of(fragment, name, apart=apart)
        if fragment.id and not call.id:
            call.id = fragment.id
            self._by_id[fragment.id] = call
        # A name is repeated by some servers, split by others. It precedes the arguments in all of them.
        if name and name != call.name and not (call.name and call.latest):
            call.name += name
        if arguments:
            call.latest = arguments
            call.arguments.write(arguments)
        if fragment.extra:
            call.extra.update(fragment.extra)
        return ToolCallDelta(call.position, call.id, call.name, arguments, self._choice)

    def finish(self) -> int:
        """No more can come: give an id to the calls that have none, split what is two calls under one index.

        Returns how many calls were split off.
        """
        split = 0
        for call in list(self._calls):
            texts = _objects(call.arguments.getvalue())
            for text in texts[1:]:
                extra = self._begin()
                extra.name = call.name
                extra.arguments.write(text)
                split += 1
            if len(texts) > 1:
                call.arguments = io.StringIO(newline="")
                call.arguments.write(texts[0])
        for call in self._calls:
            # An id must differ from those of all other rounds of the conversation, so it cannot be derived from the position.
            call.id = call.id or f"call_{secrets.token_hex(12)}"
        return split

    def snapshot(self) -> tuple[ToolCall, ...]:
        """The calls as far as they have come, in the order in which they began."""
        return tuple(ToolCall(call.id, call.name, call.arguments.getvalue(), dict(call.extra)) for call in self._calls)

    def _call_of(self, fragment: ToolCallFragment, name: str, *, apart: bool) -> _Call:
        if fragment.id and (known := self._by_id.get(fragment.id)):
            return known
        if fragment.index is None:
            latest = self._calls[-1] if self._calls else None
            return latest if latest and not apart and self._continues(latest, fragment, name) else self._begin()
        current = self._by_index.get(fragment.index)
        if current is None or not self._continues(current, fragment, name):
            current = self._by_index[fragment.index] = self._begin()
        return current

    @staticmethod
    def _continues(call: _Call, fragment: ToolCallFragment, name: str) -> bool:
        """Whether a fragment that matched no id goes on with this call: a new id or another name begins a new one."""
        if fragment.id and call.id:
            return False
        if name and call.name and call.latest and name != call.name:
            return False
        if fragment.index is None and name and call.latest.rstrip().endswith("}"):
            # The same name again, and nothing to tell the calls apart: a repeated name as long as the arguments are open.
            return not call.is_whole()
        return True

    def _begin(self) -> _Call:
        call = _Call(len(self._calls))
        self._calls.append(call)
        return call


def _objects(arguments: str) -> list[str]:
    """The JSON objects that stand one after the other in the text; one text if it is anything else.

    >>> _objects('{"a": 1}{"b": 2}'), _objects('{}{"a"')
    (['{"a": 1}', '{"b": 2}'], ['{}{"a"'])
    """
    if "}" not in arguments[:-1]:
        return [arguments]
    decoder = json.JSONDecoder()
    texts = []
    try:
        position = _space_after(arguments, 0)
        while position < len(arguments):
            value, end = decoder.raw_decode(arguments, position)
            if not isinstance(value, dict):
                return [arguments]
            texts.append(arguments[position:end])
            position = _space_after(arguments, end)
    except (ValueError, RecursionError):
        return [arguments]
    return texts


def _space_after(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


_MARK = re.compile(r'\\.|["{}[\]]', re.DOTALL)
_SPACE = re.compile(r"[ \t\n\r]*")
