from dataclasses import dataclass

import pytest

from infer.core.errors import ConfigError
from trainer.augment.expressions import Call, build, parse_calls


@dataclass(frozen=True)
class Blur:
    sigma: float
    name: str = "gaussian"

    def __post_init__(self) -> None:
        if self.sigma <= 0:
            raise ValueError(f"sigma must be above 0, got {self.sigma}")


def call(step: str, /, *arguments: object, probability: float | None = None, **named: object) -> Call:
    return Call(step, arguments, tuple(named.items()), probability)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("", ()),
        ("  ", ()),
        ("hflip", (call("hflip"),)),
        ("hflip,", (call("hflip"),)),
        ("hflip()", (call("hflip"),)),
        ("rotation(20), hflip", (call("rotation", 20), call("hflip"))),
        ("shift(-1.5e2, by='x', far=2)", (call("shift", -150.0, by="x", far=2),)),
        ("hflip @ 0.3", (call("hflip", probability=0.3),)),
        ("hflip@1", (call("hflip", probability=1.0),)),
        ("hflip @ 0.5 @ 0.5", (call("hflip", probability=0.25),)),
        ("one_of(a, b(2) @ 0.5) @ 0", (call("one_of", call("a"), call("b", 2, probability=0.5), probability=0.0),)),
        ("a(b(c(d)))", (call("a", call("b", call("c", call("d")))),)),
        ("a,\nb  # the second", (call("a"), call("b"))),
    ],
)
def test_a_text_is_read_as_the_calls_that_it_spells(text: str, calls: tuple[Call, ...]) -> None:
    assert parse_calls(text, "--steps") == calls


@pytest.mark.parametrize(
    "text",
    [
        "rotation(20",
        "rotation(20))",
        "a b",
        "1, 2",
        "'a'",
        "a + b",
        "a @ 2",
        "a @ -0.5",
        "a @ p",
        "a @ 'x'",
        "a.b(1)",
        "a(1)(2)",
        "a(*b)",
        "a(b=1, b=2)",
        "a(True)",
        "a([1])",
        "a(-b)",
        "lambda: 1",
        "x for x in y",
        "a), (b",
        "a], [b",
        ",",
        "a,\nb c",
        "\0",
        "(" * 500 + ")" * 500,
        "__import__('os').system('true')",
    ],
)
def test_anything_else_is_refused_in_one_line_that_names_the_option(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--steps.*") as caught:
        parse_calls(text, "--steps")
    assert "\n" not in str(caught.value)


def test_a_call_becomes_the_dataclass_that_it_names() -> None:
    kinds = {"blur": Blur}
    assert build(call("blur", 2), kinds, "--steps") == Blur(2)
    assert build(call("blur", name="box", sigma=0.5), kinds, "--steps") == Blur(0.5, "box")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (call("blurr", 2), "--steps: unknown step blurr; choose one of blur"),
        (call("blur"), "--steps: blur takes (sigma, name), got other arguments"),
        (call("blur", 1, 2, 3), "--steps: blur takes (sigma, name), got other arguments"),
        (call("blur", size=1), "--steps: blur takes (sigma, name), got other arguments"),
        (call("blur", "wide"), "--steps: blur takes (sigma, name), got other arguments"),
        (call("blur", call("blur", 1)), "--steps: blur takes (sigma, name), got other arguments"),
        (call("blur", -1), "--steps: blur: sigma must be above 0, got -1"),
    ],
)
def test_what_is_no_such_call_is_refused_with_what_there_is(wrong: Call, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(wrong, {"blur": Blur}, "--steps")
    assert str(caught.value) == message
