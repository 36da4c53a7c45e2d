"""A model looks for a treasure: three functions are all it has, and every step is drawn as it is made.

Runs as it stands: without OPENAI_BASE_URL, against a server of its own that plays a model which knows the way, almost.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from streamkit import StreamDriver
from streamkit.testing import Send, chunk, completion_server, sse
from streamkit.testing.script import Script
from streamkit.tools import RoundStart, ToolFailure, ToolResult, run_tools

SEA, ISLAND, CHEST = "~", ".", (3, 1)
STEPS = {"north": (0, -1), "south": (0, 1), "west": (-1, 0), "east": (1, 0)}
PROMPT = "You are a pirate on an island. Find the treasure with your tools, then say where it was, in one sentence."


class Island:
    """A small one; what its methods return is all that the model sees of it."""

    rows = ("~~~~~~", "~....~", "~.~..~", "~....~", "~~~~~~")

    def __init__(self) -> None:
        self.x, self.y = 1, 3

    def look(self) -> dict[str, str]:
        """See what lies around you."""
        return {way: "sea" if self.at(way) == SEA else "sand" for way in STEPS}

    def walk(self, way: Literal["north", "south", "west", "east"], steps: int = 1) -> str:
        """Walk along the island.

        Args:
            way: where to
            steps: how many
        """
        for _ in range(steps):
            if self.at(way) == SEA:
                raise ValueError("you would drown: there is the sea")
            dx, dy = STEPS[way]
            self.x, self.y = self.x + dx, self.y + dy
        return f"you have walked {way}; the chest is {abs(self.x - CHEST[0]) + abs(self.y - CHEST[1])} steps away"

    def dig(self) -> str:
        """Dig where you stand."""
        return "gold!" if (self.x, self.y) == CHEST else "nothing but sand"

    def at(self, way: str) -> str:
        dx, dy = STEPS[way]
        return self.rows[self.y + dy][self.x + dx]

    def __str__(self) -> str:
        drawn = [list(row) for row in self.rows]
        drawn[self.y][self.x] = "@"
        return "\n".join("    " + " ".join(row) for row in drawn)


def turn(text: str, *calls: tuple[str, object]) -> Script:
    """What the model of the server of our own says in one round."""
    deltas = [
        {"index": n, "id": f"{text[:3]}{n}", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for n, (name, arguments) in enumerate(calls)
    ]
    words = [chunk(f"{word} ") for word in text.split()]
    return [Send(sse(*words, *([chunk(tool_calls=deltas)] if calls else []), chunk(finish_reason="stop")))]


@asynccontextmanager
async def base_url() -> AsyncIterator[str]:
    if url := os.environ.get("OPENAI_BASE_URL"):
        yield url
        return
    turns = [
        turn("Arr! Where am I?", ("look", {})),
        turn("Sand to the north.", ("walk", {"way": "north", "steps": 2})),
        turn("North again!", ("walk", {"way": "north"})),
        turn("Not for me. Then east.", ("walk", {"way": "east", "steps": "two"})),
        turn("In numbers, then.", ("walk", {"way": "east", "steps": 2})),
        turn("Here I dig.", ("dig", {})),
        turn("The gold lay in the north-east of the island, two steps along the shore!"),
    ]
    async with completion_server(*turns) as server:
        yield server.base_url


async def main() -> None:
    island = Island()
    async with base_url() as url, StreamDriver(url, model=os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")) as driver:
        stream = run_tools(
            driver, PROMPT, [island.look, island.walk, island.dig], parallel=False, max_rounds=30, tool_timeout=5
        )
        stream.on("text", lambda text: print(text, end="", flush=True))

        @stream.on("round")
        def draw(start: RoundStart) -> None:
            print(f"\n{island}\n")

        @stream.on("tool_result")
        def show(result: ToolResult) -> None:
            print(f"\n  {result.call.name}: {result.content}")

        @stream.on("tool_error")
        def complain(failure: ToolFailure) -> None:
            print(f"\n  {failure.call.name}: {failure.content}")

        completion = await stream

    calls = [answer for each in completion.rounds for answer in each.answers]
    failed = sum(isinstance(answer, ToolFailure) for answer in calls)
    print(f"\n\n{len(completion.rounds)} rounds, {len(calls)} calls, {failed} of them failed")


if __name__ == "__main__":
    asyncio.run(main())
