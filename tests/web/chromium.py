"""Real Chromium, headless, driven over the DevTools protocol: what tests of pages and of EventSource stand on.

`launched()` starts one browser process (a second: share it, the `chromium` fixture does); `connected(endpoint)` opens the
protocol's websocket in the loop of a test and gives a `Browser`, whose pages live in a profile of their own that goes with it.
So two pages of one `Browser` are two tabs of one person, and two `Browser`s share nothing.

```python
async def test_a_page(browser: Browser) -> None:
    page = await browser.page("http://127.0.0.1:8000/")
    await page.wait_for("document.querySelector('button')")
    await page.evaluate("document.querySelector('button').focus()")
    await page.press("Enter")
    assert await page.evaluate("document.title") == "Clicked"
    assert (page.problems, page.violations) == ([], [])
```

The protocol: https://chromedevtools.github.io/devtools-protocol/.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from ..conftest import require_or_skip

OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--disable-background-timer-throttling",
    "--force-color-profile=srgb",
    "--remote-debugging-port=0",
]

#: What the protocol wants to know of a key that is not a character.
KEYS = {
    "Enter": (13, "\r"),
    "Tab": (9, ""),
    "Escape": (27, ""),
    "Backspace": (8, ""),
    "ArrowUp": (38, ""),
    "ArrowDown": (40, ""),
    "ArrowLeft": (37, ""),
    "ArrowRight": (39, ""),
    "PageUp": (33, ""),
    "PageDown": (34, ""),
    "Home": (36, ""),
    "End": (35, ""),
    " ": (32, " "),
}
MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}

# Runs in every page before its own scripts; not subject to the page's policy.
WATCH = """
document.addEventListener("securitypolicyviolation", (event) => __violation(JSON.stringify(
    [event.effectiveDirective, event.blockedURI, event.sample])));
