"""The relay's HTTP interface, without a server: a request in, an answer or a stream out. `routes` and `asgi` carry it.

============================  ========================================================================================
POST /streams                 start: 201 `{"stream", "url"}`, or the events at once for `Accept: text/event-stream`
GET /streams/ID               the events, from the start or past `Last-Event-ID` (`?last_event_id=`); 204 past the end
POST /streams/ID/stop         stop it: 204
GET /streams/ID/snapshot      all that is known of it, as one JSON object
GET /streams/ID/state         how far it is
DELETE /streams/ID            stop it and forget it: 204
POST /stream                  the streaming guides' form: `{"message"}` in, `data: {"content"}` … `[DONE]` out
POST /v1/chat/completions     OpenAI's API, streaming or not
GET /v1/models                the models that are offered
GET /health                   200, or 503 once it is closing
============================  ========================================================================================
"""

from __future__ import annotations

import inspect
import logging
import re
import traceback
from typing import TYPE_CHECKING, Final, TypeAlias

from ..errors import StreamError
from . import read_endpoints, start_endpoints
from .access import ANONYMOUS, check_site
from .failures import failure_answer
from .log import UnknownStream
from .messages import Answer, Request, StreamAnswer
from .page import page_file
from .refusals import Ended, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from .access import Principal
    from .relay import Relay

__all__ = ["PATHS", "Answer", "Request", "StreamAnswer", "handle"]

log = logging.getLogger("streamkit.web")

_SAFE: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

_Endpoint: TypeAlias = "Callable[[Relay, Request, Principal], Awaitable[Answer | StreamAnswer]]"


async def handle(relay: Relay, request: Request) -> Answer | StreamAnswer:
    """Answer a request. Whatever is wrong becomes an answer too; only cancellation gets out, and leaves nothing running.

    The server cancels it when the client leaves before there is an answer.
    """
    cors = relay.cors
    answer: Answer | StreamAnswer
    try:
        answer = await _dispatch(relay, request)
    except Ended:
        answer = Answer(204)
    except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer, and the log says where
        if not isinstance(error, Refused | StreamError | UnknownStream):
            # Without its message, which may quote the request.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("a request failed inside the relay: %s\n%s", type(error).__name__, where)  # noqa: TRY400 - see above
        status, headers, body = failure_answer(error)
        answer = Answer(status, {"content-type": "application/json", **headers}, body)
        if status == 401:
            answer.headers["www-authenticate"] = 'Bearer realm="streamkit"'
        if isinstance(error, _MethodRefused):
            answer.headers["allow"] = error.allowed
    headers = dict(_SAFE)
    if cors is not None and request.method != "OPTIONS":
        headers |= cors.headers(request.headers)
    answer.headers = headers | answer.headers
    if request.method == "HEAD" and isinstance(answer, Answer):
        answer.body = b""
    return answer


class _MethodRefused(Refused):
    def __init__(self, allowed: str) -> None:
        super().__init__(f"this path takes {allowed}", status=405, code="method_not_allowed")
        self.allowed = allowed


async def _dispatch(relay: Relay, request: Request) -> Answer | StreamAnswer:
    if relay.page and (answer := _page(request)) is not None:
        return answer
    for pattern, methods in _ROUTES:
        if (match := pattern.fullmatch(request.path)) is None:
            continue
        allowed = ", ".join([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"])
        if request.method == "OPTIONS":
            headers = {"allow": allowed}
            if relay.cors is not None:
                headers |= relay.cors.preflight(request.headers, allowed)
            return Answer(204, headers)
        endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            raise _MethodRefused(allowed)
        check_site(request, relay.cors)
        request.stream_id = match.groupdict().get("id")
        principal = ANONYMOUS if endpoint is read_endpoints.show_health else await _principal(relay, request)
        return await endpoint(relay, request, principal)
    raise Refused("there is nothing at this path", status=404, code="not_found", type="not_found_error")


def _page(request: Request) -> Answer | None:
    """A file of the chat page, which everybody may load: what it asks for afterwards is checked."""
    if (file := page_file(request.path)) is None:
        return None
    if request.method not in {"GET", "HEAD"}:
        raise _MethodRefused("GET, HEAD")
    if file.headers["etag"] in request.headers.get("if-none-match", ""):
        return Answer(304, dict(file.headers))
    return Answer(200, {"content-type": file.content_type, **file.headers}, file.body)


async def _principal(relay: Relay, request: Request) -> Principal:
    if relay.authorize is None:
        return ANONYMOUS
    principal: Principal | Awaitable[Principal | None] | None = relay.authorize(request)
    if inspect.isawaitable(principal):
        principal = await principal
    if principal is None:
        raise Refused(
            "this relay asks for a token that is its own: Authorization: Bearer TOKEN",
            status=401,
            code="invalid_token",
            type="authentication_error",
        )
    return principal


PATHS: Final[Mapping[str, Mapping[str, _Endpoint]]] = {
    "/streams": {"POST": start_endpoints.start_native},
    "/streams/{id}": {"GET": read_endpoints.read_stream, "DELETE": read_endpoints.delete_stream},
    "/streams/{id}/stop": {"POST": read_endpoints.stop_stream},
    "/streams/{id}/snapshot": {"GET": read_endpoints.show_snapshot},
    "/streams/{id}/state": {"GET": read_endpoints.show_state},
    "/stream": {"POST": start_endpoints.start_guide},
    "/v1/chat/completions": {"POST": start_endpoints.start_openai},
    "/v1/models": {"GET": read_endpoints.list_models},
    "/health": {"GET": read_endpoints.show_health},
}
"""What stands where; `{id}` is a stream."""

_ROUTES: Final = [(re.compile(path.replace("{id}", "(?P<id>[^/]+)")), methods) for path, methods in PATHS.items()]
