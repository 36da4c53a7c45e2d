from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from hypothesis import given, settings, strategies as st

from streamkit import Completion, CompletionStream
from streamkit.gui.backlog import Backlog, Inbox
from streamkit.model import Event, ToolCall

from ..clock import driven, turns
from ..stream.scripted import END, ScriptedSource, feed_of, text_reads

if TYPE_CHECKING:
    from streamkit.gui import Batch

CALL = ToolCall(id="call_1", name="weather")
ENDING = Completion(ended_by="done")


def test_batch_has_each_kind_joined_and_the_order_of_all() -> None:
    backlog = Backlog()
    for name, payload in (("reasoning", "a"), ("reasoning", "b"), ("text", "c"), ("tool_call", CALL), ("text", "d")):
        backlog.add(name, payload, 1.0)

    batch = backlog.take(100)

    assert [(event.name, event.payload) for event in batch.events] == [
        ("reasoning", "ab"),
        ("text", "c"),
        ("tool_call", CALL),
        ("text", "d"),
    ]
    assert (batch.reasoning, batch.text, batch.refusal, batch.tool_calls) == ("ab", "cd", "", (CALL,))
    assert batch.ending is None
    assert not backlog


def test_joined_text_has_the_time_of_its_first_piece() -> None:
    backlog = Backlog()
    backlog.add("text", "a", 1.0)
    backlog.add("text", "b", 2.0)

    assert backlog.take(10).events == (Event("text", "ab", 1.0),)


def test_ending_waits_for_what_came_before_it() -> None:
    backlog = Backlog()
    backlog.add("text", "12345", 0.0)
    backlog.end(ENDING)

    batches = [backlog.take(2) for _ in range(3)]

    assert [batch.text for batch in batches] == ["12", "34", "5"]
    assert [batch.ending for batch in batches] == [None, None, ENDING]
    assert not backlog


def test_line_ends_stay_as_they_are() -> None:
    backlog = Backlog()
    backlog.add("text", "a\r\nb\rc\n", 0.0)

    assert "".join(backlog.take(2).text for _ in range(4)) == "a\r\nb\rc\n"


names = st.sampled_from(["text", "reasoning", "refusal"])
said = st.one_of(
    st.tuples(names, st.text(min_size=1, max_size=20)),
    st.tuples(st.just("tool_call"), st.just(CALL)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(said, st.integers(1, 30)), max_size=40), st.integers(1, 30))
def test_any_cut_hands_over_the_same_in_order(script: list[object], last: int) -> None:
    """The script adds, and takes at most so many characters; what is taken is what was added, and no batch is too long."""
    backlog, added, taken = Backlog(), list[tuple[str, object]](), list[tuple[str, object]]()

    def take(limit: int) -> Batch:
        batch = backlog.take(limit)
        taken.extend((event.name, event.payload) for event in batch.events)
        assert len(batch.text + batch.reasoning + batch.refusal) <= limit
        return batch

    for step in script:
        if isinstance(step, int):
            assert take(step).ending is None
        else:
            assert isinstance(step, tuple)
            added.append(step)
            name, payload = step
            backlog.add(name, payload, 0.0)
    backlog.end(ENDING)
    endings = []
    while backlog:
        endings.append(take(last).ending)

    assert [ending is ENDING for ending in endings] == [False] * (len(endings) - 1) + [True]
    assert runs(taken) == runs(added)


def runs(events: list[tuple[str, object]]) -> list[tuple[str, object]]:
    """With texts of one kind joined as far as they stand together."""
    joined: list[tuple[str, object]] = []
    for name, group in groupby(events, key=lambda event: event[0]):
        payloads = [payload for _, payload in group]
        joined += [(name, "".join(map(str, payloads)))] if name != "tool_call" else [(name, each) for each in payloads]
    return joined


def test_long_text_is_taken_in_linear_time() -> None:
    """A hundred thousand takes from a text of one piece: a copy of the rest each time would take minutes."""
    backlog = Backlog()
    backlog.add("text", "x" * 1_000_000, 0.0)

    assert sum(len(backlog.take(10).text) for _ in range(100_000)) == 1_000_000


# --- Inbox ------------------------------------------------------------------------------------------------------------


@driven
async def test_inbox_wakes_once_until_it_rests() -> None:
    wakes: list[int] = []
    inbox = Inbox(lambda: wakes.append(len(wakes)))
    source = ScriptedSource(text_reads("a", "b"))
    stream = CompletionStream(source)
    inbox.subscribe(stream, ["text"])
    stream.start()
    await turns(10)

    assert len(wakes) == 1
    assert inbox.take(1).text == "a"
    assert not inbox.rest()
    assert inbox.take(9).text == "b"
    assert inbox.rest()
    source.push(*text_reads("c"), feed_of(), END)
    await stream
    assert len(wakes) == 2
    assert (last := inbox.take(9)).text == "c"
    assert last.ending is stream.completion


@driven
async def test_closed_inbox_holds_nothing_and_wakes_nobody() -> None:
    wakes: list[int] = []
    inbox = Inbox(lambda: wakes.append(len(wakes)))
    stream = CompletionStream(ScriptedSource([feed_of("a"), END]))
    inbox.subscribe(stream, ["text"])
    inbox.close()
    await stream

    assert wakes == []
    batch = inbox.take(9)
    assert (batch.events, batch.ending) == ((), None)
