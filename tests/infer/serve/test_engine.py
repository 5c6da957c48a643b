"""The models of a server: sealed, warmed up, and bit for bit those of `lab predict`."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import infer.serve.engine
from infer import load
from infer.core.console import SILENT
from infer.core.errors import ConfigError, ModelError
from infer.images.tta import read_views
from infer.model.evidence import EVIDENCE_KEY
from infer.model.onnx_reader import read_header
from infer.model.providers import CPU, CUDA, OPENVINO, Provider
from infer.model.session import Session
from infer.reports.heatmap import activation
from infer.serve.engine import Engine, Work, _sizes, open_engine, same_files


def work_of(engine: Engine, path: Path, heatmap: bool = False) -> Work:
    return Work(tuple(read_views(str(path), spec) for spec in engine.specs), heatmap)


def test_a_batch_of_any_size_has_the_probabilities_of_predict(model: Path, images: list[Path]) -> None:
    engine = open_engine([model], "cpu", "auto", 8, SILENT)
    engine.warm_up()
    expected = load(model, device="cpu").predict(images)
    for count in (1, 3, 8):
        results = engine.run([work_of(engine, path) for path in images[:count]])
        assert np.stack([item.probabilities for item in results]).tobytes() == expected.probabilities[:count].tobytes()


@pytest.mark.parametrize(("provider", "batches"), [(CPU, 1), (OPENVINO, 1), (CUDA, 2)])
def test_batches_run_at_the_same_time_only_where_they_do_not_share_the_cores_with_each_other(
    model: Path, provider: Provider, batches: int
) -> None:
    session = Session(model, "cpu")
    session.provider = provider
    assert Engine([session], [""], 4, SILENT).at_once == batches
    assert Engine([Session(model, "cpu"), session], ["", ""], 4, SILENT).at_once == batches


def test_the_runtime_is_chosen_as_predict_does(
    model: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []

    def open_session(path: Path, *options: object, **more: object) -> Session:
        asked.append(options[:2])
        return Session(path, "cpu")

    monkeypatch.setattr(infer.serve.engine, "open_model", open_session)
    for runtime in ("auto", "onnxruntime", "openvino"):
        open_engine([model], "auto", runtime, 4, SILENT)
    assert asked == [("auto", "auto"), ("auto", "onnxruntime"), ("auto", "openvino")]


def test_several_models_are_averaged_and_have_no_threshold(
    model: Path, with_cam: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine([model, with_cam], "cpu", "auto", 4, SILENT)
    (result,) = engine.run([work_of(engine, images[0])])
    expected = load(model, with_cam, device="cpu").predict(images[:1]).probabilities[0]
    assert result.probabilities.tobytes() == expected.tobytes()
    assert engine.threshold is None
    assert len(engine.sha256) == len(engine.files) == 2


def test_views_that_do_not_suit_a_models_images_are_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(model, "cpu")
    pixels = session.card.pixels
    session.card = replace(session.card, pixels=replace(pixels, canvas=pixels.window))
    monkeypatch.setattr(infer.serve.engine, "open_model", lambda *_, **__: session)
    assert open_engine([model], "cpu", "auto", 4, SILENT, tta="flips").tta == "flips"
    with pytest.raises(ConfigError, match="--tta five-crop has no room"):
        open_engine([model], "cpu", "auto", 4, SILENT, tta="five-crop")


def test_a_heat_map_is_that_of_the_reports(with_cam: Path, images: list[Path]) -> None:
    engine = open_engine([with_cam], "cpu", "auto", 4, SILENT)
    work = work_of(engine, images[0], heatmap=True)
    plain, mapped = engine.run([work_of(engine, images[0]), work])
    view = engine.view(work.views)
    assert plain.heatmap is None
    assert mapped.heatmap is not None
    label = int(mapped.probabilities.argmax())
    assert mapped.heatmap.tobytes() == activation(Session(with_cam, "cpu"), view, label).tobytes()


def test_a_provider_that_prefers_few_shapes_gets_powers_of_two() -> None:
    assert _sizes(1) == [1]
    assert _sizes(8) == [1, 2, 4, 8]
    assert _sizes(12) == [1, 2, 4, 8, 12]


def test_a_padded_batch_has_the_same_probabilities(
    model: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(model, "cpu")
    session.provider = replace(session.provider, pads_batches=True)
    engine = Engine([session], [""], 8, SILENT)
    engine.warm_up()
    results = engine.run([work_of(engine, path) for path in images[:3]])
    expected = load(model, device="cpu").predict(images[:3]).probabilities
    assert np.allclose([item.probabilities for item in results], expected, atol=1e-6)


def test_files_that_are_not_as_exported_are_refused(tmp_path: Path, model: Path) -> None:
    changed, plain = tmp_path / "changed.onnx", tmp_path / "plain.onnx"
    content = bytearray(model.read_bytes())
    plain.write_bytes(content[: read_header(model).starts[EVIDENCE_KEY]])
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)
    for path, message in ((changed, "changed"), (plain, "has no evidence")):
        with pytest.raises(ModelError, match=message):
            open_engine([path], "cpu", "auto", 4, SILENT)


def test_models_of_other_classes_are_refused_in_one_line(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copy(model, tmp_path / "other.onnx")
    open_session = Session.__init__

    def rename(self: Session, path: Path, *arguments: object, **more: object) -> None:
        open_session(self, path, *arguments, **more)
        if path == copy:
            self.card = replace(self.card, classes=self.card.classes[::-1])

    monkeypatch.setattr(Session, "__init__", rename)
    with pytest.raises(ConfigError, match="only where their classes agree"):
        open_engine([model, copy], "cpu", "auto", 4, SILENT)


def test_a_replaced_file_is_noticed(tmp_path: Path, model: Path, with_cam: Path, lab: Callable) -> None:
    path = shutil.copy(model, tmp_path / "m.onnx")
    engine = open_engine([path], "cpu", "auto", 4, SILENT)
    assert same_files(engine)
    shutil.copy(with_cam, path)
    assert not same_files(engine)
