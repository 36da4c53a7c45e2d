from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.web.access import CORS, Principal, SignedURLs, bearer_tokens, check_site, loopback_only
from streamkit.web.http import Request
from streamkit.web.refusals import Refused

SECRET = b"0123456789abcdef"
ORIGIN = "https://chat.example"

#: What the openai SDK of npm asks for from a browser.
OPENAI_HEADERS = (
    "authorization,content-type,x-stainless-arch,x-stainless-lang,x-stainless-os,x-stainless-package-version,"
    "x-stainless-retry-count,x-stainless-runtime,x-stainless-runtime-version,x-stainless-timeout"
)


async def no_body(limit: int) -> bytes:
    raise AssertionError("nobody has to read the body")


def request(method: str = "GET", query: str = "", stream_id: str | None = None, **headers: str) -> Request:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, "/", names, no_body, dict(parse_qsl(query)), stream_id=stream_id)


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_bearer_of_a_token_is_its_principal() -> None:
    authorize = bearer_tokens({"ann": "token-a", "bob": "token-b"})

    assert authorize(request(authorization="Bearer token-a")) == Principal("ann")
    assert authorize(request(authorization="bearer  token-b ")) == Principal("bob")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer token",
        "Bearer token-aa",
        "Bearer Token-a",
        "Basic token-a",
        "token-a",
        "Bearer \u00e9\udc80",
    ],
)
def test_nobody_else_is(header: str) -> None:
    authorize = bearer_tokens({"ann": "token-a"})

    assert authorize(request(authorization=header)) is None
    assert authorize(request()) is None


@pytest.mark.parametrize("tokens", [{}, {"ann": ""}, {"ann": "a b"}, {"ann": "a\n"}, {"ann": "\u00e9"}])
def test_token_that_nobody_can_send_is_refused_at_once(tokens: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="token"):
        bearer_tokens(tokens)


# --- signed links -----------------------------------------------------------------------------------------------------


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_link_lets_its_principal_read_its_stream_until_it_expires() -> None:
    clock = Clock()
    links = SignedURLs(SECRET, seconds=60, clock=clock)
    query = links.sign("s1", Principal("ann & bob"))

    assert links.authorize(request(query=query, stream_id="s1")) == Principal("ann & bob")
    assert links.authorize(request("HEAD", query=query, stream_id="s1")) == Principal("ann & bob")
    assert links.authorize(request(query=query, stream_id="s2")) is None
    assert links.authorize(request(query=query)) is None
    assert links.authorize(request("POST", query=query, stream_id="s1")) is None
    assert links.authorize(request("DELETE", query=query, stream_id="s1")) is None
    assert SignedURLs(b"another secret..", clock=clock).authorize(request(query=query, stream_id="s1")) is None
    clock.now += 60
    assert links.authorize(request(query=query, stream_id="s1")) == Principal("ann & bob")
    clock.now += 1
    assert links.authorize(request(query=query, stream_id="s1")) is None


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=70))
def test_no_link_is_guessed(principal: str, expires: str, signature: str) -> None:
    links = SignedURLs(SECRET, clock=lambda: 0.0)
    forged = request(stream_id="s1")
    forged.query = {"principal": principal, "expires": expires, "signature": signature}

    assert links.authorize(forged) is None


@pytest.mark.parametrize(("name", "other"), [(("a", "b\0"), ("a\0", "b")), (("ab", "c"), ("a", "bc"))])
def test_no_two_links_share_a_signature(name: tuple[str, str], other: tuple[str, str]) -> None:
    links = SignedURLs(SECRET, clock=lambda: 0.0)

    assert (
        dict(parse_qsl(links.sign(name[0], Principal(name[1]))))["signature"]
        != dict(parse_qsl(links.sign(other[0], Principal(other[1]))))["signature"]
    )


def test_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        SignedURLs(b"secret")


# --- this machine only ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8080", "LOCALHOST", "127.0.0.1", "127.0.0.1:80", "127.1.2.3", "[::1]:80", "a.localhost"],
)
def test_loopback_is_this_machine(host: str) -> None:
    loopback_only(request(host=host))


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "10.0.0.1",
        "127.0.0.1@evil",
        "[::2]",
        "[",
        "a b",
    ],
)
def test_page_that_gave_its_name_our_address_is_refused(host: str) -> None:
    with pytest.raises(Refused) as raised:
        loopback_only(request(host=host))

    assert (raised.value.status, raised.value.code) == (403, "wrong_host")


