"""What the conventions for generative AI have names for: of a request, of a completion, of a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import get_value
from opentelemetry.util.genai.invocation import CLIENT_INFERENCE_CONTEXT_KEY, InferenceData
from opentelemetry.util.genai.types import Error

from ..errors import StreamAborted
from .content import is_own_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.util.genai.invocation import InferenceInvocation
    from opentelemetry.util.types import AttributeValue

    from ..errors import StreamError
    from ..model import Chunk, Completion, Usage

__all__ = [
    "describe_chunk",
    "describe_completion",
    "describe_request",
    "encodable",
    "error_of",
    "is_counted_elsewhere",
    "metric_attributes",
    "split_server",
]

_OUTPUT_TYPES: Final = {"text": "text", "json_object": "json", "json_schema": "json"}


def describe_request(invocation: InferenceInvocation, request: Mapping[str, Any]) -> None:
    """Its parameters; what is not of the type that the API asks for is left to the server to complain about."""
    invocation.request_stream = True
    invocation.temperature = _number(request.get("temperature"))
    invocation.top_p = _number(request.get("top_p"))
    invocation.top_k = _count(request.get("top_k"))
    invocation.frequency_penalty = _number(request.get("frequency_penalty"))
    invocation.presence_penalty = _number(request.get("presence_penalty"))
    invocation.max_tokens = _count(request.get("max_completion_tokens", request.get("max_tokens")))
    invocation.seed = _whole(request.get("seed"))
    invocation.stop_sequences = _texts(request.get("stop"))
    invocation.reasoning_level = _text(request.get("reasoning_effort"))
    if (choices := _count(request.get("n"))) != 1:
        invocation.request_choice_count = choices
    invocation.output_type = _OUTPUT_TYPES.get(str(_dict(request.get("response_format")).get("type")))
    if (tier := _text(request.get("service_tier"))) is not None:
        invocation.attributes["openai.request.service_tier"] = tier


def describe_chunk(invocation: InferenceInvocation, chunk: Chunk) -> None:
    """What the first chunk says of the server; before its time is recorded, so that the metric knows the model."""
    if chunk.model is not None:
        invocation.response_model_name = encodable(chunk.model)
    for name in ("service_tier", "system_fingerprint"):
        if (value := _text(chunk.extra.get(name))) is not None:
            invocation.attributes[f"openai.response.{name}"] = value


def describe_completion(invocation: InferenceInvocation, completion: Completion) -> None:
    """What is known at the end; of what the server did not say, nothing is made up."""
    if completion.id is not None:
        invocation.response_id = encodable(completion.id)
    if completion.model is not None:
        invocation.response_model_name = encodable(completion.model)
    invocation.finish_reasons = [
        encodable(choice.finish_reason) for choice in completion.choices if choice.finish_reason is not None
    ]
    if completion.usage is not None:
        _describe_usage(invocation, completion.usage)


def error_of(failure: StreamError | StreamAborted, completion: Completion, *, with_content: bool) -> Error | None:
    """What a failure is for the conventions; None for an answer that was whole when its reader left.

    >>> from streamkit.errors import StatusError
    >>> from streamkit.model import Completion
    >>> error_of(StatusError("429: you asked: a secret", status=429), Completion(), with_content=False)
    Error(message='StatusError: 429', type='429', exception=None)
    """
    if isinstance(failure, StreamAborted):
        if completion.choices and all(choice.finish_reason for choice in completion.choices):
            return None
        if completion.ended_by == "cancel":
            return Error(message="the stream was cancelled", type="asyncio.exceptions.CancelledError")
        return Error(message=encodable(str(failure)), type=_name(failure))
    status = failure.status
    # A server's own error codes are its to invent, and an attribute of a metric has to have few values.
    kind = str(status) if status is not None and 100 <= status <= 599 else _name(failure)
    if with_content or is_own_message(failure):
        return Error(message=encodable(failure.message), type=kind)
    words = type(failure).__name__
    return Error(message=words if status is None else f"{words}: {status}", type=kind)


def metric_attributes(invocation: InferenceInvocation) -> dict[str, AttributeValue]:
    """What the metrics of an invocation are told apart by, as far as it is known; opentelemetry-util-genai's own do the same."""
    known = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": invocation.provider,
        "gen_ai.request.model": invocation.request_model,
        "gen_ai.response.model": invocation.response_model_name,
        "server.address": invocation.server_address,
        "server.port": invocation.server_port,
    }
    return {name: value for name, value in known.items() if value is not None} | invocation.metric_attributes


def is_counted_elsewhere(context: Context) -> bool:
    """Whether another client's invocation is around, which records the metrics for both."""
    return isinstance(get_value(CLIENT_INFERENCE_CONTEXT_KEY, context=context), InferenceData)


def split_server(server: str | None) -> tuple[str | None, int | None]:
    """`StreamStart.server` as `server.address` and `server.port`.

    >>> split_server("api.example.com:443"), split_server("[::1]:8000"), split_server(None)
    (('api.example.com', 443), ('::1', 8000), (None, None))
    """
    address, _, port = (server or "").rpartition(":")
    address = address.removeprefix("[").removesuffix("]")
    return (address, int(port)) if address and port.isdecimal() else (None, None)


def encodable(text: str) -> str:
    """The text without halves of surrogate pairs: one of them would make the export of a whole batch fail.

    >>> encodable("a\\ud800")
    'a?'
    """
    return text.encode("utf-8", "replace").decode()


def _describe_usage(invocation: InferenceInvocation, usage: Usage) -> None:
    invocation.input_tokens = _count(usage.prompt_tokens)
    invocation.output_tokens = _count(usage.completion_tokens)
    # Parts of the two totals, never to be added to them.
    prompt, completion = (_dict(usage.extra.get(f"{name}_tokens_details")) for name in ("prompt", "completion"))
    invocation.cache_read_input_tokens = _count(prompt.get("cached_tokens", usage.extra.get("prompt_cache_hit_tokens")))
    invocation.cache_write_input_tokens = _count(prompt.get("cache_write_tokens"))
    invocation.thinking_tokens = _count(completion.get("reasoning_tokens"))
    modalities = ("text", "image", "audio")
    invocation.set_input_tokens([(kind, _count(prompt.get(f"{kind}_tokens"))) for kind in modalities])
    invocation.set_output_tokens([(kind, _count(completion.get(f"{kind}_tokens"))) for kind in modalities])


def _name(failure: BaseException) -> str:
    return f"{type(failure).__module__}.{type(failure).__qualname__}"


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    # OTLP's integers have 64 bits.
    return value if type(value) is int and -(2**63) <= value < 2**63 else None


def _count(value: object) -> int | None:
    whole = _whole(value)
    return whole if whole is not None and whole >= 0 else None


def _text(value: object) -> str | None:
    return encodable(value) if isinstance(value, str) else None


def _texts(value: object) -> list[str] | None:
    if isinstance(value, str):
        return [encodable(value)]
    if isinstance(value, list | tuple):
        return [encodable(each) for each in value if isinstance(each, str)] or None
    return None


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
