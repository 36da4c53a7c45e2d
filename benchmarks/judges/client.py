"""Clients that nobody here wrote, as processes or in a browser: jobs in, reports out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from ..process import ROOT, Process

if TYPE_CHECKING:
    from tests.web.chromium import Browser

__all__ = ["EVENT_SOURCE", "FETCH_EVENT_SOURCE", "PROGRAMS", "ChromiumClient", "Client", "ProcessClient"]

PROGRAMS = ROOT / "benchmarks/judges/programs"


class Client(Protocol):
    """One client. Its URL is the base URL of an OpenAI API, or the relay's origin where it reads the relay's own protocol."""

    name: str

    async def reports(self, url: str, models: Iterable[str], **more: Any) -> list[dict[str, Any]]:
        """What it says of each model's answer; they are asked for side by side. `more` goes into every job."""
        ...


class ProcessClient:
    """One of those that a program of `programs/` has."""

    def __init__(self, process: Process, client: str, name: str) -> None:
        self.name = name
        self._process = process
        self._client = client

    async def reports(self, url: str, models: Iterable[str], **more: Any) -> list[dict[str, Any]]:
        """See `Client`."""
        jobs = [{"client": self._client, "base_url": url, "model": model, **more} for model in models]
        answer = await asyncio.to_thread(self._process.ask, {"jobs": jobs})
        reports: list[dict[str, Any]] = answer["reports"]
        return reports


class ChromiumClient:
    """What reads in a page of the relay's origin: a function of a script of `programs/`."""

    def __init__(self, browser: Browser, script: str, call: str, name: str) -> None:
        self.name = name
        self._browser = browser
        self._call = call
        self._script = (PROGRAMS / script).read_text(encoding="utf-8").replace("export async", "async")

    async def reports(self, url: str, models: Iterable[str], **more: Any) -> list[dict[str, Any]]:
        """See `Client`."""
        page = await self._browser.page(url + "/")
        jobs = json.dumps([{"model": model, **more} for model in models])
        # A browser opens six connections to a server, and one of four streams may need a second.
        reports: list[dict[str, Any]] = await page.evaluate(f"""(async () => {{
            {self._script}
            const jobs = {jobs}, reports = [], read = {self._call};
            let next = 0;
            const worker = async () => {{
                while (next < jobs.length) {{
                    const place = next++;
                    reports[place] = await read(location.origin, jobs[place]);
                }}
            }};
            await Promise.all(Array.from({{ length: 4 }}, worker));
            return reports;
        }})()""")
        await page.close()
        return reports


EVENT_SOURCE = ("read_events.mjs", "(base, job) => readEvents(EventSource, base, job)")
FETCH_EVENT_SOURCE = ("fetch_event_source.mjs", "readWithFetch")
