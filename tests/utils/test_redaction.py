"""Secrets are masked as they are written, and nothing else is."""

from __future__ import annotations

from segue.utils.inputs import printable
from segue.utils.redaction import add_secret, redact, redact_values


def test_a_secret_is_masked_in_each_form_and_the_longer_one_first() -> None:
    assert redact("nothing is secret yet") == "nothing is secret yet"
    add_secret("abcd")
    add_secret("abcd/e f")
    for text in ("abcd/e f", "abcd%2Fe%20f", "abcd/e%20f", "abcd%2Fe+f", "abcd"):
        assert redact(f"<{text}>") == "<***>"
    assert printable("x abcd\n") == "x ***\\n"
    assert redact_values({"abcd": ["abcd", 5, None, {"a": ("xabcd",)}]}) == {
        "abcd": ["***", 5, None, {"a": ["x***"]}]
    }


def test_a_short_secret_hides_no_numbers_of_other_texts() -> None:
    add_secret("12")
    add_secret("")
    assert redact("112 frames") == "112 frames"
    assert redact("/12/", min_length=1) == "/***/"
