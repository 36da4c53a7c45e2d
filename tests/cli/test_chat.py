from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys

import pytest

from streamkit.tape import demo_tape
from streamkit.testing import End, Hang, Reset, Send, Step, answer, chunk, completion_server, replay_server, sse

if sys.platform == "win32":
    pytest.skip("terminals and signals as POSIX has them", allow_module_level=True)

from tests.cli.command import COMMAND, environment, run, terminal

KEY = "sk-canary-0123456789"
USAGE = {"prompt_tokens": 21, "completion_tokens": 2, "total_tokens": 23}
BEGUN: tuple[Step, ...] = (Send(sse(chunk("Hello, wor"), done=False)), Hang())
CUT: tuple[Step, ...] = (Send(sse(chunk("Hello, wor"), done=False)), Reset())
FEED = sse(chunk("Hello"), chunk(", world"), chunk(finish_reason="stop"), chunk(usage=USAGE))


def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


async def test_answer_goes_to_standard_output_and_figures_to_standard_error() -> None:
    async with replay_server(demo_tape(), speed=0) as server:
        outcome = await run("chat", "Write a poem", base_url=server.base_url)

    assert outcome.status == 0
    assert outcome.out.startswith("A stream is a letter")
    assert outcome.out.endswith("hears it once.\n")
    assert outcome.sentence.startswith("first text at ")
    assert outcome.sentence.endswith(", 17 prompt + 127 completion = 144 tokens")


async def test_options_go_into_the_request() -> None:
    async with completion_server(FEED) as server:
        outcome = await run(
            "chat", "--model", "m-1", "--system", "Be brief.", "--temperature", "0.5", "--max-tokens", "9", "Say", "hi",
            base_url=server.base_url, env={"OPENAI_API_KEY": KEY, "OPENAI_MODEL": "m-2"},
        )  # fmt: skip

    (request,) = server.requests
    assert (outcome.status, outcome.out) == (0, "Hello, world\n")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.json == {
        "model": "m-1",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hi"}],
        "temperature": 0.5,
        "max_tokens": 9,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("slash", ["", "/"])
async def test_base_url_and_model_come_from_arguments_or_the_environment(slash: str) -> None:
    async with completion_server(FEED) as server:
        given = await run("chat", "--base-url", server.base_url + slash, "hi", env={"OPENAI_MODEL": "m-2"})
        found = await run("chat", "hi", base_url=server.base_url + slash)

    assert given.out == found.out == "Hello, world\n"
    assert [request.path for request in server.requests] == ["/v1/chat/completions"] * 2
    assert [request.json.get("model") for request in server.requests] == ["m-2", None]


@pytest.mark.parametrize("arguments", [(), ("-",)])
async def test_prompt_comes_from_standard_input_when_it_is_piped(arguments: tuple[str, ...]) -> None:
    async with completion_server(FEED) as server:
        outcome = await run("chat", *arguments, base_url=server.base_url, stdin="Grüße\nzweite Zeile\n".encode())

    assert outcome.status == 0
    assert server.requests[0].json["messages"] == [{"role": "user", "content": "Grüße\nzweite Zeile\n"}]


async def test_text_is_shown_as_it_comes() -> None:
    async with completion_server(BEGUN) as server, terminal("chat", "hi", base_url=server.base_url) as screen:
        await screen.until("Hello, wor")


async def test_reasoning_warnings_and_an_odd_finish_stay_out_of_the_answer() -> None:
    feed = sse(chunk(reasoning_content="Hm."), chunk("Hello"), "{oops", chunk(", wor", finish_reason="length"))
    async with completion_server(feed) as server:
        outcome = await run("chat", "hi", base_url=server.base_url)

    assert (outcome.status, outcome.out) == (0, "Hello, wor\n")
    thought, warning, finish, figures = outcome.err.splitlines()
    assert thought == "Hm."
    assert warning.startswith("warning: not JSON") and warning.endswith("(malformed_chunk)")
    assert finish == "the answer ended with finish_reason length"
    assert figures.endswith("no usage reported")


async def test_refusal_is_the_answer() -> None:
    async with completion_server(sse(chunk(refusal="I can't."), chunk(finish_reason="stop"))) as server:
        outcome = await run("chat", "hi", base_url=server.base_url)

    assert (outcome.status, outcome.out) == (0, "I can't.\n")


async def test_verbose_shows_the_events_but_neither_the_prompt_nor_the_key() -> None:
    async with completion_server(FEED) as server:
        outcome = await run(
            "chat", "--verbose", "a secret question", base_url=server.base_url, env={"OPENAI_API_KEY": KEY}
        )

    events = [line.split()[1] for line in outcome.err.splitlines()[:-1]]
    assert (outcome.status, outcome.out) == (0, "Hello, world\n")
    assert events == ["start", "connect", "chunk", "text", "chunk", "text", "chunk", "chunk", "usage", "text_done", "done", "end"]  # fmt: skip
    assert KEY not in outcome.err
    assert "secret question" not in outcome.err


async def test_without_a_server_it_says_what_to_set() -> None:
    outcome = await run("chat", "hi")

    assert outcome.status == 2
    for name in ("OPENAI_BASE_URL", "--base-url", "OPENAI_API_KEY", "`streamkit demo` needs neither"):
        assert name in outcome.sentence


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        (["chat", ""], b"", "the prompt is empty"),
        (["chat"], b" \n", "the prompt is empty"),
        (["chat", "-"], b"", "the prompt is empty"),
        (["chat"], b"\x89PNG\xff\xfe", "the prompt is not text"),
        (["chat", "\udcff"], b"", "the prompt is not text"),
        (["chat", "--system", "\udcff", "hi"], b"", "'messages' cannot be sent"),
        (["chat", "--base-url", "localhost:8000", "hi"], b"", "base_url must begin with http:// or https://"),
        (["chat", "--base-url", "http://[", "hi"], b"", "base_url is no URL"),
    ],
)
async def test_bad_input_gets_one_sentence_and_status_2(arguments: list[str], stdin: bytes, says: str) -> None:
    outcome = await run(*arguments, base_url="http://127.0.0.1:1/v1", stdin=stdin)

    assert (outcome.status, outcome.out) == (2, "")
    assert says in outcome.sentence


