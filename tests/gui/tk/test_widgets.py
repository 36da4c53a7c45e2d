from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

from streamkit import StreamAborted, StreamError
from streamkit.gui import Batch, DispatcherClosed

from ..fed import FedStream, call_of, fed, until
from ..window_tk import root

if TYPE_CHECKING:
    import tkinter as tk
    from collections.abc import Callable, Iterator


@pytest.fixture(name="window")
def _window() -> Iterator[tk.Tk]:
    window = root()
    yield window
    window.destroy()
    gc.collect()


@pytest.fixture(name="view")
def _view(window: tk.Tk) -> tk.Text:
    import tkinter as tk

    view = tk.Text(window, height=5, width=40)
    view.pack()
    return view


@pytest.fixture(name="make")
def _make(window: tk.Tk) -> Iterator[Callable[[], FedStream]]:
    with fed() as make:
        yield make


def text_of(view: tk.Text) -> str:
    return view.get("1.0", "end-1c")


def tagged(view: tk.Text, tag: str) -> str:
    ranges = [str(each) for each in view.tag_ranges(tag)]
    return "".join(view.get(start, end) for start, end in zip(ranges[::2], ranges[1::2], strict=True))


def wait(view: tk.Misc, met: Callable[[], object]) -> None:
    until(view.update, met)


def test_stream_is_appended_to_what_is_there(view: tk.Text, make: Callable[[], FedStream]) -> None:
    from streamkit.gui.tk import bind

    view.insert("end", "Before. ")
    batches, each = list[Batch](), make()
    bind(each.stream, view, on_batch=batches.append)
    each.start()
    each.say("one ", "two\n", "three")
    wait(view, lambda: text_of(view).endswith("three"))
    each.finish()
    wait(view, lambda: batches[-1].ending is not None)

    assert text_of(view) == "Before. one two\nthree"
    assert str(view.cget("state")) == "disabled"


def test_reasoning_calls_and_failures_are_set_apart(view: tk.Text, make: Callable[[], FedStream]) -> None:
    from streamkit.gui.tk import bind

    each = make()
    bind(each.stream, view)
    each.start()
    each.say(reasoning_content="Well.")
    each.say("Yes")
    each.fail(StreamError("the server gave up"))
    wait(view, lambda: "failed" in text_of(view))

    assert text_of(view) == "Well.\n\nYes\n[failed: the server gave up]"
    assert (tagged(view, "reasoning"), tagged(view, "error")) == ("Well.", "\n[failed: the server gave up]")


def test_whole_tool_call_is_a_note(view: tk.Text, make: Callable[[], FedStream]) -> None:
    from streamkit.gui.tk import bind

    each = make()
    bind(each.stream, view)
    each.start()
    each.say(tool_calls=call_of("weather", "{}"))
    each.finish("tool_calls")
    wait(view, lambda: text_of(view))

    assert tagged(view, "note") == text_of(view) == "[calls weather({})]"


def test_tags_that_are_configured_stay_so(view: tk.Text, make: Callable[[], FedStream]) -> None:
    from streamkit.gui.tk import bind

    view.tag_configure("error", foreground="#123456")
    bind(make().stream, view)

    assert str(view.tag_cget("error", "foreground")) == "#123456"
    assert str(view.tag_cget("note", "foreground")) != ""


def test_reasoning_has_a_text_of_its_own_which_may_go_before_the_other(
    window: tk.Tk, view: tk.Text, make: Callable[[], FedStream]
) -> None:
    import tkinter as tk

    from streamkit.gui.tk import bind

    thoughts, each = tk.Text(window), make()
    bind(each.stream, view, reasoning=thoughts)
    each.start()
    each.say(reasoning_content="Well.")
    wait(view, lambda: text_of(thoughts) == "Well.")
    each.say("Yes")
    wait(view, lambda: text_of(view) == "Yes")
    thoughts.destroy()
    each.say(reasoning_content="Hm.")
    each.say(", indeed")
    each.finish()
    wait(view, lambda: text_of(view) == "Yes, indeed")

    assert each.ended_by() == "done"


@pytest.mark.parametrize("themed", [True, False])
def test_stop_aborts_and_is_enabled_only_as_long_as_it_can(
    window: tk.Tk, view: tk.Text, make: Callable[[], FedStream], themed: bool
) -> None:
    import tkinter as tk
    from tkinter import ttk

    from streamkit.gui.tk import bind

    stop = (ttk if themed else tk).Button(window, text="Stop", state="disabled")
    each, endings = make(), list[object]()
    bind(each.stream, view, stop=stop, on_batch=lambda batch: endings.append(batch.ending))
    assert str(stop.cget("state")) == "normal"
    each.start()
    each.say("one")
    wait(view, lambda: text_of(view) == "one")
    stop.invoke()
    wait(view, lambda: endings[-1] is not None)

    assert str(stop.cget("state")) == "disabled"
    assert text_of(view) == "one\n[stopped]"
    assert isinstance(endings[-1], StreamAborted)
    assert endings[-1].reason == "the user pressed Stop"


