"""The endpoints of streams that are there: read on, look, stop, delete. And what is offered."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .encode import STREAM_ID
from .failures import not_found
from .messages import Answer, json_answer, stream_answer
from .refusals import Refused

if TYPE_CHECKING:
    from .access import Principal
    from .messages import Request, StreamAnswer
    from .relay import Relay

__all__ = [
    "delete_stream",
    "list_models",
    "read_stream",
    "resume_post",
    "show_health",
    "show_snapshot",
    "show_state",
    "stop_stream",
]

_EVENT_ID: Final = re.compile(r"([A-Za-z0-9_-]{1,128}):(end|[0-9]{1,15})")


async def read_stream(relay: Relay, request: Request, principal: Principal) -> Answer | StreamAnswer:
    """The events, from the start or past the last one that the client has seen; 204 past the end."""
    stream_id = _stream_id(request)
    if request.method == "HEAD":
        state = await relay.state(stream_id, principal)
        headers = {"content-type": "text/event-stream", "x-streamkit-stream": stream_id}
        return Answer(200, {**headers, "x-streamkit-status": state.status, "x-streamkit-seq": str(state.seq)})
    cursor = _cursor(request)
    if cursor is not None and cursor[0] != stream_id:
        raise Refused(
            "the Last-Event-ID is one of another stream",
            status=400,
            code="invalid_last_event_id",
            param="last_event_id",
        )
    return await _resume(relay, principal, stream_id, "0" if cursor is None else cursor[1])


async def resume_post(relay: Relay, request: Request, principal: Principal) -> Answer | StreamAnswer | None:
    """The rest of the stream whose event a POST names as its last: some clients reconnect with the request they began with."""
    cursor = _cursor(request)
    return None if cursor is None else await _resume(relay, principal, *cursor)


async def _resume(relay: Relay, principal: Principal, stream_id: str, place: str) -> Answer | StreamAnswer:
    if place == "end":
        await relay.state(stream_id, principal)  # 404 for one that is not there, or somebody else's
        return Answer(204, {"x-streamkit-stream": stream_id})
    subscription = await relay.subscribe(stream_id, int(place), "native", principal=principal)
    return stream_answer(subscription, {"x-streamkit-stream": stream_id})


def _cursor(request: Request) -> tuple[str, str] | None:
    """The stream and the place that the client names as the last it has seen; the header is fresher than the URL."""
    text = request.headers.get("last-event-id") or request.query.get("last_event_id")
    if not text:
        return None
    if (match := _EVENT_ID.fullmatch(text)) is None:
        raise Refused(
            "this Last-Event-ID is none that the relay has sent",
            status=400,
            code="invalid_last_event_id",
            param="last_event_id",
        )
    return match[1], match[2]


async def show_snapshot(relay: Relay, request: Request, principal: Principal) -> Answer:
    """All that is known of it."""
    stream_id = _stream_id(request)
    return json_answer(await relay.snapshot(stream_id, principal), {"x-streamkit-stream": stream_id})


async def show_state(relay: Relay, request: Request, principal: Principal) -> Answer:
    """How far it is."""
    stream_id = _stream_id(request)
    state = await relay.state(stream_id, principal)
    body = {"stream": stream_id, "status": state.status, "seq": state.seq, "reason": state.reason}
    return json_answer(body, {"x-streamkit-stream": stream_id})


async def stop_stream(relay: Relay, request: Request, principal: Principal) -> Answer:
    """Stop it."""
    await relay.stop(_stream_id(request), principal)
    return Answer(204)


async def delete_stream(relay: Relay, request: Request, principal: Principal) -> Answer:
    """Stop it and forget it."""
    await relay.delete(_stream_id(request), principal)
    return Answer(204)


async def list_models(relay: Relay, request: Request, principal: Principal) -> Answer:
    """The models that are offered."""
    models = [{"id": model, "object": "model", "created": 0, "owned_by": "streamkit"} for model in relay.models or ()]
    return json_answer({"object": "list", "data": models}, {})


async def show_health(relay: Relay, request: Request, principal: Principal) -> Answer:
    """Whether the relay takes requests."""
    if relay.closed:
        return json_answer({"status": "closing"}, {}, status=503)
    return json_answer({"status": "ok"}, {})


def _stream_id(request: Request) -> str:
    if request.stream_id is None or not STREAM_ID.fullmatch(request.stream_id):
        raise not_found()
    return request.stream_id
