"""What a client saw of an answer, whatever client it was: the chunks or events of its report, added up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Saw", "saw_chunks", "saw_events", "saw_of", "saw_payloads"]


@dataclass
class Saw:
    """The first choice of an answer, the usage, and the error if it ended in one.

    `tool_calls` are `[name, arguments, id]`; `done` is whether the client was told that the answer is whole, None where its
    protocol has no word for that; `error` is a mapping of whatever the client knows of it.
    """

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: list[list[str | None]] = field(default_factory=list)
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    done: bool | None = None
    error: Mapping[str, Any] | None = None

    def said(self) -> dict[str, Any]:
        """All of it but how it ended."""
        return {name: value for name, value in vars(self).items() if name not in {"done", "error"}}


def saw_of(report: Mapping[str, Any]) -> Saw:
    """What a report comes to, whichever client's it is."""
    if "text" in report:  # it has added up by itself
        return Saw(**{name: value for name, value in report.items() if value is not None})
    if "events" not in report:
        return saw_chunks(report)
    return (saw_events if "opened" in report else saw_payloads)(report)


def saw_chunks(report: Mapping[str, Any], index: int = 0) -> Saw:
    """The `chunks` of a client that hands out objects of OpenAI's API, as far as they are of the choice `index`."""
    saw = Saw(error=report.get("error"))
    calls: dict[int, list[str | None]] = {}
    for chunk in report.get("chunks", ()):
        saw.usage = chunk.get("usage") or saw.usage
        for choice in chunk.get("choices") or ():
            if (choice.get("index") or 0) != index:
                continue
            delta = choice.get("delta") or {}
            saw.finish_reason = saw.finish_reason or choice.get("finish_reason")
            saw.text += _text(delta.get("content"))
            saw.reasoning += delta.get("reasoning_content") or delta.get("reasoning") or ""
            saw.refusal += delta.get("refusal") or ""
            _add_calls(calls, delta.get("tool_calls") or ())
    saw.text = _whole_characters(saw.text)
    saw.tool_calls = list(calls.values())
    return saw


def saw_payloads(report: Mapping[str, Any]) -> Saw:
    """The `events` of a parser of server-sent events that read OpenAI's API, or the guides' form of it."""
    payloads = [event["data"] for event in report["events"]]
    objects = [one for data in payloads if data != "[DONE]" and isinstance(one := _json(data), dict)]
    in_band = next((one["error"] for one in objects if one.get("error")), None)
    saw = saw_chunks({"chunks": objects, "error": in_band or report.get("error")})
    saw.done = "[DONE]" in payloads
    return saw


def saw_events(report: Mapping[str, Any]) -> Saw:
    """The `events` of an EventSource that read streamkit's own protocol."""
    saw = Saw(error=report.get("error"), done=False)
    calls: dict[int, list[str | None]] = {}
    for event in report["events"]:
        said = json.loads(event["data"])
        if event["event"] == "stream-error":
            saw.error = said
        elif event["event"] == "end":
            saw.done = said["reason"] == "done"
        elif event["event"] == "message":
            saw.text += said.get("text", "")
            saw.reasoning += said.get("reasoning", "")
            saw.refusal += said.get("refusal", "")
            saw.usage = said.get("usage") or saw.usage
            saw.finish_reason = saw.finish_reason or said.get("finish_reason")
            fragments = said.get("tool_calls", ())
            _add_calls(calls, [{**call, "function": call} for call in fragments])
    saw.tool_calls = list(calls.values())
    return saw


def _json(data: str) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


def _text(content: object) -> str:
    """A few servers send a list of parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if part.get("type") == "text")
    return content if isinstance(content, str) else ""


def _whole_characters(text: str) -> str:
    """Servers that count in UTF-16 cut some characters in two, and a client in Python is left with the halves."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _add_calls(calls: dict[int, list[str | None]], fragments: Iterable[Mapping[str, Any]]) -> None:
    for place, fragment in enumerate(fragments):
        index = fragment.get("index")
        call = calls.setdefault(place if index is None else index, [None, "", None])
        function = fragment.get("function") or {}
        call[0] = call[0] or function.get("name")
        call[1] = (call[1] or "") + (function.get("arguments") or "")
        call[2] = call[2] or fragment.get("id")
