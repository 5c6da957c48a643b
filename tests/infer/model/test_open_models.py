"""Models as they are opened: what is told of them, and which may be averaged."""

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from infer.core.errors import ConfigError
from infer.model.card import ClassName
from infer.model.open_models import require_same_classes
from infer.model.session import Session


def test_another_version_of_pillow_than_in_training_is_reported(
    lab: Callable, model: Path, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("predict", cells / "test", "--model", model, "--no-sample", "--out", tmp_path / "out.csv")
    assert "note: trained with Pillow" not in lab(*arguments).out
    monkeypatch.setattr("PIL.__version__", "9.5.0")
    assert f"note: trained with Pillow {version('pillow')}, installed is 9.5.0" in lab(*arguments).out


def test_models_of_other_classes_are_not_averaged(model: Path) -> None:
    one, other = Session(model, "cpu"), Session(model, "cpu")
    require_same_classes([one, other])
    other.card = replace(one.card, classes=(ClassName("b", "1"), ClassName("a", "0")))
    with pytest.raises(ConfigError, match="only where their classes agree"):
        require_same_classes([one, other])