"""


class PageError(Exception):
    """Something in the page threw, or the protocol refused a command."""


@contextmanager
def launched() -> Iterator[str]:
    """A browser process with an empty profile; yields the address of its protocol. Skips the test where there is none."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if binary is None:
        require_or_skip("chromium is not installed")
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        # A session of its own: the wrapper script and every renderer end together.
        process = subprocess.Popen(
            [binary, *OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            found, until = Path(profile) / "DevToolsActivePort", time.monotonic() + 30
            while not (found.is_file() and len(lines := found.read_text().split()) == 2):
                assert process.poll() is None, f"chromium ended with {process.returncode}"
                assert time.monotonic() < until, "chromium does not listen"
                time.sleep(0.02)  # another process: it has no event to wait for
            yield f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@asynccontextmanager
async def connected(endpoint: str) -> AsyncIterator[Browser]:
    """A new, empty profile in the browser at `endpoint`, as a `Browser`; its pages and their storage go at the end."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(endpoint, max_msg_size=0, autoclose=True, compress=0) as socket,
    ):
        browser = Browser(socket)
        reader = asyncio.create_task(browser.read())
        try:
            browser.context = (await browser.send("Target.createBrowserContext"))["browserContextId"]
            yield browser
            await browser.send("Target.disposeBrowserContext", browserContextId=browser.context)
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)


class Browser:
    """One profile of a running browser, and the connection to it. Made by `connected`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.context = ""
        self.numbers = itertools.count(1)
        self.answers: dict[int, asyncio.Future[Any]] = {}
        self.pages: dict[str, Page] = {}

    async def read(self) -> None:
        """Hand each answer to who waits for it, and each event to its page."""
        async for message in self.socket:
            said = json.loads(message.data)
            if "id" not in said:
                if (page := self.pages.get(said.get("sessionId", ""))) is not None:
                    page.heard(said["method"], said["params"])
            elif (answer := self.answers.pop(said["id"], None)) is not None and not answer.done():
                if "error" in said:
                    answer.set_exception(PageError(said["error"]["message"]))
                else:
                    answer.set_result(said["result"])
        for answer in self.answers.values():
            if not answer.done():
                answer.set_exception(PageError("the browser hung up"))

    async def send(self, method: str, session: str | None = None, **params: Any) -> Any:
        """One command of the protocol, and its result."""
        number = next(self.numbers)
        answer = self.answers[number] = asyncio.get_running_loop().create_future()
        said = {"id": number, "method": method, "params": params}
        await self.socket.send_json({**said, "sessionId": session} if session else said)
        return await asyncio.wait_for(answer, 30)

    async def page(self, url: str | None = None, *, width: int = 1000, height: int = 700) -> Page:
        """A new tab, watched from before its first request; at `url` if one is given."""
        target = (await self.send("Target.createTarget", url="about:blank", browserContextId=self.context))["targetId"]
        session = (await self.send("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self.pages[session] = Page(self, session, target)
        for domain in "Page", "Runtime", "Network", "Log", "Performance":
            await page.send(f"{domain}.enable")
        await page.send("Runtime.addBinding", name="__violation")
        await page.send("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        await page.resize(width, height)
        if url is not None:
            await page.goto(url)
        return page


class Page:
    """One tab. What it did is in `requests`, `problems` and `violations`, in order, until someone clears them.

    `requests` are all URLs it asked for, refused ones too; `problems` what it threw, logged as an error or a warning, or
    failed to load; `violations` what its Content-Security-Policy refused, as `[directive, blocked URI, sample]`.
    """

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self.browser, self.session, self.target = browser, session, target
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.violations: list[list[str]] = []
        self.listeners: dict[str, list[Callable[[dict[str, Any]], None]]] = {}

    async def send(self, method: str, **params: Any) -> Any:
        """One command of the protocol to this tab, and its result."""
        return await self.browser.send(method, self.session, **params)

    def heard(self, method: str, params: dict[str, Any]) -> None:
        """Take an event of the protocol."""
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(" ".join(str(one.get("value", one.get("description"))) for one in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"{params['entry']['text']} {params['entry'].get('url', '')}".rstrip())
        elif method == "Runtime.bindingCalled" and params["name"] == "__violation":
            self.violations.append(json.loads(params["payload"]))
        elif method == "Page.javascriptDialogOpening":
            self.problems.append(f"dialog: {params['message']}")
            asyncio.get_running_loop().call_soon(self._dismiss)
        for listener in self.listeners.get(method, ()):
            listener(params)

    def _dismiss(self) -> None:
        answer = {"id": next(self.browser.numbers), "sessionId": self.session, "method": "Page.handleJavaScriptDialog"}
        task = asyncio.ensure_future(self.browser.socket.send_json({**answer, "params": {"accept": True}}))
        task.add_done_callback(lambda done: done.exception())

    def on(self, method: str, listener: Callable[[dict[str, Any]], None]) -> None:
        """Call `listener` with the parameters of each event `method` of the protocol."""
        self.listeners.setdefault(method, []).append(listener)

    async def _loaded(self, method: str, **params: Any) -> None:
        loaded = asyncio.get_running_loop().create_future()

        def done(_: dict[str, Any]) -> None:
            if not loaded.done():
                loaded.set_result(None)

        self.on("Page.loadEventFired", done)
        try:
            result = await self.send(method, **params)
            if "errorText" in result:
                raise PageError(result["errorText"])
            await asyncio.wait_for(loaded, 30)
        finally:
            self.listeners["Page.loadEventFired"].remove(done)

    async def goto(self, url: str) -> None:
        """Go there and wait for the page's `load` event."""
        await self._loaded("Page.navigate", url=url)

    async def reload(self) -> None:
        """Reload and wait for the page's `load` event."""
        await self._loaded("Page.reload")

    async def close(self) -> None:
        """Close the tab as a person does."""
        await self.browser.send("Target.closeTarget", targetId=self.target)
        self.browser.pages.pop(self.session, None)

    async def evaluate(self, expression: str, *, gesture: bool = True) -> Any:
        """The value (plain JSON) of a JavaScript expression; a promise is awaited. Throws what it throws, as PageError."""
        result = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=gesture
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise PageError(details.get("exception", {}).get("description") or details["text"])
        return result["result"].get("value")

    async def wait_for(self, expression: str, seconds: float = 10) -> Any:
        """The value of the expression as soon as it is truthy (looked at every 10 ms; survives a navigation)."""
        until = time.monotonic() + seconds
        while True:
            try:
                if value := await self.evaluate(
                    f"(() => {{ const it = ({expression}); return it instanceof Node || it; }})()"
                ):
                    return value
                failure = ""
            except PageError as error:
                failure = f" ({error})"
            assert time.monotonic() < until, f"not within {seconds} s: {expression}{failure}"
            await asyncio.sleep(0.01)  # another process: it has no event to wait for

    async def type(self, text: str) -> None:
        """Put text where the focus is, as an input method does."""
        await self.send("Input.insertText", text=text)

    async def press(self, key: str, *modifiers: str) -> None:
        """Press and release a key: one of `KEYS`, or a character; `modifiers` of `MODIFIERS`."""
        code, text = KEYS.get(key, (ord(key.upper()[0]), key))
        held = sum(MODIFIERS[modifier] for modifier in modifiers)
        common = {"key": key, "windowsVirtualKeyCode": code, "modifiers": held}
        common["code"] = {" ": "Space"}.get(key, key if len(key) > 1 else f"Key{key.upper()}")
        await self.send("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        await self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    async def click(self, expression: str) -> None:
        """Click with the mouse in the middle of the element that the expression gives."""
        x, y = await self.evaluate(
            f"(() => {{ const it = ({expression}); it.scrollIntoView({{block: 'nearest'}}); const box = it.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in "mousePressed", "mouseReleased":
            await self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def wheel(self, x: float, y: float, delta: float) -> None:
        """Turn the mouse wheel at a point by so many pixels."""
        await self.send("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=delta)

    async def resize(self, width: int, height: int, *, mobile: bool = False, scale: float = 1) -> None:
        """Give the page another size, in CSS pixels."""
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile
        )

    async def prefer(self, **features: str) -> None:
        """Emulate media features: `prefer(prefers_color_scheme="dark", prefers_reduced_motion="reduce")`."""
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        await self.send("Emulation.setEmulatedMedia", features=named)

    async def offline(self, yes: bool = True) -> None:
        """Cut the network off, or give it back: running requests fail, new ones too."""
        await self.send(
            "Network.emulateNetworkConditions", offline=yes, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )

    async def metrics(self) -> dict[str, float]:
        """Counters since the tab was made: ScriptDuration, LayoutDuration, TaskDuration (seconds), JSHeapUsedSize, Nodes …"""
        return {one["name"]: one["value"] for one in (await self.send("Performance.getMetrics"))["metrics"]}

    async def screenshot(self, path: Path | None = None) -> bytes:
        """What is seen now, as PNG; written to `path` if one is given."""
        image = base64.b64decode((await self.send("Page.captureScreenshot", format="png"))["data"])
        if path is not None:
            path.write_bytes(image)
        return image
