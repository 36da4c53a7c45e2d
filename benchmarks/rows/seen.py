"""What a system saw of a feed, as plain data; and the loop over chunks that one writes around a client without an accumulator.

Imports nothing of streamkit: the peers may live in environments that have none of its dependencies.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Seen", "shortened"]

SHORT = 400

NO_INDEX = -1


def shortened(text: str) -> str:
    """A text that can be compared and printed: itself, or its beginning, length and digest.

    >>> shortened("x" * 1000)
    'xxxxxxxxxxxxxxxxxxxx… (1,000 characters, sha256 44f835…)'
    """
    if len(text) <= SHORT:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[:20]}… ({len(text):,} characters, sha256 {digest[:6]}…)"


@dataclass
class Seen:
    """What came of one stream: `ending` is "done", "error", "crash" or "hang"."""

    ending: str = "done"
    error: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    finish_reason: str | None = None
    choices: dict[int, tuple[str, str | None]] = field(default_factory=dict)
    tool_calls: list[tuple[str, str]] = field(default_factory=list)
    usage: tuple[int, int, int] | None = None
    blocked: float | None = None
    quirks: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    _calls: dict[int, list[str]] = field(default_factory=dict)

    def add(self, chunk: Any) -> str:  # an SDK's chunk, or the JSON of one
        """Take in a chunk, as the documentation of the SDKs shows; returns its text."""
        piece = ""
        for choice in chunk.choices:
            index, delta = choice.index, choice.delta
            if index is None:
                index = NO_INDEX
            text, finish = self.choices.get(index, ("", None))
            if content := getattr(delta, "content", None):
                text += content
                piece += content
            self.choices[index] = (text, getattr(choice, "finish_reason", None) or finish)
            if index == 0:
                self.reasoning += getattr(delta, "reasoning_content", None) or ""
                self.refusal += getattr(delta, "refusal", None) or ""
                for call in getattr(delta, "tool_calls", None) or ():
                    self._add_call(call.index, call.function)
                if function := getattr(delta, "function_call", None):
                    self._add_call(0, function)
        if usage := getattr(chunk, "usage", None):
            self.usage = counts(usage)
        self.text, self.finish_reason = self.choices.get(0, ("", None))
        return piece

    def _add_call(self, index: int, function: Any) -> None:  # as above
        name, arguments = getattr(function, "name", None), getattr(function, "arguments", None)
        if index not in self._calls:
            self._calls[index] = [name or "", arguments or ""]
        else:
            self._calls[index][1] += arguments or ""
        self.tool_calls = [(call[0], call[1]) for call in self._calls.values()]

    def as_json(self) -> str:
        """One line of JSON; long texts shortened."""
        seen = asdict(self)
        del seen["_calls"]
        seen["text"] = shortened(str(self.text))
        seen["choices"] = {index: (shortened(str(text)), end) for index, (text, end) in self.choices.items()}
        return json.dumps(seen, default=repr)

    @classmethod
    def from_json(cls, line: str | bytes) -> Seen:
        """What `as_json` wrote."""
        fields = json.loads(line)
        fields["choices"] = {int(index): (text, end) for index, (text, end) in fields.get("choices", {}).items()}
        fields["tool_calls"] = [(name, arguments) for name, arguments in fields.get("tool_calls", ())]
        fields["usage"] = tuple(fields["usage"]) if fields.get("usage") else None
        return cls(**fields)


def counts(usage: Any) -> tuple[int, int, int]:  # an SDK's usage, or the JSON of one
    """Token counts: prompt, completion, total."""
    return usage.prompt_tokens, usage.completion_tokens, usage.total_tokens
