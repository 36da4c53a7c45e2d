"""The figures of a tape: what came when, and what it was."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import StreamError
from ..model import Completion
from .decoding import TapeEvent, decode_tape
from .recording import Tape

__all__ = ["Gap", "Inspection", "inspect_tape"]


class Gap(NamedTuple):
    """A time in which nothing came: from what, and until what."""

    start: float
    end: float
    after: str
    before: str

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, repr=False)
class Inspection:
    """What there is to know of a tape; `inspect_tape` makes it.

    Attributes:
        tape: the tape itself.
        events: what a stream of it would publish, each with the time of its read.
        completion: what they add up to, with `usage`, `quirks` and `timings`.
        error: the failure that the answer holds, None if it holds none.
        gaps: the times in which nothing came, the longest first.
        counts: how many events of each name there are.
    """

    tape: Tape
    events: tuple[TapeEvent, ...]
    completion: Completion
    error: StreamError | None
    gaps: tuple[Gap, ...]
    counts: Counter[str]

    @property
    def outcome(self) -> str:
        """How it ended and whether the answer is whole, in a few words."""
        tape, completion = self.tape, self.completion
        if self.error is not None:
            return str(self.error)
        if completion.ended_by == "done":
            return "whole, with [DONE]" if completion.complete else "[DONE]"
        if completion.complete:
            return "whole, without [DONE]"
        if tape.status is None:
            return "no answer came"
        if tape.ending is None:
            return "the recording was cut before the end"
        return "not whole: no finish_reason and no [DONE]"

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON-like values, seconds and bytes; neither prompt nor answer.

        >>> from streamkit.tape import demo_tape
        >>> figures = inspect_tape(demo_tape()).as_dict()
        >>> figures["usage"], figures["finish_reasons"]
        ({'prompt_tokens': 17, 'completion_tokens': 127, 'total_tokens': 144}, ['stop'])
        """
        tape, completion, timings = self.tape, self.completion, self.completion.timings
        usage = completion.usage
        return {
            "created": tape.created,
            "status": tape.status,
            "content_type": _content_type(tape),
            "id": completion.id,
            "model": completion.model,
            "ending": tape.ending,
            "torn": tape.torn,
            "complete": completion.complete,
            "outcome": self.outcome,
            "finish_reasons": [choice.finish_reason for choice in completion.choices],
            "usage": usage
            and {
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "total_tokens": usage.total_tokens,
            },
            "quirks": dict(completion.quirks),
            "headers_at": timings.connect,
            "first_read": timings.first_read,
            "first_chunk": timings.first_chunk,
            "first_text": timings.first_text,
            "last_chunk": timings.last_chunk,
            "duration": tape.duration,
            "reads": len(tape.reads),
            "bytes": len(tape.body),
            "events": dict(self.counts),
            "characters": {
                "text": len(completion.text),
                "reasoning": len(completion.reasoning),
                "refusal": len(completion.refusal),
            },
            "gaps": [
                {"start": gap.start, "end": gap.end, "after": gap.after, "before": gap.before}
                for gap in self.gaps[:_GAPS]
            ],
        }

    def __repr__(self) -> str:
        return f"<Inspection of {self.tape!r}: {self.counts['chunk']} chunks, {self.outcome}>"


_GAPS = 3


def inspect_tape(tape: Tape) -> Inspection:
    """Decode a tape, and count and time what it says.

    >>> from streamkit.tape import TapeRead
    >>> chunk = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}'
    >>> reads = TapeRead(0.5, chunk + b"\\n\\n"), TapeRead(2.5, b"data: [DONE]\\n\\n")
    >>> inspection = inspect_tape(Tape(status=200, headers_at=0.25, reads=reads, ending="eof", ended_at=2.5))
    >>> inspection.outcome, inspection.completion.text, inspection.completion.timings.first_text
    ('whole, with [DONE]', 'Hi', 0.5)
    >>> inspection.gaps[0]
    Gap(start=0.5, end=2.5, after='read 1', before='read 2')
    """
    decoded = decode_tape(tape)
    return Inspection(
        tape,
        decoded.events,
        decoded.completion,
        decoded.error,
        tuple(sorted(_gaps(tape), key=lambda gap: gap.seconds, reverse=True)),
        Counter(event.name for event in decoded.events),
    )


def _gaps(tape: Tape) -> list[Gap]:
    moments = [(0.0, "the request")]
    if tape.status is not None:
        moments.append((tape.headers_at, "the headers"))
    moments += [(read.seconds, f"read {number}") for number, read in enumerate(tape.reads, 1)]
    if tape.ended_at is not None:
        moments.append((tape.ended_at, "the end"))
    return [Gap(start, end, after, before) for (start, after), (end, before) in itertools.pairwise(moments)]


def _content_type(tape: Tape) -> str | None:
    return next((value for name, value in tape.headers if name.lower() == "content-type"), None)
