from __future__ import annotations

import errno
import io
import os
import pty
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from streamkit import CompletionStream, StreamAborted
from streamkit.sinks import ConsoleSink
from streamkit.testing import chunk, sse

from ..clock import driven, run
from ..conftest import REPO
from ..stream.scripted import END, Item, ScriptedSource, feed_of, text_reads
from .probes import Tty
from .terminal import Terminal

ANSWER = """\
# A title

Some **words** about `code`, and a [link](https://example.com).

- one
- two

```py
def f(x):
    return x

print(f(1))
```

| a | b |
|---|---|
| 1 | 2 |

The end."""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "LINES", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "20")


async def show(sink: ConsoleSink, *items: Item) -> None:
    await CompletionStream(ScriptedSource(items)).attach(sink)


def pieces(text: str, size: int = 4, seconds: float = 0.01) -> list[Item]:
    """The text in chunks, one a read, so far apart."""
    reads = text_reads(*(text[at : at + size] for at in range(0, len(text), size)))
    last = sse(chunk(finish_reason="stop"))
    return [*(item for data in reads for item in (data, seconds)), last, END]


@driven
async def test_pipe_gets_the_text_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    feed = sse(chunk(reasoning="hm"), chunk("a\x1b[2J\r\n"), chunk("☃"), chunk(finish_reason="stop"))

    await show(ConsoleSink(), feed, END)

    assert capsys.readouterr() == ("a\x1b[2J\r\n☃", "")


@driven
async def test_plain_terminal_shows_reasoning_dim_and_controls_visibly() -> None:
    tty = Tty()
    feed = sse(chunk(reasoning="hm"), chunk("a\x1b[2J"), chunk(finish_reason="stop"))

    await show(ConsoleSink(tty, markdown=False), feed, END)

    assert tty.getvalue() == "\x1b[2mhm\x1b[0m\na␛[2J\n"


@driven
async def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    plain, rich = Tty(), Tty()
    code = "```py\nx = 1\n```\n"

    await show(
        ConsoleSink(plain, markdown=False), sse(chunk(reasoning="hm"), chunk("a"), chunk(finish_reason="stop")), END
    )
    await show(ConsoleSink(rich, markdown=True), feed_of(code), END)

    assert plain.getvalue() == "hm\na\n"
    assert "\x1b[38" not in rich.getvalue()
    assert "\x1b[9" not in rich.getvalue()


@driven
async def test_status_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 11, "total_tokens": 14}
    items: list[Item] = [
        0.5,
        *text_reads("a"),
        2.0,
        *text_reads("b"),
        sse(chunk(finish_reason="stop"), chunk(usage=usage)),
        END,
    ]

    await show(ConsoleSink(status=True), *items)

    assert capsys.readouterr() == ("ab", "ttft 0.50 s · 11 tok · 5 tok/s\n")


@driven
async def test_streams_that_run_at_once_are_shown_one_after_the_other() -> None:
    out = io.StringIO()
    sink = ConsoleSink(out)
    slow = CompletionStream(ScriptedSource([*text_reads("a"), 2.0, feed_of("b"), END])).attach(sink).start()
    quick = CompletionStream(ScriptedSource([1.0, feed_of("x", "y"), END])).attach(sink).start()

    await quick
    assert out.getvalue() == "a"
    await slow

    assert out.getvalue() == "abxy"


class Full(io.StringIO):
    def __init__(self, error: int) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise OSError(self.error, os.strerror(self.error))


@driven
@pytest.mark.parametrize(("error", "reports"), [(errno.EPIPE, 0), (errno.ENOSPC, 1)])
async def test_file_that_takes_no_more_silences_the_sink_only(error: int, reports: int) -> None:
    stream = CompletionStream(ScriptedSource([feed_of("a", "b", "c"), END])).attach(ConsoleSink(Full(error)))
    failures: list[object] = []
    texts: list[str] = []
    stream.on("listener_error", failures.append)
    stream.on("text", texts.append)

    completion = await stream

    assert (completion.text, texts, len(failures)) == ("abc", ["a", "b", "c"], reports)


