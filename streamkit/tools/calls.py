"""The calls of one round: checked, approved, made together, and each with exactly one outcome."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from ..model import ToolCall
from .payloads import ToolAnswer, ToolFailed, ToolFailure, ToolResult, ToolStart
from .results import content_of, error_content
from .running import OutOfTime, run_function
from .tool import ToolArgumentsError

if TYPE_CHECKING:
    from ..model import Completion
    from .tool import Tool

__all__ = ["Approve", "CallPolicy", "OnError", "answer_calls"]

OnError: TypeAlias = Literal["tell_model", "raise"]
"""What follows from a call without a result: the model is told, or the stream ends with the error."""

Approve: TypeAlias = Callable[[ToolCall], bool | Awaitable[bool]]
"""Asked before a function is called; False: it is not."""

_MOST_AT_ONCE: Final = 64
"""How many calls run at once with parallel=True: a model may ask for any number, and each may be a thread."""


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """How calls are made: the arguments of `run_tools`. Raises TypeError or ValueError, by name, for those that make no sense."""

    tools: Mapping[str, Tool[..., Any]]
    parallel: bool | int = True
    tool_timeout: float | None = 60.0
    on_error: OnError = "tell_model"
    approve: Approve | None = None
    context: Context = field(default_factory=copy_context)
    """What the functions see of context variables: what was current where the run was made."""
    redact: Callable[[str], str] = str
    """Takes secrets out of what is told of errors."""

    def __post_init__(self) -> None:
        if type(self.parallel) not in (bool, int) or (self.parallel is not False and self.parallel < 1):
            raise ValueError(f"parallel must be True, False or how many calls may run at once, not {self.parallel!r}")
        timeout = self.tool_timeout
        if timeout is not None and (type(timeout) not in (int, float) or not timeout > 0):
            raise ValueError(f"tool_timeout must be a number of seconds above 0, or None, not {timeout!r}")
        if self.on_error not in ("tell_model", "raise"):
            raise ValueError(f"on_error must be 'tell_model' or 'raise', not {self.on_error!r}")
        if self.approve is not None and not callable(self.approve):
            raise TypeError(f"approve must be a function of a tool call, not {type(self.approve).__name__}")

    @property
    def at_once(self) -> int:
        """How many calls may run at once."""
        return _MOST_AT_ONCE if self.parallel is True else int(self.parallel) or 1


async def answer_calls(
    policy: CallPolicy,
    completion: Completion,
    *,
    answered: Callable[[ToolAnswer], None],
    publish: Callable[[str, object], None],
) -> None:
    """Make the calls of a completion; `answered` takes in each outcome before it is published.

    Cancelled, it cancels what runs, and gives that a second to clean up. Raises ToolFailed as `on_error` says, and where
    `approve` fails.
    """
    if not completion.tool_calls:
        return
    one_round = _Round(policy, answered, publish, cut_short=_is_cut_short(completion))
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(one_round.settle(call)) for call in completion.tool_calls]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        running = [task for task in tasks if not task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        errors = [task.exception() for task in tasks if task.done() and not task.cancelled()]
    for error in errors:
        if error is not None:
            raise error


def _is_cut_short(completion: Completion) -> bool:
    """Whether a call may have lost its end. A JSON object that is whole has not; where there is none yet, nobody can tell."""
    reasons = {choice.finish_reason for choice in completion.choices if choice.index == 0}
    return bool(reasons & {"length", "content_filter"}) or (completion.ended_by == "eof" and not completion.complete)


class _Round:
    """The calls of one completion: at most so many at once, and asked about one after the other."""

    def __init__(
        self,
        policy: CallPolicy,
        answered: Callable[[ToolAnswer], None],
        publish: Callable[[str, object], None],
        *,
        cut_short: bool,
    ) -> None:
        self._policy = policy
        self._answered = answered
        self._publish = publish
        self._cut_short = cut_short
        self._gate = asyncio.Semaphore(policy.at_once)
        self._asking = asyncio.Lock()

    async def settle(self, call: ToolCall) -> None:
        async with self._gate:
            answer = await self._answer(call)
            self._answered(answer)
            if isinstance(answer, ToolResult):
                self._publish("tool_result", answer)
                return
            self._publish("tool_error", answer)
        # That somebody said no is a decision, and no failure.
        if answer.kind == "approve" or (self._policy.on_error == "raise" and answer.kind != "denied"):
            raise ToolFailed(answer)

    def _told(self, what: str) -> str:
        return error_content(self._policy.redact(what))

    async def _answer(self, call: ToolCall) -> ToolAnswer:
        tool = self._policy.tools.get(call.name)
        if tool is None:
            known = ", ".join(self._policy.tools)
            return ToolFailure(
                call, "unknown_tool", self._told(f"there is no tool {call.name!r}; the tools are {known}")
            )
        if self._cut_short and not call.arguments.strip():  # else it would pass for a call without arguments
            content = self._told("the message was cut short before the arguments of this call")
            return ToolFailure(call, "invalid_arguments", content)
        try:
            arguments = tool.decode(call.arguments)
        except ToolArgumentsError as error:
            return ToolFailure(call, "invalid_arguments", self._told(str(error)), _outside(error))
        if self._policy.approve is not None:
            try:
                allowed = await self._ask(self._policy.approve, call)
            except Exception as error:  # noqa: BLE001 - a hook may raise anything; the function is not called then
                return ToolFailure(
                    call, "approve", self._told("whether this call is allowed is not known"), _outside(error)
                )
            if not allowed:
                return ToolFailure(call, "denied", self._told("this call was not allowed, and was not made"))
        return await self._call(call, tool, arguments)

    async def _ask(self, approve: Approve, call: ToolCall) -> bool:
        async with self._asking:
            allowed = await run_function(
                lambda: approve(call),
                name="approve",
                is_async=inspect.iscoroutinefunction(approve),
                timeout=None,  # people take their time; Timeout.total and abort() end it
                context=self._policy.context,
            )
        if not isinstance(allowed, bool):
            raise TypeError(f"approve must return True or False, not {type(allowed).__name__}")
        return allowed

    async def _call(self, call: ToolCall, tool: Tool[..., Any], arguments: dict[str, Any]) -> ToolAnswer:
        self._publish("tool_start", ToolStart(call, arguments))
        limit = self._policy.tool_timeout if tool.timeout is None else tool.timeout
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            value = await run_function(
                lambda: tool.call(arguments),
                name=tool.name,
                is_async=tool.is_async,
                timeout=limit,
                context=self._policy.context,
            )
        except OutOfTime:
            error: Exception = TimeoutError(f"tool {tool.name!r} took longer than {limit:g} s")
            content = self._told(f"the tool did not answer within {limit:g} s")
            return ToolFailure(call, "timeout", content, error, loop.time() - started)
        except Exception as raised:  # noqa: BLE001 - a function may raise anything
            content = self._told(f"{type(raised).__name__}: {_words_of(raised)}")
            return ToolFailure(call, "raised", content, _outside(raised), loop.time() - started)
        seconds = loop.time() - started
        try:
            return ToolResult(call, value, content_of(value), seconds)
        except Exception as unfit:  # noqa: BLE001 - encoding runs code of the value's own
            content = self._told(f"the result, of type {type(value).__name__}, cannot be written as JSON")
            return ToolFailure(call, "unserializable", content, _outside(unfit), seconds)


def _outside(error: Exception) -> Exception:
    """The error with the traceback of what was called: the frames of this package lead to the stream, which leads back to it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__package__") == __package__:
        trace = trace.tb_next
    return error.with_traceback(trace)


def _words_of(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an exception's __str__ is code like any other
        return "(no words)"
