from __future__ import annotations

import asyncio
import contextvars
import gc
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from streamkit import CompletionStream, StreamDriver, StreamError, StreamStart
from streamkit.loop_thread import LoopThread
from streamkit.settings import RetryPolicy, Settings, Timeout
from streamkit.sinks import PrometheusSink
from streamkit.testing import Hang, Reset, Send, answer, chunk, completion_server, sse

from ..clock import driven
from ..stream.scripted import END, ScriptedSource

USAGE = {"prompt_tokens": 21, "completion_tokens": 5, "total_tokens": 26}
WHOLE = sse(chunk("Hel", role="assistant"), chunk("lo"), chunk(finish_reason="stop"), chunk(usage=USAGE))
PART = sse(chunk("Hel", role="assistant"), chunk("lo"), done=False)


def values(registry: CollectorRegistry) -> dict[str, float]:
    """Every sample, as a user would write it in a query, without those of buckets and of times of creation."""
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith(("_created", "_bucket"))
    }


def test_every_metric_is_exact_for_a_scripted_stream() -> None:
    registry = CollectorRegistry()
    sink = PrometheusSink(registry)

    @driven
    async def scripted() -> None:
        source = ScriptedSource(
            [
                0.25,
                sse(chunk("", role="assistant"), done=False),
                0.25,
                sse(chunk(reasoning="hm"), done=False),
                0.5,
                sse(chunk("a"), done=False),
                8.0,
                sse(chunk("b"), done=False),
                b'data: {"choices": [{"delta": \n\n',
                0.25,
                sse(chunk(finish_reason="stop"), chunk(usage=USAGE)),
                END,
            ]
        )
        stream = CompletionStream(source, settings=Settings(timeout=Timeout(idle=10))).attach(sink)
        assert values(registry).get("streamkit_streams_in_flight model=scripted", 0) == 0
        stream.on("text", lambda text: in_flight.append(values(registry)["streamkit_streams_in_flight model=scripted"]))
        await stream

    in_flight: list[float] = []
    scripted()

    assert in_flight == [1, 1]
    assert values(registry) == {
        "streamkit_streams_in_flight model=scripted": 0,
        "streamkit_streams_total ended_by=done error= model=scripted": 1,
        "streamkit_streams_total ended_by=abort error= model=scripted": 0,
        "streamkit_streams_total ended_by=cancel error= model=scripted": 0,
        "streamkit_stream_duration_seconds_count ended_by=done model=scripted": 1,
        "streamkit_stream_duration_seconds_sum ended_by=done model=scripted": 9.25,
        "streamkit_time_to_first_token_seconds_count model=scripted": 1,
        "streamkit_time_to_first_token_seconds_sum model=scripted": 0.5,
        "streamkit_inter_chunk_seconds_count model=scripted": 2,
        "streamkit_inter_chunk_seconds_sum model=scripted": 8.5,
        "streamkit_prompt_tokens_total model=scripted": 21,
        "streamkit_completion_tokens_total model=scripted": 5,
        "streamkit_streams_without_usage_total model=scripted": 0,
        "streamkit_retries_total model=scripted": 0,
        "streamkit_stalls_total model=scripted": 1,
        "streamkit_warnings_total kind=malformed_chunk model=scripted": 1,
        "streamkit_labels_replaced_total reason=limit": 0,
        "streamkit_labels_replaced_total reason=function_failed": 0,
    }
    buckets = {
        sample.labels["le"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "streamkit_inter_chunk_seconds_bucket"
    }
    assert [buckets[le] for le in ("0.4", "0.5", "5.0", "10.0", "+Inf")] == [0, 1, 1, 2, 2]


async def test_retries_and_errors_are_counted_by_class() -> None:
    registry = CollectorRegistry()
    busy = answer(429, {"error": {"message": "slow down"}}, {"retry-after": "0"})
    async with completion_server(busy, WHOLE, [Send(PART), Reset()]) as server:
        sinks = [PrometheusSink(registry, labels={})]
        async with StreamDriver(server.base_url, sinks=sinks, retries=RetryPolicy(retries=1)) as driver:
            await driver.stream("hi", model="m")
            with pytest.raises(StreamError):
                await driver.stream("hi", model="m")

    counted = values(registry)
    assert counted["streamkit_retries_total"] == 1
    assert counted["streamkit_streams_total ended_by=done error="] == 1
    assert counted["streamkit_streams_total ended_by=error error=ConnectionLost"] == 1
    assert counted["streamkit_streams_without_usage_total"] == 1
    assert counted["streamkit_streams_in_flight"] == 0


async def test_labels_are_the_users_and_see_the_context_of_their_stream() -> None:
    registry, tenant = CollectorRegistry(), contextvars.ContextVar[str]("tenant")
    labels: dict[str, Any] = {"app": "chat", "model": lambda start: start.model, "tenant": lambda start: tenant.get()}
    sink = PrometheusSink(registry, labels=labels)
    async with completion_server(WHOLE) as server, StreamDriver(server.base_url, sinks=[sink]) as driver:
        streams = []
        for name in ("a", "b"):
            tenant.set(name)
            streams.append(driver.stream("hi", model=f"model-{name}"))
        await asyncio.gather(*streams)

    counted = values(registry)
    assert counted["streamkit_completion_tokens_total app=chat model=model-a tenant=a"] == 5
    assert counted["streamkit_completion_tokens_total app=chat model=model-b tenant=b"] == 5


async def test_label_values_without_end_are_other_from_the_limit_on() -> None:
    registry = CollectorRegistry()
    sink = PrometheusSink(registry, labels={"app": "chat", "model": lambda start: start.model}, max_label_sets=3)
    async with completion_server(WHOLE) as server, StreamDriver(server.base_url, sinks=[sink]) as driver:
        for number in range(10):
            await driver.stream("hi", model=f"m{number}")
        await driver.stream("hi", model="m0")

    counted = values(registry)
    tokens = {name: value for name, value in counted.items() if name.startswith("streamkit_completion_tokens")}
    assert tokens == {
        "streamkit_completion_tokens_total app=chat model=m0": 10,
        "streamkit_completion_tokens_total app=chat model=m1": 5,
        "streamkit_completion_tokens_total app=chat model=m2": 5,
        "streamkit_completion_tokens_total app=chat model=other": 35,
    }
    assert counted["streamkit_labels_replaced_total reason=limit"] == 7


def explode(start: StreamStart) -> str:
    raise RuntimeError(f"no label for {start.request}")


@pytest.mark.parametrize(
    "function", [explode, lambda start: 5, lambda start: start.request], ids=["raises", "number", "dict"]
)
async def test_failing_label_function_harms_no_stream(function: Any, caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry()
    sink = PrometheusSink(registry, labels={"team": function, "model": lambda start: start.model})
    async with completion_server(WHOLE) as server, StreamDriver(server.base_url, sinks=[sink]) as driver:
        for _ in range(2):
            assert (await driver.stream("a canary prompt", model="m")).text == "Hello"

    counted = values(registry)
    assert counted["streamkit_completion_tokens_total model=m team=other"] == 10
    assert counted["streamkit_labels_replaced_total reason=function_failed"] == 2
    (record,) = caplog.records
    assert record.name == "streamkit.sinks.prometheus"
    assert "'team'" in record.getMessage()
    assert "canary" not in caplog.text


async def test_label_that_no_encoding_knows_does_not_break_the_scrape() -> None:
    registry = CollectorRegistry()
    sink = PrometheusSink(registry, labels={"odd": lambda start: 'a\ud800"\n', "none": lambda start: None})
    async with completion_server(WHOLE) as server, StreamDriver(server.base_url, sinks=[sink]) as driver:
        await driver.stream("hi", model="m")

    assert 'odd="a?\\"\\n"' in generate_latest(registry).decode()


def test_surrogate_in_a_constant_label_is_mended() -> None:
    registry = CollectorRegistry()
    PrometheusSink(registry, labels={"odd": "a\ud800"})

    generate_latest(registry)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"namespace": "a:b"}, "namespace must be a word"),
        ({"namespace": ""}, "namespace must be a word"),
        ({"max_label_sets": 0}, "max_label_sets must be"),
        ({"max_label_sets": True}, "max_label_sets must be"),
        ({"labels": {"a-b": "x"}}, "label 'a-b': a name is"),
        ({"labels": {"__x": "x"}}, "label '__x': a name is"),
        ({"labels": {"kind": "x"}}, "label 'kind' is one of the sink's own"),
        ({"labels": {"le": "x"}}, "label 'le' is one of the sink's own"),
        ({"labels": {"team": 5}}, "label 'team' must be text, or a function"),
        ({"labels": ["team"]}, "labels must map each name"),
        ({"labels": lambda stream: {}}, "labels must map each name"),
        ({"labels": {"team": asyncio.sleep}}, "the function of label 'team' is async"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        PrometheusSink(CollectorRegistry(), **arguments)


def test_second_sink_on_one_registry_needs_a_namespace_of_its_own() -> None:
    registry = CollectorRegistry()
    PrometheusSink(registry)

    with pytest.raises(ValueError, match="use one PrometheusSink for all streams, or give each a namespace"):
        PrometheusSink(registry)
    PrometheusSink(registry, namespace="other_app")


async def test_default_registry_is_that_of_the_process() -> None:
    sink = PrometheusSink(namespace="streamkit_test_default")
    try:
        async with completion_server(WHOLE) as server, StreamDriver(server.base_url, sinks=[sink]) as driver:
            await driver.stream("hi", model="m")
        assert REGISTRY.get_sample_value("streamkit_test_default_prompt_tokens_total", {"model": "m"}) == 21
    finally:
        for collector in {
            collector for name, collector in REGISTRY._names_to_collectors.items() if name.startswith("streamkit_test_")
        }:
            REGISTRY.unregister(collector)


async def test_sink_attached_late_measures_no_first_token() -> None:
    registry = CollectorRegistry()
    async with completion_server([Send(PART), Hang()]) as server, StreamDriver(server.base_url) as driver:
        stream = driver.stream("hi", model="m").start()
        await stream.wait_for("text")
        stream.attach(PrometheusSink(registry))
        stream.abort()
        await stream.finished()
        finished = driver.stream("hi", model="m")
        finished.abort()
        with pytest.raises(Exception, match="aborted"):
            await finished
        finished.attach(PrometheusSink(registry, namespace="after_the_end"))
        await asyncio.sleep(0)

    counted = values(registry)
    assert counted["streamkit_streams_total ended_by=abort error= model=m"] == 1
    assert counted["streamkit_time_to_first_token_seconds_count model=m"] == 0
    assert counted["after_the_end_streams_total ended_by=abort error= model=m"] == 1
    assert counted["streamkit_streams_in_flight model=m"] == counted["after_the_end_streams_in_flight model=m"] == 0


@pytest.mark.filterwarnings("ignore")  # a loop that is given up leaves everything open
def test_stream_on_a_loop_that_was_given_up_is_no_longer_in_flight() -> None:
    registry = CollectorRegistry()
    sink = PrometheusSink(registry)

    async def begin(base_url: str) -> None:
        stream = StreamDriver(base_url, sinks=[sink]).stream("hi", model="m").start()
        await stream.wait_for("text")

    with LoopThread() as thread, thread.enter(completion_server([Send(PART), Hang()])) as server:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(begin(server.base_url))
        assert values(registry)["streamkit_streams_in_flight model=m"] == 1
        loop.close()
        del loop
        gc.collect()

    counted = values(registry)
    assert counted["streamkit_streams_in_flight model=m"] == 0
    assert counted["streamkit_streams_total ended_by=cancel error= model=m"] == 1
