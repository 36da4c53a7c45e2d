from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("tests.cli.command has terminals as POSIX has them", allow_module_level=True)

import asyncio
from contextlib import ExitStack
from pathlib import Path

from streamkit.cli.console import Console
from streamkit.cli.record import recording
from streamkit.tape import demo_tape, load_tape
from streamkit.testing import Hang, Reset, Script, Send, chunk, completion_server, replay_server, sse
from tests.cli.command import environment, run, terminal
from tests.conftest import COVERAGE

KEY = "sk-canary-0123456789"
FEED = sse(chunk("Hello"), chunk(", world", finish_reason="stop"))


@pytest.mark.parametrize("dashes", [(), ("--",)])
async def test_record_is_chat_with_a_tape(dashes: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "a.sse.jsonl"
    async with completion_server(FEED) as server:
        outcome = await run("record", str(path), *dashes, "--model", "m-1", "Say", "hi", base_url=server.base_url)

    assert (outcome.status, outcome.out) == (0, "Hello, world\n")
    assert outcome.sentence.startswith("first text at ")
    tape = load_tape(path)
    assert (tape.body, tape.ending) == (FEED, "eof")
    assert isinstance(tape.request["body"], dict)
    assert tape.request["body"]["model"] == "m-1"
    assert tape.request["body"]["messages"] == [{"role": "user", "content": "Say hi"}]


async def test_chat_records_too(tmp_path: Path) -> None:
    async with replay_server(demo_tape(), speed=0) as server:
        outcome = await run("chat", "--record", str(tmp_path / "a"), "hi", base_url=server.base_url)

    assert outcome.status == 0
    assert load_tape(tmp_path / "a").body == demo_tape().body


async def test_key_that_the_server_quotes_is_not_on_the_tape(tmp_path: Path) -> None:
    feed = sse(chunk(f"your key is {KEY}", finish_reason="stop"))
    async with completion_server(feed) as server:
        await run("record", str(tmp_path / "a"), f"it is {KEY}", base_url=server.base_url, env={"OPENAI_API_KEY": KEY})

    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in (tmp_path / "a").read_text()


@pytest.mark.parametrize(
    ("name", "status", "says"),
    [
        ("there", 1, "there exists; choose another name"),
        ("absent/a", 1, "its folder does not exist; make it first"),
        ("{x}", 2, "is no name for tapes: {n} stands for the number"),
    ],
)
async def test_file_that_will_not_do_is_one_sentence_and_nothing_is_asked(
    name: str, status: int, says: str, tmp_path: Path
) -> None:
    (tmp_path / "there").write_text("precious")
    async with completion_server(FEED) as server:
        outcome = await run("record", f"{tmp_path}/{name}", "hi", base_url=server.base_url)

    assert (outcome.status, outcome.out, server.requests) == (status, "", [])
    assert says in outcome.sentence and f"{tmp_path}/{name}" in outcome.sentence
    assert (tmp_path / "there").read_text() == "precious"


async def test_full_disk_costs_the_tape_and_not_the_answer(tmp_path: Path) -> None:
    path = tmp_path / "a"
    limited = (
        "import resource, signal, sys; from streamkit.cli import main; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000)); sys.exit(main(sys.argv[1:]))"
    )
    pipe = asyncio.subprocess.PIPE
    async with replay_server(demo_tape(), speed=20) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", limited, "record", path, "hi"),
            env={name: value for name, value in environment(server.base_url, None).items() if name not in COVERAGE},
            stdout=pipe, stderr=pipe,
        )  # fmt: skip
        out, err = [data.decode() for data in await process.communicate()]

    figures, problem = err.splitlines()
    assert process.returncode == 1
    assert out.endswith("hears it once.\n")
    assert figures.startswith("first text at ")
    assert problem.startswith(f"streamkit: a tape is not whole: cannot go on writing {path}: ")
    tape = load_tape(path)
    assert tape.ending is None
    assert tape.body and demo_tape().body.startswith(tape.body)


async def test_failed_answer_is_on_the_tape_as_far_as_it_came(tmp_path: Path) -> None:
    async with completion_server([Send(sse(chunk("Hel"), done=False)), Reset()]) as server:
        outcome = await run("record", str(tmp_path / "a"), "hi", base_url=server.base_url)

    assert (outcome.status, outcome.out) == (1, "Hel\n")
    assert load_tape(tmp_path / "a").ending == "reset"


async def test_interrupted_answer_is_on_the_tape_as_far_as_it_came(tmp_path: Path) -> None:
    path = tmp_path / "a"
    script: Script = [Send(sse(chunk("Hel"), done=False)), Hang()]
    async with (
        completion_server(script) as server,
        terminal("record", str(path), "hi", base_url=server.base_url) as screen,
    ):
        await screen.until("Hel")
        screen.type("\x03")
        assert await screen.status() == 130

    assert load_tape(path).ending == "cancelled"


async def test_conversation_needs_a_number_in_the_name(tmp_path: Path) -> None:
    async with (
        completion_server(FEED) as server,
        terminal("record", str(tmp_path / "a"), base_url=server.base_url) as screen,
    ):
        assert await screen.status() == 2
        assert f"a conversation has several answers, and {tmp_path}/a holds one: put {{n}}" in screen.shown.replace(
            "\n", ""
        )


async def test_conversation_makes_a_tape_an_answer(tmp_path: Path) -> None:
    async with (
        completion_server(FEED) as server,
        terminal("record", str(tmp_path / "talk-{n}"), base_url=server.base_url) as screen,
    ):
        for _ in range(2):
            await screen.until("> ")
            screen.type("hi\n")
            await screen.until("Hello, world")
        await screen.until("> ")
        screen.type("\x04")
        assert await screen.status() == 0

    assert sorted(path.name for path in tmp_path.iterdir()) == ["talk-1", "talk-2"]
    messages = [load_tape(path).request["body"] for path in sorted(tmp_path.iterdir())]
    assert [len(body["messages"]) for body in messages if isinstance(body, dict)] == [1, 3]


async def test_wrong_arguments_of_chat_are_named(tmp_path: Path) -> None:
    outcome = await run("record", str(tmp_path / "a"), "--temperature", "hot", "hi")

    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].endswith("'hot' is not a number")


def test_failure_of_the_answer_comes_before_that_of_the_tape(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import logging

    with pytest.raises(KeyError), ExitStack() as stack:
        stack.enter_context(recording(str(tmp_path / "a"), Console(), answers=1))
        logging.getLogger("streamkit.sinks.tape").warning("a tape is not whole: %s", "why")
        raise KeyError

    assert capsys.readouterr().err == "streamkit: a tape is not whole: why\n"
    assert logging.getLogger("streamkit.sinks.tape").handlers == []
