from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import pytest
import typer

from infer.core.app import App, PanelCommand
from infer.core.plain_values import convert_plain_values

Size = Literal["small", "very-large"]


def run(
    source: Annotated[Path, typer.Argument()],
    more: Annotated[list[Path] | None, typer.Option("--more")] = None,
    size: Annotated[Size | None, typer.Option("--size")] = None,
    count: Annotated[int | None, typer.Option("--count")] = None,
    share: Annotated[float | None, typer.Option("--share")] = None,
    name: Annotated[str | None, typer.Option("--name")] = None,
    loud: Annotated[bool | None, typer.Option("--loud/--no-loud")] = None,
) -> None:
    """Print the values with their types."""
    typer.echo([source, more, size, count, share, name, loud])


def printed(words: list[str], capsys: pytest.CaptureFixture[str], plain: bool, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a tool with one command prints, and its exit code; by Typer alone, or with plain values converted here."""
    with monkeypatch.context() as patch:
        if not plain:
            patch.setattr("infer.core.app.convert_plain_values", lambda parameters, annotations: None)
        tool = App()
        tool.command()(run)
        with pytest.raises(SystemExit) as stop:
            tool(words, prog_name="tool")
    shown = capsys.readouterr()
    return f"{shown.out}{shown.err}{stop.value.code}"


@pytest.mark.parametrize(
    "words",
    [
        ["a.png"],
        ["a.png", "--more", "b", "--more", "c", "--size", "very-large", "--count", "-3", "--share", "0.25"],
        ["tests", "--name", "x y", "--loud", "--share", "2", "--more", ""],
        ["", "--no-loud", "--name", "", "--size", "very_large"],
        ["a", "--count", " 7 ", "--share", "1e-3"],
        ["a", "--count", "1_000"],
        ["a", "--share", "nan"],
        ["a", "--count", "3.0"],
        ["a", "--count", "many"],
        ["a", "--count", "٣"],
        ["a", "--share", "½"],
        ["a", "--size", "huge"],
        ["a", "--size", "Small"],
        ["a\udcff"],
        ["a", "--name", "\udcff"],
        ["a", "--count"],
        ["--help"],
        ["a", "--loud", "-h"],
        [],
    ],
)
def test_values_and_errors_are_those_of_typer(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert printed(words, capsys, True, monkeypatch) == printed(words, capsys, False, monkeypatch)


@pytest.mark.skipif(not hasattr(Path, "chmod"), reason="there are no access rights")
def test_a_file_that_must_not_be_read_is_refused_as_typer_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").touch()
    monkeypatch.setattr("os.access", lambda *words: False)  # root reads everything
    assert "is not readable" in printed([str(tmp_path / "locked")], capsys, True, monkeypatch)


class Recorder:
    """A parameter of Click that notes which values reach Typer."""

    def __init__(self, name: str) -> None:
        self.name, self.callback, self.nargs, self.multiple, self.required = name, None, 1, False, False
        self.seen: list[Any] = []

    def process_value(self, context: Any, value: Any) -> Any:
        self.seen.append(value)
        return value


def test_typer_sees_only_what_may_be_wrong() -> None:
    names = ("source", "size", "count", "share", "name", "loud")
    parameters = {name: Recorder(name) for name in names}
    convert_plain_values(parameters.values(), get_type_hints(run, include_extras=True))
    values = {"source": "a.png", "size": "small", "count": "12", "share": "0.5", "name": "x", "loud": True}
    converted = {name: parameters[name].process_value(None, value) for name, value in values.items()}
    assert converted == {**values, "source": Path("a.png"), "count": 12, "share": 0.5}
    assert [parameter.process_value(None, None) for parameter in parameters.values()] == [None] * 6
    assert not any(parameter.seen for parameter in parameters.values())
    parameters["count"].process_value(None, "1e3")
    assert parameters["count"].seen == ["1e3"]


def test_labs_commands_are_made_so() -> None:
    command = typer.main.get_command(_tool())
    assert isinstance(command, PanelCommand)
    assert {type(parameter.process_value).__name__ for parameter in command.params} == {"_Converter"}


def _tool() -> App:
    tool = App()
    tool.command()(run)
    return tool
