from __future__ import annotations

import fcntl
import json
import logging
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streamkit import CompletionStream, StreamDriver
from streamkit.sinks import TranscriptSink
from streamkit.testing import answer, chunk, completion_server, sse

from ..clock import driven, run
from ..conftest import REPO
from ..stream.scripted import END, ScriptedSource, feed_of


def lines_of(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


async def play(sink: TranscriptSink, *texts: str) -> None:
    await CompletionStream(ScriptedSource([feed_of(*texts), END])).attach(sink)


async def test_a_line_has_all_that_was_asked_and_answered(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    call = [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]
    feed = sse(
        chunk("Hel", role="assistant"),
        chunk("lo", reasoning_content="hm"),
        chunk(tool_calls=call),
        chunk(finish_reason="tool_calls"),
        chunk(usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 0.1}),
    )
    async with completion_server(feed) as server, StreamDriver(server.base_url) as driver:
        await driver.stream("hi ☃", model="m", temperature=0.5).attach(TranscriptSink(path))

    [line] = lines_of(path)
    assert "hi ☃" in path.read_text(encoding="utf-8")
    assert line["request"]["messages"] == [{"role": "user", "content": "hi ☃"}]
    assert line["request"]["temperature"] == 0.5
    assert (line["model"], line["text"], line["reasoning"]) == ("m", "Hello", "hm")
    assert line["tool_calls"] == [{"id": "c1", "name": "f", "arguments": '{"x": 1}', "extra": {}}]
    assert line["usage"] == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "extra": {"cost": 0.1}}
    assert (line["finish_reason"], line["ended_by"], line["complete"]) == ("tool_calls", "done", True)
    assert line["stats"]["chunks"] == 5
    assert "error" not in line
    assert line["started"].endswith("+00:00")


