"""The benchmark harness measures, checks what it measures, and judges; the figures themselves are no test's business."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import aiohttp
import pytest

from benchmarks import feed_server
from benchmarks.__main__ import LIMITS, main
from benchmarks.cpu import Figure, Report, Row, chosen
from benchmarks.feed import EVENT_BYTES, feed
from benchmarks.floor import read_floor

SMALL = ["--rounds", "2", "--events", "60", "--single-events", "30"]


def test_every_text_chunk_is_one_size_and_real_json() -> None:
    events = feed(40).events
    assert {len(event) for event in events[1:41]} == {EVENT_BYTES}
    chunks = [json.loads(event[6:]) for event in events[:-1]]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]) == feed(40).text
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] == 40
    assert events[-1] == b"data: [DONE]\n\n"


@pytest.mark.parametrize("mode", feed_server.MODES)
async def test_the_server_sends_the_feed_in_each_mode(mode: str) -> None:
    server = await asyncio.start_server(feed_server._serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/{mode}/500/v1/chat/completions"
    async with server, aiohttp.ClientSession() as session:
        for _ in range(2):  # the second on the same connection
            async with session.post(url, json={}) as response:
                assert await response.read() == b"".join(feed(500).events)
        pieces: list[str] = []
        async with session.post(url, json={}) as response:
            assert await read_floor(response, pieces.append) > 0
    assert "".join(pieces) == feed(500).text


async def test_the_server_refuses_a_mode_that_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    server = await asyncio.start_server(feed_server._serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/drip/5/v1/chat/completions"
    async with server, aiohttp.ClientSession() as session, session.post(url, json={}) as response:
        assert response.status == 400
    assert "names no mode; known are blocks, single, paced" in capsys.readouterr().err


def test_blocks_are_cut_at_64_kib_and_singles_at_events() -> None:
    blocks = list(feed_server._writes("blocks", 500))
    assert [len(block) for block in blocks[:-1]] == [len(b"10000\r\n") + 65536 + 2] * (len(blocks) - 1)
    assert len(list(feed_server._writes("single", 500))) == len(feed(500).events)


def test_cpu_prints_a_table_and_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.json"
    assert main(["cpu", "--only", "floor", *SMALL, "--json", str(path)]) == 0
    table = capsys.readouterr().out
    assert re.search(r"^ +blocks \(60\) +single \(30\)$", table, re.MULTILINE)
    number = r" +\d+\.\d\d \(\d+\.\d\d\) +\d+\.\d\dx"
    assert re.search(rf"^floor {number}{number}$", table, re.MULTILINE)
    assert re.search(rf"^floor \+ one pyee emit{number}{number}$", table, re.MULTILINE)
    floor = json.loads(path.read_text())["contenders"][0]
    assert floor["name"] == "floor"
    assert len(floor["modes"]["single"]["microseconds"]) == 2
    assert floor["modes"]["blocks"]["floors"] == 1.0


def test_a_contender_that_is_not_there_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cpu", "--only", "Vercel", *SMALL]) == 0
    assert re.search(r"(?m)^Vercel ai streamText +not installed: node, or no --node folder$", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["cpu", "--only", "flor"], "no contender's name begins with 'flor'"),
        (["cpu", "--rounds", "0"], "0 is less than 1"),
        (["cpu", "--node", "nowhere"], "no node_modules there"),
        (["cpu", "--json", "nowhere/x.json"], "there is no folder nowhere"),
    ],
)
def test_bad_arguments_are_named(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


def _report(times: float) -> Report:
    floor = Row("floor", figures={"blocks": Figure([1.0, 2.0, 1.0], 3), "single": Figure([4.0, 4.0, 8.0], 30)})
    slower = {mode: Figure([its * times for its in figure.rounds], None) for mode, figure in floor.figures.items()}
    rows = [Row(name, figures=slower) for name in dict.fromkeys(name for name, _ in LIMITS)]
    return Report({"blocks": 10, "single": 10}, 3, [floor, *rows])


@pytest.mark.parametrize(("times", "status"), [(2.0, 0), (2.01, 1), (9.0, 1)])
def test_the_gate_fails_over_a_limit(times: float, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.__main__.measure", lambda *_: _report(times))
    assert main(["gate"]) == status
    assert main([]) == status


def test_the_gate_fails_when_streamkit_was_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    report = _report(1.0)
    monkeypatch.setattr("benchmarks.__main__.measure", lambda *_: Report(report.events, 3, report.rows[:1]))
    assert main(["gate"]) == 1


def test_chosen_keeps_the_order_of_the_table() -> None:
    assert chosen("streamkit,floor")[0] == "floor"