# --- pages of other sites ---------------------------------------------------------------------------------------------


def test_allowed_origin_is_reflected_and_others_are_not() -> None:
    cors = CORS([ORIGIN, "http://localhost:3000"])

    assert cors.headers({"origin": ORIGIN}) == {
        "vary": "origin",
        "access-control-allow-origin": ORIGIN,
        "access-control-expose-headers": "x-streamkit-stream, retry-after, x-request-id, location",
    }
    for origin in ("https://evil.example", "null", "https://chat.example.evil", "HTTPS://chat.example"):
        assert cors.headers({"origin": origin}) == {"vary": "origin"}
    assert cors.headers({}) == {"vary": "origin"}


def test_preflight_of_the_openai_sdk_gets_all_that_it_asks_for() -> None:
    headers = CORS([ORIGIN]).preflight(
        {"origin": ORIGIN, "access-control-request-headers": OPENAI_HEADERS}, "POST, OPTIONS"
    )

    assert headers["access-control-allow-headers"].split(", ") == OPENAI_HEADERS.split(",")
    assert headers["access-control-allow-methods"] == "POST, OPTIONS"
    assert headers["access-control-max-age"] == "600"
    assert headers["vary"] == "origin, access-control-request-headers"


def test_preflight_allows_no_header_that_it_does_not_know() -> None:
    asked = "Last-Event-ID, cookie, x-forwarded-for, Idempotency-Key, x-stainless-\r\nset-cookie, x-streamkit-x"

    headers = CORS([ORIGIN]).preflight({"origin": ORIGIN, "access-control-request-headers": asked}, "GET")

    assert headers["access-control-allow-headers"] == "last-event-id, idempotency-key, x-streamkit-x"


def test_preflight_of_another_origin_gets_nothing() -> None:
    headers = CORS([ORIGIN]).preflight({"origin": "https://evil.example"}, "GET")

    assert set(headers) == {"vary"}


def test_any_origin_and_cookies_exclude_each_other() -> None:
    assert CORS(["*"]).headers({"origin": "https://x.example"})["access-control-allow-origin"] == "*"
    assert CORS([ORIGIN], credentials=True).headers({"origin": ORIGIN})["access-control-allow-credentials"] == "true"
    with pytest.raises(ValueError, match="cookies"):
        CORS(["*"], credentials=True)


@pytest.mark.parametrize(
    "origin", ["chat.example", "https://chat.example/", "https://a.example/x", "null", "https://*.example", ""]
)
def test_what_is_no_origin_is_refused_at_once(origin: str) -> None:
    with pytest.raises(ValueError, match="an origin is"):
        CORS([origin])


def test_one_text_is_no_list_of_origins() -> None:
    with pytest.raises(TypeError, match="list"):
        CORS(ORIGIN)


@pytest.mark.parametrize(
    ("site", "origin", "cors", "allowed"),
    [
        (None, None, None, True),
        (None, "https://evil.example", None, True),  # no browser, or one that had to ask first
        ("same-origin", ORIGIN, None, True),
        ("none", None, None, True),
        ("cross-site", "https://evil.example", None, False),
        ("same-site", "https://sister.example", None, False),
        ("cross-site", None, None, False),
        ("cross-site", "null", CORS([ORIGIN]), False),
        ("cross-site", ORIGIN, CORS([ORIGIN]), True),
        ("cross-site", "https://evil.example", CORS(["*"]), True),
    ],
)
def test_pages_of_other_sites_are_told_by_the_browser(
    site: str | None, origin: str | None, cors: CORS | None, allowed: bool
) -> None:
    headers = {name: value for name, value in (("sec-fetch-site", site), ("origin", origin)) if value is not None}
    asked = Request("POST", "/streams", headers, no_body)
    if allowed:
        check_site(asked, cors)
    else:
        with pytest.raises(Refused) as raised:
            check_site(asked, cors)
        assert (raised.value.status, raised.value.code) == (403, "origin_not_allowed")
