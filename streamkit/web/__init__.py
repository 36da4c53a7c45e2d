"""The relay: one completion stream to many browsers and OpenAI clients, resumable."""

from __future__ import annotations

from .access import CORS, Principal, SignedURLs, bearer_tokens
from .encode import Encoder, encoding
from .limits import Limits
from .log import StreamExists, StreamLog, StreamMeta, StreamSealed, StreamState, UnknownStream
from .memory_log import MemoryLog
from .records import Failure, LogGap, Record, StreamEnd
from .refusals import Ended, Refused
from .relay import Relay
from .relayed import Relayed
from .serving import Outlet, serve
from .subscription import RelaySubscription

__all__ = [
    "CORS",
    "Encoder",
    "Ended",
    "Failure",
    "Limits",
    "LogGap",
    "MemoryLog",
    "Outlet",
    "Principal",
    "Record",
    "Refused",
    "Relay",
    "RelaySubscription",
    "Relayed",
    "SignedURLs",
    "StreamEnd",
    "StreamExists",
    "StreamLog",
    "StreamMeta",
    "StreamSealed",
    "StreamState",
    "UnknownStream",
    "bearer_tokens",
    "encoding",
    "serve",
]
