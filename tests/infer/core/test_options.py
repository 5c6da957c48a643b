from collections.abc import Callable
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from infer.core.app import App
from infer.core.errors import ConfigError
from infer.core.knob import Knob, Setting, argument, check, knob
from infer.core.options import default_text, options_of, parse_value, settings_of, with_settings


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What several commands take."""

    verbose: bool = knob(False, "Print more.", panel="Output")


@dataclass(frozen=True, kw_only=True)
class Settings(Shared):
    """One setting of every kind."""

    source: Path = argument("INPUT", "Folder [of images].")
    second: Path | None = argument("SECOND", "Another.", default=None, default_text="none")
    plain: int = 1
    """Not on the command line."""
    batch_size: int = knob(64, "Batch size.", above=0, short="-b")
    share: float | None = knob(None, "Share.", minimum=0, maximum=1, default_text="all")
    kind: Literal["slow", "fast"] = knob("slow", "Slow or fast.")
    rates: tuple[float, ...] = knob((0.5, 1.0), "Rates.", above=0)
    steps: tuple[str, ...] = knob((), "Steps.")
    models: tuple[Path, ...] = knob((), "Models.", short="-m", default_text="newest")
    use_cache: bool = knob(True, "Ignore the cache.", off_switch="--no-cache")
    hidden: int = knob(3, "Not an option.", option=False)

    def __post_init__(self) -> None:
        check(self, Settings)


Tool = Callable[..., Settings]


@pytest.fixture
def tool() -> Tool:
    """The config that a command gets from its arguments."""

    def run(*arguments: str) -> Settings:
        received: list[Settings] = []
        app = App()

        @app.command()
        @options_of(Settings)
        def command(config: Settings) -> None:
            """Run."""
            received.append(config)

        with pytest.raises(SystemExit) as stop:
            app(list(arguments), prog_name="tool")
        if stop.value.code:
            raise RuntimeError(stop.value.code)
        return received[0]

    return run


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        ((), {}),
        (("b",), {"second": Path("b")}),
        (("--batch-size", "8"), {"batch_size": 8}),
        (("-b", "8"), {"batch_size": 8}),
        (("--share", "0.25"), {"share": 0.25}),
        (("--kind", "fast"), {"kind": "fast"}),
        (("--rates", "2, 0.5"), {"rates": (2.0, 0.5)}),
        (("--steps", "a(1, 2), b"), {"steps": ("a(1, 2), b",)}),
        (("--steps", " "), {"steps": ()}),
        (("--models", "x", "-m", "y z"), {"models": (Path("x"), Path("y z"))}),
        (("--no-cache",), {"use_cache": False}),
        (("--verbose",), {"verbose": True}),
        (("--no-verbose",), {"verbose": False}),
    ],
)
def test_a_command_gets_the_config_with_what_the_user_typed(
    tool: Tool, arguments: tuple[str, ...], changed: dict[str, Any]
) -> None:
    assert tool("a", *arguments) == Settings(source=Path("a"), **changed)


@pytest.mark.parametrize(
    "arguments",
    [(), ("a", "--hidden", "4"), ("a", "--plain", "4"), ("a", "--kind", "other"), ("a", "--batch-size", "many")],
)
def test_what_the_command_line_does_not_take_is_a_usage_error(tool: Tool, arguments: tuple[str, ...]) -> None:
    with pytest.raises(RuntimeError, match="2"):
        tool(*arguments)


@pytest.mark.parametrize("text", ["", "1;2", "1,", "one"])
def test_a_list_that_is_not_of_numbers_is_refused_by_the_options_name(tool: Tool, text: str) -> None:
    with pytest.raises(ConfigError, match=f"^--rates must be numbers separated by commas, got {text}$"):
        tool("a", "--rates", text)


def test_a_value_out_of_range_is_refused_by_the_config(tool: Tool) -> None:
    with pytest.raises(ConfigError, match=r"^--batch-size must be above 0, got 0"):
        tool("a", "--batch-size", "0")


def test_own_settings_come_before_inherited_ones() -> None:
    names = list(settings_of(Settings))
    assert (names[0], names[-1]) == ("source", "verbose")
    assert not {"hidden", "plain"} & set(names)


def test_help_shows_defaults_and_placeholders(capsys: pytest.CaptureFixture[str], tool: Tool) -> None:
    with pytest.raises(IndexError):
        tool("--help")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        "INPUT <path> Folder [of images]. [required]",
        "SECOND <path> Another. [default: none]",
        "-b, --batch-size <int> Batch size. [default: 64]",
        "--share <float> Share. [default: all]",
        "--kind <choice> Slow or fast. [default: slow]",
        "--rates <str> Rates. [default: 0.5, 1.0]",
        "--steps <str> Steps.",
        "-m, --models <path> Models. [default: newest]",
        "--no-cache Ignore the cache.",
        "--verbose / --no-verbose Print more. [default: no]",
    ):
        assert line in lines, line
    assert lines.index("Output:") > lines.index("Options:")


@pytest.mark.parametrize(
    ("default", "text", "shown"),
    [
        (None, "", ""),
        (None, "what suits", "what suits"),
        (MISSING, "", ""),
        (True, "", "yes"),
        (False, "", "no"),
        ((), "newest", "newest"),
        (("a", "b"), "", "a, b"),
        (["a"], "none", "a"),
        (0.5, "", "0.5"),
        ("", "none", "none"),
    ],
)
def test_a_default_is_shown_as_its_text_or_its_value(default: Any, text: str, shown: str) -> None:
    assert default_text(Setting(Knob(help="", default_text=text), str, default)) == shown


def test_values_of_other_types_are_what_typer_has_read() -> None:
    setting = Setting(Knob(help=""), int | None, None)
    assert parse_value("count", setting, 3) == 3


def test_only_what_was_typed_reaches_the_function_that_a_command_calls() -> None:
    received: list[dict[str, Any]] = []
    command = with_settings(lambda: None, settings_of(Settings), received.append)
    command(source=Path("a"), share=None, rates="1,2", verbose=None)
    assert received == [{"source": Path("a"), "rates": (1.0, 2.0)}]
