"""Several models side by side: letters, disagreements, and names that would break a table or a picture."""

import io
from dataclasses import replace

import numpy as np
from rich.console import Console

from infer.metrics.result import EvaluationResult
from infer.model.card import ClassName
from infer.reports.model_comparison import (
    ModelComparison,
    confusions_figure,
    disagreement_rows,
    model_tables,
    models_json,
)
from infer.reports.plot_style import plain_style, png

TRUTH = np.array([0, 0, 1, 1, 2, 2])


def result(*predicted: int, sure: float = 0.8) -> EvaluationResult:
    probabilities = np.full((6, 3), (1 - sure) / 2, dtype=np.float32)
    probabilities[np.arange(6), predicted] = sure
    return EvaluationResult(
        title="t",
        classes=(ClassName("[red]none[/red]", "0"), ClassName("$x^2$", "1"), ClassName("=1+1", "2")),
        ordered=True,
        paths=tuple(f"[b]{k}[/b].png" for k in range(6)),
        truth=TRUTH,
        probabilities=probabilities,
    )


FIRST, SECOND, THIRD = result(0, 0, 1, 1, 2, 2), result(0, 1, 1, 1, 2, 0), result(0, 1, 1, 1, 2, 2)


def printed(comparison: ModelComparison, width: int = 100) -> str:
    text = io.StringIO()
    Console(file=text, width=width).print(*model_tables(comparison), sep="\n")
    return text.getvalue()


def test_disagreements_are_the_images_with_several_predictions_most_confident_first() -> None:
    second = replace(SECOND, probabilities=SECOND.probabilities.copy())
    second.probabilities[5] = [0.98, 0.01, 0.01]
    comparison = ModelComparison.of(
        ["a", "b"], [replace(FIRST, probabilities=result(0, 0, 1, 1, 2, 2, sure=0.99).probabilities), second]
    )
    assert list(comparison.disagreements()) == [5, 1]
    header, *rows = disagreement_rows(comparison)
    assert header == ["path", "truth", "group", "A predicted", "A probability", "B predicted", "B probability"]
    assert rows[0][:4] == ["[b]5[/b].png", "2", "", "2"]
    assert rows[0][5] == "0"


def test_names_are_shown_as_they_are_at_any_width() -> None:
    comparison = ModelComparison.of(["[x]", "$y", "z"], [FIRST, SECOND, THIRD])
    for width in (60, 100):
        text = printed(comparison, width)
        assert "[b]5[/b].png" in text
        assert max(map(len, text.splitlines())) <= width
    assert "[red]none[/red]" in printed(comparison)
    with plain_style():
        assert png(confusions_figure(comparison)).startswith(b"\x89PNG")


def test_models_that_agree_everywhere_have_no_disagreement_and_no_winner() -> None:
    comparison = ModelComparison.of(["a", "b"], [FIRST, FIRST])
    assert len(comparison.disagreements()) == 0
    content = models_json(comparison)
    assert content["disagreements"] == 0
    assert {item["better"] for item in content["differences"][0]["metrics"].values()} == {0}


def test_each_other_model_is_compared_with_the_first() -> None:
    content = models_json(ModelComparison.of(["a", "b", "c"], [FIRST, SECOND, THIRD]))
    assert [(item["model"], item["less"]) for item in content["differences"]] == [("b", "a"), ("c", "a")]
    assert [model["confusion"][0] for model in content["models"]] == [[2, 0, 0], [1, 1, 0], [1, 1, 0]]
    assert "kappa" in content["models"][0]


def test_letters_go_on_after_z() -> None:
    letters = ModelComparison(tuple(map(str, range(28))), (), (), ()).letters
    assert letters[:2] == ["A", "B"]
    assert letters[25:] == ["Z", "AA", "AB"]


def test_a_name_cannot_forge_a_line_of_the_legend() -> None:
    assert ModelComparison.of(["x\nB: the best", "y"], [FIRST, SECOND]).legend() == "A: x\\nB: the best\nB: y"


def test_a_picture_of_many_classes_and_models_stays_small() -> None:
    many = replace(
        FIRST,
        classes=tuple(ClassName(str(k), str(k)) for k in range(60)),
        probabilities=np.eye(60, dtype=np.float32)[:6],
    )
    with plain_style():
        width, height = confusions_figure(ModelComparison.of(list("abcdefg"), [many] * 7)).get_size_inches()
    assert width < 25
    assert height < 25
