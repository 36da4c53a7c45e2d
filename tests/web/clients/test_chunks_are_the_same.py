"""What a server says beyond OpenAI's API reaches the client: each chunk is the one that was sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.judges.client import Client

from ...feeds import Feed, openai_chat_feeds
from .recorded_reports import recorded_reports

# Quirks that streamkit mends for clients, and what of a chunk may change where they are: a part of the path.
MENDED = {
    "mistral__magistral-medium-latest__content-array__2f9cb37b": ("content",),  # text and thinking in parts
    "mistral__magistral-medium-latest__content-array__3ae79eb2": ("content",),
    "mistral__mistral-small-latest__content-array__75fb6ab2": ("content",),
    "mistral__mistral-small-latest__tools__0404803a": ("tool_calls",),  # calls without an index
    "mistral__mistral-small-latest__tools__b99c2d46": ("tool_calls",),
    "anthropic-compat__claude-3-7-sonnet-20250219__text__628bf4e4": (
        "choices",
        "object",
    ),  # no choices: `{"type": "ping"}`
    "openai__gpt-audio-1.5__audio__76ce6b45": ("choices",),
    "openai__gpt-audio-1.5__audio__8f700b1b": ("choices",),
}

# They fail, or say nothing where clients fail: test_recorded and test_errors have them.
ELSEWHERE = ("error-in-stream", "gpustack__qwen3__reasoning__ce51379f", "openai__gpt-4-0125-preview__text__0b6e108a")


@pytest.fixture(scope="module")
def feeds(shared: object) -> list[Feed]:
    return openai_chat_feeds()


def lost(sent: Any, came: Any, path: str = "") -> Iterator[str]:
    """Where in a chunk something was taken away or changed."""
    if isinstance(sent, dict) and isinstance(came, dict):
        for name, value in sent.items():
            where = f"{path}.{name}"
            if name in came:
                yield from lost(value, came[name], where)
            else:
                yield where
    elif isinstance(sent, list) and isinstance(came, list) and len(sent) == len(came):
        for place, pair in enumerate(zip(sent, came, strict=True)):
            yield from lost(*pair, f"{path}[{place}]")
    elif sent != came:
        yield path


async def test_nothing_of_a_chunk_is_lost(feeds: list[Feed], openai: Client) -> None:
    found = []
    for feed, before, after in zip(feeds, *await recorded_reports(openai, feeds), strict=True):
        model = feed.path.stem
        if any(name in model for name in ELSEWHERE):
            continue
        sent, came = (usage_last(report["chunks"]) for report in (before, after))
        assert len(came) - len(sent) in {0, 1}, (
            model
        )  # usage that stood where no client looks comes in a chunk of its own
        paths = {path for one, two in zip(sent, came, strict=False) for path in lost(one, two)}
        allowed = MENDED.get(model, ())
        found += [f"{model}: {path}" for path in sorted(paths) if not any(name in path for name in allowed)]
    assert not found, "\n".join(found)


def usage_last(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The chunks with one for the usage at the end, the last of its kind, wherever it stood."""
    alone = [chunk for chunk in chunks if chunk.get("usage") and not chunk.get("choices")]
    return [chunk for chunk in chunks if chunk not in alone] + alone[-1:]
