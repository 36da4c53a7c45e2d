from __future__ import annotations

import pytest

from streamkit import ConnectionFailed, StatusError
from streamkit.testing import Hang, ReceivedRequest, ScriptedServer, Step, answer
from streamkit.web.upstream import upstream_models


class ListServer(ScriptedServer):
    """Answers a GET with what it is told."""

    def __init__(self, *steps: Step) -> None:
        super().__init__(b"")
        self._steps = steps

    def script_for(self, request: ReceivedRequest) -> tuple[Step, ...]:
        self.requests.append(request)
        return self._steps


async def test_models_are_asked_for_with_the_key() -> None:
    async with ListServer(*answer(200, {"data": [{"id": "a"}, {"id": 1}, "x", {"id": "b"}]})) as server:
        assert await upstream_models(server.base_url + "/", "sk-key") == ["a", "b"]
        assert await upstream_models(server.base_url + "/chat/completions?api-version=1") == ["a", "b"]

    first, second = server.requests
    assert (first.path, first.headers["authorization"]) == ("/v1/models", "Bearer sk-key")
    assert second.path.startswith("/v1/models?api-version=1")
    assert "authorization" not in second.headers


@pytest.mark.parametrize(
    "steps",
    [
        answer(404, {"error": {"message": "no"}}),
        answer(500, "down"),
        answer(200, "<html>"),
        answer(200, []),
        answer(200, {"data": {}}),
        answer(200, {}),
        answer(302, "", {"location": "http://127.0.0.1:1/"}),
    ],
    ids=["404", "500", "html", "list", "no list", "nothing", "redirect"],
)
async def test_server_without_a_list_is_a_server_all_the_same(steps: tuple[Step, ...]) -> None:
    async with ListServer(*steps) as server:
        assert await upstream_models(server.base_url) == []


@pytest.mark.parametrize("status", [401, 403])
async def test_key_that_is_missing_or_wrong_is_told_apart(status: int) -> None:
    async with ListServer(*answer(status, {"error": {"message": "sk-key"}})) as server:
        with pytest.raises(StatusError, match=f"asks for a key \\({status}\\): set OPENAI_API_KEY$"):
            await upstream_models(server.base_url)
        with pytest.raises(StatusError, match=f"refused the key \\({status}\\)") as refused:
            await upstream_models(server.base_url, "sk-key")

    assert "sk-key" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:1/v1?key=hunter2", "http://127.0.0.1:1: Connection refused; is its URL right"),
        ("http://user:hunter2@no-such-host.invalid/v1", "http://no-such-host.invalid"),
    ],
)
async def test_server_that_is_not_there_is_one_sentence(url: str, says: str) -> None:
    with pytest.raises(ConnectionFailed, match="cannot reach the server at") as failed:
        await upstream_models(url)

    assert says in str(failed.value)
    assert "hunter2" not in str(failed.value)


async def test_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamkit.web.upstream._SECONDS", 0.1)
    async with ListServer(Hang()) as server:
        with pytest.raises(ConnectionFailed, match="no answer in time"):
            await upstream_models(server.base_url)
