"""`streamkit serve`, as a person runs it: a browser at the printed address chats at once."""

from __future__ import annotations

import asyncio
import os
import sys

from ...conftest import REPO
from ..chromium import Browser
from .chatting import chatting


async def test_a_browser_at_the_printed_address_chats_at_once(browser: Browser) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streamkit.cli", "serve", "--port", "0", "--speed", "50"),
        cwd=REPO,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        url = next(word for word in line.split() if word.startswith("http://"))
        chat = await chatting(browser, url)
        await chat.say("Write a poem")
        await chat.until("$LAST && $LAST.querySelector('.body').textContent.length > 100", 20)
        assert await chat.over(30) == "done"
        assert "A stream is a letter" in await chat.text()
        assert chat.clean()
        await chat.page.close()
    finally:
        process.terminate()
        await process.communicate()
    assert process.returncode in (0, 130, -15)
