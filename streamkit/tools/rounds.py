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

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..model import Completion, Connected, StreamWarning
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


class ToolSource:
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
        self._source = first
        self._ask = ask
        self._policy = policy
        self._max_rounds = max_rounds
        self._reasoning_field = reasoning_field
        self._state = _State(tuple(first.request["messages"]))

    # --- a source: that of the running round ------------------------------------------------------------------------

    @property
    def request(self) -> Mapping[str, Any]:
        """The request of the running round."""
        return self._source.request

    @property
    def secrets(self) -> tuple[str, ...]:
        """The keys that are sent."""
        return tuple(getattr(self._source, "secrets", ()))

    @property
    def server(self) -> Any:  # noqa: ANN401 - what the source says of it
        """Where the requests go, if the source says so."""
        return getattr(self._source, "server", None)

    async def connect(self) -> tuple[Connected, Sequence[StreamWarning]]:
        """Ask for the completion of the running round."""
        return await self._source.connect()

    async def read(self) -> bytes:
        """The next bytes of the running round."""
        return await self._source.read()

    def read_nowait(self) -> bytes:
        """What has come already of the running round."""
        return self._source.read_nowait()

    def close(self, *, whole: bool) -> None:
        """Let go of the connection of the running round."""
        self._source.close(whole=whole)

    def redact(self, text: str) -> str:
        """The text without the keys."""
        return self._source.redact(text)

    # --- of several rounds ------------------------------------------------------------------------------------------

    def begin(self, publish: Callable[[str, object], None]) -> None:
        """A round begins."""
        self._state = self._state._replace(asking=True, open=None)
        publish("round", RoundStart(len(self._state.rounds) + 1, self.request))

    async def more(self, completion: Completion, publish: Callable[[str, object], None]) -> bool:
        """ToolAnswer the calls of a completion, and get ready to ask for the next; False where there are none."""
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
