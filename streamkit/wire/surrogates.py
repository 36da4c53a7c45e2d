"""Joins the halves of a UTF-16 surrogate pair that a server split over two deltas.

JSON writes 😀 as two escapes; a tokenizer may put one into each of two deltas. A str with one half crashes every print and
every encode, so the half is held back until the other comes.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from ..model import Chunk, ChunkChoice, Delta, FunctionFragment, ToolCallFragment

__all__ = ["SurrogateJoiner"]

_Piece = TypeVar("_Piece", Delta, FunctionFragment)
_Key = tuple[int, str]
_TEXTS = ("content", "refusal", "reasoning_content", "reasoning_field")


class SurrogateJoiner:
    r"""Holds back the first half of a split pair, for each text of each choice by itself.

    >>> joiner = SurrogateJoiner()
    >>> half, other = (Chunk((ChunkChoice(delta=Delta(content=c)),)) for c in ("hi \ud83d", "\ude00!"))
    >>> joiner.join(half).text, joiner.join(other).text
    ('hi ', '😀!')
    """

    def __init__(self) -> None:
        self.pending: dict[_Key, str] = {}
        self.replaced = False
        """A half without its other half was replaced by U+FFFD; reset by whoever reports it."""

    def join(self, chunk: Chunk) -> Chunk:
        """The chunk with whole characters only; itself where nothing had to be done."""
        choices = tuple(self._choice(choice) for choice in chunk.choices)
        if all(new is old for new, old in zip(choices, chunk.choices, strict=True)):
            return chunk
        return msgspec.structs.replace(chunk, choices=choices)

    def close(self, chunk: Chunk | None) -> Chunk:
        """The end of the feed: what is still held back becomes U+FFFD, in the chunk given or in a new one."""
        orphans = [ChunkChoice(index, _orphan(field)) for index, field in self.pending]
        self.pending.clear()
        if chunk is None:
            return Chunk(tuple(orphans))
        return msgspec.structs.replace(chunk, choices=(*chunk.choices, *orphans))

    def _choice(self, choice: ChunkChoice) -> ChunkChoice:
        delta = choice.delta
        if delta is None:
            return choice
        # Nothing follows a finish, as a rule: a half that waits is an orphan then, and belongs before the finish.
        last = choice.finish_reason is not None
        new = self._piece(delta, _TEXTS, (choice.index, ""), last=last)
        if new.tool_calls is not None:
            calls = tuple(self._tool_call(call, choice.index, position) for position, call in enumerate(new.tool_calls))
            if any(call is not old for call, old in zip(calls, new.tool_calls, strict=True)):
                new = msgspec.structs.replace(new, tool_calls=calls)
        return choice if new is delta else msgspec.structs.replace(choice, delta=new)

    def _tool_call(self, call: ToolCallFragment, choice: int, position: int) -> ToolCallFragment:
        if call.function is None:
            return call
        key = (choice, f"{position if call.index is None else call.index} ")
        function = self._piece(call.function, ("name", "arguments"), key, last=False)
        return call if function is call.function else msgspec.structs.replace(call, function=function)

    def _piece(self, piece: _Piece, fields: tuple[str, ...], prefix: _Key, *, last: bool) -> _Piece:
        changed: dict[str, str] = {}
        for field in fields:
            key = (prefix[0], prefix[1] + field)
            text = getattr(piece, field)
            waiting = self.pending.pop(key, "") if text or last else ""
            whole = waiting + (text or "")
            if whole and not _is_whole(whole):
                if "\ud800" <= whole[-1] <= "\udbff" and not last:
                    self.pending[key] = whole[-1]
                    whole = whole[:-1]
                mended = whole.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
                self.replaced |= mended.count("\ufffd") > whole.count("\ufffd")
                whole = mended
            if whole != (text or ""):
                changed[field] = whole
        return msgspec.structs.replace(piece, **changed) if changed else piece


def _orphan(field: str) -> Delta:
    """A delta with nothing but the half that was held back for a field of a delta, or of a tool call ("<index> <field>")."""
    index, _, name = field.rpartition(" ")
    if not index:
        return msgspec.structs.replace(Delta(), **{name: "\ufffd"})
    function = msgspec.structs.replace(FunctionFragment(), **{name: "\ufffd"})
    return Delta(tool_calls=(ToolCallFragment(int(index), function=function),))


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
