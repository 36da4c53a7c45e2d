from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamkit.gui.spans import Span

from ..textual.app import app_of, need_textual, until

if TYPE_CHECKING:
    from textual.widgets import Log, RichLog


def lines_of(widget: Log | RichLog) -> list[str]:
    return [str(getattr(line, "text", line)) for line in widget.lines]


async def test_log_has_the_text_without_styles() -> None:
    need_textual()
    from textual.widgets import Log

    from streamkit.gui.textual.pages import page_of

    async with app_of(Log) as (app, _):
        log = app.query_one(Log)
        page = page_of(log, "widget")
        page.append([Span("reasoning", "Well."), Span("text", "\n\nYes, "), Span("text", "indeed")])
        page.append([])
        page.close()

        assert lines_of(log) == ["Well.", "", "Yes, indeed"]


async def test_rich_log_has_whole_lines_and_the_rest_at_the_end() -> None:
    need_textual()
    from textual.widgets import RichLog

    from streamkit.gui.textual.pages import page_of

    async with app_of(RichLog) as (app, pilot):
        log = app.query_one(RichLog)
        await pilot.pause()
        page = page_of(log, "widget")
        page.append([Span("text", "one\ntwo\nthr")])
        assert lines_of(log) == ["one", "two"]
        page.append([Span("text", "ee"), Span("error", "\n[failed]")])
        assert lines_of(log) == ["one", "two", "three"]
        page.close()
        page.close()

        assert lines_of(log) == ["one", "two", "three", "[failed]"]
        assert [segment.style.color.name for segment in log.lines[-1] if segment.style and segment.style.color] == [
            "red"
        ]


async def test_rich_log_that_wraps_shows_each_line_of_its_width_when_it_is_full() -> None:
    need_textual()
    from textual.widgets import RichLog

    from streamkit.gui.textual.pages import page_of

    async with app_of(lambda: RichLog(wrap=True, min_width=20), size=(42, 12)) as (app, pilot):
        log = app.query_one(RichLog)
        await pilot.pause()
        page = page_of(log, "widget")
        for word in ["word "] * 20:
            page.append([Span("text", word)])
        assert len(lines_of(log)) == 2
        page.close()

        assert " ".join(" ".join(lines_of(log)).split()) == "word " * 19 + "word"


@pytest.mark.parametrize(
    ("spans", "markdown"),
    [
        ([Span("text", "# One\n"), Span("text", "*two*")], "# One\n*two*"),
        (
            [Span("reasoning", "a\nb"), Span("reasoning", " c"), Span("text", "\n\nYes")],
            "> a\n> b c\n\nYes",
        ),
        ([Span("text", "a"), Span("note", "\n[calls f_x(1*2)]")], "a\n\n*\\[calls f\\_x\\(1\\*2\\)\\]*\n\n"),
        (
            [Span("text", "```py\nx = 1"), Span("error", "\n[failed: a\nb]")],
            "```py\nx = 1\n```\n\n**\\[failed: a b\\]**\n\n",
        ),
        ([Span("text", "```py\nx\n```\n"), Span("note", "[stopped]")], "```py\nx\n```\n\n\n*\\[stopped\\]*\n\n"),
        ([Span("text", "~~~~\n~~~\nx"), Span("note", "\n[stopped]")], "~~~~\n~~~\nx\n~~~~\n\n*\\[stopped\\]*\n\n"),
    ],
)
async def test_markdown_is_what_the_spans_say(spans: list[Span], markdown: str) -> None:
    need_textual()
    from textual.widgets import Markdown

    from streamkit.gui.textual.pages import page_of

    async with app_of(Markdown) as (app, _):
        widget = app.query_one(Markdown)
        page = page_of(widget, "widget")
        page.append(spans)
        await until(lambda: widget.source == markdown)
        page.close()
        page.close()
        await until(lambda: len(app.workers) == 0)

        assert widget.source == markdown


async def test_markdown_scrolls_what_it_is_in_along_from_its_end() -> None:
    need_textual()
    from textual.containers import VerticalScroll
    from textual.widgets import Markdown

    from streamkit.gui.textual.pages import page_of

    async with app_of(lambda: VerticalScroll(Markdown())) as (app, pilot):
        scroll, widget = app.query_one(VerticalScroll), app.query_one(Markdown)
        page = page_of(widget, "widget")
        page.append([Span("text", "line\n\n" * 40)])
        await until(lambda: scroll.max_scroll_y > 0 and scroll.is_vertical_scroll_end)
        page.close()
        await pilot.pause()


async def test_widget_that_goes_in_the_middle_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    need_textual()
    from textual.widgets import Markdown

    from streamkit.gui.textual.pages import page_of

    async with app_of(Markdown) as (app, pilot):
        widget = app.query_one(Markdown)
        page = page_of(widget, "widget")
        page.append([Span("text", "line\n\n" * 40)])
        await widget.remove()
        page.append([Span("text", "more")])
        await pilot.pause()
        page.close()

    assert [record.name for record in caplog.records if record.name.startswith("streamkit")] == []


async def test_log_scrolls_along_only_from_its_end() -> None:
    need_textual()
    from textual.widgets import Log, RichLog

    from streamkit.gui.textual.pages import page_of

    kinds: tuple[type[Log | RichLog], ...] = (Log, RichLog)
    for kind in kinds:
        async with app_of(kind) as (app, pilot):
            log = app.query_one(kind)
            await pilot.pause()
            page = page_of(log, "widget")
            for _ in range(5):
                page.append([Span("text", "line\n" * 10)])
            await pilot.pause()
            assert log.scroll_y == log.max_scroll_y > 0

            log.scroll_to(y=3, animate=False, immediate=True)
            page.append([Span("text", "line\n" * 10)])
            await pilot.pause()
            assert log.scroll_y == 3


def test_widget_of_another_kind_is_named() -> None:
    need_textual()
    from textual.widgets import Label

    from streamkit.gui.textual.pages import page_of

    with pytest.raises(TypeError, match="^reasoning must be a Log, a RichLog or a Markdown of Textual, not a Label$"):
        page_of(Label(), "reasoning")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - what is tested
