from __future__ import annotations

import asyncio

import pytest

from streamkit import ConnectionLost
from streamkit.stream.reader import BACKLOG_BYTES, EagerReader

from ..clock import driven, turns
from .scripted import END, Item, ScriptedSource


async def reader_of(*items: Item) -> tuple[EagerReader, ScriptedSource]:
    source = ScriptedSource(items)
    await source.connect()
    return EagerReader(source), source


async def read_all(reader: EagerReader) -> list[bytes]:
    reads = []
    while data := await reader.read():
        reads.append(data)
    return reads


@driven
async def test_reads_as_they_come():
    reader, _ = await reader_of(b"a", 1.0, b"b", END)
    assert await read_all(reader) == [b"a", b"b"]


@driven
async def test_what_comes_while_the_pump_waits_is_kept_with_its_time():
    reader, source = await reader_of(b"a", 1.0, b"b", 1.0, b"c", 1.0, END)
    began = asyncio.get_running_loop().time()
    await reader.beside(asyncio.sleep(10))
    assert bytes(source.taken) == b"abc"
    assert reader.has_backlog
    stamps = []
    while data := await reader.read():
        stamps.append((data, reader.at - began))
    assert stamps == [(b"a", 0.0), (b"b", pytest.approx(1.0)), (b"c", pytest.approx(2.0))]
    assert asyncio.get_running_loop().time() - began == pytest.approx(10.0)


@driven
async def test_what_came_before_a_cut_is_read_before_the_cut():
    cut = ConnectionLost("cut")
    reader, _ = await reader_of(b"a", b"b", cut)
    await reader.beside(asyncio.sleep(1))
    assert [await reader.read(), await reader.read()] == [b"a", b"b"]
    with pytest.raises(ConnectionLost) as caught:
        await reader.read()
    assert caught.value is cut


@driven
async def test_at_the_limit_it_stops_reading_ahead():
    piece = b"x" * 2**16
    reader, source = await reader_of(*[piece] * 200, END)
    await reader.beside(asyncio.sleep(1))
    assert len(source.taken) == BACKLOG_BYTES
    await reader.breathe()
    assert len(source.taken) == BACKLOG_BYTES
    await reader.read()
    await reader.beside(asyncio.sleep(1))  # there is room for one again
    assert len(source.taken) == BACKLOG_BYTES + len(piece)
    assert b"".join(await read_all(reader)) == piece * 199


@driven
async def test_nothing_is_lost_or_reordered_however_waits_and_reads_alternate():
    pieces = [bytes([number]) for number in range(100)]
    items: list[Item] = []
    for number, piece in enumerate(pieces):
        items += [piece, number % 3]
    reader, source = await reader_of(*items, END)
    reads: list[bytes] = []
    for number in range(1000):
        if number % 3 == 0:
            await reader.beside(turns(number % 7))
        elif number % 3 == 1:
            await reader.breathe()
        if not (data := await reader.read()):
            break
        reads.append(data)
    assert reads == pieces
    assert source.most_reading == 1


@driven
async def test_the_wait_ends_when_what_it_waits_for_does():
    reader, _ = await reader_of()
    began = asyncio.get_running_loop().time()
    await reader.beside(asyncio.sleep(2))
    assert asyncio.get_running_loop().time() - began == pytest.approx(2.0)


@driven
async def test_a_cancelled_wait_stops_reading_ahead():
    reader, source = await reader_of(b"a")
    waiting = asyncio.create_task(reader.beside(asyncio.sleep(1000)))
    await turns(5)
    assert source.reading == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert source.reading == 0
    assert await reader.read() == b"a"


@pytest.mark.parametrize("end", [END, ConnectionLost("cut")])
@driven
async def test_past_the_end_nothing_is_read(end, monkeypatch):
    reader, source = await reader_of(b"a", end)
    await reader.beside(asyncio.sleep(1))
    monkeypatch.setattr(source, "read", None)  # reading again would raise TypeError
    await reader.beside(asyncio.sleep(1))
    assert await reader.read() == b"a"
    if end == END:
        assert await reader.read() == b""
    else:
        with pytest.raises(ConnectionLost):
            await reader.read()


@driven
async def test_breathing_takes_over_what_has_come_and_waits_for_nothing():
    reader, source = await reader_of(b"a", b"b")
    await reader.breathe()
    assert bytes(source.taken) == b"a"
    await reader.breathe()
    await reader.breathe()
    assert [await reader.read(), await reader.read()] == [b"a", b"b"]
    assert not reader.has_backlog
