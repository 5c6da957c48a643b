"""Heat is where the evidence is: tested with models whose prediction depends on one known corner."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from infer.images.preprocess import PixelSpec
from infer.model.card import CARD_KEY, ClassName, ModelCard, Normalization
from infer.model.session import Session
from infer.reports.heatmap import GRID, heat_maps, occlusion

SIDE = 32


def corner_model(path: Path, batch: int | str, cam: bool = False) -> Path:
    """Its second class's logit is how bright the upper left 8 x 8 pixels are, above 127; the first one's is 0."""
    value = helper.make_tensor_value_info
    constants = {"half": 127.0, "range": 30.0, "zero": 0.0}
    tensors = [numpy_helper.from_array(np.array(value, dtype=np.float32), name) for name, value in constants.items()]
    steps = {"starts": [0, 0], "ends": [8, 8], "axes": [1, 2], "last": [2], "mean": [1, 2, 3]}
    tensors += [numpy_helper.from_array(np.array(items, dtype=np.int64), name) for name, items in steps.items()]
    nodes = [
        helper.make_node("Cast", ["images"], ["bytes"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["bytes", "starts", "ends", "axes"], ["corner"]),
        helper.make_node("ReduceMean", ["corner", "mean"], ["bright"], keepdims=0),
        helper.make_node("Sub", ["bright", "half"], ["above"]),
        helper.make_node("Div", ["above", "range"], ["second"]),
        helper.make_node("Mul", ["second", "zero"], ["first"]),
        helper.make_node("Unsqueeze", ["first", "axis"], ["column0"]),
        helper.make_node("Unsqueeze", ["second", "axis"], ["column1"]),
        helper.make_node("Concat", ["column0", "column1"], ["logits"], axis=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    tensors.append(numpy_helper.from_array(np.array([1], dtype=np.int64), "axis"))
    outputs = [value("logits", TensorProto.FLOAT, [batch, 2]), value("probabilities", TensorProto.FLOAT, [batch, 2])]
    if cam:
        fixed = np.zeros((1, 2, 4, 4), dtype=np.float32)
        fixed[0, 1, 3, 0], fixed[0, :, 2, 2] = 6, 9
        tensors.append(numpy_helper.from_array(fixed, "map"))
        nodes.append(helper.make_node("Identity", ["map"], ["cam"]))
        outputs.append(value("cam", TensorProto.FLOAT, [1, 2, 4, 4]))
    images = value("images", TensorProto.UINT8, [batch, SIDE, SIDE, 3])
    graph = helper.make_graph(nodes, "corner", [images], outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    card = ModelCard(
        architecture="resnet18",
        classes=(ClassName("dark", "0"), ClassName("bright", "1")),
        pixels=PixelSpec.default(SIDE),
        normalization=Normalization.per_channel((0.5,) * 3, (0.5,) * 3),
        ordered=False,
        opset=18,
    )
    helper.set_model_props(model, {CARD_KEY: card.to_json()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


@pytest.fixture
def view() -> np.ndarray:
    view = np.full((SIDE, SIDE, 3), 90, dtype=np.uint8)
    view[:8, :8] = 240
    return view


@pytest.mark.parametrize("batch", ["batch", 5])
def test_occlusion_is_hot_in_the_corner_that_decides_and_nowhere_else(
    batch: int | str, tmp_path: Path, view: np.ndarray
) -> None:
    session = Session(corner_model(tmp_path / "corner.onnx", batch), "cpu")
    heat = occlusion(session, view, 1, 16)
    assert heat.shape == (GRID, GRID)
    side = 8 * GRID // SIDE
    np.testing.assert_allclose(heat[side:], 0, atol=1e-6)
    np.testing.assert_allclose(heat[:, side:], 0, atol=1e-6)
    bright, covered = (1 / (1 + np.exp(-(value - 127) / 30)) for value in (240, 240 - (240 - 128) / 4))
    np.testing.assert_allclose(heat[:side, :side], bright - covered, atol=1e-5)


def test_for_the_other_class_the_same_corner_speaks_against(tmp_path: Path, view: np.ndarray) -> None:
    session = Session(corner_model(tmp_path / "corner.onnx", "batch"), "cpu")
    np.testing.assert_allclose(occlusion(session, view, 0, 100), -occlusion(session, view, 1, 16), atol=1e-6)


def test_a_model_with_a_class_activation_map_uses_it(tmp_path: Path, view: np.ndarray) -> None:
    session = Session(corner_model(tmp_path / "cam.onnx", 1, cam=True), "cpu")
    counts: list[int] = []
    (heat,) = heat_maps(session, [view], [1], 8, counts.append)
    assert counts == [1]
    assert np.unravel_index(heat.argmax(), heat.shape) == (3, 0)
    assert heat[2, 2] == 0  # it speaks for all classes alike


def test_batches_have_at_most_the_batch_size_and_a_small_image_has_a_patch_for_each_pixel() -> None:
    class Constant:
        has_cam, batch = False, None

        def run(self, pixels_nhwc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            assert len(pixels_nhwc) <= 7
            outputs = np.full((len(pixels_nhwc), 2), 0.5, dtype=np.float32)
            return outputs, outputs

    assert occlusion(Constant(), np.zeros((3, 20, 3), dtype=np.uint8), 0, 7).shape == (3, GRID)
