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

from .fault_proxy import FaultProxy, fault_proxy
from .feed import chunk, sse
from .link_faults import LinkFaults
from .replay import Fault, replay_server, tape_script
from .request import ReceivedRequest
from .script import At, Cut, End, Hang, Headers, Raw, Reset, Script, Send, Step, Wait, answer
from .server import ScriptedServer, completion_server

__all__ = [
    "At",
    "Cut",
    "End",
    "Fault",
    "FaultProxy",
    "Hang",
    "Headers",
    "LinkFaults",
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
    "fault_proxy",
    "replay_server",
    "sse",
    "tape_script",
]