@driven
async def test_terminal_that_goes_away_while_it_is_drawn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(Full):
        def isatty(self) -> bool:
            return True

    stream = CompletionStream(ScriptedSource(pieces("a b c\n\nd e f\n\n", seconds=0.2))).attach(
        ConsoleSink(Gone(errno.EIO))
    )
    failures: list[object] = []
    stream.on("listener_error", failures.append)

    completion = await stream

    assert completion.complete
    assert len(failures) == 1


@driven
async def test_character_that_the_file_cannot_hold() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, "ascii")

    await show(ConsoleSink(file), feed_of("☃!"), END)

    assert raw.getvalue() == b"?!"


class Screen(Tty):
    """A terminal that shows what is written to it."""

    def __init__(self, width: int = 60) -> None:
        super().__init__()
        self.terminal = Terminal(width)
        self.seen: list[str] = []
        """What it showed after each write."""

    def write(self, text: str) -> int:
        self.terminal.write(text)
        self.seen.append(self.terminal.text)
        return len(text)


@driven
@pytest.mark.parametrize("size", [1, 4, 1000])
async def test_markdown_stands_there_once_and_whole(size: int) -> None:
    screen = Screen()

    await show(ConsoleSink(screen, markdown=True), *pieces(ANSWER, size))

    text = screen.terminal.text
    for part in (
        "A title",
        "Some words about code",
        "link (https://example.com)",
        " • one",
        "def f(x):",
        "print(f(1))",
        "The end.",
    ):
        assert text.count(part) == 1, text
    assert "**" not in text
    assert "```" not in text
    assert text.splitlines()[-1].startswith("ttft 0.00 s · ")
    assert "~" not in text


@driven
async def test_what_is_open_is_shown_as_it_grows_with_a_status_line() -> None:
    screen = Screen()

    await show(ConsoleSink(screen, markdown=True), *pieces("One **two** three.\n\nFour", seconds=0.1))

    assert any(seen.startswith("One **tw\nttft 0.00 s · ~2 tok") for seen in screen.seen), screen.seen
    assert any("tok/s" in seen for seen in screen.seen)


@driven
async def test_final_screen_is_the_same_whatever_was_drawn_meanwhile() -> None:
    slow, quick = Screen(), Screen()

    await show(ConsoleSink(slow, markdown=True, status=False), *pieces(ANSWER, 3, seconds=0.1))
    await show(ConsoleSink(quick, markdown=True, status=False), *pieces(ANSWER, 3, seconds=0.0))

    assert slow.terminal.text == quick.terminal.text
    assert len(slow.seen) > len(quick.seen)


