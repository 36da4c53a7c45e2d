"""What a client may ask for: the JSON body of a request -> the request that goes upstream.

Fields that streamkit does not know go through: an upstream may. What could choose another server, key or header on the way is
refused, whatever stands behind the relay: proxies that route by such fields have lost their keys to them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, NoReturn

import msgspec

from .refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .limits import Limits

__all__ = ["ChatCall", "chat_call", "guide_call", "json_object"]

ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")

_FORBIDDEN: Final = frozenset(
    (
        "api_base", "api_key", "api_type", "api_version", "authorization", "aws_access_key_id", "aws_region_name",
        "aws_secret_access_key", "aws_session_token", "azure_ad_token", "azure_endpoint", "base_url", "custom_llm_provider",
        "default_headers", "deployment_id", "endpoint", "extra_body", "extra_headers", "extra_query", "fallbacks", "headers",
        "host", "model_list", "organization", "project", "proxy", "router_settings_override", "timeout", "upstream", "url",
        "user_config", "vertex_credentials", "vertex_location", "vertex_project",
    )
)  # fmt: skip

_PLAIN: Final = re.compile(r"[^\x00-\x1f\x7f]{1,256}")
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"')
_BRACKET: Final = re.compile(rb"[\[\]{}]")


class ChatCall(NamedTuple):
    """A request that may go upstream, and what of it is the relay's to do.

    Attributes:
        request: the body for the upstream; the relay streams it and asks for usage, whatever the client wants.
        stream: the client wants a stream, not one whole answer.
        usage: it wants the usage in that stream.
    """

    request: dict[str, Any]
    stream: bool
    usage: bool


def json_object(body: bytes, limits: Limits) -> dict[str, Any]:
    """The JSON object of a request's body; raises Refused (400, 413), showing nothing of it.

    >>> from streamkit.web.limits import Limits
    >>> json_object(b'{"a": [1]}', Limits())
    {'a': [1]}
    >>> json_object(b"[[1]]", Limits(max_depth=1))
    Traceback (most recent call last):
    ...
    streamkit.web.refusals.Refused: the JSON of the request nests deeper than 1 levels
    """
    if len(body) > limits.max_body:
        raise too_large(limits)
    if limits.max_depth is not None and _depth(body, limits.max_depth) > limits.max_depth:
        _bad(f"the JSON of the request nests deeper than {limits.max_depth} levels", code="too_deep")
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):  # msgspec's DecodeError and UnicodeDecodeError are ValueErrors
        raise Refused("the body of the request is not valid JSON", status=400, code="invalid_json") from None
    if not isinstance(value, dict):
        _bad("the body of the request must be a JSON object", code="invalid_json")
    return value


def too_large(limits: Limits) -> Refused:
    """The answer to a body that is larger than allowed."""
    return Refused(f"the request is larger than {limits.max_body} bytes", status=413, code="request_too_large")


def chat_call(body: Mapping[str, Any], limits: Limits, models: Collection[str] | None = None) -> ChatCall:
    """The call for a request of OpenAI's chat API; raises Refused (400, 403), naming the field and never its content.

    Args:
        body: the request, as JSON says it.
        limits: how much it may ask for.
        models: those that may be asked for, the first one where none is named; None: any.

    >>> from streamkit.web.limits import Limits
    >>> chat_call({"messages": [{"role": "user", "content": "hi"}], "n": 1}, Limits(), ["small"]).request
    {'messages': [{'role': 'user', 'content': 'hi'}], 'n': 1, 'model': 'small'}
    >>> chat_call({"messages": [], "api_base": "http://evil"}, Limits())
    Traceback (most recent call last):
    ...
    streamkit.web.refusals.Refused: 'api_base' is not for a client to choose: leave it out
    """
    request = dict(body)
    for name in request:
        if _is_forbidden(name):
            shown = name if len(name) <= 64 and name.isprintable() else "a field of the request"
            _bad(f"{shown!r} is not for a client to choose: leave it out", name, code="forbidden_field")
    _check_messages(request.get("messages"), limits)
    _check_model(request, models)
    _check_sizes(request, limits)
    stream = request.pop("stream", False)
    if stream is None:
        stream = False
    if not isinstance(stream, bool):
        _bad("stream must be true or false", "stream")
    options = request.pop("stream_options", None)
    if options is not None and not isinstance(options, dict):
        _bad("stream_options must be an object", "stream_options")
    usage = bool(options and options.get("include_usage"))
    if options:
        request["stream_options"] = {**options, "include_usage": True}
    return ChatCall(request, stream, usage)


def guide_call(body: Mapping[str, Any], limits: Limits, models: Collection[str] | None = None) -> ChatCall:
    """The call for a request in the shape of the streaming guides: `{"message": "…"}`, or `{"messages": […]}`.

    >>> from streamkit.web.limits import Limits
    >>> guide_call({"message": "hi"}, Limits()).request
    {'messages': [{'role': 'user', 'content': 'hi'}]}
    """
    request = dict(body)
    if "message" in request:
        message = request.pop("message")
        if "messages" in request:
            _bad("a request has either message or messages, not both", "message")
        if not isinstance(message, str) or not message.strip():
            _bad("message must be a text that is not empty", "message")
        request["messages"] = [{"role": "user", "content": message}]
    elif "messages" not in request:
        _bad('the request needs a message, as in {"message": "Hello"}', "message", code="missing_field")
    return chat_call(request, limits, models)


def _is_forbidden(name: str) -> bool:
    plain = name.lower().replace("-", "_")
    return plain in _FORBIDDEN or plain.startswith(("litellm_", "x_streamkit_"))


def _check_messages(messages: object, limits: Limits) -> None:
    if messages is None:
        _bad("the request has no messages", "messages", code="missing_field")
    if not isinstance(messages, list) or not messages:
        _bad("messages must be a list of at least one message", "messages")
    if limits.max_messages is not None and len(messages) > limits.max_messages:
        _bad(f"the request has more than {limits.max_messages} messages", "messages", code="too_many_messages")
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        if not isinstance(message, dict):
            _bad(f"{where} must be an object with a role and content", where)
        if message.get("role") not in ROLES:
            _bad(f"{where}.role must be one of {', '.join(ROLES)}", f"{where}.role")
        content = message.get("content")
        if isinstance(content, list):
            if not all(isinstance(part, dict) for part in content):
                _bad(f"{where}.content must be a text or a list of objects", f"{where}.content")
        elif content is not None and not isinstance(content, str):
            _bad(f"{where}.content must be a text or a list of objects", f"{where}.content")
        if message["role"] == "user" and not content:
            _bad(f"{where}.content is empty", f"{where}.content")


def _check_model(request: dict[str, Any], models: Collection[str] | None) -> None:
    model = request.get("model")
    if model is None:
        request.pop("model", None)
        if models:
            request["model"] = next(iter(models))
    elif not isinstance(model, str) or not _PLAIN.fullmatch(model):
        _bad("model must be a text of one line", "model")
    elif models is not None and model not in models:
        raise Refused(
            "this model is not offered here: GET /v1/models lists those that are",
            status=404,
            code="model_not_found",
            param="model",
        )


def _check_sizes(request: dict[str, Any], limits: Limits) -> None:
    n = request.get("n")
    if n is not None:
        if type(n) is not int or n < 1:
            _bad("n must be a whole number, 1 or more", "n")
        if limits.max_choices is not None and n > limits.max_choices:
            _bad(f"n may be at most {limits.max_choices}", "n", code="too_many_choices")
    named: list[Literal["max_tokens", "max_completion_tokens"]] = []
    for name in ("max_tokens", "max_completion_tokens"):
        value = request.get(name)
        if value is None:
            continue
        if type(value) is not int or value < 1:
            _bad(f"{name} must be a whole number, 1 or more", name)
        named.append(name)
        if limits.max_tokens is not None:
            request[name] = min(value, limits.max_tokens)
    if limits.max_tokens is not None and not named:
        request["max_tokens"] = limits.max_tokens


def _depth(body: bytes, limit: int) -> int:
    """How deep the brackets nest; stops counting above the limit, before a parser has to follow them."""
    if body.count(b"[") + body.count(b"{") <= limit:
        return 0
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > limit:
            break
    return depth


def _bad(message: str, param: str | None = None, *, code: str = "invalid_value") -> NoReturn:
    raise Refused(message, status=400, code=code, param=None if param is None or not _PLAIN.fullmatch(param) else param)
