from __future__ import annotations

from streamkit import StreamkitError
from streamkit.web import Ended, Refused


def test_a_refusal_says_all_that_an_answer_needs():
    refused = Refused("no", status=429, code="busy", type="rate_limit_error", param="model", retry_after=1.5)
    assert isinstance(refused, StreamkitError)
    assert (refused.message, refused.status, refused.code) == ("no", 429, "busy")
    assert (refused.type, refused.param, refused.retry_after) == ("rate_limit_error", "model", 1.5)
    assert (Refused("no", status=404, code="c").retry_after, Refused("no", status=404, code="c").param) == (None, None)


def test_the_end_is_no_refusal():
    assert not issubclass(Ended, Refused)
