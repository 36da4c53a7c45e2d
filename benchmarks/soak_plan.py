"""What goes wrong in the streams of the soak: for each a script, and the outcomes that it may have."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Final, TypeAlias

from streamkit import (
    ConnectionLost,
    EmptyStream,
    ProtocolError,
    ServerError,
    StatusError,
    StreamTimeout,
    TruncatedStream,
)
from streamkit.testing import Cut, End, Hang, Headers, Reset, Send, Step, Wait, answer, chunk, sse

__all__ = ["FAULTS", "Outcome", "Plan", "plan"]

Outcome: TypeAlias = tuple[str, str]
"""How a stream ends: "done" or the class of its error; and its text."""

Steps: TypeAlias = tuple[Step, ...]


@dataclass(frozen=True)
class Plan:
    """One stream: what the server says to its first request (to others it says the whole feed), and what may come of it."""

    fault: str
    script: Steps
    retries: int
    text: str
    """Of the whole feed; whatever comes is a beginning of it."""
    outcomes: frozenset[Outcome]
    """What may come of it when nobody interrupts."""
    whole: bytes


class _Feed:
    """A feed in events, and what has been said by the end of each."""

    def __init__(self, rng: Random) -> None:
        words = [f"w{number} " for number in range(rng.choice((0, 1, 3, 10, 40, 400)))]
        said = ["", *words, "", "", ""]
        usage = {"prompt_tokens": 1, "completion_tokens": len(words), "total_tokens": len(words) + 1}
        payloads = [chunk("", role="assistant"), *map(chunk, words), chunk(finish_reason="stop"), chunk(usage=usage)]
        self.events = [*(sse(payload, done=False) for payload in payloads), b"data: [DONE]\n\n"]
        self.said = said
        self.finish = len(words) + 1
        """The place of the event with the finish_reason."""
        self.text = "".join(words)
        self.body = b"".join(self.events)

    def whole_events(self, size: int) -> int:
        """How many events lie whole in the first bytes of the body."""
        count = 0
        for event in self.events:
            size -= len(event)
            if size < 0:
                break
            count += 1
        return count

    def text_of(self, events: int) -> str:
        return "".join(self.said[:events])


def plan(rng: Random) -> Plan:
    """The plan of one stream."""
    feed, retries = _Feed(rng), rng.choice((0, 1))
    fault = rng.choice(tuple(FAULTS))
    script, outcomes, retried = FAULTS[fault](rng, feed)
    if retried and retries:
        outcomes = {("done", feed.text)}
    return Plan(fault, script, retries, feed.text, frozenset(outcomes), feed.body)


# Each returns the script, what comes of it, and whether that is an error that is retried, nothing having been published.
_Planned: TypeAlias = tuple[Steps, set[Outcome], bool]


def _in_pieces(rng: Random, data: bytes) -> list[Step]:
    """The bytes in one write or several, at places that know nothing of events."""
    places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 1, 5))))
    bounds = [0, *places, len(data)]
    return [Send(data[start:end]) for start, end in pairwise(bounds) if start < end]


def _whole(rng: Random, feed: _Feed) -> _Planned:
    return tuple(_in_pieces(rng, feed.body)), {("done", feed.text)}, False


def _slow(rng: Random, feed: _Feed) -> _Planned:
    steps: list[Step] = []
    for piece in _in_pieces(rng, feed.body):
        steps += [piece, Wait(rng.random() * 0.01)]
    return tuple(steps), {("done", feed.text)}, False


def _broken_off(rng: Random, feed: _Feed, last: Step, error: type[Exception], *, retried: bool) -> _Planned:
    size = rng.randrange(len(feed.body))
    events = feed.whole_events(size)
    steps = (Headers(), *_in_pieces(rng, feed.body[:size]), last)
    if events > feed.finish:
        return steps, {("done", feed.text)}, False
    text = feed.text_of(events)
    return steps, {(error.__name__, text)}, retried and not text


def _cut(rng: Random, feed: _Feed) -> _Planned:
    return _broken_off(rng, feed, Cut(), ConnectionLost, retried=True)


def _reset(rng: Random, feed: _Feed) -> _Planned:
    return _broken_off(rng, feed, Reset(), ConnectionLost, retried=True)


def _stall(rng: Random, feed: _Feed) -> _Planned:
    return _broken_off(rng, feed, Hang(), StreamTimeout, retried=False)


def _truncated(rng: Random, feed: _Feed) -> _Planned:
    events = rng.randrange(feed.finish + 1)
    text = feed.text_of(events)
    error = TruncatedStream if events else EmptyStream
    framing = rng.choice((Headers(), Headers(framing="close")))
    return (framing, Send(b"".join(feed.events[:events])), End()), {(error.__name__, text)}, not text


def _no_answer(rng: Random, feed: _Feed) -> _Planned:
    # On a connection that was kept alive the request is repeated, on a new one it is not: both are right.
    ending = rng.choice((Cut(), Reset()))
    return (ending,), {(ConnectionLost.__name__, ""), ("done", feed.text)}, True


def _silence(rng: Random, feed: _Feed) -> _Planned:
    return (Hang(),), {(StreamTimeout.__name__, "")}, False


def _malformed(rng: Random, feed: _Feed) -> _Planned:
    events = list(feed.events)
    for _ in range(rng.randint(1, 5)):
        events.insert(rng.randrange(len(events)), rng.choice((b"data: {\n\n", b"data: 7\n\n", b"data: \xff\n\n")))
    return (Send(b"".join(events)),), {("done", feed.text)}, False


def _too_malformed(rng: Random, feed: _Feed) -> _Planned:
    place = rng.randrange(len(feed.events))
    said = b"".join(feed.events[:place]) + 21 * b"data: {\n\n" + b"".join(feed.events[place:])
    return (Send(said),), {(ProtocolError.__name__, feed.text_of(place))}, False


def _error_inside(rng: Random, feed: _Feed) -> _Planned:
    place = rng.randrange(len(feed.events))
    said = b"".join(feed.events[:place]) + sse({"error": {"message": "boom", "code": 500}}, done=False)
    text = feed.text_of(place)
    return (Send(said),), {(ServerError.__name__, text)}, not text and place <= feed.finish


def _status(rng: Random, feed: _Feed) -> _Planned:
    status = rng.choice((400, 401, 500, 503))
    return answer(status, {"error": {"message": "no"}}), {(StatusError.__name__, "")}, status >= 500


def _page(rng: Random, feed: _Feed) -> _Planned:
    return answer(200, b"<html>sign in</html>", {"content-type": "text/html"}), {(ProtocolError.__name__, "")}, False


def _json(rng: Random, feed: _Feed) -> _Planned:
    message = {"role": "assistant", "content": feed.text}
    body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    return answer(200, body, {"content-type": "application/json"}), {("done", feed.text)}, False


FAULTS: Final[dict[str, Callable[[Random, _Feed], _Planned]]] = {
    "none": _whole,
    "slow": _slow,
    "cut": _cut,
    "reset": _reset,
    "stall": _stall,
    "truncated": _truncated,
    "no answer": _no_answer,
    "silence": _silence,
    "malformed": _malformed,
    "too malformed": _too_malformed,
    "error inside": _error_inside,
    "status": _status,
    "page": _page,
    "json": _json,
}
