from typing import Annotated

import pytest
import typer

from infer.core.app import App


def help_of(app: App, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        app(["--help"], prog_name="tool")
    assert stop.value.code == 0
    return capsys.readouterr().out


@pytest.fixture
def tool() -> App:
    app = App()

    @app.command()
    def run(
        file: Annotated[str, typer.Argument(metavar="FILE", help="File to read.")],
        max_depth: Annotated[int, typer.Option(help="Depth.", rich_help_panel="Search")] = 3,
        quiet: Annotated[bool, typer.Option(" /--loud", help="Print all.")] = True,
        width: Annotated[int, typer.Option("--width", "-w", help="Width.")] = 80,
        limit: Annotated[int, typer.Option(help="Limit.", rich_help_panel="Search")] = 1,
    ) -> None:
        """Run the tool."""
        typer.echo(f"{file} {max_depth} {quiet} {width} {limit}")

    return app


def test_help_lists_arguments_then_common_options_then_the_panels(tool: App, capsys: pytest.CaptureFixture) -> None:
    lines = help_of(tool, capsys).splitlines()
    assert [line for line in lines if line.endswith(":")] == ["Arguments:", "Options:", "Search:"]
    names = [line.split()[0] for line in lines[lines.index("Arguments:") :] if line.startswith("  ")]
    assert names == ["FILE", "--loud", "-w,", "-h,", "--max-depth", "--limit"]


def test_an_option_may_be_written_with_underscores_and_help_with_one_letter(
    tool: App, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        tool(["a", "--max_depth", "4", "--loud"])
    assert capsys.readouterr().out == "a 4 False 80 1\n"
    with pytest.raises(SystemExit):
        tool(["-h"])
    assert "Run the tool." in capsys.readouterr().out


def test_a_usage_error_is_plain_text_on_standard_error_with_exit_code_2(
    tool: App, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stop:
        tool(["a", "--deep"], prog_name="tool")
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Error: No such option: --deep" in shown.err
    assert "Usage: tool [OPTIONS] " in shown.err
