"""The endpoints that start streams: the native one, the streaming guides', and OpenAI's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ..sse import SSEDecoder
from .completion import completion_object
from .failures import failure_answer
from .messages import Answer, headers_of, json_answer, stream_answer
from .read_endpoints import resume_post
from .refusals import Refused
from .requests import ChatCall, chat_call, guide_call, json_object

if TYPE_CHECKING:
    from .access import Principal
    from .encode import EncodingName
    from .messages import Request, StreamAnswer
    from .relay import Relay
    from .relayed import Relayed
    from .subscription import RelaySubscription

__all__ = ["start_guide", "start_native", "start_openai"]

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


async def start_native(relay: Relay, request: Request, principal: Principal) -> Answer | StreamAnswer:
    """Start a stream, and name it, or answer with its events; a reconnecting client gets the one that it names."""
    if (resumed := await resume_post(relay, request, principal)) is not None:
        return resumed
    call = chat_call(await _json(relay, request), relay.limits, relay.models)
    if "text/event-stream" in request.headers.get("accept", ""):
        return await _inline(relay, request, principal, call, "native")
    relayed = await _started(relay, request, principal, call)
    try:
        await relayed.ready()
    except BaseException:
        # The client has left, or the upstream has refused: nobody has heard the stream's id.
        if relayed.created:
            await relay.stop(relayed.id, principal)
        raise
    url = f"{request.root}/streams/{relayed.id}"
    headers = {**headers_of(relayed), "location": url}
    return json_answer({"stream": relayed.id, "url": url}, headers, status=201 if relayed.created else 200)


async def start_guide(relay: Relay, request: Request, principal: Principal) -> Answer | StreamAnswer:
    """Start a stream for a message, and answer with its text."""
    call = guide_call(await _json(relay, request), relay.limits, relay.models)
    return await _inline(relay, request, principal, call, "guide")


async def start_openai(relay: Relay, request: Request, principal: Principal) -> Answer | StreamAnswer:
    """OpenAI's API: start a stream, and answer with its chunks or with all of it."""
    call = chat_call(await _json(relay, request), relay.limits, relay.models)
    if call.stream:
        return await _inline(relay, request, principal, call, "openai")
    return await _whole(relay, request, principal, call)


async def _inline(
    relay: Relay, request: Request, principal: Principal, call: ChatCall, encoding: EncodingName
) -> StreamAnswer:
    """Start a stream and answer with it, once its upstream has said that it will: until then there can be a status."""
    relayed, subscription = await _subscribed(relay, request, principal, call, encoding)
    try:
        await relayed.ready()
    except BaseException:
        subscription.close()
        raise
    return stream_answer(subscription, headers_of(relayed))


async def _whole(relay: Relay, request: Request, principal: Principal, call: ChatCall) -> Answer:
    """Start a stream, read it to its end, and answer with what it adds up to."""
    relayed, subscription = await _subscribed(relay, request, principal, call, "openai")
    decoder, chunks = SSEDecoder(), []
    try:
        await relayed.ready()
        async for data in subscription:
            chunks += [event.data for event in decoder.feed(data)]
    finally:
        subscription.close()
    end = subscription.end
    if end is None or subscription.outcome != "end" or end.failure is not None:
        failure = None if end is None else end.failure
        status, headers, body = failure_answer(RuntimeError() if failure is None else failure)
        return Answer(status, {"content-type": "application/json", **headers_of(relayed), **headers}, body)
    whole = completion_object(chunk.encode() for chunk in chunks if chunk != "[DONE]")
    return json_answer(whole, headers_of(relayed))


async def _subscribed(
    relay: Relay, request: Request, principal: Principal, call: ChatCall, encoding: EncodingName
) -> tuple[Relayed, RelaySubscription]:
    relayed = await _started(relay, request, principal, call)
    # Before anything is waited for: from here on, the client's leaving is the relay's to see.
    usage = call.usage or not call.stream
    return relayed, await relay.subscribe(relayed.id, 0, encoding, principal=principal, include_usage=usage)


async def _started(relay: Relay, request: Request, principal: Principal, call: ChatCall) -> Relayed:
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise Refused(
            "an Idempotency-Key is 1 to 255 printable ASCII characters without spaces",
            status=400,
            code="invalid_idempotency_key",
        )
    try:
        return await relay.start(call.request, principal=principal, idempotency_key=key)
    except (TypeError, ValueError):
        raise Refused("the request cannot be sent to a chat API", status=400, code="invalid_value") from None


async def _json(relay: Relay, request: Request) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # A page of another site can send a form or plain text without asking; JSON it cannot.
    if kind != "application/json":
        raise Refused("the request must be JSON: Content-Type: application/json", status=415, code="not_json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused("the request must not be compressed", status=415, code="compressed")
    return json_object(await request.read(relay.limits.max_body), relay.limits)
