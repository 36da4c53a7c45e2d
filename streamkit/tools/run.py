"""`run_tools`: a completion whose calls are answered, until there are none. `tool_results`: one round of that, by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .calls import Approve, CallPolicy, OnError, answer_calls
from .results import round_messages
from .rounds import ToolSource
from .tool import Tool, tools_by_name
from .tool_stream import ToolStream

if TYPE_CHECKING:
    from pyee import EventEmitter

    from ..driver import StreamDriver
    from ..model import Completion
    from ..settings import RetryPolicy, Timeout
    from ..stream import Source
    from ..wire.request import Prompt
    from .payloads import ToolAnswer

__all__ = ["run_tools", "tool_results"]

Tools = Iterable[Tool[..., Any] | Callable[..., Any]]


def run_tools(
    driver: StreamDriver,
    prompt: Prompt,
    tools: Tools,
    *,
    max_rounds: int = 10,
    parallel: bool | int = True,
    tool_timeout: float | None = 60.0,
    on_error: OnError = "tell_model",
    approve: Approve | None = None,
    reasoning_field: str | None = None,
    model: str | None = None,
    timeout: Timeout | None = None,
    retries: int | RetryPolicy | None = None,
    headers: Mapping[str, str] | None = None,
    emitter: EventEmitter | None = None,
    extra_body: Mapping[str, Any] | None = None,
    **request: Any,  # noqa: ANN401 - what the API takes, as given
) -> ToolStream:
    """A stream over as many completions as it takes: the calls of each are made, their results sent, the next one asked for.

    It has not started. Its events are those of every completion, and `round` before each, then for each of its calls
    `tool_start` and `tool_result` or `tool_error`; one `done`, `error` or `abort`, and one `end`, as of any stream. Its
    completion is a `ToolCompletion`.

    Args:
        driver: what opens the connections; with what follows as `driver.stream` takes it.
        prompt: a prompt, a list of messages, or a whole request (without tools).
        tools: functions, with annotations; `tool` says what it takes.
        max_rounds: how many completions are asked for at most. A model that still calls in the last one: TooManyRounds.
        parallel: the calls of one completion run together, 64 at most; False: one after the other; a number: so many at once.
            Plain functions run in threads, coroutine functions on the loop.
        tool_timeout: how long one call may take, in seconds, unless its tool has a limit of its own; None: any time. An async
            function is cancelled then; a thread cannot be, and is left to itself.
        on_error: what follows from a call that has no result (`tool_error` says why): "tell_model", which may then do better, or
            "raise": the stream ends with ToolFailed.
        approve: a function of a `ToolCall`, sync (run in a thread, so that it may ask at a prompt) or async, called before a
            call is made, for one call at a time; True: it is made. If False, the model is told so. If it raises, or returns
            anything else, nothing is called and the stream ends with ToolFailed.
        reasoning_field: the name under which a model's reasoning is sent back with its calls: DeepSeek insists on
            "reasoning_content". None: it is not sent back.

    A `tool_choice` that forces a call holds for the first round only, else the model would call for ever. `Timeout.total` limits
    the whole run, its other limits each completion; `retries` counts for each completion. `abort()` also cancels what runs of
    the functions. They see the context variables that were current when `run_tools` was called.

    Raises:
        TypeError, ValueError: what makes no sense, by name.

    >>> import asyncio
    >>> from streamkit import StreamDriver
    >>> from streamkit.testing import Send, chunk, completion_server, sse
    >>> def add(a: int, b: int) -> int:
    ...     '''Add two numbers.'''
    ...     return a + b
    >>> call = {"index": 0, "id": "call_1", "function": {"name": "add", "arguments": '{"a": 2, "b": 3}'}}
    >>> rounds = [chunk(tool_calls=[call], finish_reason="tool_calls")], [chunk("It is 5.", finish_reason="stop")]
    >>> async def main():
    ...     server = completion_server(*([Send(sse(*chunks))] for chunks in rounds))
    ...     async with server, StreamDriver(server.base_url) as driver:
    ...         stream = run_tools(driver, "What is 2 + 3?", [add])
    ...         stream.on("tool_result", lambda result: print(result.call.name, "gave", result.value))
    ...         completion = await stream
    ...     print(completion, len(completion.rounds), [message["role"] for message in completion.messages])
    >>> asyncio.run(main())
    add gave 5
    It is 5. 2 ['user', 'assistant', 'tool', 'assistant']
    """
    if type(max_rounds) is not int or max_rounds < 1:
        raise ValueError(f"max_rounds must be a whole number, 1 or more, not {max_rounds!r}")
    if reasoning_field is not None and (type(reasoning_field) is not str or not reasoning_field):
        raise ValueError(
            f"reasoning_field must be the name of a field, as in 'reasoning_content', not {reasoning_field!r}"
        )
    policy = CallPolicy(
        tools_by_name(tools), parallel=parallel, tool_timeout=tool_timeout, on_error=on_error, approve=approve
    )
    for given in (prompt, extra_body, request):
        if isinstance(given, Mapping):
            _check_request(given)
    source, settings = driver.source(
        prompt,
        model=model,
        timeout=timeout,
        retries=retries,
        headers=headers,
        extra_body=extra_body,
        tools=[each.definition for each in policy.tools.values()],
        **request,
    )

    def ask(body: Mapping[str, Any]) -> Source:
        # A body without stream_options had them taken out: None keeps them out.
        return driver.source({"stream_options": None, **body}, timeout=timeout, retries=retries, headers=headers)[0]

    policy = replace(policy, redact=source.redact)
    rounds = ToolSource(source, ask, policy, max_rounds=max_rounds, reasoning_field=reasoning_field)
    return driver.adopt(ToolStream(rounds, settings=settings, emitter=emitter))


async def tool_results(
    completion: Completion,
    tools: Tools,
    *,
    parallel: bool | int = True,
    tool_timeout: float | None = 60.0,
    on_error: OnError = "tell_model",
    approve: Approve | None = None,
    reasoning_field: str | None = None,
) -> list[dict[str, Any]]:
    """Make the calls of a completion; return what to add to the messages: the model's own, and a result for each of its calls.

    For a loop of your own, with `tools=[tool.definition, …]` in the request. The arguments are those of `run_tools`; with
    `on_error="raise"`, and where `approve` fails, it raises ToolFailed.

    >>> import asyncio
    >>> from streamkit.model import Choice, Completion, Message, ToolCall
    >>> def add(a: int, b: int) -> int:
    ...     return a + b
    >>> message = Message(tool_calls=(ToolCall("call_1", "add", '{"a": 2, "b": 3}'), ToolCall("call_2", "sub", "{}")))
    >>> for sent in asyncio.run(tool_results(Completion(choices=(Choice(message=message),)), [add])):
    ...     print(sent["role"], sent["content"])
    assistant None
    tool 5
    tool Error: there is no tool 'sub'; the tools are add
    """
    policy = CallPolicy(
        tools_by_name(tools), parallel=parallel, tool_timeout=tool_timeout, on_error=on_error, approve=approve
    )
    answers: dict[str, ToolAnswer] = {}

    def answered(answer: ToolAnswer) -> None:
        answers[answer.call.id] = answer

    await answer_calls(policy, completion, answered=answered, publish=lambda event, payload: None)
    return round_messages(completion, answers, reasoning_field=reasoning_field)


def _check_request(request: Mapping[str, Any]) -> None:
    for name in ("tools", "functions"):
        if request.get(name):
            raise ValueError(f"{name!r} is what run_tools makes of its tools: give the functions there")
    if request.get("n", 1) not in (1, None):
        raise ValueError("n must be 1: only the calls of one choice can be answered")
