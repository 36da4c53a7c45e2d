"""`<think>…</think>` inside the content -> reasoning: the opt-in transform of `think_tags=True`."""

from __future__ import annotations

import msgspec

from ..model import Chunk, ChunkChoice, Delta

__all__ = ["ThinkSplitter"]

_OPEN, _CLOSE = "<think>", "</think>"


class ThinkSplitter:
    """Moves what stands between the tags from `content` to `reasoning`, tags split over chunks included.

    What may be the beginning of a tag is held back until the next chunk, the finish, or `close` decides.

    >>> splitter = ThinkSplitter()
    >>> chunks = [Chunk((ChunkChoice(delta=Delta(content=c)),)) for c in ("<th", "ink>hm</", "think>42")]
    >>> [(d.reasoning, d.content) for c in chunks if (d := splitter.split(c).choices[0].delta)]
    [(None, ''), ('hm', ''), (None, '42')]
    """

    def __init__(self) -> None:
        self._thinking: set[int] = set()
        self._held: dict[int, str] = {}

    def split(self, chunk: Chunk) -> Chunk:
        """The chunk with its content split; itself where no choice has content."""
        choices = tuple(self._choice(choice) for choice in chunk.choices)
        if all(new is old for new, old in zip(choices, chunk.choices, strict=True)):
            return chunk
        return msgspec.structs.replace(chunk, choices=choices)

    def close(self) -> Chunk | None:
        """The end of the feed: what was held back was no tag."""
        held = [
            ChunkChoice(index, self._delta(Delta(), index, text, last=True))
            for index, text in self._held.items()
            if text
        ]
        self._held.clear()
        return Chunk(tuple(held)) if held else None

    def _choice(self, choice: ChunkChoice) -> ChunkChoice:
        delta, last = choice.delta, choice.finish_reason is not None
        text = self._held.pop(choice.index, "") if (delta and delta.content) or last else ""
        text += (delta.content if delta else None) or ""
        if not text:
            return choice
        return msgspec.structs.replace(choice, delta=self._delta(delta or Delta(), choice.index, text, last=last))

    def _delta(self, delta: Delta, index: int, text: str, *, last: bool) -> Delta:
        reasoning, content = [delta.reasoning or ""], [""]
        position = 0
        while position < len(text):
            thinking = index in self._thinking
            tag = _CLOSE if thinking else _OPEN
            found = text.find(tag, position)
            end = len(text) if found < 0 else found
            if found < 0 and not last and (held := _beginning_of(tag, text, position)):
                end -= held
                self._held[index] = text[end:]
            (reasoning if thinking else content).append(text[position:end])
            if found < 0:
                break
            position = found + len(tag)
            self._thinking ^= {index}
        return msgspec.structs.replace(
            delta, content="".join(content), reasoning_content=None, reasoning_field="".join(reasoning) or None
        )


def _beginning_of(tag: str, text: str, start: int) -> int:
    """How many characters at the end of the text, from `start` on, may be the beginning of the tag."""
    longest = min(len(tag) - 1, len(text) - start)
    return next((n for n in range(longest, 0, -1) if text.endswith(tag[:n])), 0)
