"""The rounds of a run as one source: a completion, the answers to its calls, the next completion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from ..model import Usage
from .calls import answer_calls
from .payloads import Round, RoundStart, ToolCompletion, TooManyRounds
from .results import round_messages
from .wrapped_source import WrappedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..model import Completion
    from ..stream import Source
    from .calls import CallPolicy
    from .payloads import ToolAnswer

__all__ = ["ToolSource"]


class _Open(NamedTuple):
    """A round whose completion is whole, and whose calls are being answered."""

    completion: Completion
    answers: dict[str, ToolAnswer]
    """By the id of their call."""

    def round(self, number: int) -> Round:
        calls = self.completion.tool_calls
        return Round(number, self.completion, tuple(self.answers[call.id] for call in calls if call.id in self.answers))


class _State(NamedTuple):
    """Where a run stands, in one object, so that another thread sees it whole."""

    messages: tuple[dict[str, Any], ...]
    """The conversation up to the last of `rounds`."""
    rounds: tuple[Round, ...] = ()
    asking: bool = False
    """A further completion is running."""
    open: _Open | None = None


class ToolSource(WrappedSource):
    """A `RoundsSource` that answers the calls of each completion and asks for the next, until one has no calls.

    Args:
        first: the source of the first round.
        ask: makes the source of a whole request.
        policy: how calls are made.
        max_rounds: how many completions are asked for.
        reasoning_field: the field in which a model's reasoning is sent back to it.
    """

    def __init__(
        self,
        first: Source,
        ask: Callable[[Mapping[str, Any]], Source],
        policy: CallPolicy,
        *,
        max_rounds: int,
        reasoning_field: str | None = None,
    ) -> None:
        super().__init__(first)
        self._ask = ask
        self._policy = policy
        self._max_rounds = max_rounds
        self._reasoning_field = reasoning_field
        self._state = _State(tuple(first.request["messages"]))

    def begin(self, publish: Callable[[str, object], None]) -> None:
        """A round begins."""
        self._state = self._state._replace(asking=True, open=None)
        publish("round", RoundStart(len(self._state.rounds) + 1, self.request))

    async def more(self, completion: Completion, publish: Callable[[str, object], None]) -> bool:
        """Answer the calls of a completion, and get ready to ask for the next; False where there are none."""
        calls, opened = completion.tool_calls, _Open(completion, {})
        state = self._state = self._state._replace(asking=False, open=opened)
        number = len(state.rounds) + 1
        if not calls:
            return False
        if number >= self._max_rounds:
            raise TooManyRounds(
                f"the model still calls tools in the last of max_rounds={self._max_rounds} rounds; these calls were not made"
            )

        def answered(answer: ToolAnswer) -> None:
            opened.answers[answer.call.id] = answer

        await answer_calls(self._policy, completion, answered=answered, publish=publish)
        messages = self._messages(state)
        self._source = self._ask({**_without_force(self._source.request), "messages": list(messages)})
        self._state = _State(messages, (*state.rounds, opened.round(number)))
        return True

    def whole(self, completion: Completion) -> ToolCompletion:
        """The running completion, with the rounds before it."""
        state = self._state
        rounds, number = state.rounds, len(state.rounds) + 1
        if state.asking:
            rounds = (*rounds, Round(number, completion))
        elif state.open is not None:
            rounds = (*rounds, state.open.round(number))
        parts = [each.completion for each in rounds] or [completion]
        begun = parts[0].timings
        texts = [part.timings.first_text for part in parts if part.timings.first_text is not None]
        fields = {name: getattr(completion, name) for name in completion.__struct_fields__}
        fields["usage"] = _sum([part.usage for part in parts])
        fields["quirks"] = dict(sum((Counter(part.quirks) for part in parts), Counter()))
        fields["timings"] = replace(
            completion.timings,
            connect=begun.connect,
            first_read=begun.first_read,
            first_chunk=begun.first_chunk,
            first_text=min(texts, default=None),
        )
        return ToolCompletion(**fields, rounds=rounds, messages=self._messages(state))

    def _messages(self, state: _State) -> tuple[dict[str, Any], ...]:
        if state.open is None:
            return state.messages
        completion, answers = state.open
        return (*state.messages, *round_messages(completion, answers, reasoning_field=self._reasoning_field))


def _without_force(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request without a tool_choice that forces a call: it is fulfilled, and would be so in every round for ever."""
    choice = request.get("tool_choice")
    if isinstance(choice, Mapping) and isinstance(allowed := choice.get("allowed_tools"), Mapping):
        return {
            **request,
            "tool_choice": {**choice, "allowed_tools": {**allowed, "mode": "auto"}},
        }  # a limit, which stays
    forced = choice == "required" or isinstance(choice, Mapping)
    return {name: value for name, value in request.items() if not (forced and name == "tool_choice")}


def _sum(usages: Sequence[Usage | None]) -> Usage | None:
    """What the servers reported, added up; details too, where they are numbers."""
    known = [usage for usage in usages if usage is not None]
    if len(known) < 2:
        return known[0] if known else None

    def total(name: str) -> int | None:
        counts = [count for usage in known if (count := getattr(usage, name)) is not None]
        return sum(counts) if counts else None

    extra: dict[str, Any] = {}
    for usage in known:
        extra = _add(extra, usage.extra)
    return Usage(total("prompt_tokens"), total("completion_tokens"), total("total_tokens"), extra)


def _add(one: Any, other: Any) -> Any:  # noqa: ANN401 - JSON values
    if isinstance(one, dict) and isinstance(other, dict):
        return {**one, **{name: _add(one[name], value) if name in one else value for name, value in other.items()}}
    if all(isinstance(each, int | float) and not isinstance(each, bool) for each in (one, other)):
        return one + other
    return one if other is None else other
