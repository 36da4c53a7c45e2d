"""What OpenAI's clients make of every recorded feed, straight and relayed: asked for once, for several tests."""

from __future__ import annotations

from typing import Any, NamedTuple

from benchmarks.judges.answers import ByModel
from benchmarks.judges.client import Client
from benchmarks.judges.stage import staged
from streamkit.testing import End, Send

from ...feeds import Feed

__all__ = ["Reports", "feeds_upstream", "recorded_reports"]


class Reports(NamedTuple):
    """A report for each feed."""

    straight: list[dict[str, Any]]
    relayed: list[dict[str, Any]]


_known: dict[str, Reports] = {}


def feeds_upstream(feeds: list[Feed]) -> ByModel:
    """A server that has each feed as the answer of a model of its name."""
    return ByModel({feed.path.stem: [Send(feed.body), End()] for feed in feeds})


async def recorded_reports(client: Client, feeds: list[Feed]) -> Reports:
    """Both reports of that client."""
    if client.name not in _known:
        models = [feed.path.stem for feed in feeds]
        async with feeds_upstream(feeds) as upstream, staged(upstream.base_url) as stage:
            straight = await client.reports(upstream.base_url, models)
            _known[client.name] = Reports(straight, await client.reports(stage.base_url, models))
    return _known[client.name]
