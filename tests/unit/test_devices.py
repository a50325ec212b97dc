"""Browsers in words of ours, whatever they send."""

import pytest

from bridge.domain.devices import device_words

_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows"),
        (f"{_MAC} Chrome/139.0.0.0 Safari/537.36", "Chrome on macOS"),
        (f"{_MAC} Chrome/139.0.0.0 Safari/537.36 Edg/139.0.0.0", "Edge on macOS"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Safari/604.1",
            "Safari on iPhone",
        ),
        ("Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/139.0 Mobile", "Chrome on Android"),
        ("curl/8.5.0", "curl"),
        ("", ""),
        ("<script>alert(1)</script>\r\nX: y", ""),
        ("x" * 10_000 + "Firefox/1", ""),
    ],
)
def test_a_browser_is_told_by_what_it_says_and_in_no_words_but_ours(user_agent: str, words: str) -> None:
    assert device_words(user_agent) == words
