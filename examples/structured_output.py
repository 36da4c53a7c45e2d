"""A recipe as a Python object, and on the way there as far as the model has got.

Runs against a server of its own that answers by script, whatever the environment says; with a real one, only the address differs.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

from msgspec import Meta

from streamkit import StreamDriver
from streamkit.testing import Send, Wait, chunk, completion_server, sse
from streamkit.tools import ParseFailed, stream_parsed


class Effort(Enum):
    LOW = "low"
    HIGH = "high"


@dataclass
class Step:
    what: str
    minutes: Annotated[int, Meta(ge=0)]


@dataclass
class Recipe:
    title: str
    effort: Effort
    steps: list[Step]
    tip: str | None = None


STEPS = [{"what": "Bring a pot of water to the boil", "minutes": 5}, {"what": "Cook the spaghetti", "minutes": 9}]
ANSWER = json.dumps({"title": "Spaghetti", "effort": "low", "steps": STEPS, "tip": None})
PIECES = [ANSWER[at : at + 12] for at in range(0, len(ANSWER), 12)]


def show(partial: dict[str, Any]) -> None:
    """Only what is there can be shown: texts as far as they go, numbers and the effort when they are whole."""
    steps = partial.get("steps", [])
    latest = f"{len(steps)}. {steps[-1].get('what', '')}" if steps else ""
    print(f"  {partial.get('title', ''):10} {partial.get('effort', ''):4} {latest}")


async def main() -> None:
    slowly = [step for piece in PIECES for step in (Send(sse(chunk(piece), done=False)), Wait(0.01))]
    good = [*slowly, Send(sse(chunk(finish_reason="stop")))]
    wrong = sse(chunk('{"title": "Soup", "effort": "none", "steps": []}', finish_reason="stop"))
    async with completion_server(good, wrong) as server, StreamDriver(server.base_url, "none", model="any") as driver:
        stream = stream_parsed(driver, "How do I cook spaghetti?", Recipe)
        stream.on("partial", show)
        recipe = (await stream).parsed
        print(f"{recipe.title}: {recipe.effort}, {sum(step.minutes for step in recipe.steps)} minutes")

        try:
            await stream_parsed(driver, "And soup?", Recipe)
        except ParseFailed as error:
            print(f"{error}\n  why   {error.detail}\n  text  {error.completion.text}")


if __name__ == "__main__":
    asyncio.run(main())
