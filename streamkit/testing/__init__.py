r"""Servers to test subscribers with: real HTTP over loopback, by script or from a tape, with all that can go wrong.

>>> import asyncio, aiohttp
>>> async def main():
...     feed = sse(chunk("Hel", role="assistant"), chunk("lo"), chunk(finish_reason="stop"))
...     async with completion_server(feed, [Send(feed[:200]), Reset()]) as server, aiohttp.ClientSession() as session:
...         for _ in range(2):
...             try:
...                 async with session.post(server.base_url + "/chat/completions", json={}) as response:
...                     print("whole:", await response.read() == feed)
...             except aiohttp.ClientError:
...                 print("cut")
>>> asyncio.run(main())
whole: True
cut
"""

from __future__ import annotations

from .feed import chunk, sse
from .replay import Fault, replay_server, tape_script
from .request import ReceivedRequest
from .script import At, Cut, End, Hang, Headers, Raw, Reset, Script, Send, Step, Wait, answer
from .server import ScriptedServer, completion_server

__all__ = [
    "At",
    "Cut",
    "End",
    "Fault",
    "Hang",
    "Headers",
    "Raw",
    "ReceivedRequest",
    "Reset",
    "Script",
    "ScriptedServer",
    "Send",
    "Step",
    "Wait",
    "answer",
    "chunk",
    "completion_server",
    "replay_server",
    "sse",
    "tape_script",
]
