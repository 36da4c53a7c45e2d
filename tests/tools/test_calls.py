from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import pytest

from streamkit import StreamkitError
from streamkit.model import Choice, Completion, Message, ToolCall
from streamkit.tools import ToolFailed, ToolFailure, ToolResult, ToolStart, tool
from streamkit.tools.calls import CallPolicy, answer_calls
from streamkit.tools.payloads import ToolAnswer
from streamkit.tools.tool import tools_by_name

from ..clock import driven, run, turns
from .conversation import call, whole


def double(number: int) -> int:
    """Twice a number."""
    return 2 * number


async def later(number: int, seconds: float = 1.0) -> int:
    await asyncio.sleep(seconds)
    return number


def fails(number: int = 0) -> None:
    raise ValueError("no such city: Osl")


def odd() -> object:
    return object()


async def hangs() -> None:
    await asyncio.Event().wait()


class Heard:
    """What came of the calls, in the order in which it was published, and what was known by then."""

    def __init__(self) -> None:
        self.answers: list[ToolAnswer] = []
        self.events: list[tuple[str, Any]] = []

    def publish(self, event: str, payload: Any) -> None:
        assert event == "tool_start" or self.answers[-1] is payload  # state first
        self.events.append((event, payload))

    @property
    def names(self) -> list[str]:
        return [f"{event} {payload.call.id}" for event, payload in self.events]


async def answered(calls: list[ToolCall], *tools: Any, **policy: Any) -> Heard:
    heard = Heard()
    made = CallPolicy(tools_by_name(tools or (double, later, fails, odd, hangs)), **policy)
    await answer_calls(made, whole(*calls), answered=heard.answers.append, publish=heard.publish)
    return heard


async def test_a_call_is_started_with_typed_arguments_and_its_result_is_told():
    heard = await answered([call("double", {"number": 21})])
    (_, start), (_, result) = heard.events
    assert heard.names == ["tool_start call_1", "tool_result call_1"]
    assert isinstance(start, ToolStart)
    assert start.arguments == {"number": 21}
    assert isinstance(result, ToolResult)
    assert (result.value, result.content) == (42, "42")
    assert result.seconds >= 0


async def test_no_calls_are_no_events():
    assert (await answered([])).events == []


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        (call("doubel", {"number": 1}), "unknown_tool", "no tool 'doubel'; the tools are double, later"),
        (call("", "{}"), "unknown_tool", "no tool ''"),
        (call("double", '{"number": 1'), "invalid_arguments", "JSON"),
        (call("double", "{}"), "invalid_arguments", "number"),
        (call("double", {"number": 1, "base": 10}), "invalid_arguments", "base"),
        (call("double", {"number": "one"}), "invalid_arguments", "int"),
        (call("double", "[1]"), "invalid_arguments", "object"),
        (call("fails", "{}"), "raised", "ValueError: no such city: Osl"),
        (call("odd", ""), "unserializable", "of type object, cannot be written as JSON"),
    ],
)
async def test_a_call_without_a_result_is_told_to_the_model_and_to_listeners(asked, kind, words):
    heard = await answered([asked, call("double", {"number": 1}, "call_2")])
    failure = next(payload for event, payload in heard.events if event == "tool_error")
    assert isinstance(failure, ToolFailure)
    assert (failure.call, failure.kind) == (asked, kind)
    assert failure.content.startswith("Error: ")
    assert words in failure.content
    assert ("tool_start call_1" in heard.names) == (kind in {"raised", "unserializable"})
    assert "tool_result call_2" in heard.names


@pytest.mark.parametrize(("finish_reason", "ended_by"), [("length", "done"), ("content_filter", "done"), (None, "eof")])
async def test_a_call_that_lost_its_arguments_is_not_taken_for_one_without(finish_reason, ended_by):
    wiped: list[str] = []

    def wipe(path: str = "/") -> None:
        wiped.append(path)

    calls = (call("wipe", {"path": "/tmp"}), call("wipe", "", "call_2"))
    choice = Choice(message=Message(tool_calls=calls), finish_reason=finish_reason)
    heard = Heard()
    await answer_calls(
        CallPolicy(tools_by_name([wipe])),
        Completion(choices=(choice,), ended_by=ended_by),
        answered=heard.answers.append,
        publish=heard.publish,
    )
    assert wiped == ["/tmp"]
    failure = next(answer for answer in heard.answers if answer.call.id == "call_2")
    assert isinstance(failure, ToolFailure)
    assert failure.kind == "invalid_arguments"
    assert "cut short" in failure.content
    assert isinstance((await answered([call("wipe")], wipe)).answers[0], ToolResult)  # whole, it has none


