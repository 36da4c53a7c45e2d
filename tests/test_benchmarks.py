"""The benchmark harness measures, checks what it measures, and judges; the figures themselves are no test's business."""

from __future__ import annotations

import asyncio
import json
import platform
import re
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest

from benchmarks import emit, feed_server, load_server
from benchmarks.__main__ import LIMITS, main
from benchmarks.concurrent_reader import percentile
from benchmarks.cpu import Figure, Report, Row, chosen
from benchmarks.feed import EVENT_BYTES, feed
from benchmarks.figures import targets
from benchmarks.floor import read_floor
from benchmarks.machine import machine
from benchmarks.page import TABLES
from benchmarks.process import ROOT
from benchmarks.results import load, save

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


async def _load_server() -> tuple[asyncio.Server, str]:
    server = await asyncio.start_server(load_server._Server().serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("events", [0, 7, 1000, 1007])
async def test_a_long_feed_has_as_many_chunks_as_were_asked_for(events: int) -> None:
    server, url = await _load_server()
    pieces: list[str] = []
    url = f"{url}/long/{events}/v1/chat/completions"
    async with server, aiohttp.ClientSession() as session, session.post(url, json={}) as response:
        await read_floor(response, pieces.append)
    assert pieces == [" the"] * events


async def test_paced_streams_begin_together_and_say_when_each_chunk_was_written() -> None:
    server, url = await _load_server()
    before = time.monotonic_ns()

    async def read(session: aiohttp.ClientSession) -> list[int]:
        stamps: list[str] = []
        async with session.post(f"{url}/paced/3/200/5/v1/chat/completions", json={}) as response:
            await read_floor(response, stamps.append)
        return [int(stamp) for stamp in stamps]

    async with server, aiohttp.ClientSession() as session:
        streams = await asyncio.gather(*(read(session) for _ in range(3)))
    assert [len(stamps) for stamps in streams] == [5, 5, 5]
    written = sorted(stamp for stamps in streams for stamp in stamps)
    assert before < written[0] and written[-1] <= time.monotonic_ns()
    assert [sorted(stamps) for stamps in streams] == streams
    # 5 chunks at 200 a second: the streams take turns, so that the last is due 25 ms after the first was due one step in.
    assert written[-1] - written[0] >= 20e6


async def test_the_load_server_knows_no_other_path() -> None:
    server, url = await _load_server()
    url = f"{url}/drip/v1/chat/completions"
    async with server, aiohttp.ClientSession() as session, session.post(url, json={}) as response:
        assert response.status == 404


def test_percentiles_are_nearest_rank() -> None:
    values = [float(value) for value in range(1, 1001)]
    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [500.0, 990.0, 1000.0]
    assert percentile([7.0], 0.5) == percentile([7.0], 0.99) == 7.0


def test_emit_measures_every_way_with_every_number_of_listeners(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.json"
    assert main(["emit", "--rounds", "1", "--events", "200", "--json", str(path)]) == 0
    table = capsys.readouterr().out
    for way in emit.WAYS:
        assert re.search(rf"^{way}( +[\d,]+){{{len(emit.LISTENERS)}}}$", table, re.MULTILINE)
    section = json.loads(path.read_text())["emit"]
    assert all(figure > 0 for way in section["nanoseconds"].values() for rounds in way.values() for figure in rounds)
    assert section["machine"]["python"]


def test_concurrent_measures_the_delay_of_every_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results.json"
    arguments = ["--streams", "4", "--rate", "25", "--seconds", "1", "--rounds", "1", "--only", "floor,streamkit"]
    assert main(["concurrent", *arguments, "--json", str(path)]) == 0
    assert re.search(r"(?m)^streamkit +4 +\d+%", capsys.readouterr().out)
    for way, sizes in json.loads(path.read_text())["concurrent"]["ways"].items():
        (figures,) = sizes["4"]
        assert "failed" not in figures, (way, figures)
        assert 60 < figures["events_a_second"] < 140, way
        assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is resident now")
def test_memory_measures_idle_streams_and_a_long_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results.json"
    assert main(["memory", "--streams", "40", "--chunks", "2000", "--json", str(path)]) == 0
    table = capsys.readouterr().out
    assert re.search(r"(?m)^streamkit +\d+\.\d resident; traced: .*streamkit \d", table)
    section = json.loads(path.read_text())["memory"]
    assert section["idle"]["streamkit"]["traced"]["streamkit"] > 1000
    assert "streamkit" not in section["idle"]["floor"]["traced"]
    assert [sample[:2] for sample in section["long"]["streamkit"]["samples"]][-1] == [2000, 8000]


def test_import_is_light_and_brings_no_extra(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["imports", "--rounds", "3"]) == 0
    assert "neither streamkit's, its dependencies' nor Python's: none" in capsys.readouterr().out


def test_a_section_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    save(path, "emit", {"rounds": 1})
    save(path, "imports", {"rounds": 2})
    save(path, "emit", {"rounds": 3})
    sections = load(path)
    assert [sections["emit"]["rounds"], sections["imports"]["rounds"]] == [3, 2]
    path.write_text("[]")
    with pytest.raises(ValueError, match="holds no results"):
        load(path)


def test_what_it_was_measured_on_does_not_name_the_machine() -> None:
    assert platform.node() not in json.dumps(machine())


RESULTS = ROOT / "docs" / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "benchmarks.md"


def test_the_page_and_its_plots_are_what_the_results_make(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No figure on the page was written by hand, and none is of an older run."""
    page = tmp_path / "benchmarks.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    assert main(["plots", "--json", str(RESULTS), "--page", str(page)]) == 0
    assert "1,000 streams at 50 events/s" in capsys.readouterr().out
    assert page.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")
    for name in ("cpu.svg", "concurrent.svg"):
        drawn = (tmp_path / "benchmarks" / name).read_text(encoding="utf-8")
        assert drawn == (RESULTS.parent / name).read_text(encoding="utf-8")
        ET.fromstring(drawn)


def test_the_prose_of_the_page_holds_a_mark_for_every_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"<!-- (?!end)(\w+) -->\n\n\S", text) == list(TABLES)
    assert text.count("<!-- end -->") == len(TABLES)


def _results(*, emitter: float, p99: float, added: float) -> dict[str, Any]:
    ours, node = "streamkit: chunk + text listener", 'openai-node .stream().on("content")'
    contenders = [
        {"name": name, "modes": {mode: {"microseconds": [figure] * 3} for mode in ("blocks", "single")}}
        for name, figure in ((ours, 2.0), (node, emitter))
    ]
    figures = {"p99_ms": p99, "events_a_second": 50_000.0}
    return {
        "cpu": {"contenders": contenders},
        "concurrent": {"rate": 50, "ways": {"streamkit": {"1000": [figures]}}},
        "imports": {"added_seconds": [added], "foreign": []},
    }


@pytest.mark.parametrize(
    ("figures", "kept"),
    [
        ({"emitter": 10.0, "p99": 99.0, "added": 0.079}, [True, True, True, True, True]),
        ({"emitter": 9.9, "p99": 99.0, "added": 0.079}, [False, False, True, True, True]),
        ({"emitter": 10.0, "p99": 100.0, "added": 0.08}, [True, True, False, False, True]),
    ],
)
def test_a_target_that_is_missed_is_said_to_be(figures: dict[str, float], kept: list[bool]) -> None:
    assert [target.kept for target in targets(_results(**figures))] == kept


def test_the_fan_out_is_to_be_ahead_of_every_rival_in_both() -> None:
    ways = {
        "streamkit": [{"microseconds_an_event": 10.0, "resident_a_reader": 9.0}],
        "aiohttp-sse": [{"microseconds_an_event": 40.0, "resident_a_reader": 9.0}],
        "sse-starlette": [{"missing": "sse_starlette"}],
    }
    found = [(target.promise, target.found, target.kept) for target in targets({"fanout": {"ways": ways}})]
    assert found == [
        ("streamkit: less CPU a delivered event than aiohttp-sse", "0.25 times", True),
        ("streamkit: less memory a reader than aiohttp-sse", "1.00 times", False),
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["all", "--parts", "cpu,speed"], "no part is called speed"),
        (["all", "--node", "nowhere"], "no node_modules there"),
        (["concurrent", "--streams", "10,many"], "wanted are numbers like 100,300"),
        (["concurrent", "--only", "curl"], "no way to read is called curl"),
        (["emit", "--json", "nowhere/x.json"], "there is no folder nowhere"),
        (["memory", "--chunks", "0"], "0 is less than 1"),
        (["plots", "--json", "nowhere.json"], "nowhere.json is not there"),
    ],
)
def test_bad_arguments_of_the_other_commands_are_named(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


def test_sinks_are_measured_each_and_all_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.sinks import main

    main(["--events", "200", "--rounds", "1"])

    rows = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert rows[1] == "none"
    assert rows[-1] == "all"
    assert {"StatsSink", "LogSink", "TapeSink"} < set(rows)
