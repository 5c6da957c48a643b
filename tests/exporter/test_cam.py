"""The class activation map adds up to the logits, in every precision, and costs a file nothing else."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers.networks import SCALE, folded, images, make_card, tiny, traced
from helpers.onnx_files import save_unsealed
from onnx import numpy_helper

from exporter.cam import add_cam, check_cam, has_cam
from exporter.graph import at_precision, build_graph, finish
from exporter.reference import compute_reference
from infer.core.errors import ExportError, ParityError
from infer.model.card import read_card
from infer.model.providers import CPU
from infer.model.session import Session
from trainer.model.checkpoint import load_checkpoint


def with_cam(model: onnx.ModelProto, batch: int | None = None, **changes: object) -> onnx.ModelProto:
    add_cam(model)
    return finish(model, make_card(**changes), batch)


def outputs(model: onnx.ModelProto, batch: np.ndarray, *names: str) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(list(names), {"images": batch})


@pytest.mark.parametrize("opset", [17, 18, 22])
def test_the_maps_mean_over_places_plus_the_bias_is_the_logit(opset: int) -> None:
    model = with_cam(finish(traced(SCALE), make_card(opset=opset)), opset=opset)
    logits, cam = outputs(model, images(3), "logits", "cam")
    assert cam.shape == (3, 3, 1, 1)
    bias = tiny().resnet.fc.bias.detach().numpy()
    np.testing.assert_allclose(cam.mean(axis=(2, 3)) + bias, logits, atol=1e-4)


def test_the_maps_are_the_heads_weights_applied_to_the_features_of_each_place() -> None:
    network, card = tiny(), make_card(opset=17)
    card = make_card(opset=17, pixels=type(card.pixels).default(96))
    model = build_graph(at_precision(network, "fp32"), card)
    add_cam(model)
    batch = np.random.default_rng(1).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    features = {}
    network.resnet.layer4.register_forward_hook(lambda _, given, out: features.update(last=out))
    with torch.inference_mode():
        network(torch.from_numpy(batch))
        expected = torch.einsum("kc,nchw->nkhw", network.resnet.fc.weight, features["last"]).numpy()
    (cam,) = outputs(finish(model, card), batch, "cam")
    assert cam.shape == (2, 3, 3, 3)
    assert np.ptp(cam, axis=(2, 3)).min() > 0.01
    np.testing.assert_allclose(cam, expected, atol=1e-4)


def test_logits_and_probabilities_are_what_they_are_without_it() -> None:
    plain = finish(traced(SCALE), make_card())
    before = outputs(plain, images(4), "logits", "probabilities")
    assert not has_cam(plain)
    after = with_cam(plain)
    assert has_cam(after)
    for one, two in zip(before, outputs(after, images(4), "logits", "probabilities"), strict=True):
        np.testing.assert_array_equal(one, two)


def test_in_half_precision_and_with_a_fixed_batch_the_maps_are_float32_of_that_batch() -> None:
    card = make_card(opset=17, precision="fp16")
    model = with_cam(build_graph(folded(precision="fp16"), card, 2), 2, opset=17, precision="fp16")
    logits, cam = outputs(model, images(2), "logits", "cam")
    assert cam.dtype == np.float32
    assert [dim.dim_value for dim in model.graph.output[2].type.tensor_type.shape.dim] == [2, 3, 1, 1]
    bias = tiny().resnet.fc.bias.detach().numpy()
    np.testing.assert_allclose(cam.mean(axis=(2, 3)) + bias, logits, atol=4e-3 * max(1, np.abs(logits).max()))


def test_a_graph_that_ends_otherwise_is_refused() -> None:
    model = finish(traced(SCALE), make_card())
    kinds = [node.op_type for node in model.graph.node]
    del model.graph.node[kinds.index("GlobalAveragePool")]
    with pytest.raises(ExportError, match="does not end in one pooling"):
        add_cam(model)


@pytest.fixture(scope="module")
def exported(lab: Callable, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cam") / "cam.onnx"
    ran = lab("export", run, "--cam", "--out", out)
    assert ran.code == 0, ran.err
    return out


def test_an_exported_file_has_the_maps_and_predicts_as_one_without_them(exported: Path, model: Path) -> None:
    one, two = Session(exported, "cpu"), Session(model, "cpu")
    assert (one.has_cam, two.has_cam) == (True, False)
    height, width = one.card.pixels.window
    batch = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    for got, wanted in zip(one.run(batch), two.run(batch), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-6)
    assert one.run_cam(batch).shape == (3, 2, 1, 1)


def test_maps_that_do_not_add_up_are_found(exported: Path, run: Path, cells: Path, tmp_path: Path) -> None:
    network, _ = load_checkpoint(run / "best.safetensors")
    files = [str(path) for path in sorted((cells / "test").iterdir())[:4]]
    reference = compute_reference(network, files, np.zeros(4, dtype=np.int64), read_card(exported).pixels)
    check_cam(exported, reference, [CPU])
    model = onnx.load(exported)
    (weight,) = [tensor for tensor in model.graph.initializer if tensor.name == "cam.weight"]
    weight.CopyFrom(numpy_helper.from_array(1.5 * numpy_helper.to_array(weight), weight.name))
    save_unsealed(model, tmp_path / "wrong.onnx")
    with pytest.raises(ParityError, match="do not add up to the logits"):
        check_cam(tmp_path / "wrong.onnx", reference, [CPU])


def test_lab_verify_proves_a_file_with_maps(lab: Callable, exported: Path, run: Path) -> None:
    ran = lab("verify", exported, "--run", run)
    assert ran.code == 0, ran.err
