from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from streamkit import StreamAborted, StreamError
from streamkit.gui import Batch
from streamkit.gui.qt import application, bind

from ..fed import FedStream, call_of, fed, until
from ..window_qt import qt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(name="make")
def _make() -> Iterator[Callable[[], FedStream]]:
    qt()
    with fed() as make:
        yield make


def wait(met: Callable[[], object]) -> None:
    until(application().processEvents, met)


def delete(widget: Any) -> None:
    widget.deleteLater()
    core = sys.modules[type(widget).__module__.replace("QtWidgets", "QtCore")]
    core.QCoreApplication.sendPostedEvents(widget, core.QEvent.Type.DeferredDelete.value)


def text_of(widget: Any) -> str:
    return str(widget.text() if hasattr(widget, "text") else widget.toPlainText())


def colours_of(edit: Any) -> dict[str, str]:
    """Text by text, its colour; "" where it has the widget's own."""
    colours: dict[str, str] = {}
    block = edit.document().begin()
    while block.isValid():
        fragments = block.begin()
        while not fragments.atEnd():
            fragment = fragments.fragment()
            brush = fragment.charFormat().foreground()
            colours[fragment.text()] = brush.color().name() if brush.style().value else ""
            fragments += 1
        block = block.next()
    return colours


@pytest.mark.parametrize("kind", ["QPlainTextEdit", "QTextEdit", "QTextBrowser", "QLabel"])
def test_stream_is_appended_to_what_is_there(make: Callable[[], FedStream], kind: str) -> None:
    view, batches, each = getattr(qt(), kind)(), list[Batch](), make()
    view.setText("Before. ") if kind == "QLabel" else view.setPlainText("Before. ")
    bind(each.stream, view, on_batch=batches.append)
    each.start()
    each.say("<b>one</b> ", "two\n", "three")
    wait(lambda: text_of(view).endswith("three"))
    each.finish()
    wait(lambda: batches[-1].ending is not None)

    assert text_of(view) == "Before. <b>one</b> two\nthree"
    assert "".join(batch.text for batch in batches) == "<b>one</b> two\nthree"


def test_reasoning_calls_and_failures_are_set_apart(make: Callable[[], FedStream]) -> None:
    view, each = qt().QTextEdit(), make()
    bind(each.stream, view)
    each.start()
    each.say(reasoning_content="Well.")
    each.say("Yes")
    each.say(tool_calls=call_of("weather", "{}"))
    each.fail(StreamError("the server gave up"))
    wait(lambda: "failed" in text_of(view))

    assert text_of(view) == "Well.\n\nYes\n[failed: the server gave up]"
    assert colours_of(view) == {"Well.": "#808080", "Yes": "", "[failed: the server gave up]": "#d0433b"}


def test_whole_tool_call_is_a_note(make: Callable[[], FedStream]) -> None:
    view, each = qt().QPlainTextEdit(), make()
    bind(each.stream, view)
    each.start()
    each.say(tool_calls=call_of("weather", "{}"))
    each.finish("tool_calls")
    wait(lambda: text_of(view))

    assert text_of(view) == "[calls weather({})]"


def test_reasoning_has_a_widget_of_its_own_which_may_go_before_the_other(make: Callable[[], FedStream]) -> None:
    view, thoughts, each = qt().QPlainTextEdit(), qt().QLabel(), make()
    bind(each.stream, view, reasoning=thoughts)
    each.start()
    each.say(reasoning_content="Well.")
    wait(lambda: thoughts.text() == "Well.")
    each.say("Yes")
    wait(lambda: text_of(view) == "Yes")
    delete(thoughts)
    each.say(reasoning_content="Hm.")
    each.say(", indeed")
    each.finish()
    wait(lambda: text_of(view) == "Yes, indeed")

    assert each.ended_by() == "done"


def test_stop_aborts_and_is_enabled_only_as_long_as_it_can(make: Callable[[], FedStream]) -> None:
    view, stop, endings = qt().QPlainTextEdit(), qt().QPushButton("Stop"), list[object]()
    stop.setEnabled(False)
    each = make()
    bind(each.stream, view, stop=stop, on_batch=lambda batch: endings.append(batch.ending))
    assert stop.isEnabled()
    each.start()
    each.say("one")
    wait(lambda: text_of(view) == "one")
    stop.click()
    wait(lambda: endings[-1:] and endings[-1] is not None)

    assert not stop.isEnabled()
    assert text_of(view) == "one\n[stopped]"
    assert isinstance(endings[-1], StreamAborted)
    assert endings[-1].reason == "the user pressed Stop"


