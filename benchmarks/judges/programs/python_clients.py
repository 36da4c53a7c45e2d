"""Clients written in Python, one job a line: ``python python_clients.py``, in whatever environment has the client.

A line of standard input is ``{"jobs": [{"client", "base_url", "model", …}]}``; the answer, a line too, is
``{"reports": [{"chunks" | "text" …, "error"}]}``. The jobs of a line run side by side. openai-python also takes a ``key``, a
``question``, and more of a ``request``. It imports nothing of streamkit: the environment of an old client has none.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

KEY = "sk-test"
QUESTION: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
SECONDS = 30.0


def told(error: BaseException) -> dict[str, Any]:
    """What a program can see of an error that the client raised."""
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", None) or getattr(error, "headers", None) or {}
    return {
        "type": type(error).__name__,
        "status": getattr(error, "status_code", None) or getattr(error, "http_status", None),
        "message": str(getattr(error, "message", None) or error),
        "code": getattr(error, "code", None),
        "error_type": getattr(error, "type", None),
        "retry_after": headers.get("retry-after"),
    }


def asked(job: dict[str, Any]) -> dict[str, Any]:
    """The request, as the client's own call takes it."""
    messages = [{"role": "user", "content": job["question"]}] if "question" in job else QUESTION
    request = {"model": job["model"], "messages": messages, "stream": True, **job.get("request", {})}
    if job.get("usage", True):
        request["stream_options"] = {"include_usage": True}
    return request


def plain(value: Any) -> Any:
    """An object of a client as plain values, without what was not sent.

    Not by pydantic's JSON, which refuses half a character: servers that count in UTF-16 cut some in two.
    """
    return value.model_dump(mode="python", exclude_unset=True, warnings=False)


@cache
def openai_client(base_url: str, key: str = KEY) -> Any:
    """One client for all that is asked of a server: it is dear to make, and keeps connections alive."""
    return importlib.import_module("openai").OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=SECONDS)


def openai_1(job: dict[str, Any]) -> dict[str, Any]:
    """openai from 1.0 on: the stream of chunks; or the whole answer, where the job says so."""
    completions = openai_client(job["base_url"], job.get("key", KEY)).chat.completions
    chunks: list[Any] = []
    try:
        if job.get("whole"):
            return {"whole": plain(completions.create(model=job["model"], messages=QUESTION))}
        for chunk in completions.create(**asked(job)):
            chunks.append(plain(chunk))
    except Exception as error:
        return {"chunks": chunks, "error": told(error)}
    return {"chunks": chunks}


def openai_0(job: dict[str, Any]) -> dict[str, Any]:
    """openai 0.28, the last before 1.0."""
    openai: Any = importlib.import_module("openai")
    chunks: list[Any] = []
    request = {**asked(job), "api_base": job["base_url"], "api_key": KEY, "request_timeout": SECONDS}
    try:
        for chunk in openai.ChatCompletion.create(**request):
            chunks.append(json.loads(json.dumps(chunk)))
    except Exception as error:
        return {"chunks": chunks, "error": told(error)}
    return {"chunks": chunks}


def langchain(job: dict[str, Any]) -> dict[str, Any]:
    """langchain-openai's ChatOpenAI, which adds the pieces up itself."""
    chat: Any = importlib.import_module("langchain_openai").ChatOpenAI(
        base_url=job["base_url"],
        api_key=KEY,
        model=job["model"],
        max_retries=0,
        timeout=SECONDS,
        stream_usage=True,
        use_responses_api=False,
    )
    whole: Any = None
    error = None
    try:
        for piece in chat.stream("hi"):
            whole = piece if whole is None else whole + piece
    except Exception as raised:
        error = told(raised)
    if whole is None:
        return {"text": "", "error": error}
    return {
        "text": whole.content if isinstance(whole.content, str) else json.dumps(whole.content),
        "tool_calls": [[call["name"], json.dumps(call["args"]), call["id"]] for call in whole.tool_calls],
        "usage": whole.usage_metadata,
        "finish_reason": whole.response_metadata.get("finish_reason"),
        "error": error,
    }


def litellm(job: dict[str, Any]) -> dict[str, Any]:
    """litellm's completion(), by its provider for what speaks OpenAI's API."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it asks a server for prices when it is imported
    library: Any = importlib.import_module("litellm")
    library.suppress_debug_info = True
    chunks: list[Any] = []
    request = {**asked(job), "model": f"openai/{job['model']}", "api_base": job["base_url"], "api_key": KEY}
    try:
        for chunk in library.completion(**request, max_retries=0, num_retries=0, timeout=SECONDS):
            said = json.loads(chunk.model_dump_json())
            chunks.append({name: said.get(name) for name in ("choices", "usage")})
    except Exception as error:
        return {"chunks": chunks, "error": told(error)}
    return {"chunks": chunks}


def llm(job: dict[str, Any]) -> dict[str, Any]:
    """The `llm` command, as a person runs it: what it prints, what it says on standard error, its exit status."""
    with tempfile.TemporaryDirectory() as folder:
        model = {
            "model_id": "judged",
            "model_name": job["model"],
            "api_base": job["base_url"],
            "api_key_name": "judged",
        }
        # JSON is YAML.
        Path(folder, "extra-openai-models.yaml").write_text(json.dumps([model]), encoding="utf-8")
        Path(folder, "keys.json").write_text(json.dumps({"judged": KEY}), encoding="utf-8")
        environment = {**os.environ, "LLM_USER_PATH": folder}
        command = Path(sys.executable).with_name("llm")
        done = subprocess.run(
            [command, "-m", "judged", "--no-log", "hi"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=2 * SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    error = None
    if done.returncode or done.stderr.strip():
        error = {"type": "exit", "status": done.returncode, "message": done.stderr.strip().rpartition("\n")[2]}
    return {"text": done.stdout.removesuffix("\n"), "error": error}


CLIENTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "openai": openai_1,
    "openai-0": openai_0,
    "langchain": langchain,
    "litellm": litellm,
    "llm": llm,
}


def main() -> None:
    """Answer lines until standard input ends."""
    warnings.simplefilter("ignore")
    answers, sys.stdout = sys.stdout, sys.stderr  # what a client prints is no answer
    with ThreadPoolExecutor(32) as pool:
        for line in sys.stdin:
            reports = list(pool.map(lambda job: CLIENTS[job["client"]](job), json.loads(line)["jobs"]))
            print(json.dumps({"reports": reports}), file=answers, flush=True)


if __name__ == "__main__":
    main()