@driven
@pytest.mark.parametrize("width", [25, 44, 90])
async def test_resize(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that becomes narrower wraps what stands below anew; none of it may stay behind."""
    screen = Screen()
    monkeypatch.delenv("COLUMNS")
    monkeypatch.delenv("LINES")
    monkeypatch.setattr(os, "get_terminal_size", lambda descriptor: os.terminal_size((screen.terminal.width, 20)))
    words = " ".join(f"w{number}" for number in range(60))
    stream = CompletionStream(ScriptedSource(pieces(f"{words}\n\nlast", 8, seconds=0.1)))
    stream.attach(ConsoleSink(screen, markdown=True))

    def resize(text: str) -> None:
        if "w30" in stream.completion.text:
            screen.terminal.resize(width)

    stream.on("text", resize)
    await stream

    assert " ".join(screen.terminal.text.split()).startswith(f"{words} last ttft")


@driven
async def test_reasoning_is_dim_and_stands_before_the_answer() -> None:
    screen, tty = Screen(), Tty()
    feed = sse(chunk(reasoning="first\nsec"), chunk(reasoning="ond"), chunk("Yes."), chunk(finish_reason="stop"))

    await show(ConsoleSink(screen, markdown=True, status=False), feed, END)
    await show(ConsoleSink(tty, markdown=True, status=False), feed, END)

    assert screen.terminal.text.strip() == "first\nsecond\n\nYes."
    assert "\x1b[2mfirst\x1b[0m" in tty.getvalue()


@driven
async def test_abort_keeps_what_had_come_and_says_so() -> None:
    screen = Screen()
    stream = CompletionStream(ScriptedSource(text_reads("Par", "tial **answer**"))).attach(
        ConsoleSink(screen, markdown=True)
    )
    stream.on("text", lambda text: stream.abort() if "answer" in text else None)

    with pytest.raises(StreamAborted):
        await stream

    assert screen.terminal.text.split("\n")[:3] == ["Partial answer", "", "ttft 0.00 s · 2 chunks · aborted"]


@driven
async def test_control_characters_and_links_of_an_answer_do_nothing_to_the_terminal() -> None:
    tty = Tty()

    await show(ConsoleSink(tty, markdown=True), feed_of("a\x1b]0;title\x07b\x1b[2J [x](https://e.com) &#27;[2J"), END)

    assert "\x1b]" not in tty.getvalue()
    assert "\x1b[2J" not in tty.getvalue()
    assert "https://e.com" in tty.getvalue()


def paragraphs(characters: int) -> str:
    block = ANSWER + "\n\n" + "Some more words in a paragraph that is longer than a line. " * 4 + "\n\n"
    return (block * (characters // len(block) + 1))[:characters]


def seconds_to_show(text: str) -> float:
    items = pieces(text)

    async def main() -> None:
        await show(ConsoleSink(Tty(), markdown=True), *items)

    run(main, debug=False)  # imports, caches
    before = time.process_time()
    run(main, debug=False)
    return time.process_time() - before


def test_14_kb_at_100_tokens_a_second_take_less_than_half_a_second() -> None:
    """35 seconds of stream; rich's Live(Markdown) takes 20 for it. The least of three: other processes disturb."""
    code = """
from tests.sinks.test_console import paragraphs, seconds_to_show
print(min(seconds_to_show(paragraphs(14_000)) for _ in range(3)))
"""
    # In a process of its own: a measurement of coverage would be measured too.
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "60", "LINES": "20"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, check=True)

    print(f"{result.stdout.strip()} s of CPU")
    assert float(result.stdout) < 0.5


def test_time_grows_with_the_length_and_not_its_square() -> None:
    short, long = (min(seconds_to_show(paragraphs(size)) for _ in range(2)) for size in (5_000, 20_000))

    assert long / short < 8


def test_missing_extra_is_an_error_where_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamkit.sinks.console.find_spec", lambda name: None)

    with pytest.raises(ImportError, match=r"pip install 'streamkit-asyncio\[cli\]'"):
        ConsoleSink(Tty(), markdown=True)
    ConsoleSink(Tty())  # plain


def test_rich_is_imported_only_where_it_draws() -> None:
    code = "import sys, streamkit.sinks as s; s.ConsoleSink(); print('rich' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)

    assert result.stdout == "False\n"


def test_what_is_no_file() -> None:
    wrong: Any = "out.txt"
    with pytest.raises(TypeError, match="file must be a text file, not str"):
        ConsoleSink(wrong)


CHAT = """
import asyncio
from streamkit import StreamDriver
from streamkit.sinks import ConsoleSink
from streamkit.testing import Hang, Send, chunk, completion_server, sse

async def main():
    script = [Send(sse(chunk("A **partial** answ"), done=False)), Hang()]
    async with completion_server(script) as server, StreamDriver(server.base_url, sinks=[ConsoleSink()]) as driver:
        await driver.stream("hi", model="m")

asyncio.run(main())
"""


def test_interrupt_keeps_the_partial_answer_and_a_sane_terminal() -> None:
    ours, its = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    process = subprocess.Popen([sys.executable, "-c", CHAT], stdout=its, stderr=subprocess.PIPE, env=environment)
    os.close(its)
    output = b""
    while b"answ" not in output:  # it is drawn, and so open
        output += os.read(ours, 1000)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    try:
        while data := os.read(ours, 1000):
            output += data
    except OSError:  # EIO: the other end is closed
        pass
    os.close(ours)

    assert b"KeyboardInterrupt" in errors
    screen = Terminal(60)
    screen.write(output.decode().replace("\r\n", "\n"))
    assert screen.text.split("\n")[0] == "A partial answ"
    assert screen.text.strip().endswith("· cancelled")
    assert b"\x1b[?25l" not in output