def test_one_button_stops_all_that_run(make: Callable[[], FedStream]) -> None:
    view, stop, first, second = qt().QPlainTextEdit(), qt().QPushButton(), make(), make()
    for each in (first, second):
        bind(each.stream, view, stop=stop)
        each.start()
    first.finish()
    assert first.ended_by() == "eof" or first.stream.completion.ended_by == "done"
    for _ in range(10):
        application().processEvents()
    assert stop.isEnabled()
    stop.click()

    assert second.ended_by() == "abort"


def test_it_scrolls_along_only_where_it_stood_at_the_end(make: Callable[[], FedStream]) -> None:
    view, each = qt().QPlainTextEdit(), make()
    view.resize(300, 100)
    view.show()
    bar = view.verticalScrollBar()
    bind(each.stream, view)
    each.start()
    each.say(*[f"line {number}\n" for number in range(50)])
    wait(lambda: "line 49\n" in text_of(view))
    assert bar.value() == bar.maximum() > 0

    bar.setValue(3)
    each.say("more\n" * 50)
    wait(lambda: "more" in text_of(view))
    assert bar.value() == 3


def test_selection_stays(make: Callable[[], FedStream]) -> None:
    view, each = qt().QPlainTextEdit("select me"), make()
    view.selectAll()
    bind(each.stream, view)
    each.start()
    each.say(" and more")
    wait(lambda: "more" in text_of(view))

    assert view.textCursor().selectedText() == "select me"


def test_widget_that_goes_aborts_the_stream(make: Callable[[], FedStream], caplog: pytest.LogCaptureFixture) -> None:
    view, stop, each = qt().QPlainTextEdit(), qt().QPushButton(), make()
    bind(each.stream, view, stop=stop)
    each.start()
    each.say("one")
    wait(lambda: text_of(view) == "one")

    delete(view)

    assert each.ended_by() == "abort"
    assert not stop.isEnabled()
    assert caplog.records == []


def test_window_that_goes_with_its_button_aborts_the_stream(make: Callable[[], FedStream]) -> None:
    widgets, each = qt(), make()
    window = widgets.QWidget()
    stop, view = widgets.QPushButton(window), widgets.QPlainTextEdit(window)
    bind(each.stream, view, stop=stop)
    each.start()

    delete(window)

    assert each.ended_by() == "abort"


def test_unbind_ends_the_showing_and_not_the_stream(make: Callable[[], FedStream]) -> None:
    view, stop, each = qt().QPlainTextEdit(), qt().QPushButton(), make()
    unbind = bind(each.stream, view, stop=stop)
    each.start()
    each.say("one")
    wait(lambda: text_of(view) == "one")

    unbind()
    unbind()
    each.say("two")
    each.finish()
    ended_by = each.ended_by()
    for _ in range(10):
        application().processEvents()

    assert (ended_by, text_of(view), stop.isEnabled()) == ("done", "one", False)


def test_argument_of_another_kind_is_named(make: Callable[[], FedStream]) -> None:
    widgets, stream = qt(), make().stream
    view = widgets.QPlainTextEdit()
    wrong: Any = bind  # for the type checkers
    for arguments, options, message in (
        (("stream", view), {}, "stream must be a CompletionStream, not a str"),
        ((stream, widgets.QLineEdit()), {}, "widget must be a QPlainTextEdit, QTextEdit or QLabel, not a QLineEdit"),
        ((stream, view), {"reasoning": "x"}, "reasoning must be a QPlainTextEdit, QTextEdit or QLabel, not a str"),
        ((stream, view), {"stop": widgets.QLabel()}, "stop must be a QAbstractButton, not a QLabel"),
        ((stream, view), {"on_batch": 1}, "on_batch must be callable, not int"),
    ):
        with pytest.raises(TypeError, match=f"^{message}$"):
            wrong(*arguments, **options)


def test_refused_bind_leaves_nothing_behind(make: Callable[[], FedStream]) -> None:
    view, stop, each = qt().QPlainTextEdit(), qt().QPushButton(), make()

    with pytest.raises(ValueError, match="fps must be"):
        bind(each.stream, view, stop=stop, fps=0)
    assert not stop.isEnabled()
    stop.setEnabled(True)
    stop.click()

    assert each.stream.completion.ended_by is None
    assert each.stream.listener_count("done") == 0


def test_what_looks_like_a_property_of_ours_survives_a_widget_made_by_hand() -> None:
    """`bind` knows widgets by their classes: one that inherits is one."""
    widgets = qt()
    own = type("Own", (widgets.QPlainTextEdit,), {})()

    with fed() as make:
        each = make()
        bind(each.stream, own)
        each.start()
        each.say("one")
        wait(lambda: text_of(own) == "one")