async def test_error_and_choices(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    two = sse(chunk("a"), chunk("b", index=1), chunk(finish_reason="stop"), chunk(finish_reason="length", index=1))
    refused = answer(401, {"error": {"message": "no such key", "code": "invalid_api_key"}})
    async with completion_server(two, refused) as server, StreamDriver(server.base_url) as driver:
        await driver.stream("hi", model="m", n=2).attach(TranscriptSink(path))
        await driver.stream("hi", model="m").attach(TranscriptSink(path, prompts=False)).start().finished()

    both, failed = lines_of(path)
    assert both["choices"] == [
        {"index": 0, "text": "a", "finish_reason": "stop"},
        {"index": 1, "text": "b", "finish_reason": "length"},
    ]
    assert failed["error"] == {"type": "StatusError", "status": 401, "code": "invalid_api_key"}
    assert "request" not in failed


@pytest.mark.parametrize("text", ["a\nb\r\nc", "a\u2028b\u2029c\x85d\x0bf\x1c", "\x00\x1b[2J", "☃ 🎉", "\ud83d alone"])
def test_a_line_is_one_line_for_every_reader(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log.jsonl"

    run(lambda: play(TranscriptSink(path, redact=lambda told: text), "x"))

    data = path.read_bytes()
    assert data.count(b"\n") == 1
    [line] = data.decode().splitlines()
    assert json.loads(line)["text"] == text


@driven
async def test_redact_goes_over_request_text_and_arguments(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    call = [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": '"secret"'}}]
    feed = sse(
        chunk("a sec"), chunk("ret"), chunk(reasoning="secret"), chunk(tool_calls=call), chunk(finish_reason="stop")
    )
    source = ScriptedSource([feed, END])
    sink = TranscriptSink(path, redact=lambda text: text.replace("secret", "***"))

    await CompletionStream(source).attach(sink)

    [line] = lines_of(path)
    assert (line["text"], line["reasoning"], line["tool_calls"][0]["arguments"]) == ("a ***", "***", '"***"')
    assert "secret" not in path.read_text(encoding="utf-8")


@driven
async def test_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    before = os.umask(0)
    try:
        sink = TranscriptSink(path)
    finally:
        os.umask(before)
    await play(sink, "a")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@driven
async def test_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    sink = TranscriptSink(path)
    await play(sink, "a")
    path.rename(tmp_path / "moved.jsonl")

    await play(sink, "b")

    assert [line["text"] for line in lines_of(path)] == ["b"]


@driven
async def test_relative_path_is_that_of_its_making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sink = TranscriptSink("log.jsonl")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")

    await play(sink, "a")

    assert lines_of(tmp_path / "log.jsonl")


@driven
async def test_rotation_keeps_the_newest_and_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    await play(TranscriptSink(path), "x")
    size = path.stat().st_size
    path.unlink()
    sink = TranscriptSink(path, max_bytes=int(size * 2.5), backups=2)

    for number in range(9):
        await play(sink, str(number))

    files = [path.with_name(name) for name in ("log.jsonl.2", "log.jsonl.1", "log.jsonl")]
    assert [[line["text"] for line in lines_of(file)] for file in files] == [["4", "5"], ["6", "7"], ["8"]]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)


APPENDING = """
import sys
from streamkit.sinks.appending import Appender
path, name = sys.argv[1:]
file = Appender(path, max_bytes=40_000, backups=100)
for number in range(300):
    file.append(f"{name} {number} {'x' * (number * 7 % 900)}\\n".encode())
"""


def test_processes_append_and_rotate_without_losing_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    processes = [
        subprocess.Popen([sys.executable, "-c", APPENDING, str(path), name], cwd=REPO) for name in ("a", "b", "c")
    ]
    assert [process.wait(40) for process in processes] == [0, 0, 0]

    lines = [line for file in tmp_path.iterdir() for line in file.read_text().splitlines()]
    assert len(list(tmp_path.iterdir())) > 3
    assert sorted(lines) == sorted(
        f"{name} {number} {'x' * (number * 7 % 900)}" for name in "abc" for number in range(300)
    )


@driven
async def test_line_is_not_lost_while_another_process_rotates(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    sink = TranscriptSink(path, max_bytes=1)
    await play(sink, "a")
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        await play(sink, "b")

    assert [line["text"] for line in lines_of(path)] == ["a", "b"]


@driven
async def test_what_is_no_file_is_not_rotated() -> None:
    null = Path("/dev/null")

    await play(TranscriptSink(null, max_bytes=1), "a")

    assert null.is_char_device()


@driven
async def test_full_disk_disables_the_sink_with_one_record_and_the_streams_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = TranscriptSink("/dev/full")
    failures: list[object] = []

    for text in ("a", "b", "c"):
        stream = CompletionStream(ScriptedSource([feed_of(text), END])).attach(sink)
        stream.on("listener_error", failures.append)
        assert (await stream).text == text

    assert failures == []
    [record] = caplog.records
    assert (record.name, record.levelno) == ("streamkit.sinks.transcript", logging.ERROR)
    assert record.getMessage() == "cannot write /dev/full: No space left on device; no more transcripts are written"


@driven
async def test_disabled_sink_stays_so_and_a_new_one_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "log.jsonl"
    sink = TranscriptSink(path)
    path.unlink()
    path.mkdir()
    await play(sink, "a")
    await play(sink, "b")
    path.rmdir()

    await play(sink, "c")
    await play(TranscriptSink(path), "d")

    assert [line["text"] for line in lines_of(path)] == ["d"]
    assert len(caplog.records) == 1


LIMITED = """
import resource, sys
from streamkit.sinks.appending import Appender
file = Appender(sys.argv[1])
file.append(b"a" * 90 + b"\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    file.append(b"b" * 90 + b"\\n")
except OSError as error:
    print(error)
file.append(b"c\\n")
"""


def test_line_that_fits_only_in_part_leaves_nothing_behind(tmp_path: Path) -> None:
    assert hasattr(resource, "RLIMIT_FSIZE")
    path = tmp_path / "log.jsonl"
    result = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], cwd=REPO, capture_output=True, text=True, check=True
    )

    assert result.stdout == f"cannot write {path}: only 9 of 91 bytes were taken; is the disk full?\n"
    assert path.read_text() == "a" * 90 + "\nc\n"


def test_pipe_that_nobody_reads_is_an_error_and_no_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(OSError, match="cannot write .*pipe: No such device or address; choose another place"):
        TranscriptSink(tmp_path / "pipe")


def test_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"cannot make .*nowhere/log.jsonl: its folder does not exist"):
        TranscriptSink(tmp_path / "nowhere" / "log.jsonl")


def test_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="cannot write .*: Is a directory; choose another place"):
        TranscriptSink(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"max_bytes": 0}, ValueError, "max_bytes must be a whole number of bytes, or None, not 0"),
        ({"backups": 0}, ValueError, "backups must be a whole number, 1 or more, not 0"),
        ({"prompts": "yes"}, TypeError, "prompts must be True or False, not 'yes'"),
        ({"redact": 1}, TypeError, "redact must be a function from text to text, not int"),
    ],
)
def test_bad_arguments(tmp_path: Path, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TranscriptSink(tmp_path / "log.jsonl", **arguments)

    assert list(tmp_path.iterdir()) == []
