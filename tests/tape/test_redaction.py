from __future__ import annotations

import io
import itertools
import json

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.tape import TapeWriter, parse_tape
from streamkit.tape.redaction import Redactor, is_secret_name
from tests.tape.tapes import write

CANARY = "sk-canary/0123456789"


def test_a_secret_is_in_no_line_of_a_tape() -> None:
    file = io.BytesIO()
    request = {
        "method": "POST",
        "url": f"https://user:hunter2@host/v1/chat/completions?api-version=1&api-key={CANARY}&q=sk-canary%2F0123456789",
        "headers": {
            "Authorization": f"Bearer {CANARY}",
            "X-Api-Key": "k1",
            "x-trace": f"a {CANARY} b",
            "accept": "*/*",
        },
        "body": {
            "model": "m",
            "max_tokens": 5,
            "messages": [{"role": "user", "content": f"my key is {CANARY}"}],
            "user_token": "k2",
            "metadata": {"secrets": ["k3"], CANARY: 1, "client_secret": None},
        },
    }

    with TapeWriter(file, request=request, secrets=[CANARY, ""]) as writer:
        writer.headers(401, [("Set-Cookie", "k4"), ("x-echo", CANARY), ("x-ratelimit-remaining-tokens", "7")], 0.1)
        writer.read(f"bad key {CANARY}, ".encode(), 0.2)
        writer.read(json.dumps({"key": CANARY}).encode(), 0.3)
        writer.end("eof", 0.3)
    tape = parse_tape(file.getvalue())
    body = tape.request["body"]

    assert b"canary" not in file.getvalue() and b"hunter2" not in file.getvalue()
    assert not any(f'"k{n}"'.encode() in file.getvalue() for n in range(1, 5))
    assert tape.request["url"] == "https://***@host/v1/chat/completions?api-version=1&api-key=***&q=***"
    assert tape.request["headers"] == {
        "Authorization": "***",
        "X-Api-Key": "***",
        "x-trace": "a *** b",
        "accept": "*/*",
    }
    assert body == {
        "model": "m",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "my key is ***"}],
        "user_token": "***",
        "metadata": {"secrets": "***", "***": 1, "client_secret": None},
    }
    assert tape.headers == (("Set-Cookie", "***"), ("x-echo", "***"), ("x-ratelimit-remaining-tokens", "7"))
    assert tape.body == b"bad key ********************, " + b'{"key": "********************"}'


@given(
    st.lists(st.sampled_from(["sk-", "aaaa", "aaaab", "sk-aaaab", "b", "data: ", "\n\n"]), min_size=1),
    st.lists(st.integers(0, 60), max_size=8),
)
def test_a_secret_split_over_reads_is_hidden_and_nothing_else_changes(parts: list[str], cuts: list[int]) -> None:
    secrets = ("sk-aaaab", "aaaaaaab")
    body = "".join(parts).encode()
    at = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    reads = [(float(n), body[start:end]) for n, (start, end) in enumerate(itertools.pairwise(at))]

    tape = parse_tape(write(reads, secrets=secrets))

    assert [(read.seconds, len(read.data)) for read in tape.reads] == [(now, len(data)) for now, data in reads]
    assert tape.body == Redactor(secrets).data(body)
    assert not any(secret.encode() in tape.body for secret in secrets)


@pytest.mark.parametrize("ending", ["end", "close"])
def test_a_read_kept_back_is_written_in_the_end(ending: str) -> None:
    file = io.BytesIO()
    writer = TapeWriter(file, secrets=["sk-canary"])
    writer.headers(200, [], 0.0)
    writer.read(b"task", 1.0)
    writer.read(b": sk-", 2.0)
    assert parse_tape(file.getvalue()).body == b"task"

    writer.end("reset", 3.0) if ending == "end" else writer.close()

    assert parse_tape(file.getvalue()).reads == ((1.0, b"task"), (2.0, b": sk-"))


@settings(deadline=2000)
@given(st.integers(1, 3))
def test_holding_back_is_linear(size: int) -> None:
    """A feed whose every byte might begin the secret: no more than a secret's length is ever kept."""
    file = io.BytesIO()
    writer = TapeWriter(file, secrets=["a" * 50 + "b"])
    writer.headers(200, [], 0.0)
    for _ in range(2000):
        writer.read(b"a" * size, 0.0)

    kept = 2000 * size - len(parse_tape(file.getvalue()).body)
    assert 0 < kept <= 50 + size


def test_a_word_that_local_servers_take_for_a_key_is_left_in_the_answer() -> None:
    assert parse_tape(write([(0.0, b"none of them")], secrets=("none",))).body == b"none of them"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *(
            (name, True)
            for name in ("authorization", "Api-Key", "X-API-KEY", "proxy-authorization", "Cookie", "set-cookie")
        ),
        *(
            (name, True)
            for name in ("access_token", "accesstoken", "clientSecret", "AWSSecretKey", "password", "x-auth")
        ),
        *(
            (name, False)
            for name in ("max_tokens", "maxTokens", "completion_tokens", "model", "monkey", "author", "keyboard")
        ),
    ],
)
def test_names_of_secrets(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret
