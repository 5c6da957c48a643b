"""Refused requests have one form."""

from infer.serve.errors import RequestError, busy, with_remedy


def test_an_error_has_the_reason_and_the_remedy_on_one_line() -> None:
    error = RequestError(400, "a\nb", "send\x1b[31m c")
    assert error.to_json() == {"error": "a\\nb", "remedy": "send\\x1b[31m c"}
    assert (error.status, error.headers) == (400, {})


def test_a_client_that_finds_the_server_busy_is_told_when_to_come_back() -> None:
    assert (busy("full").status, busy("full").headers) == (503, {"Retry-After": "1"})
    for wait, seconds in ((0.2, "1"), (1.0, "1"), (1.01, "2"), (17.3, "18"), (1e9, "60"), (float("inf"), "60")):
        assert busy("full", wait).headers == {"Retry-After": seconds}


def test_a_message_of_lab_is_split_at_its_remedy() -> None:
    assert with_remedy("the file; it is old, is damaged; export it again", "-") == (
        "the file; it is old, is damaged",
        "export it again",
    )
    assert with_remedy("no remedy", "look") == ("no remedy", "look")
