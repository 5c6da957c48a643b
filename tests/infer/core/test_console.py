import io
import os
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from infer.core.console import Screen, Terminal, captured_stderr


def test_markup_in_a_name_is_shown_as_it_is(heard: tuple[Screen, io.StringIO]) -> None:
    screen, text = heard
    screen.say("[/x].jpg and [blue]x[/blue].jpg")
    assert text.getvalue() == "[/x].jpg and [blue]x[/blue].jpg\n"


def test_a_long_line_is_not_wrapped(heard: tuple[Screen, io.StringIO]) -> None:
    screen, text = heard
    screen.say("word " * 100)
    assert text.getvalue().count("\n") == 1


def test_a_name_in_a_table_stays_in_one_piece_except_on_a_narrow_terminal() -> None:
    name = "20261128-194356-resnet18-" + "cells-" * 20
    table = Table("run", "accuracy")
    table.columns[0].overflow = "fold"
    table.add_row(name, "0.8125")
    for is_terminal in (False, True):
        text = io.StringIO()
        Screen(Console(file=text, force_terminal=is_terminal, width=80)).show(table, "end")
        row = next((line for line in text.getvalue().splitlines() if name in line), "")
        assert ("0.8125" in row) is not is_terminal
        assert text.getvalue().endswith("end\n")
    Screen(Console(file=text)).show()


def test_a_progress_bar_prints_nothing_without_a_terminal(heard: tuple[Screen, io.StringIO]) -> None:
    screen, text = heard
    with screen.bar("working", 3) as bar:
        bar.step(3, "done [x]")
    assert text.getvalue() == ""


def test_a_progress_bar_on_a_terminal_shows_its_note_as_it_is() -> None:
    text = io.StringIO()
    with Screen(Console(file=text, force_terminal=True, width=100)).bar("working", 3) as bar:
        bar.step(3, "loss [x]")
    assert "loss [x]" in text.getvalue()


def test_what_libraries_in_c_write_is_captured_and_later_errors_are_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with captured_stderr() as lines:
        os.write(2, b"missing: libx\nand more\n")
    assert lines == ["missing: libx", "and more"]
    os.write(2, b"seen\n")
    assert capfd.readouterr().err == "seen\n"


def test_an_error_ends_the_capture(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="wrong"), captured_stderr():
        raise ValueError("wrong")
    os.write(2, b"seen\n")
    assert capfd.readouterr().err == "seen\n"


def test_a_broken_pipe_ends_the_output_that_it_carried_where_the_process_has_no_standard_output(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with (tmp_path / "errors").open("w+") as errors:
        terminal = Terminal(file=errors)
        terminal.on_broken_pipe()
        os.write(errors.fileno(), b"late")
        assert terminal.quiet
    assert (tmp_path / "errors").read_bytes() == b""
