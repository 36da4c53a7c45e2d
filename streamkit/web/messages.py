"""A request and its answers, as no server in particular has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from .encode import Encoder
    from .relayed import Relayed
    from .subscription import RelaySubscription

__all__ = ["Answer", "Request", "StreamAnswer", "headers_of", "headers_of_encoding", "json_answer", "stream_answer"]


@dataclass(slots=True)
class Request:
    """A request, of whatever server.

    Args:
        method: in capitals.
        path: below the place where the relay is mounted, percent-decoded.
        headers: names in lower case.
        read: reads the body; raises Refused (413) where it is longer than so many bytes.
        query: the parameters of the URL; of several with one name, the last.
        root: the path where the relay is mounted, without a slash at its end: what links begin with.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    read: Callable[[int], Awaitable[bytes]]
    query: Mapping[str, str] = field(default_factory=dict)
    root: str = ""
    stream_id: str | None = None
    """The stream that the path names, once it is known."""


@dataclass(slots=True)
class Answer:
    """An answer that is whole."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True)
class StreamAnswer:
    """An answer whose body is a subscription, which is the server's to serve and to close."""

    subscription: RelaySubscription
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


def json_answer(body: object, headers: Mapping[str, str], *, status: int = 200) -> Answer:
    """An answer of JSON."""
    return Answer(status, {"content-type": "application/json", **headers}, msgspec.json.encode(body))


def headers_of(relayed: Relayed) -> dict[str, str]:
    """The headers that name a stream, and the upstream's request."""
    headers = {"x-streamkit-stream": relayed.id}
    if relayed.request_id is not None:
        headers["x-request-id"] = relayed.request_id
    return headers


def stream_answer(subscription: RelaySubscription, headers: Mapping[str, str]) -> StreamAnswer:
    """The answer whose body is a subscription, with the headers of its encoding and these."""
    return StreamAnswer(subscription, {**headers_of_encoding(subscription.encoder), **headers})


def headers_of_encoding(encoder: Encoder) -> dict[str, str]:
    """The headers of a body in an encoding."""
    own = {name.lower(): value for name, value in encoder.headers.items()}
    return {"content-type": encoder.content_type, **own}
