"""The metrics, as those read them that they are for: promtool, a real Prometheus, and the dashboard of the guide."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.aiohttp import make_aiohttp_handler
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from streamkit import StreamDriver, StreamError, demo_tape
from streamkit.settings import Timeout
from streamkit.sinks import PrometheusSink
from streamkit.testing import Hang, Reset, Script, Send, Wait, answer, chunk, completion_server, replay_server, sse

from ..conftest import REPO, require_or_skip

USAGE = {"prompt_tokens": 21, "completion_tokens": 5, "total_tokens": 26}
WHOLE = sse(chunk("Hel", role="assistant"), chunk("lo"), chunk(finish_reason="stop"), chunk(usage=USAGE))
PART = sse(chunk("Hel", role="assistant"), chunk("lo"), done=False)


def test_refused_sink_leaves_nothing_in_the_registry() -> None:
    registry = CollectorRegistry()
    Counter("streamkit_warnings_total", "Somebody else's.", registry=registry)

    with pytest.raises(ValueError, match="streamkit_warnings"):
        PrometheusSink(registry)

    assert {family.name for family in registry.collect()} == {"streamkit_warnings"}


async def test_both_text_formats_can_be_parsed_and_say_the_same() -> None:
    registry = CollectorRegistry()
    sink = PrometheusSink(registry)
    async with completion_server(WHOLE) as server, StreamDriver(server.base_url, sinks=[sink]) as driver:
        await driver.stream("hi", model='a "model"\\')

    plain = text_string_to_metric_families(generate_latest(registry).decode())
    openmetrics = parse_openmetrics(generate_openmetrics(registry).decode())

    def samples(families: Any) -> dict[Any, float]:
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
            if not sample.name.endswith("_created")
        }

    assert samples(plain) == samples(openmetrics)
    assert registry.get_sample_value("streamkit_completion_tokens_total", {"model": 'a "model"\\'}) == 5


def binary(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        require_or_skip(f"{name} is not installed; Debian's package `prometheus` brings it")
    return found


async def all_kinds_of_streams(sink: PrometheusSink) -> None:
    """Whole, broken off, failed, retried, stalled, mended, of an unlabelled model: so that every metric has something to say."""
    busy = answer(429, {"error": {"message": "slow down"}}, {"retry-after": "0"})
    mended = b'data: {"choices": [{"delta": \n\n' + WHOLE
    slow: Script = [Send(PART), Wait(0.06), Send(sse(chunk("!"), chunk(finish_reason="stop")))]
    scripts: list[Script] = [WHOLE, busy, WHOLE, mended, slow, [Send(PART), Reset()], [Send(PART), Hang()]]
    async with completion_server(*scripts) as server:
        timeout = Timeout(idle=0.1)
        async with StreamDriver(server.base_url, sinks=[sink], retries=1, timeout=timeout) as driver:
            for _ in range(4):
                await driver.stream("hi", model="m")
            with pytest.raises(StreamError):
                await driver.stream("hi", model="m", retries=0)
            async for _ in driver.stream("hi", model="unforeseen"):
                break


async def test_promtool_has_nothing_to_say_against_the_metrics() -> None:
    promtool, registry = binary("promtool"), CollectorRegistry()
    await all_kinds_of_streams(PrometheusSink(registry))

    checked = subprocess.run(
        [promtool, "check", "metrics"], input=generate_latest(registry), capture_output=True, check=False
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


class Prometheus:
    """A running Prometheus."""

    def __init__(self, url: str, session: aiohttp.ClientSession, process: asyncio.subprocess.Process) -> None:
        self._url = url
        self._session = session
        self.process = process

    async def query(self, expression: str) -> list[float]:
        """The values of an instant query; those that are no number (0 / 0) left out."""
        async with self._session.get(f"{self._url}/api/v1/query", params={"query": expression}) as response:
            if response.status == 503:  # it starts, or reads its files
                return []
            body = await response.json()
        assert body["status"] == "success", (expression, body)
        return [value for each in body["data"]["result"] if math.isfinite(value := float(each["value"][1]))]

    async def until(self, expression: str) -> list[float]:
        """Ask until there is an answer; another process has to do its work, so this waits in real time."""
        async with asyncio.timeout(30):
            while True:
                assert self.process.returncode is None, "Prometheus has ended"
                try:
                    if found := await self.query(expression):
                        return found
                except aiohttp.ClientConnectionError:
                    pass  # it does not listen yet
                await asyncio.sleep(0.05)


@asynccontextmanager
async def prometheus(config: str, folder: Path) -> AsyncIterator[Prometheus]:
    """Run Prometheus with a configuration."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    (folder / "prometheus.yml").write_text(config)
    process = await asyncio.create_subprocess_exec(
        binary("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session:
            yield Prometheus(f"http://{address}", session, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def dashboard_expressions() -> list[str]:
    dashboard = json.loads((REPO / "docs" / "grafana" / "dashboard.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


async def test_every_expression_of_the_dashboard_finds_data_in_a_real_prometheus(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    sink = PrometheusSink(registry, max_label_sets=1)
    app = web.Application()
    app.router.add_get("/metrics", make_aiohttp_handler(registry))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    target = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        config = {
            "global": {"scrape_interval": "100ms", "scrape_timeout": "100ms"},
            "scrape_configs": [{"job_name": "streamkit", "static_configs": [{"targets": [target]}]}],
        }
        async with prometheus(json.dumps(config), tmp_path) as server:  # YAML holds JSON
            await all_kinds_of_streams(sink)
            await server.until('streamkit_streams_total{ended_by="abort", model="other"} == 1')
            await all_kinds_of_streams(sink)

            expressions = dashboard_expressions()
            for expression in expressions:
                found = await server.until(expression.replace("$model", ".*").replace("$__rate_interval", "1m"))
                assert all(value >= 0 for value in found), expression
            assert len(expressions) > 20

            assert await server.until("sum(streamkit_streams_in_flight) == 0")
            whole = await server.until('sum(streamkit_streams_total{ended_by="done"}) == 8')
            tokens = await server.until("sum(streamkit_completion_tokens_total) == 30")
            assert (whole, tokens) == ([8], [30])
            [median] = await server.until(
                "histogram_quantile(0.5, sum by (le) (streamkit_time_to_first_token_seconds_bucket))"
            )
            assert 0 < median < 0.5
    finally:
        await runner.cleanup()


async def test_guide_leads_from_a_checkout_to_a_working_scrape(tmp_path: Path) -> None:
    """Its program, its configuration and its query, as they stand in the page but for the ports."""
    page = (REPO / "docs" / "monitoring.md").read_text(encoding="utf-8")
    program, config, query = (
        next(re.finditer(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL))[1]
        for language in ("python", "yaml", "promql")
    )
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    (tmp_path / "app.py").write_text(program)
    assert config.count("127.0.0.1:8000") == 1
    config = config.replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace("5s", "100ms")
    [command] = re.findall(r"python (-m aiohttp\.web .*) &", page)
    async with replay_server(demo_tape(), speed=0) as server:
        app = await asyncio.create_subprocess_exec(
            sys.executable, *command.replace("8000", str(port)).split(), cwd=tmp_path, stdout=asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(REPO), "OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "none"},
        )  # fmt: skip
        try:
            async with prometheus(config, tmp_path) as scraper:
                await scraper.until("up == 1")
                async with aiohttp.ClientSession() as session:
                    for _ in range(2):
                        async with session.post(f"http://127.0.0.1:{port}/ask", data="Write a poem") as response:
                            assert (await response.text()).startswith("A stream is a letter")
                        await scraper.until("streamkit_streams_total > 0")
                [seconds] = await scraper.until(query)
        finally:
            app.terminate()
            await app.wait()

    assert 0 < seconds < 5


def test_dashboard_asks_for_metrics_that_the_sink_has() -> None:
    registry = CollectorRegistry()
    PrometheusSink(registry)
    has = {family.name for family in registry.collect()}

    asked = set(re.findall(r"streamkit_\w+?(?=_total\b|_bucket\b|\b)", " ".join(dashboard_expressions())))

    assert asked <= has
    assert {name for name in has if name not in asked} == set(), "metrics that no panel shows"


def test_dashboard_panels_do_not_overlap_and_say_what_they_show() -> None:
    panels = json.loads((REPO / "docs" / "grafana" / "dashboard.json").read_text())["panels"]
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and panel["description"] for panel in panels)