async def test_errors_and_results_whose_own_words_fail_do_no_harm():
    class Mean(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def mean() -> None:
        raise Mean

    heard = await answered([call("mean", "{}")], mean)
    assert heard.answers[0].content == "Error: Mean: (no words)"


@driven
async def test_one_that_hangs_is_a_tool_error_when_its_time_is_up():
    heard = await answered([call("hangs"), call("later", {"number": 3}, "call_2")], tool_timeout=30)
    failure = heard.answers[1]
    assert heard.names == ["tool_start call_1", "tool_start call_2", "tool_result call_2", "tool_error call_1"]
    assert isinstance(failure, ToolFailure)
    assert (failure.kind, failure.seconds) == ("timeout", 30)
    assert failure.content == "Error: the tool did not answer within 30 s"
    assert isinstance(failure.error, TimeoutError)


@driven
async def test_a_tool_may_have_a_limit_of_its_own():
    heard = await answered([call("hangs")], tool(hangs, timeout=2), tool_timeout=None)
    assert heard.answers[0].content.endswith("within 2 s")
    assert asyncio.get_running_loop().time() == 1002


@driven
async def test_twenty_calls_take_as_long_as_the_longest():
    calls = [call("later", {"number": each, "seconds": 1 + each}, f"call_{each}") for each in range(20)]
    heard = await answered(calls)
    assert asyncio.get_running_loop().time() == 1020
    assert [answer.call.id for answer in heard.answers] == [f"call_{each}" for each in range(20)]


async def test_twenty_plain_functions_block_at_the_same_time():
    barrier = threading.Barrier(20, timeout=30)

    def meet(number: int) -> int:
        barrier.wait()  # passes only when all twenty are here
        return number

    heard = await answered([call("meet", {"number": each}, f"call_{each}") for each in range(20)], meet)
    assert {answer.content for answer in heard.answers} == {str(each) for each in range(20)}


@pytest.mark.parametrize(("parallel", "seconds"), [(False, 6), (1, 6), (2, 3), (True, 1)])
@driven
async def test_fewer_run_at_once_if_asked_so(parallel, seconds):
    calls = [call("later", {"number": each}, f"call_{each}") for each in range(6)]
    heard = await answered(calls, parallel=parallel)
    assert asyncio.get_running_loop().time() == 1000 + seconds
    if parallel is False:
        order = [f"tool_{what} call_{each}" for each in range(6) for what in ("start", "result")]
        assert heard.names == order


@driven
async def test_a_model_that_asks_for_thousands_gets_so_many_at_once():
    most = running = 0

    async def counted() -> None:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1

    heard = await answered([call("counted", "{}", f"call_{each}") for each in range(1000)], counted)
    assert len(heard.answers) == 1000
    assert most == 64


@driven
async def test_raise_ends_it_with_the_first_failure_and_cancels_the_others():
    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            ended.append("cancelled")

    async def fails_soon() -> None:
        await asyncio.sleep(1)
        raise LookupError("gone")

    with pytest.raises(ToolFailed) as caught:
        await answered([call("waits"), call("fails_soon", "{}", "call_2")], waits, fails_soon, on_error="raise")
    assert isinstance(caught.value, StreamkitError)
    assert isinstance(caught.value.__cause__, LookupError)
    assert caught.value.failure.call.id == "call_2"
    assert ended == ["cancelled"]
    assert asyncio.get_running_loop().time() == 1001


@driven
async def test_cancelled_it_cancels_what_runs_and_starts_nothing_more():
    begun: list[int] = []
    ended: list[int] = []

    async def waits(number: int) -> None:
        begun.append(number)
        try:
            await asyncio.sleep(100)
        finally:
            ended.append(number)

    calls = [call("waits", {"number": each}, f"call_{each}") for each in range(5)]
    task = asyncio.ensure_future(answered(calls, waits, parallel=3))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert begun == [0, 1, 2]
    assert sorted(ended) == [0, 1, 2]


@driven
async def test_of_several_that_fail_in_one_turn_the_first_in_order_is_raised_and_none_is_lost():
    with pytest.raises(ToolFailed) as caught:
        await answered([call("fails", "{}", f"call_{each}") for each in range(3)], on_error="raise")
    assert caught.value.failure.call.id == "call_0"


@driven
async def test_the_traceback_of_a_failure_begins_in_the_function():
    async def breaks() -> None:
        raise KeyError("key")

    failure = (await answered([call("breaks")], breaks)).answers[0]
    assert isinstance(failure, ToolFailure)
    assert failure.error is not None
    assert failure.error.__traceback__ is not None
    assert failure.error.__traceback__.tb_frame.f_code is breaks.__code__


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_with_eager_tasks_it_is_the_same():
    async def ask() -> None:
        calls = [call("later", {"number": each}, f"call_{each}") for each in range(3)]
        heard = await answered([call("fails", "{}", "call_9"), *calls], tool_timeout=10, approve=lambda _: True)
        assert {answer.call.id for answer in heard.answers} == {"call_0", "call_1", "call_2", "call_9"}

    run(ask, eager=True)


# --- approval -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_call_is_made_only_if_approve_says_so(is_async: bool):
    asked: list[ToolCall] = []

    def approve(call: ToolCall) -> bool:
        asked.append(call)
        return bool(call.parsed["number"] < 10)

    async def approve_later(call: ToolCall) -> bool:
        return approve(call)

    calls = [call("double", {"number": each}, f"call_{each}") for each in (1, 20)]
    hook: Any = approve_later if is_async else approve
    heard = await answered(calls, approve=hook, on_error="raise")  # no is no failure
    assert asked == calls
    assert heard.names.count("tool_start call_1") == 1
    assert "tool_start call_20" not in heard.names
    denied = next(answer for answer in heard.answers if answer.call.id == "call_20")
    assert isinstance(denied, ToolFailure)
    assert (denied.kind, denied.content) == ("denied", "Error: this call was not allowed, and was not made")


async def test_a_sync_hook_may_block_and_is_asked_about_one_call_at_a_time():
    asking = threading.Lock()

    def approve(call: ToolCall) -> bool:
        assert asking.acquire(blocking=False)
        assert threading.current_thread() is not threading.main_thread()
        asking.release()
        return True

    calls = [call("double", {"number": each}, f"call_{each}") for each in range(10)]
    assert len((await answered(calls, approve=approve)).answers) == 10


async def test_nobody_is_asked_about_a_call_that_cannot_be_made():
    def approve(call: ToolCall) -> bool:
        raise AssertionError("asked")

    heard = await answered([call("unknown"), call("double", "{}", "call_2")], approve=approve)
    assert heard.names == ["tool_error call_1", "tool_error call_2"]


def forgets_to_return(call: ToolCall) -> None:
    pass


def breaks(call: ToolCall) -> bool:
    raise OSError("no terminal")


@pytest.mark.parametrize(
    ("hook", "error"), [(forgets_to_return, TypeError), (breaks, OSError), (lambda _: "yes", TypeError)]
)
async def test_a_hook_that_fails_lets_nothing_through_and_ends_it(hook, error):
    made: list[int] = []

    def make(number: int) -> None:
        made.append(number)

    with pytest.raises(ToolFailed) as caught:
        await answered([call("make", {"number": 1})], make, approve=hook)
    assert caught.value.failure.kind == "approve"
    assert isinstance(caught.value.__cause__, error)
    assert made == []


@driven
async def test_the_time_in_which_a_person_thinks_is_not_the_tools():
    async def approve(call: ToolCall) -> bool:
        await asyncio.sleep(3600)
        return True

    heard = await answered([call("later", {"number": 1})], approve=approve, tool_timeout=2)
    assert isinstance(heard.answers[0], ToolResult)
    await turns(1)


# --- settings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"parallel": 0}, "parallel"),
        ({"parallel": "yes"}, "parallel"),
        ({"tool_timeout": 0}, "tool_timeout"),
        ({"tool_timeout": float("nan")}, "tool_timeout"),
        ({"tool_timeout": True}, "tool_timeout"),
        ({"on_error": "ignore"}, "on_error"),
        ({"approve": True}, "approve"),
    ],
)
def test_settings_that_make_no_sense_are_errors_by_name(policy, words):
    with pytest.raises((TypeError, ValueError), match=words):
        CallPolicy(tools_by_name([double]), **policy)
