"""Models as they are opened: what is told of them, and which may be averaged."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import onnxruntime
import pytest
from helpers.onnx_files import name_in_evidence

from infer.config import PredictConfig
from infer.core.console import Screen
from infer.core.errors import ConfigError
from infer.model.card import ClassName
from infer.model.open_models import open_models, require_same_classes, run_by
from infer.model.providers import CPU, OPENVINO
from infer.model.session import Session

LEGACY = Path(__file__).parents[2] / "data" / "legacy" / "finished"


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


@pytest.mark.usefixtures("openvino")
def test_one_image_is_not_worth_starting_openvino_for_unless_it_is_named(
    cells: Path, tmp_path: Path, quiet: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infer.core.cpu.instructions", lambda: ("avx2", "avx_vnni"))
    file = name_in_evidence(Path(shutil.copy(LEGACY / "int8.onnx", tmp_path / "m.onnx")), OPENVINO)
    image = next((cells / "test").rglob("*.jpg"))
    for source, runtime, provider in (
        (image, "auto", CPU),
        (image, "openvino", OPENVINO),
        (cells / "test", "auto", OPENVINO),
        (cells / "test" / "*.jpg", "auto", OPENVINO),
        (cells / "test", "onnxruntime", CPU),
    ):
        config = PredictConfig(source=source, model=(file,), device="cpu", runtime=runtime)
        (session,) = open_models(config, quiet)
        assert session.provider == provider


def test_what_ran_the_models_is_named_once(model: Path) -> None:
    sessions, config = [Session(model, "cpu")] * 2, PredictConfig(source=Path("cells"))
    assert run_by(sessions, config) == f"CPU (onnxruntime {onnxruntime.__version__}) in f32"
    assert run_by(sessions, replace(config, engine="ray")) == "Ray's workers (onnxruntime)"
    assert run_by(sessions, replace(config, engine="ray", runtime="openvino")) == "Ray's workers (openvino)"
