"""What may be shown of what was said."""

from typing import Any

import pytest

from streamkit.errors import ConnectionLost, ServerError, StatusError, StreamTimeout
from streamkit.sinks.content import check_redact, is_own_message, redacted, shown, word


def test_each_mode_shows_no_more_than_it_says() -> None:
    assert shown("secret", "none") is None
    assert shown("secret", "length") == 6
    assert "secret" not in str(shown("secret", "hash"))
    assert shown("secret", "hash") == shown("secret", "hash") != shown("other", "hash")
    assert shown("secret", "full") == "secret"


def test_half_a_surrogate_pair_has_a_hash() -> None:
    assert str(shown("\ud83d", "hash")).startswith("sha256:")


def test_every_text_of_a_request_is_redacted_and_the_request_is_not_changed() -> None:
    request = {"messages": [{"role": "user", "content": "a secret"}], "n": 1, "stop": ("secret",)}

    result = redacted(request, lambda text: text.replace("secret", "***"))

    assert result == {"messages": [{"role": "user", "content": "a ***"}], "n": 1, "stop": ["***"]}
    assert request["messages"] == [{"role": "user", "content": "a secret"}]


def test_what_could_not_be_redacted_is_not_shown() -> None:
    def broken(text: str) -> str:
        raise KeyError(text)

    assert redacted("secret", broken) == "[redact raised KeyError]"
    forgetful: Any = lambda text: None  # noqa: E731 - typed so that the checkers let it pass
    assert redacted("secret", forgetful) == "[redact returned NoneType]"


def test_what_cannot_redact_is_refused() -> None:
    check_redact(None)
    check_redact(str.upper)
    with pytest.raises(TypeError, match="redact must be a function from text to text, not str"):
        check_redact("***")


def test_only_a_word_of_the_servers_is_shown() -> None:
    assert word("rate_limit_exceeded") == "rate_limit_exceeded"
    assert word("you said: secret") is None
    assert word(None) is None


def test_the_words_of_a_server_are_not_our_own() -> None:
    assert is_own_message(ConnectionLost("cut"))
    assert is_own_message(StreamTimeout("slow"))
    assert not is_own_message(StatusError("400: you said secret"))
    assert not is_own_message(ServerError("secret"))