@pytest.mark.parametrize(
    "option", ["--temperature=warm", "--temperature=nan", "--max-tokens=1.5", "--api-key=sk-1", "--mod=m"]
)
async def test_bad_option_is_named(option: str) -> None:
    outcome = await run("chat", option, "hi", base_url="http://127.0.0.1:1/v1")

    assert (outcome.status, outcome.out) == (2, "")
    assert option.partition("=")[0] in outcome.err.splitlines()[-1]


async def test_refused_connection_is_one_sentence_that_names_the_address() -> None:
    port = closed_port()

    outcome = await run("chat", "hi", base_url=f"http://127.0.0.1:{port}/v1")

    assert (outcome.status, outcome.out) == (1, "")
    assert f"127.0.0.1:{port}" in outcome.sentence


@pytest.mark.parametrize(
    ("status", "message", "says"),
    [
        (401, f"Incorrect API key provided: {KEY}", "OPENAI_API_KEY"),
        (404, "Not Found", "/v1"),
        (400, "you must provide a model parameter", "--model"),
    ],
)
async def test_error_status_is_one_sentence_that_says_what_to_do(status: int, message: str, says: str) -> None:
    async with completion_server(answer(status, {"error": {"message": message}})) as server:
        outcome = await run("chat", "hi", base_url=server.base_url, env={"OPENAI_API_KEY": KEY})

    assert (outcome.status, outcome.out) == (1, "")
    assert str(status) in outcome.sentence
    assert says in outcome.sentence
    assert KEY not in outcome.sentence


async def test_cut_answer_keeps_what_had_come() -> None:
    async with completion_server(CUT) as server:
        outcome = await run("chat", "hi", base_url=server.base_url)

    assert (outcome.status, outcome.out) == (1, "Hello, wor\n")
    assert "connection was cut" in outcome.sentence


async def test_interrupt_of_a_piped_chat_keeps_what_had_come_and_exits_130() -> None:
    pipe = asyncio.subprocess.PIPE
    async with completion_server(BEGUN) as server:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "chat", "hi", env=environment(server.base_url, None), stdin=pipe, stdout=pipe, stderr=pipe
        )
        assert process.stdout is not None
        begun = await process.stdout.readexactly(len("Hello, wor"))
        process.send_signal(signal.SIGINT)
        rest, errors = await process.communicate()

    assert (process.returncode, begun + rest) == (130, b"Hello, wor\n")
    assert errors == b"interrupted; the answer is not whole\n"
    assert server.requests[0].closed.is_set()


async def test_interrupt_on_a_terminal_keeps_what_had_come_and_exits_130() -> None:
    async with completion_server(BEGUN) as server, terminal("chat", "hi", base_url=server.base_url) as screen:
        await screen.until("Hello, wor")
        screen.type("\x03")

        assert await screen.status() == 130
        assert screen.shown == "Hello, wor^C\ninterrupted; the answer is not whole\n"


async def test_interrupt_before_the_answer_exits_130() -> None:
    async with completion_server([Hang()]) as server, terminal("chat", "-v", "hi", base_url=server.base_url) as screen:
        await screen.until("start")
        screen.type("\x03")

        assert await screen.status() == 130
        assert screen.shown.endswith("interrupted\n")
        assert "Traceback" not in screen.shown


async def test_conversation_keeps_its_history_survives_a_failure_and_ends_with_the_input() -> None:
    second = sse(chunk("Fine."), chunk(finish_reason="stop"))
    scripts = (FEED, answer(400, {"error": {"message": "too silly"}}), second)
    async with (
        completion_server(*scripts) as server,
        terminal("chat", base_url=server.base_url, env={"TERM": "dumb"}) as screen,
    ):
        await screen.until("> ")
        screen.type("hi\r")
        await screen.until("Hello, world\n")
        await screen.until("> ")
        screen.type("\r")
        await screen.until("> ")
        screen.type("silly\r")
        await screen.until("too silly")
        await screen.until("> ")
        screen.type("how are you?\r")
        await screen.until("Fine.\n")
        await screen.until("> ")
        screen.type("\x04")

        assert await screen.status() == 0
        assert "Traceback" not in screen.shown
    first, _, third = (request.json["messages"] for request in server.requests)
    assert third == [
        *first,
        {"role": "assistant", "content": "Hello, world"},
        {"role": "user", "content": "how are you?"},
    ]


async def test_conversation_whose_answers_go_elsewhere_asks_on_the_terminal() -> None:
    pipe = asyncio.subprocess.PIPE
    async with completion_server(FEED) as server, terminal("chat", base_url=server.base_url, out=pipe) as screen:
        await screen.until("> ")
        screen.type("hi\r")
        await screen.until("> ")
        screen.type("\x04")

        assert await screen.status() == 0
        assert screen.process.stdout is not None
        assert await screen.process.stdout.read() == b"Hello, world\n"
    assert server.requests[0].json["messages"] == [{"role": "user", "content": "hi"}]


async def test_interrupt_at_the_prompt_of_a_conversation_exits_130() -> None:
    async with terminal("chat", base_url="http://127.0.0.1:1/v1", env={"TERM": "dumb"}) as screen:
        await screen.until("> ")
        status = None
        while status is None:
            # CPython's input() misses a signal that comes just before it waits for a key: somebody at the keyboard
            # presses it again, too.
            screen.type("\x03")
            with contextlib.suppress(TimeoutError):
                status = await asyncio.wait_for(screen.status(), 2)

        assert status == 130
        assert "Traceback" not in screen.shown


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
async def test_reasoning_is_dim_on_a_terminal_unless_colours_are_unwanted(env: dict[str, str], coloured: bool) -> None:
    feed = sse(chunk(reasoning_content="Hm."), chunk("Hello"), chunk(finish_reason="stop"))
    async with completion_server(feed) as server, terminal("chat", "hi", base_url=server.base_url, env=env) as screen:
        assert await screen.status() == 0

    assert screen.shown.startswith("\x1b[2mHm.\x1b[0m\nHello\n" if coloured else "Hm.\nHello\n")
    assert ("\x1b" in screen.shown) is coloured


async def test_answer_cannot_control_the_terminal() -> None:
    feed = sse(chunk("a\x1b]0;title\x07b\x9bc\td"), chunk(finish_reason="stop"))
    async with completion_server(feed) as server, terminal("chat", "hi", base_url=server.base_url) as screen:
        assert await screen.status() == 0
        piped = await run("chat", "hi", base_url=server.base_url)

    assert screen.shown.startswith("a␛]0;title␇b\N{REPLACEMENT CHARACTER}c\td\n")
    assert piped.out == "a\x1b]0;title\x07b\x9bc\td\n"


async def test_events_are_cut_to_the_width_of_the_terminal() -> None:
    feed = sse(chunk("long " * 40), chunk(finish_reason="stop"))
    async with (
        completion_server([Send(feed), End()]) as server,
        terminal("chat", "-v", "hi", base_url=server.base_url, env={"NO_COLOR": "1"}) as screen,
    ):
        assert await screen.status() == 0

    (line,) = (line for line in screen.shown.splitlines() if " chunk " in line and "long" in line)
    assert len(line) == 80
    assert line.endswith("...")