def test_stop_is_of_the_stream_that_was_bound_last(window: tk.Tk, view: tk.Text, make: Callable[[], FedStream]) -> None:
    from tkinter import ttk

    from streamkit.gui.tk import bind

    stop, first, second, batches = ttk.Button(window), make(), make(), list[Batch]()
    bind(first.stream, view, stop=stop, on_batch=batches.append)
    bind(second.stream, view, stop=stop)
    first.start()
    second.start()
    first.finish()
    wait(view, lambda: batches and batches[-1].ending is not None)
    assert str(stop.cget("state")) == "normal"
    stop.invoke()

    assert second.ended_by() == "abort"


def test_it_scrolls_along_only_where_the_end_is_in_sight(view: tk.Text, make: Callable[[], FedStream]) -> None:
    from streamkit.gui.tk import bind

    each = make()
    view.update()
    wait(view, view.winfo_viewable)
    bind(each.stream, view)
    each.start()
    each.say(*[f"line {number}\n" for number in range(50)])
    wait(view, lambda: "line 49\n" in text_of(view))
    view.update()
    assert view.yview()[1] == 1.0

    view.yview_moveto(0)
    each.say("more\n" * 50)
    wait(view, lambda: text_of(view).count("more") == 50)
    view.update()
    assert view.yview()[0] == 0.0


def test_endless_line_is_broken_where_tk_would_grow_slow(view: tk.Text, make: Callable[[], FedStream]) -> None:
    from streamkit.gui.tk import bind
    from streamkit.gui.tk.widgets import LINE_CHARACTERS

    words, solid, batches, each = "word " * 4000, "x" * 20_000, list[Batch](), make()
    bind(each.stream, view, on_batch=batches.append, max_chars=3000)
    each.start()
    each.say(words, solid, "\nshort\n\nlast")
    each.finish()
    wait(view, lambda: batches and batches[-1].ending is not None)
    lines = text_of(view).split("\n")

    assert max(map(len, lines)) <= LINE_CHARACTERS
    assert all(line.endswith("word ") for line in lines[:2])
    assert text_of(view).replace("\n", "") == words + solid + "shortlast"
    assert lines[-3:] == ["short", "", "last"]


def test_widget_that_goes_aborts_the_stream(
    window: tk.Tk, view: tk.Text, make: Callable[[], FedStream], caplog: pytest.LogCaptureFixture
) -> None:
    from tkinter import ttk

    from streamkit.gui.tk import bind

    stop, each = ttk.Button(window), make()
    bind(each.stream, view, stop=stop)
    each.start()
    each.say("one")
    wait(view, lambda: text_of(view) == "one")

    view.destroy()

    assert each.ended_by() == "abort"
    assert str(stop.cget("state")) == "disabled"
    assert caplog.records == []


def test_window_that_goes_with_its_button_aborts_the_stream(make: Callable[[], FedStream]) -> None:
    import tkinter as tk
    from tkinter import ttk

    from streamkit.gui.tk import bind

    window, each = root(), make()
    stop, view = ttk.Button(window), tk.Text(window)
    bind(each.stream, view, stop=stop)
    each.start()

    window.destroy()

    assert each.ended_by() == "abort"


def test_unbind_ends_the_showing_and_not_the_stream(
    window: tk.Tk, view: tk.Text, make: Callable[[], FedStream]
) -> None:
    from tkinter import ttk

    from streamkit.gui.tk import bind

    stop, each = ttk.Button(window), make()
    unbind = bind(each.stream, view, stop=stop)
    each.start()
    each.say("one")
    wait(view, lambda: text_of(view) == "one")

    unbind()
    unbind()
    each.say("two")
    each.finish()
    ended_by = each.ended_by()
    for _ in range(10):
        view.update()

    assert (ended_by, text_of(view), str(stop.cget("state"))) == ("done", "one", "disabled")


def test_argument_of_another_kind_is_named(window: tk.Tk, view: tk.Text, make: Callable[[], FedStream]) -> None:
    import tkinter as tk

    from streamkit.gui.tk import bind

    stream, label = make().stream, tk.Label(window)
    wrong: Any = bind  # for the type checkers
    for arguments, options, message in (
        (("stream", view), {}, "stream must be a CompletionStream, not a str"),
        ((stream, label), {}, "widget must be a tkinter.Text, not a Label"),
        ((stream, view), {"reasoning": label}, "reasoning must be a tkinter.Text, not a Label"),
        ((stream, view), {"stop": label}, "stop must be a tkinter.Button or ttk.Button, not a Label"),
        ((stream, view), {"on_batch": 1}, "on_batch must be callable, not int"),
    ):
        with pytest.raises(TypeError, match=f"^{message}$"):
            wrong(*arguments, **options)


def test_destroyed_text_is_refused(view: tk.Text, make: Callable[[], FedStream]) -> None:
    from streamkit.gui.tk import bind

    view.destroy()
    with pytest.raises(DispatcherClosed):
        bind(make().stream, view)


def test_refused_bind_leaves_nothing_behind(window: tk.Tk, view: tk.Text, make: Callable[[], FedStream]) -> None:
    from tkinter import ttk

    from streamkit.gui.tk import bind

    stop, each = ttk.Button(window, state="disabled"), make()
    with pytest.raises(ValueError, match="fps must be"):
        bind(each.stream, view, stop=stop, fps=0)
    unused = [each.stream.listener_count("done"), str(stop.cget("state"))]
    each.start()
    each.finish()
    each.ended_by()

    assert unused == [0, "disabled"]
