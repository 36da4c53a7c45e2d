"""Markdown in append-only blocks: what is whole is written once, what is open is drawn over."""

import io

import pytest

try:
    from streamkit.sinks.markdown_screen import MarkdownScreen
except ImportError:
    pytest.skip("rich is not installed", allow_module_level=True)


async def drawn(*pieces: str) -> str:
    file = io.StringIO()
    screen = MarkdownScreen(file, status=False)
    screen.begin(lambda: "")
    for piece in pieces:
        screen.write("text", piece)
    screen.end("")
    return file.getvalue()


async def test_a_block_is_rendered_when_it_is_whole() -> None:
    output = await drawn("# Ti", "tle\n\nSome *emphasis*.\n\n")

    assert "Title" in output
    assert output.count("emphasis") >= 1
    # While the block was open it stood there as it came; whole, it is rendered.
    assert "*emphasis*" not in output[output.rindex("emphasis") - 1 :]


async def test_the_last_block_needs_no_blank_line() -> None:
    assert "the end" in await drawn("one\n\n", "the ", "end")
