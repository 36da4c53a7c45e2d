"""What the judges are asked, and what has to come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from streamkit.testing import End, Script, Send, Wait, chunk, sse

from .aimock import CALLS, TEXT
from .saw import Saw

__all__ = ["CASES", "SCRIPTS", "Case", "verdict"]


@dataclass(frozen=True)
class Case:
    """A model of one of the upstreams.

    Args:
        name: the model's.
        upstream: who has it: aimock, or a server that sends what `SCRIPTS` say.
        text: what comes of it, as far as it comes.
        ends: how the answer ends. "whole"; "refused" before there is one; "told": with an error in the stream; "cut": the
            connection; "short": the body ends as if it were whole, without a finish_reason.
        about: for the table.
    """

    name: str
    upstream: Literal["aimock", "scripted"]
    text: str
    ends: Literal["whole", "refused", "told", "cut", "short"]
    about: str


CASES: Final = [
    Case("plain", "aimock", TEXT, "whole", "a text and the usage"),
    Case("tools", "aimock", "", "whole", "two tool calls"),
    Case("reasoning", "aimock", "Answer.", "whole", "reasoning, then a text"),
    Case("slow", "aimock", TEXT, "whole", "heartbeats between all tokens"),
    Case("waiting", "scripted", "Hello", "whole", "heartbeats before the first byte"),
    Case("too many", "aimock", "", "refused", "429 with Retry-After"),
    Case("failed", "scripted", "Hello", "told", "an error after some text"),
    Case("destroyed", "aimock", TEXT, "cut", "the connection is cut"),
    Case("short", "scripted", "Hello", "short", "the body just ends"),
]

_BEGUN: Final = [chunk("Hel", role="assistant"), chunk("lo")]
_FAILED: Final = {"error": {"message": "The engine died", "type": "server_error", "param": None, "code": "engine_dead"}}
_REST: Final = [
    chunk(finish_reason="stop"),
    chunk(usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
]

SCRIPTS: Final[dict[str, Script]] = {
    "waiting": [Wait(1.0), Send(sse(*_BEGUN, *_REST)), End()],
    "failed": [Send(sse(*_BEGUN, done=False)), Wait(0.1), Send(sse(_FAILED, done=False)), End()],
    "short": [Send(sse(*_BEGUN, done=False)), End()],
}


def verdict(case: Case, straight: Saw, relayed: Saw) -> tuple[bool, str]:
    """Whether that is right, and what it is in few words."""
    before, after = straight.said(), relayed.said()
    different = [name for name, value in after.items() if value != before[name]]
    if not _is_right(case, straight):
        return False, f"straight it is not what was sent: {straight}"
    if case.ends == "cut":
        # What was still on its way when the connection went is lost or not.
        whole = after["text"].startswith(before["text"]) and different in ([], ["text"])
        if not whole:
            return False, _difference(different, before, after)
        return (True, "error seen") if relayed.error is not None else (False, "no error seen")
    if different:
        return False, _difference(different, before, after)
    if case.ends == "whole":
        failed = straight.error or relayed.error
        return (True, "same") if not failed else (False, f"error: {failed.get('message')}")
    if relayed.error is None:
        return False, "no error seen"
    if case.ends == "short":
        return True, "error seen" if straight.error is not None else "error seen (not so straight)"
    if straight.error is None:
        return False, f"no error straight, relayed {relayed.error.get('message')}"
    heads = ("status", "retry_after") if case.ends == "refused" else ()
    odd = [name for name in heads if straight.error.get(name) != relayed.error.get(name)]
    if odd:
        return False, "; ".join(
            f"{name}: {straight.error.get(name)}, relayed {relayed.error.get(name)}" for name in odd
        )
    said = "The engine died" if case.ends == "told" else "Slow down"
    if said in str(straight.error.get("message")) and said not in str(relayed.error.get("message")):
        return False, f"message: {relayed.error.get('message')}"
    return True, "same error"


def _is_right(case: Case, straight: Saw) -> bool:
    """Two readers who both read nothing are not right."""
    if case.ends == "cut":
        return case.text.startswith(straight.text)
    calls = [call["name"] for call in CALLS] if case.name == "tools" else []
    # The `llm` command prints the text, and nothing of calls.
    return straight.text == case.text and (
        not straight.tool_calls or [call[0] for call in straight.tool_calls] == calls
    )


def _difference(names: list[str], before: dict[str, Any], after: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {before[name]!r}, relayed {after[name]!r}" for name in names)
