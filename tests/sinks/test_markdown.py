from __future__ import annotations

from hypothesis import given, settings, strategies as st
from rich.console import Console
from rich.markdown import Markdown

from streamkit.sinks.markdown import MarkdownBlocks

PIECES = st.sampled_from(
    [
        "# Title",
        "word",
        " ",
        "\n",
        "\n\n",
        "- item",
        "  more",
        "1. one",
        "```py",
        "```",
        "~~~",
        "    code",
        "> quote",
        "| a | b |",
        "|---|---|",
        "`x`",
    ]
)

BLOCKS = [
    "# Title\n\n",
    "A paragraph of **some** words\nover two lines.\n\n",
    "- one\n- two\n  - deeper\n\n- after a blank line\n\n  its second paragraph\n\n",
    "1. one\n\n   ```py\n   x = 1\n\n   y = 2\n   ```\n\n2. two\n\n",
    "```py\ndef f():\n\n    return '```'\n```\n\n",
    "~~~\n```\n\n~~~\n\n",
    "> a quote\n> goes on\n\n",
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n",
    "    indented\n\n    code\n\n",
    "---\n\n",
    "Setext\n======\n\n",
]


def fed(text: str, size: int) -> list[str]:
    blocks = MarkdownBlocks()
    done = [block for at in range(0, len(text), size) for block in blocks.feed(text[at : at + size])]
    rest = blocks.close()
    return [*done, rest] if rest else done


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join), st.integers(1, 9))
def test_blocks_are_the_text_however_it_comes(text: str, size: int) -> None:
    blocks = fed(text, size)

    assert (
        "".join(blocks).lstrip("\n") == text.lstrip("\n").replace("\n\n\n", "\n\n\n")
        or "".join(blocks).split() == text.split()
    )
    assert blocks == fed(text, len(text) or 1)


def rendered(*texts: str) -> list[str]:
    console = Console(width=60, color_system=None)
    with console.capture() as capture:
        for text in texts:
            console.print(Markdown(text))
    return [line.rstrip() for line in capture.get().splitlines() if line.strip()]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=6).map("".join), st.integers(1, 40))
def test_blocks_render_as_the_whole_does(text: str, size: int) -> None:
    # Two lists in a row are one to Markdown, and so to the splitter; with a rule between them they are two.
    assert rendered(*fed(text, size)) == rendered(text)


def test_paragraph_is_given_out_at_its_blank_line_and_code_at_its_fence() -> None:
    blocks = MarkdownBlocks()

    assert blocks.feed("one\n") == []
    assert blocks.feed("\n") == ["one\n\n"]
    assert blocks.feed("two\n```\na\n\n") == ["two\n"]
    assert blocks.in_fence
    assert blocks.feed("```\n") == ["```\na\n\n```\n"]
    assert not blocks.in_fence
    assert blocks.open == ""


def test_tail_is_the_end_of_what_is_open() -> None:
    blocks = MarkdownBlocks()
    blocks.feed("".join(f"line {number}\n" for number in range(100)) + "and more")

    assert blocks.tail(2, 100) == "line 98\nline 99\nand more"
    assert blocks.tail(2, 4) == "more"
