"""Output of other libraries is kept for an error, and nothing of the process stays changed."""

import logging
import sys
import warnings

import pytest

from exporter.capture import captured_output, first_and_last


def test_what_is_printed_and_logged_as_an_error_is_collected_and_nothing_else_appears(
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.root.manager.disable
    with captured_output() as output, warnings.catch_warnings(record=True) as seen:
        print("to standard output")  # noqa: T201
        print("to standard error", file=sys.stderr)  # noqa: T201
        logging.getLogger("a.library").error("an error")
        logging.getLogger("a.library").warning("a warning of the log")
        warnings.warn("a warning", stacklevel=1)
    assert output.getvalue() == "to standard output\nto standard error\nan error\n"
    assert not seen
    assert capsys.readouterr() == ("", "")
    assert (root.handlers[:], root.level, logging.root.manager.disable) == before


def test_an_exception_leaves_logging_as_it_was() -> None:
    before = logging.getLogger().handlers[:]
    with pytest.raises(ValueError, match="broken"), captured_output():
        raise ValueError("broken")
    assert logging.getLogger().handlers == before


def test_a_message_has_the_first_line_of_the_error_and_the_last_of_the_output() -> None:
    with captured_output() as output:
        print("first\nlast")  # noqa: T201
    assert first_and_last(ValueError("reason\ndetails"), output) == "reason last"
